/*
 * FUSE filesystem drivers on the worker's `disk`, run as the user who asked.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/fusermount.h"
#include "agent/guard.h"
#include "agent/mountinfo.h"
#include "agent/spawn.h"
#include "agent/volume_priv.h"
#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "blob/base/process.h"

/* A journal that must be replayed first, over a slow network. */
#define READY_TIMEOUT_MS 300000

/* The options of the mount itself. A comma in a name would end the option. */
static void connection_options(const struct volume_wish *w, const struct volume_fs *fs,
			       struct buf *out)
{
	buf_addf(out, "nosuid,nodev,%s,subtype=%s,fsname=",
		 w->read_only || w->snapshot ? "ro" : "rw", fs->fuse);
	for (const char *s = w->what; *s; s++)
		buf_add(out, *s == ',' || *s == '\\' ? "_" : s, 1);
	if (geteuid() == 0 && w->uid == 0)
		buf_addstr(out, ",allow_other,default_permissions");
}

/* A snapshot's driver may write: its journal is replayed into the overlay. */
static void driver_options(const struct volume_wish *w, const struct volume_fs *fs,
			   struct buf *out)
{
	buf_addstr(out, w->read_only ? "ro" : "rw");
	if (!strcmp(fs->fuse, "ntfs-3g"))
		buf_addstr(out, ",no_detach");
	if (!strcmp(fs->fuse, "fuse2fs") && w->uid != 0)
		buf_addstr(out, ",fakeroot");
	if (w->options && *w->options)
		buf_addf(out, ",%s", w->options);
}

/* The driver ended before it was mounted: say what it said. */
static int explain(const struct volume_wish *w, const struct volume_fs *fs, int log,
		   struct err *err)
{
	char text[2048];
	ssize_t n = pread(log, text, sizeof(text) - 1, 0);

	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n > 0 ? n : 0] = '\0';
	return err_set(err, ERR_FORMAT, "%s: %s could not mount the volume: %s", w->what, fs->fuse,
		       n > 0 ? text : "it does not say why");
}

/* A driver that went into the background outlives its keeper: it ends when its
 * mount does. */
static void undo(const struct volume_wish *w, bool mounted, struct volume *v)
{
	if (mounted && geteuid() == 0)
		umount2(w->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
	else if (mounted)
		fusermount_unmount(w->mountpoint, true, NULL);
	kill(v->helper, SIGTERM);
	while (waitpid(v->helper, NULL, 0) < 0 && errno == EINTR)
		;
	v->helper = 0;
}

static int wait_mounted(const struct volume_wish *w, const struct volume_fs *fs, int ready,
			int log, struct err *err)
{
	struct pollfd p = { .fd = ready, .events = POLLIN };
	char byte;
	int rc;

	do
		rc = poll(&p, 1, READY_TIMEOUT_MS);
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return err_set(err, ERR_TIMEOUT, "%s: %s did not mount the volume within %d s", w->what,
			       fs->fuse, READY_TIMEOUT_MS / 1000);
	return read(ready, &byte, 1) == 1 ? 0 : explain(w, fs, log, err);
}

/* Mounted is not ready: the first look waits until the driver has said hello to
 * the kernel. Root may be refused that look at a user's mount. */
static int first_look(const struct volume_wish *w, const struct volume_fs *fs, struct volume *v,
		      int log, struct err *err)
{
	struct mountinfo info;
	struct stat st;

	if ((stat(w->mountpoint, &st) < 0 && errno != EACCES) || !mountinfo_at(w->mountpoint, &info))
		return explain(w, fs, log, err);
	v->device = info.device;
	return 0;
}

int fuse_driver_mount(const struct volume_wish *w, const struct volume_fs *fs,
		      const char *program, const char *image, struct volume *v, struct err *err)
{
	cleanup_buf struct buf mount_opts = BUF_INIT(8192);
	cleanup_buf struct buf driver_opts = BUF_INIT(8192);
	cleanup_close int ready = -1;
	cleanup_close int theirs = -1;
	cleanup_close int log = -1;
	struct spawn s = { .uid = w->uid, .gid = w->gid, .stdout_fd = -1 };
	int pipe_fd[2];

	unlink(w->log_path);
	log = open(w->log_path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0)
		return err_set_errno(err, errno, "%s", w->log_path);
	connection_options(w, fs, &mount_opts);
	driver_options(w, fs, &driver_opts);
	if (mount_opts.failed || driver_opts.failed)
		return err_set(err, ERR_USAGE, "%s: the mount options are too long", w->what);
	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "%s: pipe", w->what);
	ready = pipe_fd[0];
	theirs = pipe_fd[1];
	char *const argv[] = { (char *)w->driver_path, (char *)w->mountpoint,
			       (char *)buf_str(&mount_opts), (char *)"3", (char *)program,
			       (char *)image, (char *)w->mountpoint, (char *)"-o",
			       (char *)buf_str(&driver_opts),
			       /* ntfs-3g has an option for it instead, above */
			       (char *)(strcmp(fs->fuse, "fuse2fs") ? NULL : "-f"), NULL };

	s.argv = argv;
	s.fd3 = theirs;
	s.stderr_fd = log;
	guard_lower(w->mountpoint);
	v->helper = spawn(&s, err);
	if (v->helper < 0) {
		v->helper = 0;
		return err_prefix(err, "%s", w->what);
	}
	v->helper_start = process_start(v->helper);
	close(steal_fd(&theirs));
	if (wait_mounted(w, fs, ready, log, err) < 0) {
		undo(w, false, v);
		return -1;
	}
	if (first_look(w, fs, v, log, err) < 0) {
		undo(w, true, v);
		return -1;
	}
	return 0;
}
