/*
 * record.h - RUNTIME/mounts/ID/mount.json: what a new agent needs to know about a
 * mount that an earlier one made. No secrets.
 */
#ifndef HPCPACK_AGENT_RECORD_H
#define HPCPACK_AGENT_RECORD_H

#include "agent/mounts.h"

/* Write it, whole or not at all. The caller holds the mount (busy) or it is not
 * shared yet. */
int record_write(const struct mount *m, struct err *err);

/*
 * Read it into a new mount (one reference, not in the table). `*same_boot` is
 * false when it was written before the machine was started: then nothing of it
 * lives. Refused when the file is not ours (the folder may belong to a user) or
 * is not the record of that id.
 */
struct mount *record_read(const char *runtime_dir, const char *id, bool *same_boot,
			  struct err *err);

#endif
