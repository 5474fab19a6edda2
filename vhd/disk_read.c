#include <config.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vhd/disk_priv.h"

static const uint8_t zeros[CHUNK_BYTES];

/* Mutex held: it has had its bytes. */
static void read_note(struct read_req *r)
{
	uint64_t first = r->offset >> CHUNK_SHIFT;
	unsigned i;

	for (i = 0; i < r->nchunks; i++)
		if (r->chunks[i])
			cache_seen(r->chunks[i], disk_sectors_of(first + i, r->offset, r->len), r->sequential);
}

/* Mutex held: its pins go back. */
static void read_release(struct disk *d, struct read_req *r)
{
	if (r->pinned)
		disk_unpin_range(d, r->chunks, r->nchunks);
	r->pinned = false;
}

enum step { READ_READY, READ_WAITS, READ_STARVES };

/* True if the read needs neither storage nor room. */
static bool at_hand(struct disk *d, const struct read_req *r)
{
	uint64_t index, last = (r->offset + r->len - 1) >> CHUNK_SHIFT;

	for (index = r->offset >> CHUNK_SHIFT; index <= last; index++) {
		const struct chunk *ch = cache_find(d->cache, DISK_OBJECT, index);

		if (ch ? disk_sectors_of(index, r->offset, r->len) & ~ch->have : !map_is_hole(d->map, index))
			return false;
	}
	return true;
}

/*
 * One step of a read, mutex held: pin its chunks, fetch what is missing and not
 * under way yet. READY: everything is there.
 */
static enum step read_step(struct disk *d, struct read_req *r)
{
	uint64_t end = r->offset + r->len, first = r->offset >> CHUNK_SHIFT;
	uint64_t missing_from = UINT64_MAX, missing_end = 0;
	bool complete = true;
	unsigned i;

	if (!r->pinned) {
		if (disk_discarding(d, r->offset, end) ||
		    !disk_pin_range(d, r->offset, r->len, true, r->chunks, &r->nchunks))
			return READ_STARVES;
		r->pinned = true;
	}
	for (i = 0; i < r->nchunks; i++) {
		struct chunk *ch = r->chunks[i];
		uint64_t base = (first + i) << CHUNK_SHIFT;
		sector_set need;

		if (!ch)
			continue;
		need = disk_sectors_of(first + i, r->offset, r->len);
		disk_fill_hole(d, ch, need);
		ch->prefetched = false;
		if (!(need & ~ch->have))
			continue;
		complete = false;
		if (!(need & ~ch->have & ~ch->fetching))
			continue;
		if (missing_from == UINT64_MAX)
			missing_from = base > r->offset ? base : r->offset & ~(uint64_t)(FETCH_ALIGN - 1);
		missing_end = base + CHUNK_BYTES < end ? base + CHUNK_BYTES : end;
	}
	if (missing_from != UINT64_MAX) {
		if (missing_end == end && r->fetch_end > end)
			missing_end = r->fetch_end;
		if (disk_fetch(d, missing_from, missing_end, false) < missing_end) {
			/* Out of memory for the request: try again with the next tick. */
			read_release(d, r);
			return READ_STARVES;
		}
	}
	return complete ? READ_READY : READ_WAITS;
}

static int build_iov(const struct read_req *r, struct iovec *iov)
{
	uint64_t pos = r->offset, end = r->offset + r->len;
	int n = 0;

	while (pos < end) {
		uint64_t index = pos >> CHUNK_SHIFT;
		unsigned within = (unsigned)(pos & (CHUNK_BYTES - 1));
		const struct chunk *ch = r->chunks[index - (r->offset >> CHUNK_SHIFT)];
		uint64_t len = CHUNK_BYTES - within < end - pos ? CHUNK_BYTES - within : end - pos;

		iov[n].iov_base = ch ? ch->data + within : (uint8_t *)zeros;
		iov[n].iov_len = len;
		n++;
		pos += len;
	}
	return n;
}

static void read_finish(struct disk *d, struct task *t)
{
	struct read_req *r = (struct read_req *)t;
	int count;

	if (r->failed) {
		r->done(r->arg, &r->err, NULL, 0);
	} else {
		count = build_iov(r, r->iov);
		r->done(r->arg, NULL, r->iov, count);
	}
	disk_enter(d);
	if (!r->failed)
		read_note(r);
	read_release(d, r);
	disk_reads_retry(d);
	disk_writes_retry(d);
	disk_leave(d);
	free(r);
}

static void read_fail(struct disk *d, struct read_req *r, const struct err *err)
{
	r->failed = true;
	r->err = *err;
	disk_queue(d, &r->task, read_finish);
}

/* How much of a chunk is there or on its way. */
static unsigned there(const struct disk *d, uint64_t index)
{
	const struct chunk *ch = cache_find(d->cache, DISK_OBJECT, index);

	return ch ? sectors_count(ch->have | ch->fetching) << SECTOR_SHIFT : 0;
}

/* How far beyond its end a read that follows no stream may fetch. */
static uint64_t random_fetch_end(const struct disk *d, uint64_t offset, uint64_t end)
{
	uint64_t from = offset & ~(uint64_t)(FETCH_ALIGN - 1), last = (end - 1) >> CHUNK_SHIFT;
	uint64_t chunk_end = (last + 1) << CHUNK_SHIFT;
	uint64_t want = from + fetch_size_for(&d->fetch_size, there(d, last));

	if (want < end)
		want = (end + FETCH_ALIGN - 1) & ~(uint64_t)(FETCH_ALIGN - 1);
	if (want > chunk_end)
		want = chunk_end;
	return want < d->o.size ? want : d->o.size;
}

static void starve(struct disk *d, struct read_req *r)
{
	struct read_req **p = &d->starved;

	r->deadline_ms = disk_now_ms() + d->o.io_deadline_ms;
	r->next = NULL;
	while (*p)
		p = &(*p)->next;
	*p = r;
	disk_need_clock(d);
}

static void read_enqueue(struct disk *d, const struct read_req *r, enum step step)
{
	struct read_req *copy = malloc(sizeof(*copy));

	if (!copy) {
		/* Nothing was promised yet; the caller hears of it at once. */
		struct err err;
		struct read_req tmp = *r;

		read_release(d, &tmp);
		pthread_mutex_unlock(&d->lock);
		err_set(&err, ERR_NO_MEMORY, "no memory for a read");
		r->done(r->arg, &err, NULL, 0);
		pthread_mutex_lock(&d->lock);
		return;
	}
	memcpy(copy, r, offsetof(struct read_req, iov));
	if (step == READ_STARVES) {
		starve(d, copy);
		return;
	}
	copy->next = d->waiting;
	d->waiting = copy;
}

void disk_read(struct disk *d, uint64_t offset, uint32_t len, disk_read_fn *done, void *arg)
{
	struct read_req r;
	struct stream *s;
	enum step step;
	struct err err;
	int count;

	if (len == 0 || len > d->max_io || offset > d->o.size || len > d->o.size - offset) {
		err_set(&err, ERR_RANGE, "read of %u bytes at %" PRIu64 " lies outside the disk", len, offset);
		done(arg, &err, NULL, 0);
		return;
	}
	r.offset = offset;
	r.len = len;
	r.pinned = r.failed = false;
	r.done = done;
	r.arg = arg;

	disk_enter(d);
	if (d->closing) {
		disk_leave(d);
		err_set(&err, ERR_CANCELLED, "the disk is being closed");
		done(arg, &err, NULL, 0);
		return;
	}
	d->stats.reads++;
	d->stats.read_bytes += len;
	disk_map_touch(d, offset >> CHUNK_SHIFT);
	readahead_wasted(&d->ra, cache_take_wasted(d->cache));
	s = readahead_note(&d->ra, offset, len);
	r.sequential = s->window != 0;
	r.fetch_end = s->window ? 0 : random_fetch_end(d, offset, offset + len);
	/* FIFO among those who need room. */
	step = d->starved && !at_hand(d, &r) ? READ_STARVES : read_step(d, &r);
	if (s->window)
		disk_read_ahead(d, s);
	if (step != READ_READY) {
		read_enqueue(d, &r, step);
		disk_store_kick(d);
		disk_leave(d);
		return;
	}
	disk_active(d);
	disk_leave(d);
	count = build_iov(&r, r.iov);
	done(arg, NULL, r.iov, count);
	disk_enter(d);
	read_note(&r);
	read_release(d, &r);
	if (d->starved)
		disk_reads_retry(d);
	if (d->blocked)
		disk_writes_retry(d);
	disk_inactive(d);
	disk_leave(d);
}

void disk_reads_arrived(struct disk *d, uint64_t offset, uint64_t end, const struct err *err)
{
	struct read_req **p = &d->waiting, *r;
	enum step step;

	while ((r = *p)) {
		if (!disk_overlaps(r->offset, r->offset + r->len, offset, end)) {
			p = &r->next;
			continue;
		}
		if (err) {
			*p = r->next;
			read_fail(d, r, err);
			continue;
		}
		step = read_step(d, r);
		if (step == READ_WAITS) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		if (step == READ_READY)
			disk_queue(d, &r->task, read_finish);
		else
			starve(d, r);
	}
}

void disk_reads_retry(struct disk *d)
{
	struct read_req *r;

	while ((r = d->starved)) {
		enum step step = read_step(d, r);

		if (step == READ_STARVES)
			return;
		d->starved = r->next;
		if (step == READ_READY) {
			disk_queue(d, &r->task, read_finish);
		} else {
			r->next = d->waiting;
			d->waiting = r;
		}
	}
}

void disk_reads_expire(struct disk *d, uint64_t now_ms)
{
	struct read_req **p = &d->starved, *r;
	struct err err;

	while ((r = *p)) {
		if (now_ms < r->deadline_ms) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		err_set(&err, ERR_TIMEOUT, "a read found no room in the cache for %u s: storage takes no writes",
			d->o.io_deadline_ms / 1000);
		read_fail(d, r, &err);
	}
}
