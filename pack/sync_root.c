#include <config.h>

#include "pack/sync_root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "pack/sync_trash.h"
#include "pack/target.h"

/* How often a lock that others hold is tried again. */
#define LOCK_POLL_NS 100000000L

static int make_path(const char *path, struct err *err)
{
	cleanup_free char *copy = strdup(path);

	if (!copy)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (char *c = copy + 1; ; c++) {
		char was = *c;

		if (was && was != '/')
			continue;
		*c = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return err_set_errno(err, errno, "the package root %s can't be made: %s", path, copy);
		if (!was)
			return 0;
		*c = was;
	}
}

/* Symlinks are not followed here: this folder is ours. */
static int open_own(int at, const char *name, mode_t mode, const char *root, struct err *err)
{
	int fd;

	if (mkdirat(at, name, mode) < 0 && errno != EEXIST)
		return err_set_errno(err, errno, "the package root %s can't be written to: %s", root, name);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(err, errno, "the package root %s can't be used: %s", root, name);
	return fd;
}

static int open_all(struct sync_root *r, struct err *err)
{
	const struct { int *fd; const char *name; mode_t mode; } folders[] = {
		{ &r->state, "state", 0755 }, { &r->stage, "stage", 0700 },
		{ &r->old, "old", 0755 }, { &r->trash, "trash", 0700 },
	};

	r->fd = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->fd < 0)
		return err_set_errno(err, errno, "the package root %s can't be used", r->path);
	r->own = open_own(r->fd, PACK_TARGET_OWN, 0755, r->path, err);
	if (r->own < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		*folders[i].fd = open_own(r->own, folders[i].name, folders[i].mode, r->path, err);
		if (*folders[i].fd < 0)
			return -1;
	}
	r->lock = openat(r->own, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (r->lock < 0)
		return err_set_errno(err, errno, "the package root %s can't be locked", r->path);
	return 0;
}

static long holder(int fd)
{
	char text[32] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

static int lock(struct sync_root *r, const atomic_bool *cancel, void (*waiting)(void *arg, long pid),
		void *arg, struct err *err)
{
	const struct timespec pause = { .tv_nsec = LOCK_POLL_NS };
	bool said = false;
	char pid[32];
	int len;

	while (flock(r->lock, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_set_errno(err, errno, "the package root %s can't be locked", r->path);
		if (cancel && atomic_load(cancel))
			return err_set(err, ERR_CANCELLED, "cancelled");
		if (!said && waiting)
			waiting(arg, holder(r->lock));
		said = true;
		nanosleep(&pause, NULL);
	}
	len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(r->lock, 0) < 0 || pwrite(r->lock, pid, (size_t)len, 0) < 0) {
		/* It is only for the message of those who wait. */
	}
	return 0;
}

int sync_root_open(struct sync_root *r, const char *path, const atomic_bool *cancel,
		   void (*waiting)(void *arg, long pid), void *arg, struct err *err)
{
	memset(r, 0, sizeof(*r));
	r->fd = r->own = r->state = r->stage = r->old = r->trash = r->lock = -1;
	pthread_mutex_init(&r->removing, NULL);
	if (!*path) {
		err_set(err, ERR_USAGE, "the package root is empty");
		goto fail;
	}
	if (make_path(path, err) < 0)
		goto fail;
	r->path = realpath(path, NULL);
	if (!r->path) {
		err_set_errno(err, errno, "the package root %s can't be used", path);
		goto fail;
	}
	if (open_all(r, err) < 0 || lock(r, cancel, waiting, arg, err) < 0)
		goto fail;
	sync_trash_take_all(r, r->stage);
	sync_trash_empty(r);
	return 0;
fail:
	sync_root_close(r);
	return -1;
}

void sync_root_close(struct sync_root *r)
{
	int *fds[] = { &r->fd, &r->own, &r->state, &r->stage, &r->old, &r->trash, &r->lock };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	free(steal_ptr(&r->path));
	pthread_mutex_destroy(&r->removing);
}

int sync_root_stage(struct sync_root *r, char name[SYNC_STAGE_NAME_MAX], struct err *err)
{
	int fd;

	snprintf(name, SYNC_STAGE_NAME_MAX, "%u", atomic_fetch_add(&r->next, 1));
	if (mkdirat(r->stage, name, 0777) < 0)
		return err_set_errno(err, errno, "a folder in %s/" PACK_TARGET_OWN "/stage can't be made", r->path);
	fd = openat(r->stage, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(err, errno, "a folder in %s/" PACK_TARGET_OWN "/stage can't be used", r->path);
	return fd;
}
