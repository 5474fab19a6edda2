/*
 * runtime_dir.h - RUNTIME, the folder that holds the agent's socket, lock and
 * mounts: where it is by default, and taking it for oneself.
 */
#ifndef HPCPACK_AGENT_RUNTIME_DIR_H
#define HPCPACK_AGENT_RUNTIME_DIR_H

#include <stdbool.h>

#include "blob/base/err.h"

/* RUNSTATEDIR/hpcpack for root, $XDG_RUNTIME_DIR/hpcpack for others, or
 * /run/user/UID/hpcpack when that is unset. Fresh string or NULL. */
char *runtime_dir_default(struct err *err);

/*
 * Make it (and RUNTIME/mounts) if it is not there, see that it is ours alone, and
 * take its lock; `shared`: others must reach the socket. The lock's descriptor,
 * to be kept open, or -1; ERR_BUSY names the agent that has it. *real is the
 * absolute path, a fresh string.
 */
int runtime_dir_take(const char *path, bool shared, char **real, struct err *err);

#endif
