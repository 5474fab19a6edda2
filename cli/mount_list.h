/*
 * mount_list.h - hpcpack mount --list.
 */
#ifndef HPCPACK_CLI_MOUNT_LIST_H
#define HPCPACK_CLI_MOUNT_LIST_H

#include "cli/options.h"

/* The exit status. */
int mount_list(const struct options *o);

/*
 * The agent that knows of mounts: connects to the one that runs, or starts one if
 * its runtime folder shows that there are mounts which an agent that is gone has
 * left behind. fd; -1 with ERR_NOT_FOUND: there is no agent and nothing to know.
 */
int reach_mounts(const struct options *o, struct err *err);

#endif
