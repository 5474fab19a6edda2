#include <config.h>

#include "agent/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "agent/as_user.h"
#include "agent/fusermount.h"
#include "agent/guard.h"
#include "agent/mountinfo.h"
#include "agent/volume_priv.h"
#include "blob/base/cleanup.h"
#include "blob/base/process.h"

struct examination {
	const struct volume_wish *wish;
	struct volume_table *table;
	struct err *err;
	int fd;
};

static void open_and_probe(void *arg)
{
	struct examination *x = arg;
	const struct volume_wish *w = x->wish;
	int fd = open(w->disk_path, (w->read_only && !w->snapshot ? O_RDONLY : O_RDWR) | O_CLOEXEC);

	if (fd < 0) {
		err_set_errno(x->err, errno, "%s: %s", w->what, w->disk_path);
		return;
	}
	if (volume_probe_fd(fd, w->what, x->table, x->err) == 0)
		x->fd = fd;
	else
		close(fd);
}

/*
 * The `disk` of a worker that runs as an ordinary user is open to that user
 * alone, root not included. The descriptor serves the loop device whoever has
 * opened it.
 */
static int examine(const struct volume_wish *w, struct volume_table *table, struct err *err)
{
	struct examination x = { .wish = w, .table = table, .err = err, .fd = -1 };
	int rc = as_user(w->uid, w->gid, open_and_probe, &x);

	return rc ? err_set_errno(err, rc, "%s", w->what) : x.fd;
}

static int attach_kernel(const struct volume_wish *w, const struct volume_fs *fs, int disk,
			 const struct volume_part *part, struct volume *v, struct err *err)
{
	v->driver = VOLUME_KERNEL;
	if (loop_attach(w, disk, part, v, err) < 0)
		return -1;
	if (kernel_mount(w, fs, v, err) < 0) {
		loop_detach(v);
		volume_wait_released(v, 10000);
		return -1;
	}
	loop_let_go(v);
	return 0;
}

static int attach_fuse(const struct volume_wish *w, const struct volume_fs *fs,
		       const char *program, const struct volume_part *part, struct volume *v,
		       struct err *err)
{
	v->driver = VOLUME_FUSE;
	if (part->number == 0)
		return fuse_driver_mount(w, fs, program, w->disk_path, v, err);
	if (!w->window)
		return err_set(err, ERR_UNSUPPORTED, "%s: no way to show partition %d to %s", w->what,
			       part->number, fs->fuse);
	if (w->window(w->window_arg, part->offset, part->size, err) < 0)
		return err_prefix(err, "%s: partition %d", w->what, part->number);
	return fuse_driver_mount(w, fs, program, w->window_path, v, err);
}

int volume_attach(const struct volume_wish *w, struct volume *out, struct err *err)
{
	cleanup_free struct volume_table *table = calloc(1, sizeof(*table));
	cleanup_close int disk = -1;
	const struct volume_part *part;
	const struct volume_fs *fs;
	char program[64];

	memset(out, 0, sizeof(*out));
	out->loop = -1;
	if (!table)
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", w->what);
	disk = examine(w, table, err);
	if (disk < 0)
		return -1;
	part = volume_choose(table, w->partition, w->what, err);
	if (!part)
		return -1;
	snprintf(out->filesystem, sizeof(out->filesystem), "%s", part->type);
	snprintf(out->mountpoint, sizeof(out->mountpoint), "%s", w->mountpoint);
	out->partition = part->number;
	fs = volume_fs_find(part->type);
	if (fs && w->kernel_allowed && volume_fs_in_kernel(fs))
		return attach_kernel(w, fs, disk, part, out, err);
	if (fs && volume_fs_in_fuse(fs, program, sizeof(program)))
		return attach_fuse(w, fs, program, part, out, err);
	return volume_fs_missing(w->what, part, w->kernel_allowed, err);
}

const char *volume_driver_name(enum volume_driver d)
{
	static const char *const names[] = { "kernel", "fuse", "bind", "direct" };

	return names[d];
}

bool volume_mounted(const struct volume *v)
{
	struct mountinfo info;

	if (!mountinfo_at(v->mountpoint, &info) || guard_is(&info))
		return false;
	if (v->loop >= 0) {
		char source[32];

		loop_path(v->loop, source, sizeof(source));
		return !strcmp(info.source, source);
	}
	return info.device == v->device;
}

void volume_recognise(struct volume *v, const char *dir)
{
	struct mountinfo info;

	loop_find(dir, v);
	if (mountinfo_at(v->mountpoint, &info) && !guard_is(&info))
		v->device = info.device;
	v->driver = v->loop >= 0 ? VOLUME_KERNEL : VOLUME_FUSE;
}

static void sync_volume(const struct volume *v, struct err *err)
{
	cleanup_close int fd = open(v->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Not open to us (a user's FUSE mount): the driver syncs when it ends. */
	if (fd >= 0 && syncfs(fd) < 0)
		err_set_errno(err, errno, "%s: could not write everything out", v->mountpoint);
}

static int busy(const struct volume *v, struct err *err)
{
	cleanup_buf struct buf users = BUF_INIT(900);

	if (!volume_users(v->device, v->mountpoint, &users))
		buf_addstr(&users, "a process that can't be seen from here");
	return err_set(err, ERR_BUSY, "%s is in use by %s; end that, or use --lazy", v->mountpoint,
		       buf_str(&users));
}

static int take_away(const struct volume *v, bool lazy, struct err *err)
{
	struct err why;

	if (geteuid() == 0) {
		if (umount2(v->mountpoint, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
			return 0;
		if (errno == EBUSY)
			return busy(v, err);
		return err_set_errno(err, errno, "could not unmount %s", v->mountpoint);
	}
	if (fusermount_unmount(v->mountpoint, lazy, &why) == 0)
		return 0;
	if (why.code == ERR_BUSY)
		return busy(v, err);
	*err = why;
	return err_prefix(err, "could not unmount");
}

static int unmount(const struct volume *v, bool lazy, struct err *err)
{
	bool writing = loop_untune(v);

	if (take_away(v, lazy, err) == 0)
		return 0;
	loop_tune(v, writing);
	return -1;
}

int volume_detach(const struct volume *v, bool lazy, struct err *unsynced, struct err *err)
{
	err_clear(unsynced);
	if (!v->mountpoint[0])
		return 0;
	/* Unmounted here, the worker would end without a receipt: it does that
	 * itself when it is told to stop. */
	if (v->driver == VOLUME_DIRECT && !lazy)
		return volume_users(v->device, v->mountpoint, NULL) ? busy(v, err) : 0;
	if (volume_mounted(v)) {
		/* A lazy one must work also when nothing answers any more. */
		if (!lazy)
			sync_volume(v, unsynced);
		if (unmount(v, lazy, err) < 0)
			return -1;
	}
	loop_detach(v);
	return 0;
}

/* With the guard beneath it already, the volume leaves no gap; on kernels that
 * can't do that, one that is as long as a system call. */
static int cover(const struct volume *v, uid_t uid, gid_t gid, struct err *err)
{
	struct err no_guard = { .code = ERR_NONE };
	cleanup_close int guard = guard_make(uid, gid, &no_guard);
	bool beneath = guard >= 0 && guard_put_beneath(guard, v->mountpoint);

	if (unmount(v, true, err) < 0)
		return -1;
	if (guard >= 0)
		return beneath ? 0 : guard_put(guard, v->mountpoint, err);
	*err = no_guard;
	return err_prefix(err, "%s", v->mountpoint);
}

int volume_give_up(const struct volume *v, uid_t uid, gid_t gid, struct err *err)
{
	struct err unsynced;
	int held, rc;

	if (geteuid() != 0 || !v->mountpoint[0] || !volume_mounted(v))
		return volume_detach(v, true, &unsynced, err);
	/* The filesystem's last words, which fail one by one, are said when its last
	 * user goes: not before it is covered. */
	held = open(v->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
	rc = cover(v, uid, gid, err);
	if (held >= 0)
		close(held);
	loop_detach(v);
	return rc;
}

bool volume_released(const struct volume *v)
{
	if (!v->mountpoint[0])
		return true;
	if (v->driver == VOLUME_BIND || v->driver == VOLUME_DIRECT)
		return !volume_users(v->device, v->mountpoint, NULL);
	return !loop_attached(v) && !process_alive(v->helper, v->helper_start);
}

bool volume_wait_released(const struct volume *v, unsigned timeout_ms)
{
	struct timespec now;
	int64_t end;
	unsigned pause = 1;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000 + timeout_ms;
	while (!volume_released(v)) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000 >= end)
			return false;
		poll(NULL, 0, (int)pause);
		pause = pause < 100 ? pause * 2 : 100;
	}
	return true;
}
