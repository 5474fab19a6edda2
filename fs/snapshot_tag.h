/*
 * snapshot_tag.h - the mark in the metadata of the snapshots that mounts take for
 * themselves: which process has taken it, so that one whose process was killed can
 * be told from one in use, and both from everybody else's.
 *
 *	host=H;user=U;pid=P;since=T;id=GUID;start=N;boot=GUID;pidns=N
 *
 * The first part is a lease_holder. With its start time, the boot and the pid
 * namespace, a process is known for good; a boot is that of one machine.
 */
#ifndef HPCPACK_FS_SNAPSHOT_TAG_H
#define HPCPACK_FS_SNAPSHOT_TAG_H

#include <stdbool.h>

#include "vhd/lease.h"

#define SNAPSHOT_TAG "hpcpackmount"

/* One for this process, with host and user of `who`: a fresh string, or NULL. */
char *snapshot_tag_make(const struct lease_holder *who);

/*
 * Was a snapshot of `time` with this tag taken by a process of this host that is
 * dead for certain? Never when anything about it is in doubt: another host, an
 * earlier boot, a process that can't be seen from here, a tag that was copied from
 * a snapshot to another blob and so is older than its snapshot.
 */
bool snapshot_tag_abandoned(const char *tag, const char *time);

#endif
