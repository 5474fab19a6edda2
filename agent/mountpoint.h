/*
 * mountpoint.h - the folder that a drive is mounted at: checked, and made when
 * the user named none.
 */
#ifndef HPCPACK_AGENT_MOUNTPOINT_H
#define HPCPACK_AGENT_MOUNTPOINT_H

#include <stdbool.h>
#include <sys/types.h>

#include "blob/base/err.h"

/* All done with the rights of uid:gid. *out is fresh: absolute, without symbolic
 * links. A user other than root must own the folder. */
int mountpoint_check(const char *wanted, uid_t uid, gid_t gid, char **out, struct err *err);

/*
 * The default: ROOT/CONTAINER/BLOB without ".vhd", or ROOT/CONTAINER.d for a whole
 * container (blob "", a name that no container has); ROOT is `root` if not NULL,
 * else /mnt/hpcpack for root and HOME/hpcpack for others. Made if it is not
 * there (*made); then checked as above.
 */
int mountpoint_make(const char *root, const char *container, const char *blob, uid_t uid,
		    gid_t gid, char **out, bool *made, struct err *err);

/* Remove a folder that mountpoint_make() made, and the container's above it when
 * that is empty then. */
void mountpoint_remove(const char *path, uid_t uid, gid_t gid);

#endif
