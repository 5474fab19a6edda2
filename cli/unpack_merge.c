#include <config.h>

#include "cli/unpack_merge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "pack/beneath.h"

/* How deep folders may lie in each other: each level of a walk has one open. */
#define DEPTH_MAX 2048

/* 0: not there. Below `dirfd`, through no symlink. */
static mode_t what_is_there(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *folder = slash ? strndup(path, (size_t)(slash - path)) : strdup("");
	cleanup_close int fd = folder ? beneath_open_dir(dirfd, folder, O_PATH) : -1;
	struct stat st;

	if (fd < 0 || fstatat(fd, slash ? slash + 1 : path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return st.st_mode & S_IFMT;
}

int unpack_check(const struct pack_index *index, int dirfd, const char *path, struct err *err)
{
	for (uint32_t i = 1; i < index->count; ) {
		const struct pack_entry *e = &index->entries[i];
		mode_t there = e->own ? 0 : what_is_there(dirfd, e->path);

		if (there && (there == S_IFDIR) != (e->type == PACK_DIR))
			return err_set(err, ERR_EXISTS, "%s/%s: is there, and %s folder, but in the package it is %s; move it out of the way",
				       path, e->path, there == S_IFDIR ? "a" : "no",
				       e->type == PACK_DIR ? "one" : "a file");
		/* Below a folder that is not there, nothing is. */
		i = there || e->type != PACK_DIR ? i + 1 : e->end;
	}
	return 0;
}

/* --- walking a folder --- */

typedef int entry_fn(void *arg, int dirfd, const char *name, bool is_dir, struct err *err);

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static bool is_dir(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Of every name in the folder; names may go meanwhile. */
static int for_each(int dirfd, const char *path, entry_fn *fn, void *arg, struct err *err)
{
	int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *d;
	int rc = 0;

	if (!dir) {
		err_set_errno(err, errno, "%s", path);
		if (copy >= 0)
			close(copy);
		return -1;
	}
	while (rc == 0 && (d = readdir(dir)))
		if (!is_dots(d->d_name))
			rc = fn(arg, dirfd, d->d_name, is_dir(dirfd, d->d_name), err);
	closedir(dir);
	return rc;
}

static int open_folder(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* --- moving --- */

struct place {
	int to;
	const char *path;
	int depth;
};

static int move_one(void *arg, int from, const char *name, bool folder, struct err *err)
{
	const struct place *place = arg;
	cleanup_close int inner_from = -1;
	cleanup_close int inner_to = -1;
	cleanup_free char *path = NULL;
	struct place inner;

	if (asprintf(&path, "%s/%s", place->path, name) < 0) {
		path = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	if (!folder || !is_dir(place->to, name)) {
		if (renameat(from, name, place->to, name) < 0)
			return err_set_errno(err, errno, "%s: can't be put in its place", path);
		return 0;
	}
	inner_from = open_folder(from, name);
	inner_to = open_folder(place->to, name);
	if (inner_from < 0 || inner_to < 0)
		return err_set_errno(err, errno, "%s", path);
	if (place->depth == DEPTH_MAX)
		return err_set(err, ERR_UNSUPPORTED, "%s: too many folders in each other", path);
	inner = (struct place){ inner_to, path, place->depth + 1 };
	if (for_each(inner_from, path, move_one, &inner, err) < 0)
		return -1;
	unlinkat(from, name, AT_REMOVEDIR);
	return 0;
}

int unpack_merge(int from, int to, const char *path, struct err *err)
{
	struct place place = { to, path, 0 };

	return for_each(from, path, move_one, &place, err);
}

/* --- removing --- */

static int remove_one(void *arg, int dirfd, const char *name, bool folder, struct err *err)
{
	const struct place *place = arg;
	struct place inner = { -1, place->path, place->depth + 1 };
	cleanup_close int fd = -1;

	if (folder && place->depth < DEPTH_MAX) {
		fd = open_folder(dirfd, name);
		if (fd >= 0 && for_each(fd, place->path, remove_one, &inner, err) < 0)
			return -1;
	}
	if (unlinkat(dirfd, name, folder ? AT_REMOVEDIR : 0) < 0 && errno != ENOENT)
		return err_set_errno(err, errno, "%s/.../%s: can't be removed", place->path, name);
	return 0;
}

int unpack_clear(int dirfd, const char *path, struct err *err)
{
	struct place place = { -1, path, 0 };

	return for_each(dirfd, path, remove_one, &place, err);
}
