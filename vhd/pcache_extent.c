#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "vhd/pcache_priv.h"

#define TOUCH_MS 30000

struct header {
	char magic[8];
	uint32_t format, crc;      /* of this, with crc 0 */
	uint64_t drive, number, nonce;
};
#define FORMAT 1u               /* also tells a machine of other byte order */
static const char magic[8] = "hpcpextn";

/* By ISA-L, which knows what the processor has for it; each byte read from the cache
 * goes through here. The values are those of zlib's crc32(), with which caches were
 * written before. */
uint32_t pcache_crc32(uint32_t crc, const void *data, size_t len)
{
	return crc32_gzip_refl(crc, data, len);
}

static uint32_t header_crc(const struct header *h)
{
	struct header copy = *h;

	copy.crc = 0;
	return pcache_crc32(0, &copy, sizeof(copy));
}

static bool header_fits(const struct pcache *pc, const struct header *h, uint64_t number)
{
	return !memcmp(h->magic, magic, sizeof(magic)) && h->format == FORMAT && h->drive == pc->drive_id &&
	       h->number == number && h->crc == header_crc(h);
}

/* --- opening and making --- */

/* A second descriptor that goes past the page cache: what is read is kept in memory
 * already, twice is once too much. Some file systems can't (tmpfs). */
static int open_direct(int dir, const char *name)
{
	return openat(dir, name, O_RDWR | O_DIRECT | O_CLOEXEC | O_NOFOLLOW);
}

/* A file without a good header is of no use to anybody, and in the way. */
static struct extent *extent_open(struct pcache *pc, const char *name, uint64_t number)
{
	cleanup_close int fd = openat(pc->own_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct extent *e;
	struct header h;

	if (fd < 0)
		return NULL;
	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || !header_fits(pc, &h, number)) {
		pcache_add(pc, &pc->stats.damaged, 1);
		unlinkat(pc->own_fd, name, 0);
		errno = ENOENT;
		return NULL;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->number = number;
	e->nonce = h.nonce;
	e->direct_fd = open_direct(pc->own_fd, name);
	e->fd = steal_fd(&fd);
	return e;
}

/* The former version's, when nobody has made one of this version yet. */
static struct extent *extent_find(struct pcache *pc, uint64_t number)
{
	char name[EXTENT_NAME_MAX];
	struct extent *e;

	pcache_extent_name(number, name);
	e = extent_open(pc, name, number);
	if (e || errno != ENOENT || pc->former_fd < 0)
		return e;
	if (renameat(pc->former_fd, name, pc->own_fd, name) < 0)
		return NULL;
	return extent_open(pc, name, number);
}

static int write_header(const struct pcache *pc, int fd, uint64_t number)
{
	uint8_t block[EXTENT_HEADER] = { 0 };
	struct header h = { .format = FORMAT, .drive = pc->drive_id, .number = number };

	memcpy(h.magic, magic, sizeof(magic));
	if (getrandom(&h.nonce, sizeof(h.nonce), 0) != sizeof(h.nonce))
		return -1;
	h.crc = header_crc(&h);
	memcpy(block, &h, sizeof(h));
	if (pwrite(fd, block, sizeof(block), 0) == sizeof(block))
		return 0;
	errno = errno ? errno : ENOSPC;
	return -1;
}

/* Complete before it has its name; who comes second uses the first one's. */
static int extent_make(struct pcache *pc, uint64_t number)
{
	char name[EXTENT_NAME_MAX], draft[64];
	cleanup_close int fd = -1;
	int rc, why;

	pcache_extent_name(number, name);
	snprintf(draft, sizeof(draft), ".%s.%d.%u", name, (int)getpid(), pc->drafts++);
	fd = openat(pc->own_fd, draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	errno = 0;
	rc = write_header(pc, fd, number);
	if (rc == 0)
		rc = linkat(pc->own_fd, draft, pc->own_fd, name, 0);
	why = errno;
	unlinkat(pc->own_fd, draft, 0);
	errno = why;
	return rc == 0 || why == EEXIST ? 0 : -1;
}

/* --- the table of open ones --- */

static void extent_free(struct extent *e)
{
	if (e->direct_fd >= 0)
		close(e->direct_fd);
	close(e->fd);
	free(e);
}

static struct extent *table_find(struct pcache *pc, uint64_t number)
{
	unsigned i;

	for (i = 0; i < OPEN_EXTENTS; i++)
		if (pc->open[i] && pc->open[i]->number == number)
			return pc->open[i];
	return NULL;
}

/* Take it off the table; if nobody has a pin the caller frees it. */
static struct extent *table_drop(struct pcache *pc, unsigned slot)
{
	struct extent *e = pc->open[slot];

	pc->open[slot] = NULL;
	if (!e)
		return NULL;
	e->stale = true;
	return e->pins ? NULL : e;
}

/* Put it in; who is pushed out for it is returned. */
static struct extent *table_insert(struct pcache *pc, struct extent *e)
{
	unsigned i, oldest = 0;
	struct extent *out;

	for (i = 0; i < OPEN_EXTENTS; i++) {
		if (!pc->open[i]) {
			oldest = i;
			break;
		}
		if (pc->open[i]->used < pc->open[oldest]->used)
			oldest = i;
	}
	out = table_drop(pc, oldest);
	pc->open[oldest] = e;
	return out;
}

static struct extent *pinned(struct pcache *pc, uint64_t number)
{
	struct extent *e;

	pthread_mutex_lock(&pc->lock);
	e = table_find(pc, number);
	if (e) {
		e->pins++;
		e->used = ++pc->clock;
	}
	pthread_mutex_unlock(&pc->lock);
	return e;
}

/* Two threads may open the same file at a time; then it is there twice for a while. */
static struct extent *remember(struct pcache *pc, struct extent *e)
{
	struct extent *out;

	pthread_mutex_lock(&pc->lock);
	e->pins = 1;
	e->used = ++pc->clock;
	out = table_insert(pc, e);
	pthread_mutex_unlock(&pc->lock);
	if (out)
		extent_free(out);
	return e;
}

static void forget(struct pcache *pc, struct extent *e)
{
	unsigned i;

	pthread_mutex_lock(&pc->lock);
	for (i = 0; i < OPEN_EXTENTS; i++)
		if (pc->open[i] == e)
			table_drop(pc, i);
	pthread_mutex_unlock(&pc->lock);
	pcache_extent_put(pc, e);
}

/* Somebody may have evicted it: nobody would find what is filled in there. */
static bool removed(const struct extent *e)
{
	struct stat st;

	return fstat(e->fd, &st) < 0 || st.st_nlink == 0;
}

struct extent *pcache_extent_get(struct pcache *pc, uint64_t number, bool create)
{
	struct extent *e = pinned(pc, number);
	int tries;

	if (e && create && removed(e)) {
		forget(pc, e);
		e = NULL;
	}
	if (e)
		return e;
	/* It may be evicted between the making and the opening. */
	for (tries = 0; tries < 3; tries++) {
		e = extent_find(pc, number);
		if (e)
			return remember(pc, e);
		if (!create || errno != ENOENT || extent_make(pc, number) < 0)
			return NULL;
	}
	return NULL;
}

void pcache_extent_put(struct pcache *pc, struct extent *e)
{
	bool last;

	pthread_mutex_lock(&pc->lock);
	last = --e->pins == 0 && e->stale;
	pthread_mutex_unlock(&pc->lock);
	if (last)
		extent_free(e);
}

void pcache_extents_close(struct pcache *pc)
{
	unsigned i;

	for (i = 0; i < OPEN_EXTENTS; i++) {
		struct extent *e = table_drop(pc, i);

		if (e)
			extent_free(e);
	}
}

/* --- its contents --- */

int pcache_table_read(const struct extent *e, unsigned first, unsigned count, uint32_t *crc)
{
	ssize_t len = (ssize_t)(count * sizeof(*crc));

	return pread(e->fd, crc, (size_t)len, (off_t)(EXTENT_TABLE + first * sizeof(*crc))) == len ? 0 : -1;
}

int pcache_table_write(const struct extent *e, unsigned first, unsigned count, const uint32_t *crc)
{
	ssize_t len = (ssize_t)(count * sizeof(*crc));

	return pwrite(e->fd, crc, (size_t)len, (off_t)(EXTENT_TABLE + first * sizeof(*crc))) == len ? 0 : -1;
}

uint32_t pcache_crc(const struct extent *e, unsigned granule, const void *data, size_t len)
{
	uint64_t start[2] = { e->nonce, granule };
	uint32_t crc = pcache_crc32(pcache_crc32(0, start, sizeof(start)), data, len);

	return crc ? crc : 1;
}

static ssize_t move_once(int fd, bool write, off_t at, const struct iovec *iov, int count)
{
	return write ? pwritev(fd, iov, count, at) : preadv(fd, iov, count, at);
}

ssize_t pcache_extent_io(const struct extent *e, bool write, uint64_t within, const struct iovec *iov,
			 int count)
{
	off_t at = (off_t)(EXTENT_HEADER + within);
	ssize_t n = -1;

	errno = EINVAL;
	if (e->direct_fd >= 0)
		n = move_once(e->direct_fd, write, at, iov, count);
	/* What the device can't do directly: the odd end of a disk. */
	if (n < 0 && errno == EINVAL)
		n = move_once(e->fd, write, at, iov, count);
	return n;
}

void pcache_extent_touch(struct extent *e)
{
	int64_t now = pcache_now_ms(), last = atomic_load(&e->touched_ms);

	if ((last && now - last < TOUCH_MS) || !atomic_compare_exchange_strong(&e->touched_ms, &last, now))
		return;
	futimens(e->fd, NULL);
}
