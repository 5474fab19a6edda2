#include <config.h>

#include <inttypes.h>
#include <stdlib.h>

#include "vhd/disk_priv.h"

/*
 * A discard goes in three stages: the unaligned head and tail are written as
 * zeros, then the whole sectors between them are cleared in the blob. While the
 * clear is under way its range is its own: reads, writes, stores and other
 * discards that overlap it wait (disk_discarding). What the cache has there,
 * dirty data too, is forgotten when the clear has succeeded: one that fails has
 * changed nothing. A clear of unknown outcome is fenced like a write, and sent
 * again under the new lease id.
 */

static const uint8_t zeros[SECTOR_BYTES];

static void advance(struct discard_req *r);

static void report(struct disk *d, struct task *t)
{
	struct discard_req *r = (struct discard_req *)t;

	r->done(r->arg, r->failed ? &r->err : NULL);
	free(r);
}

static void finish(struct disk *d, struct discard_req *r, const struct err *err)
{
	r->failed = err != NULL;
	if (err)
		r->err = *err;
	disk_queue(d, &r->task, report);
}

bool disk_discarding(struct disk *d, uint64_t offset, uint64_t end)
{
	const struct discard_req *r;

	for (r = d->discards; r; r = r->next)
		if (disk_overlaps(r->inner, r->inner_end, offset, end))
			return true;
	return false;
}

sector_set disk_discarding_sectors(struct disk *d, uint64_t index)
{
	const struct discard_req *r;
	sector_set set = 0;

	for (r = d->discards; r; r = r->next)
		if (disk_overlaps(r->inner, r->inner_end, index << CHUNK_SHIFT, (index + 1) << CHUNK_SHIFT))
			set |= disk_sectors_of(index, r->inner, r->inner_end - r->inner);
	return set;
}

/* --- the clear --- */

struct conflict {
	struct disk *disk;
	const struct discard_req *r;
	bool found;
};

static void find_conflict(void *arg, struct chunk *ch)
{
	struct conflict *c = arg;
	sector_set range = disk_sectors_of(ch->index, c->r->inner, c->r->inner_end - c->r->inner);

	if (ch->copying || range & (ch->fetching | ch->writing))
		c->found = true;
}

static void forget(void *arg, struct chunk *ch)
{
	struct conflict *c = arg;
	sector_set range = disk_sectors_of(ch->index, c->r->inner, c->r->inner_end - c->r->inner);

	disk_forget_dirty(c->disk, ch, range);
	ch->have &= ~range;
	cache_settle(c->disk->cache, ch);
}

/* The clear may have been carried out, or not: only dirty data is certain. */
static void doubt(void *arg, struct chunk *ch)
{
	struct conflict *c = arg;
	sector_set range = disk_sectors_of(ch->index, c->r->inner, c->r->inner_end - c->r->inner);

	ch->have &= ~(range & ~ch->dirty);
	cache_settle(c->disk->cache, ch);
}

static void each_chunk(struct conflict *c, void (*fn)(void *arg, struct chunk *ch))
{
	cache_each(c->disk->cache, DISK_OBJECT, c->r->inner >> CHUNK_SHIFT,
		   (c->r->inner_end - 1) >> CHUNK_SHIFT, fn, c);
}

/* Nobody else is at work in the range: make it ours. */
static bool claim(struct disk *d, struct discard_req *r)
{
	struct conflict c = { .disk = d, .r = r };

	if (disk_discarding(d, r->inner, r->inner_end))
		return false;
	each_chunk(&c, find_conflict);
	if (c.found)
		return false;
	if (d->o.pcache)
		pcache_changed(d->o.pcache, r->inner, r->inner_end - r->inner);
	r->sent = false;
	r->next = d->discards;
	d->discards = r;
	return true;
}

static void clear_done(void *arg, const struct store_result *result);

static void clear_start(struct disk *d, struct task *t)
{
	struct discard_req *r = (struct discard_req *)t;

	d->store.ops->clear(d->store.impl, r->inner, r->inner_end - r->inner,
			    d->lease ? r->lease_id : NULL, clear_done, r);
}

static void try_send(struct disk *d, struct discard_req *r)
{
	if (r->sent || disk_now_ms() < d->store_retry_ms)
		return;
	r->generation = 0;
	if (d->lease && lease_current(d->lease, r->lease_id, &r->generation) < 0)
		return;
	r->sent = true;
	disk_active(d); /* until clear_done */
	disk_queue(d, &r->task, clear_start);
}

static void unlink_discard(struct disk *d, struct discard_req *r)
{
	struct discard_req **p = &d->discards;

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
}

/* True if the clear is to be sent again. */
static bool clear_again(struct disk *d, struct discard_req *r, const struct store_result *result)
{
	char id[BLOB_LEASE_ID_MAX];
	uint64_t generation;

	bool again;

	if (!d->lease || d->lease_state == LEASE_LOST)
		return false;
	again = !d->closing && disk_now_ms() < r->deadline_ms;
	if (result->outcome_unknown) {
		/* Also when nobody waits for it any more: it must not wipe out what
		 * is written there next. */
		lease_saw_etag(d->lease, NULL);
		lease_fence(d->lease, r->generation);
		return again;
	}
	if (!again || result->err->code != ERR_LEASE_LOST)
		return false;
	if (lease_current(d->lease, id, &generation) < 0 || generation == r->generation) {
		lease_refused(d->lease, r->generation);
		d->store_retry_ms = disk_now_ms() + 250;
	}
	return true;
}

static void give_up(struct disk *d, struct discard_req *r, const struct store_result *result)
{
	struct conflict c = { .disk = d, .r = r };
	struct err err = *result->err;

	if (result->outcome_unknown)
		each_chunk(&c, doubt);
	/* Refused under a lease id that we have changed ourselves. */
	if (err.code == ERR_LEASE_LOST && d->lease_state != LEASE_LOST)
		err_set(&err, ERR_TIMEOUT, "storage took no writes for %u s", d->o.io_deadline_ms / 1000);
	unlink_discard(d, r);
	disk_reads_arrived(d, r->inner, r->inner_end, NULL);
	finish(d, r, &err);
}

static void clear_done(void *arg, const struct store_result *result)
{
	struct discard_req *r = arg;
	struct disk *d = r->disk;

	disk_enter(d);
	r->sent = false;
	if (!result->err) {
		struct conflict c = { .disk = d, .r = r };

		if (d->lease)
			lease_saw_etag(d->lease, result->etag && result->etag[0] ? result->etag : NULL);
		each_chunk(&c, forget);
		map_set_hole(d->map, r->inner, r->inner_end - r->inner);
		d->stats.clears++;
		unlink_discard(d, r);
		disk_reads_arrived(d, r->inner, r->inner_end, NULL);
		finish(d, r, NULL);
	} else if (!clear_again(d, r, result)) {
		give_up(d, r, result);
	}
	disk_wake(d);
	disk_inactive(d);
	disk_leave(d);
}

void disk_discards_retry(struct disk *d)
{
	struct discard_req **p = &d->discards_blocked, *r;

	while ((r = *p)) {
		*p = r->next;
		if (claim(d, r))
			continue;
		r->next = *p;
		*p = r;
		p = &r->next;
	}
	for (r = d->discards; r; r = r->next)
		try_send(d, r);
}

/* --- the stages --- */

static void stage_done(void *arg, const struct err *err)
{
	struct discard_req *r = arg;

	if (err) {
		r->done(r->arg, err);
		free(r);
		return;
	}
	r->stage++;
	advance(r);
}

static void enqueue_clear(struct discard_req *r)
{
	struct disk *d = r->disk;
	struct err err;

	disk_enter(d);
	disk_check_writable(d, &err);
	if (err.code != ERR_NONE) {
		finish(d, r, &err);
	} else {
		r->deadline_ms = disk_now_ms() + d->o.io_deadline_ms;
		r->next = d->discards_blocked;
		d->discards_blocked = r;
		disk_discards_retry(d);
		disk_need_clock(d);
	}
	disk_leave(d);
}

static void advance(struct discard_req *r)
{
	uint64_t head_end = r->inner < r->end ? r->inner : r->end;

	if (r->stage == 0 && head_end > r->offset) {
		disk_write(r->disk, r->offset, zeros, (uint32_t)(head_end - r->offset), stage_done, r);
	} else if (r->stage <= 1 && r->inner_end >= r->inner && r->end > r->inner_end &&
		   r->inner_end >= r->offset) {
		r->stage = 1;
		disk_write(r->disk, r->inner_end, zeros, (uint32_t)(r->end - r->inner_end), stage_done, r);
	} else if (r->inner < r->inner_end) {
		enqueue_clear(r);
	} else {
		r->done(r->arg, NULL);
		free(r);
	}
}

void disk_discard(struct disk *d, uint64_t offset, uint64_t len, disk_done_fn *done, void *arg)
{
	struct discard_req *r;
	struct err err;

	if (len == 0 || offset > d->o.size || len > d->o.size - offset) {
		err_set(&err, ERR_RANGE, "discard of %" PRIu64 " bytes at %" PRIu64 " lies outside the disk",
			len, offset);
		done(arg, &err);
		return;
	}
	if (d->o.overlay) {
		err_set(&err, ERR_UNSUPPORTED, "a snapshot has nothing to discard");
		done(arg, &err);
		return;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		err_set(&err, ERR_NO_MEMORY, "no memory for a discard");
		done(arg, &err);
		return;
	}
	r->disk = d;
	r->offset = offset;
	r->end = offset + len;
	r->inner = (offset + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
	r->inner_end = r->end / SECTOR_BYTES * SECTOR_BYTES;
	r->done = done;
	r->arg = arg;
	advance(r);
}

/* --- giving up --- */

static void fail_list(struct disk *d, struct discard_req **p, uint64_t now_ms, const struct err *err)
{
	struct discard_req *r;

	while ((r = *p)) {
		if (r->sent || now_ms < r->deadline_ms) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		finish(d, r, err);
	}
}

void disk_discards_fail(struct disk *d, const struct err *err)
{
	fail_list(d, &d->discards_blocked, UINT64_MAX, err);
	fail_list(d, &d->discards, UINT64_MAX, err);
}

void disk_discards_expire(struct disk *d, uint64_t now_ms)
{
	struct err err;

	if (!d->discards && !d->discards_blocked)
		return;
	err_set(&err, ERR_TIMEOUT, "storage took no writes for %u s", d->o.io_deadline_ms / 1000);
	fail_list(d, &d->discards_blocked, now_ms, &err);
	fail_list(d, &d->discards, now_ms, &err);
}
