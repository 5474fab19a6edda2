#include <config.h>

#include "pack/sync_trash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/log.h"
#include "pack/beneath.h"

static bool is_self(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static DIR *open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d;

	/* A folder whose owner, we, took the right to look into it. */
	if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0)
		fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d && fd >= 0)
		close(fd);
	return d;
}

static void complain(const struct sync_root *r, const char *name, int why)
{
	log_warn("%s: '%s', which is no longer needed, can't be removed: %s", r->path, name, strerror(why));
}

/* Names there are of ours only, but those of a sync that could not remove them. */
static int move(struct sync_root *r, int dir, const char *name)
{
	char to[32];
	int tries = 100;

	do {
		snprintf(to, sizeof(to), "%u", atomic_fetch_add(&r->next, 1));
		if (renameat(dir, name, r->trash, to) == 0)
			return 0;
	} while ((errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR || errno == EISDIR) && tries--);
	return -1;
}

void sync_trash_take(struct sync_root *r, int dir, const char *name)
{
	/* To move a folder is to write its "..". */
	if (move(r, dir, name) < 0 &&
	    (errno != EACCES || fchmodat(dir, name, 0700, 0) < 0 || move(r, dir, name) < 0) &&
	    errno != ENOENT)
		complain(r, name, errno);
}

void sync_trash_take_all(struct sync_root *r, int dir)
{
	DIR *d = open_dir(dir, ".");
	const struct dirent *item;

	while (d && (item = readdir(d)))
		if (!is_self(item->d_name))
			sync_trash_take(r, dir, item->d_name);
	if (d)
		closedir(d);
}

/* Files go, folders move up. */
static void empty_dir(struct sync_root *r, const char *name)
{
	DIR *d = open_dir(r->trash, name);
	const struct dirent *item;

	if (!d) {
		complain(r, name, errno);
		return;
	}
	while ((item = readdir(d))) {
		if (is_self(item->d_name) || unlinkat(dirfd(d), item->d_name, 0) == 0)
			continue;
		if (errno == EACCES && fchmod(dirfd(d), 0700) == 0 &&
		    unlinkat(dirfd(d), item->d_name, 0) == 0)
			continue;
		if (errno == EISDIR || errno == EPERM)
			sync_trash_take(r, dirfd(d), item->d_name);
		else if (errno != ENOENT)
			complain(r, item->d_name, errno);
	}
	closedir(d);
}

/* One round over what is there; how many of it went. */
static unsigned one_round(struct sync_root *r)
{
	DIR *d = open_dir(r->trash, ".");
	const struct dirent *item;
	unsigned gone = 0;

	while (d && (item = readdir(d))) {
		if (is_self(item->d_name))
			continue;
		if (unlinkat(r->trash, item->d_name, 0) == 0) {
			gone++;
		} else if (errno == EISDIR || errno == EPERM) {
			empty_dir(r, item->d_name);
			gone += unlinkat(r->trash, item->d_name, AT_REMOVEDIR) == 0;
		}
	}
	if (d)
		closedir(d);
	return gone;
}

void sync_trash_empty(struct sync_root *r)
{
	pthread_mutex_lock(&r->removing);
	while (one_round(r))
		;
	pthread_mutex_unlock(&r->removing);
}

void sync_root_remove(struct sync_root *r, int dir, const char *name)
{
	sync_trash_take(r, dir, name);
	sync_trash_empty(r);
}

int sync_dir_is_empty(int root, const char *path)
{
	int fd = beneath_open_dir(root, path, O_RDONLY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *item;
	int empty = 1;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (empty && (item = readdir(d)))
		empty = is_self(item->d_name);
	closedir(d);
	return empty;
}
