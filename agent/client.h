/*
 * client.h - talking to the node agent: finding it, starting it, asking it.
 */
#ifndef HPCPACK_AGENT_CLIENT_H
#define HPCPACK_AGENT_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "blob/base/err.h"

/* The socket to use: `option` (--agent-socket), $HPCPACK_AGENT,
 * RUNSTATEDIR/hpcpack/agent.sock for root, $XDG_RUNTIME_DIR/hpcpack/agent.sock
 * otherwise (/run/user/UID when unset and present; else ERR_USAGE says to set
 * it). Fresh string or NULL. */
char *agent_socket_path(const char *option, struct err *err);

/*
 * Connect. When nobody listens and `start` is set: start hpcagentd with the
 * socket's folder as its runtime directory (from SBINDIR, or the folder named by
 * $HPCPACK_LIBEXEC in a build tree), wait until it listens (at most 10 s), set
 * *started. A socket that refuses this user is ERR_PERMISSION. fd, or -1.
 */
int agent_connect(const char *socket_path, bool start, const char *config_path, bool *started,
		  struct err *err);

/* One request; `progress` (may be NULL) is called for each progress text. The
 * final reply, or NULL and *err (also for {"ok":false}). */
json_t *agent_call(int fd, const json_t *request,
		   void (*progress)(void *arg, const char *text), void *arg, struct err *err);

#endif
