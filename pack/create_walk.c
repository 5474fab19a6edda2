/*
 * create_walk.c - what is in a folder.
 *
 * One folder is open at a time, however deep it lies, and nothing recurses. Each is
 * opened by its path from the root, and must then be the one that was seen: whoever
 * swaps a folder for a link meanwhile gets an error and not another tree into the
 * package.
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "pack/create_priv.h"
#include "pack/index.h"

/* A folder that is still to be read. */
struct folder {
	char *rel;           /* from the root; "" is that itself */
	struct stat st;
};

struct walk {
	struct create_list *list;
	const struct create_root *root;
	struct folder *todo;
	size_t count, size;
};

static int push(struct walk *w, const char *rel, const struct stat *st, struct err *err)
{
	if (w->count == w->size) {
		size_t size = w->size ? w->size * 2 : 64;
		struct folder *more = realloc(w->todo, size * sizeof(*more));

		if (!more)
			return err_set(err, ERR_NO_MEMORY, "out of memory");
		w->todo = more;
		w->size = size;
	}
	w->todo[w->count] = (struct folder){ .rel = strdup(rel), .st = *st };
	if (!w->todo[w->count].rel)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	w->count++;
	return 0;
}

static int unreadable(int why, struct err *err)
{
	if (why == ENOENT)
		return err_set(err, ERR_CONDITION, "vanished while its folder was read");
	return err_set_errno(err, why, "can't be read");
}

static int add_link(struct walk *w, int dir, const char *name, const char *rel, const struct stat *st,
		    struct err *err)
{
	char target[PACK_LINK_MAX + 1];
	ssize_t len = readlinkat(dir, name, target, sizeof(target));
	struct create_item *item;

	if (len < 0)
		return unreadable(errno, err);
	if (len > PACK_LINK_MAX)
		return err_set(err, ERR_FORMAT, "the target of this symlink is too long");
	item = create_list_add(w->list, w->root, CREATE_LINK, rel, st, err);
	if (!item)
		return -1;
	item->text = strndup(target, (size_t)len);
	if (!item->text)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	item->size = (uint64_t)len;
	return 0;
}

static int add_file(struct walk *w, int dir, const char *name, const char *rel, const struct stat *st,
		    struct err *err)
{
	/* Said now, and not after an hour of packing. */
	if (faccessat(dir, name, R_OK, AT_EACCESS) < 0)
		return unreadable(errno, err);
	return create_list_add(w->list, w->root, CREATE_FILE, rel, st, err) ? 0 : -1;
}

/* 1: the folder is not empty for it. 0: left out. -1. */
static int add_entry(struct walk *w, int dir, const char *name, const char *rel, struct err *err)
{
	struct stat st;
	int rc;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return unreadable(errno, err);
	if (S_ISDIR(st.st_mode)) {
		if (w->list->options->no_recurse)
			return 0;
		rc = push(w, rel, &st, err);
	} else if (S_ISLNK(st.st_mode)) {
		rc = add_link(w, dir, name, rel, &st, err);
	} else if (!S_ISREG(st.st_mode)) {
		rc = create_refuse_special(st.st_mode, err);
	} else if (create_is_package(w->list, &st)) {
		return 0;
	} else {
		rc = add_file(w, dir, name, rel, &st, err);
	}
	return rc < 0 ? -1 : 1;
}

static DIR *open_folder(struct walk *w, const struct folder *f, struct err *err)
{
	cleanup_close int fd = openat(w->root->dir, *f->rel ? f->rel : ".",
				      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	DIR *dir;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		err_set(err, ERR_CONDITION, "vanished while it was about to be read");
	else if (fd < 0 || fstat(fd, &st) < 0)
		err_set_errno(err, errno, "can't be read");
	else if (st.st_dev != f->st.st_dev || st.st_ino != f->st.st_ino)
		err_set(err, ERR_CONDITION, "was replaced while it was about to be read");
	else if (!(dir = fdopendir(fd)))
		err_set_errno(err, errno, "can't be read");
	else
		return steal_fd(&fd), dir;
	return NULL;
}

/* Where the entry lies, from the root. */
static char *join(const struct folder *f, const char *name)
{
	char *rel;

	return asprintf(&rel, "%s%s%s", f->rel, *f->rel ? "/" : "", name) < 0 ? NULL : rel;
}

/* How many entries of it are packed; -1. */
static ssize_t read_entries(struct walk *w, const struct folder *f, DIR *dir, struct err *err)
{
	char shown[CREATE_SHOWN_MAX];
	const struct dirent *entry;
	ssize_t kept = 0;

	while (errno = 0, (entry = readdir(dir))) {
		cleanup_free char *rel = NULL;
		int rc;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (create_cancelled(w->list->options, err) < 0)
			return -1;
		rel = join(f, entry->d_name);
		if (!rel)
			return err_set(err, ERR_NO_MEMORY, "out of memory");
		rc = add_entry(w, dirfd(dir), entry->d_name, rel, err);
		if (rc < 0)
			return err_prefix(err, "%s", create_shown(w->root, rel, shown));
		kept += rc;
	}
	if (errno)
		return err_set_errno(err, errno, "%s", create_shown(w->root, f->rel, shown));
	return kept;
}

static int keep_empty(struct walk *w, const struct folder *f, struct err *err)
{
	char shown[CREATE_SHOWN_MAX];

	if (create_list_add(w->list, w->root, CREATE_DIR, f->rel, &f->st, err))
		return 0;
	return err_prefix(err, "%s", create_shown(w->root, f->rel, shown));
}

static int read_folder(struct walk *w, const struct folder *f, struct err *err)
{
	char shown[CREATE_SHOWN_MAX];
	DIR *dir = open_folder(w, f, err);
	ssize_t kept;

	if (!dir)
		return err_prefix(err, "%s", create_shown(w->root, f->rel, shown));
	kept = read_entries(w, f, dir, err);
	closedir(dir);
	if (kept < 0)
		return -1;
	if (kept == 0 && (*f->rel || *w->root->prefix))
		return keep_empty(w, f, err);
	return 0;
}

int create_walk(struct create_list *list, const struct create_root *root, struct err *err)
{
	struct walk w = { .list = list, .root = root };
	struct stat st;
	int rc = fstat(root->dir, &st) < 0 ? err_set_errno(err, errno, "%s", root->shown)
					   : push(&w, "", &st, err);

	while (rc == 0 && w.count) {
		struct folder f = w.todo[--w.count];

		rc = read_folder(&w, &f, err);
		free(f.rel);
	}
	while (w.count)
		free(w.todo[--w.count].rel);
	free(w.todo);
	return rc;
}
