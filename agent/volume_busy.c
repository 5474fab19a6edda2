/*
 * Who keeps a volume busy: open files, working folders, roots, programs and
 * mappings, read out of /proc. Nothing here touches the volume itself: its
 * worker may be dead, and a look at it could hang.
 */
#include <config.h>

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/mountinfo.h"
#include "agent/volume.h"
#include "blob/base/cleanup.h"

#define NAMED 5 /* so many are named, the rest is counted */

static void close_dirp(DIR **d)
{
	if (*d)
		closedir(*d);
}
#define cleanup_dir cleanup_with(close_dirp)

/* AT_STATX_DONT_SYNC: what the kernel knows, without asking a FUSE server. */
static bool link_is_on(int dir, const char *name, dev_t device)
{
	struct statx st;

	return statx(dir, name, AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
	       makedev(st.stx_dev_major, st.stx_dev_minor) == device;
}

static bool has_open(int process, dev_t device)
{
	int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && link_is_on(dirfd(dir), entry->d_name, device))
			return true;
	return false;
}

static bool has_mapped(int process, dev_t device)
{
	int fd = openat(process, "maps", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[4400];
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		unsigned major_no, minor_no;
		unsigned long inode;

		if (sscanf(line, "%*s %*s %*s %x:%x %lu", &major_no, &minor_no, &inode) == 3)
			found = inode && makedev(major_no, minor_no) == device;
	}
	fclose(f);
	return found;
}

static bool uses(int process, dev_t device)
{
	return link_is_on(process, "cwd", device) || link_is_on(process, "root", device) ||
	       link_is_on(process, "exe", device) || has_open(process, device) ||
	       has_mapped(process, device);
}

static void add_name(int process, const char *pid, struct buf *out)
{
	cleanup_close int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
	char name[64];
	ssize_t n = fd < 0 ? 0 : read(fd, name, sizeof(name) - 1);

	name[n > 0 ? n : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	buf_addf(out, "%s%s (%s)", out->len ? ", " : "", name[0] ? name : "?", pid);
}

int volume_users(dev_t device, const char *mountpoint, struct buf *out)
{
	cleanup_buf struct buf points = BUF_INIT(1024);
	cleanup_dir DIR *proc = opendir("/proc");
	struct dirent *entry;
	int count = 0, below;

	while (proc && (entry = readdir(proc))) {
		cleanup_close int process = -1;

		if (!isdigit((unsigned char)entry->d_name[0]) || atoi(entry->d_name) == getpid())
			continue;
		process = openat(dirfd(proc), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process < 0 || !uses(process, device))
			continue;
		if (count++ < NAMED && out)
			add_name(process, entry->d_name, out);
	}
	if (count > NAMED && out)
		buf_addf(out, " and %d more", count - NAMED);
	below = mountinfo_below(mountpoint, NAMED, &points);
	if (below && out)
		buf_addf(out, "%sthe mounts at %s", out->len ? ", " : "", buf_str(&points));
	return count + below;
}
