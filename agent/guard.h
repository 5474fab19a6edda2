/*
 * guard.h - what covers the mount point of a failed mount.
 *
 * Programs that go on writing there by name must not write into the folder
 * beneath, on the node's own disk, where all of it seems to succeed. So an empty
 * tmpfs that nobody can write to takes the place of the volume: they get EROFS,
 * or ENOENT. It is known by its source in the kernel's list of mounts, to any
 * agent. Only root's agent can have one.
 */
#ifndef HPCPACK_AGENT_GUARD_H
#define HPCPACK_AGENT_GUARD_H

#include <stdbool.h>
#include <sys/types.h>

#include "agent/mountinfo.h"
#include "blob/base/err.h"

bool guard_is(const struct mountinfo *info);
/* Is it what one sees at `path`? */
bool guard_at(const char *path);

/* One that is nowhere yet, as a descriptor: what may be slow or fail happens
 * before anything is unmounted. `uid` and `gid` own its only folder. */
int guard_make(uid_t uid, gid_t gid, struct err *err);

/* Put it at `path`, on top. */
int guard_put(int guard, const char *path, struct err *err);
/* Or beneath the mount on top, whose end then leaves no gap: if the kernel can
 * (Linux 6.5). */
bool guard_put_beneath(int guard, const char *path);

/* Both steps, unless something is mounted there, be it a guard. */
int guard_raise(const char *path, uid_t uid, gid_t gid, struct err *err);

/* Take it away, if it is what one sees at `path`. */
void guard_lower(const char *path);

#endif
