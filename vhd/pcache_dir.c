#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "vhd/pcache_priv.h"

#define HASH_START UINT64_C(0xcbf29ce484222325)
#define OTHER_START UINT64_C(0x6c62272e07bb0142)

/* --- names --- */

uint64_t pcache_hash(uint64_t start, const char *text)
{
	uint64_t h = start;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
	return h;
}

static void version_name(const struct pcache *pc, const char *version, char out[VERSION_NAME_MAX])
{
	uint64_t a = pcache_hash(pcache_hash(HASH_START, pc->drive), version);
	uint64_t b = pcache_hash(pcache_hash(OTHER_START, version), pc->drive);

	snprintf(out, VERSION_NAME_MAX, "%016" PRIx64 "%016" PRIx64, a, b);
}

void pcache_extent_name(uint64_t number, char out[EXTENT_NAME_MAX])
{
	snprintf(out, EXTENT_NAME_MAX, "%08" PRIx64, number);
}

bool pcache_extent_number(const char *name, uint64_t *number)
{
	char again[EXTENT_NAME_MAX];
	char *end;

	*number = strtoull(name, &end, 16);
	pcache_extent_name(*number, again);
	return !*end && !strcmp(name, again);
}

/* --- directories that are ours --- */

static int check_dir(int fd, const char *path, mode_t forbidden, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set_errno(err, errno, "the cache directory %s", path);
	if (st.st_uid != geteuid())
		return err_set(err, ERR_PERMISSION, "the cache directory %s belongs to another user (uid %u); name one "
			       "of your own with -o cache-dir=", path, (unsigned)st.st_uid);
	if (st.st_mode & forbidden)
		return err_set(err, ERR_PERMISSION, "the cache directory %s can be %s by others (mode %04o); "
			       "chmod 0700 it", path, forbidden & 0055 ? "read" : "written", st.st_mode & 07777);
	return 0;
}

/* Open it, made if need be; `forbidden`: permissions that it must not have. */
static int own_dir(int parent, const char *name, const char *path, mode_t forbidden, struct err *err)
{
	cleanup_close int fd = -1;

	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return err_set_errno(err, errno, "can't make the cache directory %s", path);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_set_errno(err, errno, "can't open the cache directory %s", path);
	if (check_dir(fd, path, forbidden, err) < 0)
		return -1;
	return steal_fd(&fd);
}

/* The version's directory, kept from being removed while it is empty by a lock
 * that all who use it share. */
static int open_version(struct pcache *pc, const char *name)
{
	int tries;

	for (tries = 0; tries < 10; tries++) {
		cleanup_close int fd = -1;
		struct stat st;

		if (mkdirat(pc->drives_fd, name, 0700) < 0 && errno != EEXIST)
			return -1;
		fd = openat(pc->drives_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 && errno != ENOENT)
			return -1;
		if (fd >= 0 && flock(fd, LOCK_SH) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0)
			return steal_fd(&fd);
	}
	errno = EBUSY;
	return -1;
}

/* For people who wonder what it is, and against the one chance in 2^128. */
static int sign_version(const struct pcache *pc)
{
	cleanup_close int fd = openat(pc->own_fd, "drive", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t len = strlen(pc->drive);
	cleanup_free char *there = malloc(len + 1);

	if (fd < 0 || !there)
		return -1;
	if (pread(fd, there, len + 1, 0) == (ssize_t)len && !memcmp(there, pc->drive, len))
		return 0;
	return pwrite(fd, pc->drive, len, 0) == (ssize_t)len ? ftruncate(fd, (off_t)len) : -1;
}

static int open_room(struct pcache *pc, struct err *err)
{
	pc->room_fd = openat(pc->drives_fd, "room", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return pc->room_fd < 0 ? err_set_errno(err, errno, "can't write to the cache directory %s", pc->dir) : 0;
}

static int open_versions(struct pcache *pc, const struct pcache_options *o, struct err *err)
{
	version_name(pc, o->version, pc->own_name);
	pc->own_fd = open_version(pc, pc->own_name);
	if (pc->own_fd < 0)
		return err_set_errno(err, errno, "can't write to the cache directory %s", pc->dir);
	if (sign_version(pc) < 0)
		log_debug("%s/drives/%s/drive: %s", pc->dir, pc->own_name, strerror(errno));
	if (!o->former || !*o->former)
		return 0;
	version_name(pc, o->former, pc->former_name);
	if (strcmp(pc->former_name, pc->own_name) != 0)
		pc->former_fd = openat(pc->drives_fd, pc->former_name,
				       O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return 0;
}

int pcache_dir_open(struct pcache *pc, const struct pcache_options *o, struct err *err)
{
	cleanup_close int dir = own_dir(AT_FDCWD, pc->dir, pc->dir, 0022, err);
	char size[32];

	if (dir < 0)
		return -1;
	pc->drives_fd = own_dir(dir, "drives", pc->dir, 0077, err);
	if (pc->drives_fd < 0)
		return -1;
	snprintf(size, sizeof(size), "%" PRIu64, pc->size);
	pc->drive_id = pcache_hash(pcache_hash(HASH_START, pc->drive), size);
	if (open_room(pc, err) < 0)
		return -1;
	return open_versions(pc, o, err);
}

void pcache_dir_close(struct pcache *pc)
{
	const int fds[] = { pc->room_fd, pc->own_fd, pc->former_fd, pc->drives_fd };
	unsigned i;

	for (i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* --- the end of an owned mount --- */

static bool extent_changed(const struct pcache *pc, uint64_t number)
{
	uint64_t chunk = number << (EXTENT_SHIFT - CHUNK_SHIFT), end = chunk + EXTENT_BYTES / CHUNK_BYTES;
	uint64_t chunks = (pc->size + CHUNK_BYTES - 1) >> CHUNK_SHIFT;

	for (; chunk < end && chunk < chunks; chunk++)
		if (pcache_is_changed(pc, chunk))
			return true;
	return false;
}

/* Remove the extents that were changed; the others go to `to` if it is another
 * directory, unless one is there. False: one of them could not be removed. */
static bool sort_out(const struct pcache *pc, int fd, int to)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *d;
	uint64_t number;
	bool ok = dir;

	if (!dir && copy >= 0)
		close(copy);
	while (dir && (d = readdir(dir))) {
		if (!pcache_extent_number(d->d_name, &number))
			continue;
		if (extent_changed(pc, number))
			ok &= unlinkat(fd, d->d_name, 0) == 0 || errno == ENOENT;
		else if (to != fd && renameat2(fd, d->d_name, to, d->d_name, RENAME_NOREPLACE) < 0)
			unlinkat(fd, d->d_name, 0);
	}
	if (dir)
		closedir(dir);
	return ok;
}

/* The new name must not show, after a crash either, what is removed before. */
void pcache_dir_finish(struct pcache *pc, const char *version)
{
	char name[VERSION_NAME_MAX];

	version_name(pc, version, name);
	if (!strcmp(name, pc->own_name))
		return;
	if (pc->former_fd >= 0 && sort_out(pc, pc->former_fd, pc->own_fd)) {
		unlinkat(pc->former_fd, "drive", 0);
		unlinkat(pc->drives_fd, pc->former_name, AT_REMOVEDIR);
	}
	if (!sort_out(pc, pc->own_fd, pc->own_fd) || fsync(pc->own_fd) < 0 ||
	    renameat(pc->drives_fd, pc->own_name, pc->drives_fd, name) < 0)
		log_warn("can't keep what is in the cache directory %s for the next mount: %s", pc->dir,
			 strerror(errno));
}
