/*
 * create_output.c - the package beside its place, and then in it.
 *
 * Until it is complete it has no name, where the file system has such files
 * (O_TMPFILE); a process that is killed leaves nothing behind then. It replaces what
 * had its name by rename(2).
 *
 * libzip writes in small pieces, and comes back to the header of each member when it
 * knows its size: the last MiB stays in memory until it is full, so that most of that
 * costs no system call.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "pack/create_priv.h"

#define WINDOW_SIZE ((size_t)1 << 20)
#define NEW_MODE 0666

/* What a link leads to is replaced, and not the link. */
static char *follow(const char *package)
{
	char *path = realpath(package, NULL);

	return path ? path : strdup(package);
}

static int look(struct create_output *out, const char *shown, struct err *err)
{
	if (fstatat(out->dir, out->base, &out->old, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return err_set_errno(err, errno, "%s", shown);
		return 0;
	}
	if (S_ISDIR(out->old.st_mode))
		return err_set(err, ERR_EXISTS, "%s: is a folder; the package comes first, then what goes into it",
			       shown);
	if (!S_ISREG(out->old.st_mode) && !S_ISLNK(out->old.st_mode))
		return err_set(err, ERR_EXISTS, "%s: is no regular file", shown);
	out->exists = true;
	return 0;
}

int create_output_find(struct create_output *out, const char *package, struct err *err)
{
	cleanup_free char *path = NULL;
	const char *slash;

	*out = (struct create_output){ .dir = -1, .fd = -1, .path = strdup(package) };
	path = follow(package);
	if (!path || !out->path)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	slash = strrchr(path, '/');
	out->base = strdup(slash ? slash + 1 : path);
	if (!out->base)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (!*out->base)
		return err_set(err, ERR_USAGE, "'%s' is no name for a package", package);
	path[slash ? slash + 1 - path : 0] = '\0';
	out->dir = open(*path ? path : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (out->dir < 0)
		return err_set_errno(err, errno, "%s: its folder can't be opened", package);
	return look(out, package, err);
}

/* Call it something that nothing is called. */
static int temp_name(struct create_output *out)
{
	unsigned random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -1;
	snprintf(out->temp, sizeof(out->temp), ".hpcpack-create.%08x", random);
	return 0;
}

static int open_named(struct create_output *out)
{
	for (int i = 0; i < 100; i++) {
		if (temp_name(out) < 0)
			break;
		out->fd = openat(out->dir, out->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, NEW_MODE);
		if (out->fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	out->temp[0] = '\0';
	return -1;
}

int create_output_open(struct create_output *out, struct err *err)
{
	out->window = malloc(WINDOW_SIZE);
	if (!out->window)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	out->fd = openat(out->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, NEW_MODE);
	if (out->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT || errno == EINVAL))
		open_named(out);
	if (out->fd < 0)
		return err_set_errno(err, errno, "%s: can't be created", out->path);
	return 0;
}

static int write_at(struct create_output *out, const uint8_t *data, size_t len, uint64_t at, struct err *err)
{
	while (len) {
		ssize_t n = pwrite(out->fd, data, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(err, errno, "%s: can't be written", out->path);
		data += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

static int flush(struct create_output *out, struct err *err)
{
	int rc = write_at(out, out->window, out->window_len, out->window_at, err);

	out->window_at = out->at;
	out->window_len = 0;
	return rc;
}

/* Bytes that could be taken at once; -1. */
static ssize_t write_some(struct create_output *out, const uint8_t *data, size_t len, struct err *err)
{
	size_t in, n;

	if (out->at < out->window_at) {
		uint64_t before = out->window_at - out->at;

		n = len < before ? len : (size_t)before;
		return write_at(out, data, n, out->at, err) < 0 ? -1 : (ssize_t)n;
	}
	if (out->at - out->window_at > out->window_len || out->at - out->window_at == WINDOW_SIZE)
		if (flush(out, err) < 0)
			return -1;
	in = (size_t)(out->at - out->window_at);
	n = len < WINDOW_SIZE - in ? len : WINDOW_SIZE - in;
	memcpy(out->window + in, data, n);
	out->window_len = in + n > out->window_len ? in + n : out->window_len;
	return (ssize_t)n;
}

int create_output_write(struct create_output *out, const void *data, size_t len, struct err *err)
{
	const uint8_t *from = data;

	while (len) {
		ssize_t n = write_some(out, from, len, err);

		if (n < 0)
			return -1;
		from += n;
		len -= (size_t)n;
		out->at += (uint64_t)n;
		out->end = out->at > out->end ? out->at : out->end;
	}
	return 0;
}

int create_output_sync(struct create_output *out, struct err *err)
{
	if (flush(out, err) < 0)
		return -1;
	/* Who may read the old one may read the new one, and nobody else. */
	if (out->exists && S_ISREG(out->old.st_mode) && fchmod(out->fd, out->old.st_mode & 0777) < 0)
		return err_set_errno(err, errno, "%s: its permissions can't be set", out->path);
	if (fsync(out->fd) < 0)
		return err_set_errno(err, errno, "%s: can't be written", out->path);
	return 0;
}

static int link_as(struct create_output *out, const char *name)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", out->fd);
	return linkat(AT_FDCWD, path, out->dir, name, AT_SYMLINK_FOLLOW);
}

/* A file without a name gets one: the package's if that is free. 1: that it was. */
static int give_name(struct create_output *out)
{
	if (!out->exists && link_as(out, out->base) == 0)
		return 1;
	if (!out->exists && errno != EEXIST)
		return -1;
	for (int i = 0; i < 100; i++) {
		if (temp_name(out) < 0)
			break;
		if (link_as(out, out->temp) == 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	out->temp[0] = '\0';
	return -1;
}

/* So that the name lasts, too; where the folder can't be read it comes with time. */
static void sync_folder(const struct create_output *out)
{
	cleanup_close int fd = openat(out->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		log_info("%s: its folder can't be synced: error %d", out->path, errno);
}

int create_output_commit(struct create_output *out, struct err *err)
{
	int rc = *out->temp ? 0 : give_name(out);

	if (rc < 0 || (rc == 0 && renameat(out->dir, out->temp, out->dir, out->base) < 0))
		return err_set_errno(err, errno, "%s: can't be put in its place", out->path);
	out->temp[0] = '\0';
	sync_folder(out);
	return 0;
}

void create_output_close(struct create_output *out)
{
	if (*out->temp)
		unlinkat(out->dir, out->temp, 0);
	if (out->fd >= 0)
		close(out->fd);
	if (out->dir >= 0)
		close(out->dir);
	free(out->window);
	free(out->base);
	free(out->path);
}
