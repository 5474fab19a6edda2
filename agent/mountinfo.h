/*
 * mountinfo.h - what is mounted, as the kernel tells it.
 */
#ifndef HPCPACK_AGENT_MOUNTINFO_H
#define HPCPACK_AGENT_MOUNTINFO_H

#include <stdbool.h>
#include <sys/types.h>

#include "blob/base/buf.h"

struct mountinfo {
	dev_t device;
	char source[256], fstype[64];
};

/* The topmost mount at `path` (absolute, without symbolic links). False when
 * nothing is mounted there. `out` may be NULL. */
bool mountinfo_at(const char *path, struct mountinfo *out);

/* Append the mount points below `path`, at most `max`, as "/a, /b"; the number
 * there are. */
int mountinfo_below(const char *path, int max, struct buf *out);

#endif
