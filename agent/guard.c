#include <config.h>

#include "agent/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"

#define SOURCE "hpcpack-failed"

#ifndef MOVE_MOUNT_BENEATH
#define MOVE_MOUNT_BENEATH 0x00000200
#endif

bool guard_is(const struct mountinfo *info)
{
	return !strcmp(info->source, SOURCE) && !strcmp(info->fstype, "tmpfs");
}

bool guard_at(const char *path)
{
	struct mountinfo info;

	return mountinfo_at(path, &info) && guard_is(&info);
}

static int set(int fs, const char *key, const char *value)
{
	return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0);
}

int guard_make(uid_t uid, gid_t gid, struct err *err)
{
	cleanup_close int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	char owner[16], group[16];
	int guard = -1;

	snprintf(owner, sizeof(owner), "%u", (unsigned)uid);
	snprintf(group, sizeof(group), "%u", (unsigned)gid);
	if (fs >= 0 && set(fs, "source", SOURCE) == 0 && set(fs, "mode", "0555") == 0 &&
	    set(fs, "size", "4096") == 0 && set(fs, "nr_inodes", "1") == 0 &&
	    set(fs, "uid", owner) == 0 && set(fs, "gid", group) == 0 &&
	    fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		guard = fsmount(fs, FSMOUNT_CLOEXEC,
				MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					MOUNT_ATTR_NOEXEC);
	return guard < 0 ? err_set_errno(err, errno, "could not make an empty filesystem") : guard;
}

/* The folder above the mount point, and in *name the mount point in it. Whoever
 * owns a folder on the way may have put a symbolic link there. */
static int open_parent(const char *path, const char **name)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_NO_SYMLINKS };
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];

	if (path[0] != '/' || strlen(path) >= sizeof(parent)) {
		errno = EINVAL;
		return -1;
	}
	/* With its last slash: that of the root is all of it. */
	snprintf(parent, sizeof(parent), "%.*s", (int)(slash + 1 - path), path);
	*name = slash + 1;
	return (int)syscall(SYS_openat2, AT_FDCWD, parent, &how, sizeof(how));
}

static int put(int guard, const char *path, unsigned flags)
{
	const char *name;
	cleanup_close int parent = open_parent(path, &name);

	return parent < 0 ? -1 : move_mount(guard, "", parent, name, MOVE_MOUNT_F_EMPTY_PATH | flags);
}

int guard_put(int guard, const char *path, struct err *err)
{
	return put(guard, path, 0) < 0
		       ? err_set_errno(err, errno, "could not cover %s: what is written there goes to "
					"this node's own disk", path)
		       : 0;
}

bool guard_put_beneath(int guard, const char *path)
{
	return put(guard, path, MOVE_MOUNT_BENEATH) == 0;
}

int guard_raise(const char *path, uid_t uid, gid_t gid, struct err *err)
{
	cleanup_close int guard = -1;

	if (mountinfo_at(path, NULL))
		return 0;
	guard = guard_make(uid, gid, err);
	return guard < 0 ? err_prefix(err, "%s", path) : guard_put(guard, path, err);
}

void guard_lower(const char *path)
{
	if (geteuid() != 0 || !guard_at(path))
		return;
	/* Lazily: for who has gone into it, it stays as it is. */
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		log_warn("could not uncover %s: %s", path, strerror(errno));
}
