#include <config.h>

#include "pack/sync_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "pack/beneath.h"
#include "pack/sync_trash.h"

/* The folder that a target lies in ("" is the root), and its name there. */
static char *parent_of(const char *target, const char **name)
{
	const char *slash = strrchr(target, '/');

	*name = slash ? slash + 1 : target;
	return strndup(target, slash ? (size_t)(slash - target) : 0);
}

enum sync_there sync_look(const struct sync_root *r, const char *target)
{
	const char *name;
	cleanup_free char *parent = parent_of(target, &name);
	cleanup_close int fd = parent ? beneath_open_dir(r->fd, parent, O_PATH) : -1;
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? SYNC_THERE_NOTHING : SYNC_THERE_ELSE;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? SYNC_THERE_NOTHING : SYNC_THERE_ELSE;
	if (!S_ISDIR(st.st_mode))
		return SYNC_THERE_ELSE;
	switch (sync_dir_is_empty(r->fd, target)) {
	case 1: return SYNC_THERE_EMPTY;
	case 0: return SYNC_THERE_FOLDER;
	default: return SYNC_THERE_ELSE;
	}
}

/* --- folders on the way --- */

static void remove_empty_above(const struct sync_root *r, const char *target)
{
	cleanup_free char *path = strdup(target);
	char *slash;

	while (path && (slash = strrchr(path, '/'))) {
		const char *name;
		cleanup_free char *parent = NULL;
		cleanup_close int fd = -1;

		*slash = '\0';
		parent = parent_of(path, &name);
		fd = parent ? beneath_open_dir(r->fd, parent, O_PATH) : -1;
		if (fd < 0 || unlinkat(fd, name, AT_REMOVEDIR) < 0)
			return;
	}
}

/* The folder that the target is to lie in, made if it is missing. */
static int open_parent(const struct sync_root *r, const char *target, const char **name, struct err *err)
{
	cleanup_free char *path = strdup(target);
	cleanup_close int at = beneath_open_dir(r->fd, "", O_PATH);
	char *part = path, *slash;

	if (!path || at < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (; (slash = strchr(part, '/')); part = slash + 1) {
		int next;

		*slash = '\0';
		if (mkdirat(at, part, 0755) < 0 && errno != EEXIST)
			return err_set_errno(err, errno, "%s/%s can't be made", r->path, path);
		next = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return err_set_errno(err, errno, "%s/%s can't be entered", r->path, path);
		close(at);
		at = next;
		*slash = '/';
	}
	*name = target + (part - path);
	return steal_fd(&at);
}

/* --- old trees --- */

struct old_tree {
	unsigned number;
	unsigned long version;
};

static bool parse_old(const char *name, struct old_tree *out)
{
	int end = 0;

	return sscanf(name, "%u.%lu%n", &out->number, &out->version, &end) == 2 && !name[end];
}

static int by_number_newest_first(const void *va, const void *vb)
{
	const struct old_tree *a = va, *b = vb;

	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return (a->version < b->version) - (a->version > b->version);
}

static struct old_tree *list_old(const struct sync_root *r, size_t *count)
{
	int fd = openat(r->old, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *item;
	struct old_tree *list = NULL, tree;

	*count = 0;
	while (d && (item = readdir(d))) {
		if (!parse_old(item->d_name, &tree))
			continue;
		if (!(*count & (*count - 1))) {
			struct old_tree *more = realloc(list, (*count ? *count * 2 : 1) * sizeof(*more));

			if (!more)
				break;
			list = more;
		}
		list[(*count)++] = tree;
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	if (*count)
		qsort(list, *count, sizeof(*list), by_number_newest_first);
	return list;
}

static void old_name(char out[48], unsigned number, unsigned long version)
{
	snprintf(out, 48, "%u.%lu", number, version);
}

/* A name in old/ for what is replaced now. */
static void next_old_name(const struct sync_root *r, unsigned number, char out[48])
{
	size_t count;
	cleanup_free struct old_tree *list = list_old(r, &count);
	unsigned long version = 1;

	for (size_t i = 0; i < count; i++)
		if (list[i].number == number) {
			version = list[i].version + 1;
			break;
		}
	old_name(out, number, version);
}

void sync_prune_old(struct sync_root *r, unsigned keep, bool (*known)(void *arg, unsigned number), void *arg)
{
	size_t count, nth = 0;
	cleanup_free struct old_tree *list = list_old(r, &count);

	for (size_t i = 0; i < count; i++) {
		char name[48];

		nth = i && list[i - 1].number == list[i].number ? nth + 1 : 0;
		if (nth < keep && known(arg, list[i].number))
			continue;
		old_name(name, list[i].number, list[i].version);
		sync_trash_take(r, r->old, name);
	}
	sync_trash_empty(r);
}

/* --- in place --- */

/*
 * The new tree goes into old/ first and changes places with the one in use there:
 * at no moment is there nothing at the target, and a crash leaves nothing that would
 * have to be told apart. Filesystems that can't exchange (NFS) need two steps.
 */
static int exchange(const struct sync_root *r, const char *stage, int parent, const char *name,
		    const char *old)
{
	int why;

	if (renameat(r->stage, stage, r->old, old) < 0)
		return -1;
	if (renameat2(r->old, old, parent, name, RENAME_EXCHANGE) == 0)
		return 0;
	why = errno;
	if (renameat(r->old, old, r->stage, stage) < 0)
		return -1;
	errno = why;
	if (why != EINVAL && why != ENOSYS)
		return -1;
	log_info("%s: this filesystem can't exchange two folders: a moment passes between taking the old "
		 "version away and putting the new one in place", r->path);
	if (renameat(parent, name, r->old, old) < 0)
		return -1;
	if (renameat(r->stage, stage, parent, name) == 0)
		return 0;
	renameat(r->old, old, parent, name);
	return -1;
}

int sync_place(struct sync_root *r, const char *stage, const char *target, unsigned number, bool replace,
	       struct err *err)
{
	const char *name = NULL;
	cleanup_close int parent = open_parent(r, target, &name, err);
	enum sync_there there = sync_look(r, target);
	char old[48];
	int rc, why;

	if (parent < 0) {
		remove_empty_above(r, target);
		return -1;
	}
	if (there == SYNC_THERE_FOLDER && replace) {
		next_old_name(r, number, old);
		rc = exchange(r, stage, parent, name, old);
	} else {
		/* Onto nothing, or onto an empty folder, which rename(2) replaces. */
		rc = renameat(r->stage, stage, parent, name);
	}
	if (rc == 0)
		return 0;
	why = errno;
	remove_empty_above(r, target);
	if (why == ENOTEMPTY || why == EEXIST || why == ENOTDIR)
		return err_set(err, ERR_EXISTS, "%s/%s is there already, and hpcsync did not put it there: "
			       "move it away, and sync again", r->path, target);
	return err_set_errno(err, why, "%s/%s can't be put in place", r->path, target);
}

void sync_take_away(struct sync_root *r, const char *target)
{
	const char *name;
	cleanup_free char *parent = parent_of(target, &name);
	cleanup_close int fd = parent ? beneath_open_dir(r->fd, parent, O_PATH) : -1;

	if (fd < 0)
		return;
	sync_root_remove(r, fd, name);
	remove_empty_above(r, target);
}
