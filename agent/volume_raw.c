/*
 * --raw: the bare `disk` file at the mount point.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "agent/guard.h"
#include "agent/mountinfo.h"
#include "agent/volume.h"
#include "blob/base/cleanup.h"

static int bind_at(const char *fs_dir, const char *mountpoint, bool read_only, struct err *err)
{
	cleanup_close int dir = open(mountpoint, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	unsigned long flags = MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV | (read_only ? MS_RDONLY : 0);
	char target[64];

	if (dir < 0)
		return err_set_errno(err, errno, "mount point %s", mountpoint);
	snprintf(target, sizeof(target), "/proc/self/fd/%d", dir);
	if (mount(fs_dir, target, NULL, MS_BIND, NULL) < 0)
		return err_set_errno(err, errno, "could not bind %s to %s", fs_dir, mountpoint);
	if (mount(NULL, mountpoint, NULL, flags, NULL) < 0) {
		err_set_errno(err, errno, "could not bind %s to %s", fs_dir, mountpoint);
		umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
		return -1;
	}
	return 0;
}

int volume_attach_raw(const char *fs_dir, const char *mountpoint, bool read_only,
		      struct volume *out, struct err *err)
{
	struct mountinfo info;

	memset(out, 0, sizeof(*out));
	out->loop = -1;
	out->driver = strcmp(fs_dir, mountpoint) ? VOLUME_BIND : VOLUME_DIRECT;
	if (out->driver == VOLUME_BIND)
		guard_lower(mountpoint);
	if (out->driver == VOLUME_BIND && bind_at(fs_dir, mountpoint, read_only, err) < 0)
		return -1;
	if (!mountinfo_at(mountpoint, &info))
		return err_set(err, ERR_SYSTEM, "nothing is mounted at %s", mountpoint);
	out->device = info.device;
	snprintf(out->mountpoint, sizeof(out->mountpoint), "%s", mountpoint);
	return 0;
}
