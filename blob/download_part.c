#include <config.h>

#include "blob/download_part.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/download.h"

/* What a crash of the machine may cost, bytes. */
#define SYNC_BYTES (256ull << 20)

#define MAGIC "HPCPART1"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

struct state_header {
	char magic[8];
	char boot[40];
	struct part_of of;
};

/* A range, or a mark: start is UINT64_MAX and end the number of records. */
struct state_record {
	uint64_t start, end;
};

static void read_boot_id(char out[40])
{
	cleanup_close int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);

	memset(out, 0, 40);
	if (fd < 0 || read(fd, out, 39) < 0)
		memset(out, 0, 40);
}

static int write_at(int fd, const char *path, const void *data, size_t len, uint64_t offset,
		    struct err *err)
{
	const char *bytes = data;

	while (len) {
		ssize_t n = pwrite(fd, bytes, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(err, errno, "%s: can't be written", path);
		bytes += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* --- opening --- */

/* 1: it is ours now. 0: it was taken away before we had it. */
static int try_lock(struct part *p, struct err *err)
{
	struct stat ours, there;

	p->state_fd = open(p->state_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (p->state_fd < 0)
		return err_set_errno(err, errno, "%s", p->state_path);
	if (flock(p->state_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return err_set(err, ERR_BUSY, "%s: another download into this file is under way",
				       p->path);
		return err_set_errno(err, errno, "%s: can't be locked", p->state_path);
	}
	if (fstat(p->state_fd, &ours) < 0)
		return err_set_errno(err, errno, "%s", p->state_path);
	if (stat(p->state_path, &there) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
		return 1;
	close(p->state_fd);
	p->state_fd = -1;
	return 0;
}

static int add_record(struct part *p, uint64_t start, uint64_t end, struct err *err)
{
	struct state_record record = { start, end };
	uint64_t at = sizeof(struct state_header) + p->records * sizeof(record);

	if (write_at(p->state_fd, p->state_path, &record, sizeof(record), at, err) < 0)
		return -1;
	p->records++;
	return 0;
}

static bool record_makes_sense(const struct part *p, const struct state_record *r, uint64_t number)
{
	if (r->start == UINT64_MAX)
		return r->end <= number;
	return r->start < r->end && r->end <= p->size;
}

/* How many records there are, and up to which they are on the disk. */
static uint64_t read_journal(const struct part *p, struct state_record **out, uint64_t *durable)
{
	struct stat st;
	size_t len, got = 0, n = 0;
	ssize_t some = 1;

	*durable = 0;
	if (fstat(p->state_fd, &st) < 0 || (size_t)st.st_size <= sizeof(struct state_header))
		return 0;
	len = (size_t)st.st_size - sizeof(struct state_header);
	*out = malloc(len);
	for (; *out && got < len && some > 0; got += some > 0 ? (size_t)some : 0)
		some = pread(p->state_fd, (char *)*out + got, len - got,
			     (off_t)(sizeof(struct state_header) + got));
	for (; *out && n < got / sizeof(**out) && record_makes_sense(p, &(*out)[n], n); n++)
		if ((*out)[n].start == UINT64_MAX)
			*durable = (*out)[n].end;
	return n;
}

/* Take over what is there. 0, or -1 when out of memory. */
static int resume(struct part *p, bool same_boot)
{
	cleanup_free struct state_record *records = NULL;
	uint64_t durable, count = read_journal(p, &records, &durable);

	if (!same_boot)
		count = durable;
	for (uint64_t i = 0; i < count; i++)
		if (records[i].start != UINT64_MAX &&
		    extents_add(&p->had, records[i].start, records[i].end) < 0)
			return -1;
	p->records = count;
	return 0;
}

static bool is_ours(const struct part *p, const struct state_header *old, const struct part_of *of)
{
	struct stat st;

	return !memcmp(&old->of, of, sizeof(*of)) && fstat(p->fd, &st) == 0 &&
	       (uint64_t)st.st_size == of->size;
}

/* Once the state is ours, so is the part. */
static int open_part(struct part *p, bool has_state, struct err *err)
{
	struct stat st;

	p->fd = open(p->part_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
	if (p->fd < 0 || fstat(p->fd, &st) < 0)
		return err_set_errno(err, errno, "%s", p->part_path);
	if (!S_ISREG(st.st_mode) || (!has_state && st.st_size)) {
		unlink(p->state_path);
		return err_set(err, ERR_EXISTS,
			       "%s: is there, and no part of a download of ours: move it out of the way",
			       p->part_path);
	}
	return 0;
}

static int open_files(struct part *p, const struct part_of *of, struct err *err)
{
	struct state_header old, now = { .magic = MAGIC, .of = *of };
	ssize_t n = pread(p->state_fd, &old, sizeof(old), 0);
	bool whole = n == (ssize_t)sizeof(old) && !memcmp(old.magic, MAGIC, sizeof(old.magic));

	read_boot_id(now.boot);
	if (open_part(p, n > 0, err) < 0)
		return -1;
	if (whole && is_ours(p, &old, of)) {
		bool same_boot = *now.boot && !memcmp(old.boot, now.boot, sizeof(now.boot));

		if (resume(p, same_boot) < 0)
			return err_set(err, ERR_NO_MEMORY, "out of memory");
	} else {
		p->anew = whole;
	}
	/* First what does not hold goes, then the header becomes ours. */
	if (ftruncate(p->state_fd, (off_t)(sizeof(now) + p->records * sizeof(struct state_record))) < 0)
		return err_set_errno(err, errno, "%s: can't be written", p->state_path);
	if (write_at(p->state_fd, p->state_path, &now, sizeof(now), 0, err) < 0)
		return -1;
	if ((!p->records && ftruncate(p->fd, 0) < 0) || ftruncate(p->fd, (off_t)of->size) < 0)
		return err_set_errno(err, errno, "%s: can't be made %llu bytes long", p->part_path,
				     (unsigned long long)of->size);
	return 0;
}

int part_open(struct part *p, const char *path, const struct part_of *of, struct err *err)
{
	int rc = 0;

	*p = (struct part){ .path = path, .size = of->size, .fd = -1, .state_fd = -1 };
	pthread_mutex_init(&p->lock, NULL);
	if (asprintf(&p->part_path, "%s" DOWNLOAD_PART_SUFFIX, path) < 0)
		p->part_path = NULL;
	if (asprintf(&p->state_path, "%s" DOWNLOAD_STATE_SUFFIX, path) < 0)
		p->state_path = NULL;
	if (!p->part_path || !p->state_path)
		rc = err_set(err, ERR_NO_MEMORY, "out of memory");
	while (rc == 0)
		rc = try_lock(p, err);
	if (rc > 0)
		rc = open_files(p, of, err);
	if (rc < 0)
		part_close(p);
	return rc;
}

/* --- writing --- */

/* What was noted so far is on the disk, and that is noted, too. Others may write and
 * note meanwhile. */
static int make_durable(struct part *p, struct err *err)
{
	uint64_t records;
	int rc = 0;

	pthread_mutex_lock(&p->lock);
	if (p->syncing || p->unsynced < SYNC_BYTES) {
		pthread_mutex_unlock(&p->lock);
		return 0;
	}
	p->syncing = true;
	p->unsynced = 0;
	records = p->records;
	pthread_mutex_unlock(&p->lock);
	if (fdatasync(p->fd) < 0)
		rc = err_set_errno(err, errno, "%s: can't be written", p->part_path);
	pthread_mutex_lock(&p->lock);
	if (rc == 0)
		rc = add_record(p, UINT64_MAX, records, err);
	p->syncing = false;
	pthread_mutex_unlock(&p->lock);
	return rc;
}

int part_write(struct part *p, const void *data, size_t len, uint64_t offset, struct err *err)
{
	int rc;

	if (write_at(p->fd, p->part_path, data, len, offset, err) < 0)
		return -1;
	pthread_mutex_lock(&p->lock);
	rc = add_record(p, offset, offset + len, err);
	p->unsynced += len;
	pthread_mutex_unlock(&p->lock);
	return rc < 0 ? -1 : make_durable(p, err);
}

static int sync_folder(const char *path, struct err *err)
{
	cleanup_free char *copy = strdup(path);
	cleanup_close int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	/* Not every filesystem can. */
	if (fd >= 0 && fsync(fd) < 0 && errno != EINVAL)
		return err_set_errno(err, errno, "%s: its folder can't be written", path);
	return 0;
}

int part_finish(struct part *p, time_t modified, struct err *err)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = modified } };

	if (futimens(p->fd, times) < 0 || fsync(p->fd) < 0)
		return err_set_errno(err, errno, "%s: can't be written", p->part_path);
	if (rename(p->part_path, p->path) < 0)
		return err_set_errno(err, errno, "%s: %s can't be put in its place", p->path, p->part_path);
	unlink(p->state_path);
	return sync_folder(p->path, err);
}

void part_discard(struct part *p)
{
	unlink(p->part_path);
	unlink(p->state_path);
}

void part_close(struct part *p)
{
	if (p->fd >= 0)
		close(p->fd);
	if (p->state_fd >= 0)
		close(p->state_fd);
	extents_free(&p->had);
	free(p->part_path);
	free(p->state_path);
	pthread_mutex_destroy(&p->lock);
}
