#include <config.h>

#include "pack/extract_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "pack/beneath.h"

/* A file of this size is given its place on the disk at once. */
#define PREALLOCATE_MIN (4u << 20)

static int fail(const struct extract_tree *t, uint32_t e, const char *what, struct err *err)
{
	int why = errno;

	err_set_errno(err, why, "%s: %s: %s", t->name, t->index->entries[e].path, what);
	if (why == ENOSPC || why == EDQUOT)
		err->code = ERR_NO_SPACE;
	return -1;
}

int extract_tree_init(struct extract_tree *t, const struct pack_index *index, const char *name,
		      int root, struct err *err)
{
	*t = (struct extract_tree){ .index = index, .name = name, .root = root };
	t->made = calloc((size_t)index->count + 1, 1);
	if (!t->made)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	return 0;
}

void extract_tree_free(struct extract_tree *t)
{
	free(t->made);
	t->made = NULL;
}

int extract_check_space(const struct extract_tree *t, const struct extract_plan *plan, struct err *err)
{
	struct statvfs fs;
	uint64_t room;

	if (fstatvfs(t->root, &fs) < 0 || !fs.f_blocks)
		return 0;   /* it will be seen */
	if (__builtin_mul_overflow((uint64_t)fs.f_bavail, (uint64_t)fs.f_frsize, &room))
		return 0;
	if (plan->bytes > room)
		return err_set(err, ERR_NO_SPACE,
			       "%s: no space: %llu bytes are needed, %llu are left on the disk", t->name,
			       (unsigned long long)plan->bytes, (unsigned long long)room);
	return 0;
}

int extract_dir_of(const struct extract_tree *t, struct extract_dir *dir, uint32_t e, struct err *err)
{
	uint32_t parent = t->index->entries[e].parent;

	if (dir->fd >= 0 && dir->entry == parent)
		return dir->fd;
	if (dir->fd >= 0)
		close(dir->fd);
	dir->fd = beneath_open_dir(t->root, t->index->entries[parent].path, O_PATH);
	dir->entry = parent;
	if (dir->fd < 0)
		return fail(t, parent, "can't enter this folder", err);
	return dir->fd;
}

/* --- folders --- */

/* Ours are for us alone until they are complete: then come their permissions. One
 * that is there already is taken as it is. */
static int make_dir(struct extract_tree *t, struct extract_dir *dir, uint32_t e, struct err *err)
{
	const char *name = pack_entry_name(&t->index->entries[e]);
	struct stat st;
	int fd = extract_dir_of(t, dir, e, err);

	if (fd < 0)
		return -1;
	if (mkdirat(fd, name, 0700) == 0) {
		t->made[e] = 1;
		t->dirs++;
		return 0;
	}
	if (errno != EEXIST)
		return fail(t, e, "can't make this folder", err);
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode)) {
		errno = EEXIST;
		return fail(t, e, "can't make this folder", err);
	}
	return 0;
}

int extract_make_dirs(struct extract_tree *t, const bool *wanted, struct err *err)
{
	struct extract_dir dir = { .fd = -1 };
	int rc = 0;

	for (uint32_t e = 1; rc == 0 && e < t->index->count; e++)
		if (wanted[e] && t->index->entries[e].type == PACK_DIR)
			rc = make_dir(t, &dir, e, err);
	if (dir.fd >= 0)
		close(dir.fd);
	return rc;
}

static struct timespec *times(const struct pack_entry *entry, struct timespec out[2])
{
	out[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	out[1] = (struct timespec){ .tv_sec = entry->mtime };
	return out;
}

static int finish_dir(const struct extract_tree *t, struct extract_dir *dir, uint32_t e, mode_t mask,
		      struct err *err)
{
	const struct pack_entry *entry = &t->index->entries[e];
	const char *name = pack_entry_name(entry);
	struct timespec both[2];
	int fd = extract_dir_of(t, dir, e, err);

	if (fd < 0)
		return -1;
	/* Its owner can remove it again, whatever the package says. */
	if (fchmodat(fd, name, (entry->mode & 0777 & ~mask) | 0700, 0) < 0)
		return fail(t, e, "can't set its permissions", err);
	if (entry->mtime && utimensat(fd, name, times(entry, both), AT_SYMLINK_NOFOLLOW) < 0)
		return fail(t, e, "can't set its time", err);
	return 0;
}

/* The only way to ask is to set it, for the whole process; so Linux has this. */
static mode_t current_umask(void)
{
	unsigned mask = 022;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Umask: %o", &mask) == 1)
			break;
	if (f)
		fclose(f);
	return mask & 0777;
}

int extract_finish_dirs(const struct extract_tree *t, struct err *err)
{
	struct extract_dir dir = { .fd = -1 };
	mode_t mask = current_umask();
	int rc = 0;

	for (uint32_t e = t->index->count; rc == 0 && e-- > 1; )
		if (t->made[e] && t->index->entries[e].type == PACK_DIR)
			rc = finish_dir(t, &dir, e, mask, err);
	if (dir.fd >= 0)
		close(dir.fd);
	return rc;
}

/* --- files --- */

int extract_create(struct extract_tree *t, struct extract_dir *dir, uint32_t e, struct err *err)
{
	const struct pack_entry *entry = &t->index->entries[e];
	int at = extract_dir_of(t, dir, e, err), fd;

	if (at < 0)
		return -1;
	fd = openat(at, pack_entry_name(entry),
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, entry->mode & 0777);
	if (fd < 0)
		return fail(t, e, "can't make this file", err);
	t->made[e] = 1;
	/* Of a disk that is too full it is known now, not after half of it. */
	if (entry->size >= PREALLOCATE_MIN && entry->size <= INT64_MAX &&
	    fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)entry->size) < 0 &&
	    (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
		fail(t, e, "can't be written", err);
		close(fd);
		return -1;
	}
	return fd;
}

int extract_write(const struct extract_tree *t, uint32_t e, int fd, const void *data, size_t len,
		  struct err *err)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(t, e, "can't be written", err);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int extract_finish(const struct extract_tree *t, uint32_t e, int fd, struct err *err)
{
	const struct pack_entry *entry = &t->index->entries[e];
	struct timespec both[2];
	int rc = 0;

	if (entry->mtime && futimens(fd, times(entry, both)) < 0)
		rc = fail(t, e, "can't set its time", err);
	/* Some filesystems say only now that there is no room. */
	if (close(fd) < 0 && rc == 0)
		rc = fail(t, e, "can't be written", err);
	return rc;
}

int extract_symlink(struct extract_tree *t, struct extract_dir *dir, uint32_t e, const char *target,
		    struct err *err)
{
	const struct pack_entry *entry = &t->index->entries[e];
	struct timespec both[2];
	int at = extract_dir_of(t, dir, e, err);

	if (at < 0)
		return -1;
	if (symlinkat(target, at, pack_entry_name(entry)) < 0)
		return fail(t, e, "can't make this symlink", err);
	t->made[e] = 1;
	if (entry->mtime &&
	    utimensat(at, pack_entry_name(entry), times(entry, both), AT_SYMLINK_NOFOLLOW) < 0)
		return fail(t, e, "can't set its time", err);
	return 0;
}

/* --- back to nothing --- */

void extract_undo(const struct extract_tree *t)
{
	struct extract_dir dir = { .fd = -1 };
	struct err err;

	for (uint32_t e = t->index->count; e-- > 1; ) {
		const struct pack_entry *entry = &t->index->entries[e];
		int at = t->made[e] ? extract_dir_of(t, &dir, e, &err) : -1;

		if (at < 0)
			continue;
		if (unlinkat(at, pack_entry_name(entry), entry->type == PACK_DIR ? AT_REMOVEDIR : 0) < 0 &&
		    errno != ENOENT)
			log_warn("%s: %s: can't be removed again: %s", t->name, entry->path, strerror(errno));
	}
	if (dir.fd >= 0)
		close(dir.fd);
}
