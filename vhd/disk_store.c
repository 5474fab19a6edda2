#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "blob/base/log.h"
#include "vhd/disk_priv.h"

#define AGE_MS 2000                          /* dirty data goes out after this */
#define BACKGROUND_BYTES (UINT64_C(16) << 20) /* or when there is more than this */
#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 10000

/* --- the list of dirty chunks, oldest epoch first --- */

void disk_dirty_insert(struct disk *d, struct chunk *ch, uint64_t epoch, uint64_t since_ms)
{
	struct chunk *before = &d->dirty;

	/* New dirt has the newest epoch: from the tail this is one step. */
	while (before->dirty_prev != &d->dirty && before->dirty_prev->epoch > epoch)
		before = before->dirty_prev;
	ch->epoch = epoch;
	ch->dirty_since_ms = since_ms;
	ch->dirty_next = before;
	ch->dirty_prev = before->dirty_prev;
	before->dirty_prev->dirty_next = ch;
	before->dirty_prev = ch;
	ch->on_dirty = true;
	if (d->o.overlay) {
		/* A dirty chunk of an overlay stays for good: give the cache another
		 * in its place. Without memory the cache just gets smaller. */
		d->overlay_chunks++;
		cache_grow(d->cache);
	}
}

void disk_dirty_remove(struct disk *d, struct chunk *ch)
{
	ch->dirty_prev->dirty_next = ch->dirty_next;
	ch->dirty_next->dirty_prev = ch->dirty_prev;
	ch->dirty_prev = ch->dirty_next = NULL;
	ch->on_dirty = false;
}

void disk_mark_dirty(struct disk *d, struct chunk *ch, sector_set sectors)
{
	d->dirty_sectors += sectors_count(sectors & ~ch->dirty);
	ch->dirty |= sectors;
	if (!ch->on_dirty)
		disk_dirty_insert(d, ch, d->epoch, disk_now_ms());
}

void disk_forget_dirty(struct disk *d, struct chunk *ch, sector_set sectors)
{
	d->dirty_sectors -= sectors_count(ch->dirty & sectors);
	ch->dirty &= ~sectors;
	if (ch->on_dirty && !ch->dirty)
		disk_dirty_remove(d, ch);
}

uint64_t disk_oldest_epoch(struct disk *d)
{
	uint64_t epoch = d->dirty.dirty_next != &d->dirty ? d->dirty.dirty_next->epoch : UINT64_MAX;
	unsigned i;

	for (i = 0; i < d->nstores; i++)
		if (d->stores[i].busy && d->stores[i].epoch < epoch)
			epoch = d->stores[i].epoch;
	return epoch;
}

/* --- choosing what goes out --- */

static uint64_t flush_target(const struct disk *d)
{
	const struct flush_req *f;
	uint64_t target = 0;

	for (f = d->flushes; f; f = f->next)
		if (f->target > target)
			target = f->target;
	return target;
}

/* Its bytes may go out now. */
static bool can_go(struct disk *d, const struct chunk *ch)
{
	uint64_t base = ch->index << CHUNK_SHIFT;

	return !ch->copying && !disk_discarding(d, base, base + CHUNK_BYTES);
}

/* Dirty data in memory is good for rewriting; when must it go all the same? */
static struct chunk *next_chunk(struct disk *d, uint64_t now)
{
	uint64_t bytes = d->dirty_sectors << SECTOR_SHIFT, target = flush_target(d);
	uint64_t background = d->o.cache_bytes / 8 < BACKGROUND_BYTES ? d->o.cache_bytes / 8 : BACKGROUND_BYTES;
	bool all = bytes > background || d->blocked || d->starved;
	struct chunk *ch;

	for (ch = d->dirty.dirty_next; ch != &d->dirty; ch = ch->dirty_next) {
		/* Oldest first: where one need not go yet, none behind it must. */
		if (!all && ch->epoch > target && now - ch->dirty_since_ms < AGE_MS)
			return NULL;
		if (can_go(d, ch))
			return ch;
	}
	return NULL;
}

static unsigned run_ending_at_top(sector_set s)
{
	sector_set gaps = ~s;
	uint64_t high = (uint64_t)(gaps >> 64), low = (uint64_t)gaps;

	if (high)
		return (unsigned)__builtin_clzll(high);
	return low ? 64 + (unsigned)__builtin_clzll(low) : CHUNK_SECTORS;
}

static struct chunk *dirty_neighbour(struct disk *d, uint64_t index)
{
	struct chunk *ch = cache_find(d->cache, DISK_OBJECT, index);

	return ch && ch->dirty && can_go(d, ch) ? ch : NULL;
}

/* The byte where the dirty run that contains the chunk's first dirty sector begins,
 * looking back over neighbours as far as one request reaches. */
static uint64_t run_start(struct disk *d, const struct chunk *ch)
{
	unsigned first = sectors_first(ch->dirty), back = 0;
	uint64_t start = (ch->index << CHUNK_SHIFT) + ((uint64_t)first << SECTOR_SHIFT);
	uint64_t index = ch->index;

	while (first == 0 && index > 0 && ++back < MAX_REQUEST_CHUNKS / 2) {
		const struct chunk *prev = dirty_neighbour(d, index - 1);
		unsigned n = prev ? run_ending_at_top(prev->dirty) : 0;

		if (!n)
			break;
		start -= (uint64_t)n << SECTOR_SHIFT;
		first = CHUNK_SECTORS - n;
		index--;
	}
	return start;
}

static void op_take(struct disk *d, struct store_op *op, struct chunk *ch, unsigned first, unsigned n)
{
	sector_set run = sectors_range(first, n);

	if (ch->epoch < op->epoch)
		op->epoch = ch->epoch;
	disk_forget_dirty(d, ch, run);
	ch->writing |= run;
	d->writing_sectors += n;
	cache_pin(d->cache, ch);
	op->chunks[op->nchunks] = ch;
	op->iov[op->nchunks].iov_base = ch->data + ((size_t)first << SECTOR_SHIFT);
	op->iov[op->nchunks].iov_len = (size_t)n << SECTOR_SHIFT;
	op->nchunks++;
	op->len += n << SECTOR_SHIFT;
}

static void op_fill(struct disk *d, struct store_op *op, const struct chunk *oldest)
{
	uint64_t pos = run_start(d, oldest);

	op->offset = pos;
	op->len = 0;
	op->nchunks = 0;
	op->epoch = UINT64_MAX;
	while (op->len < MAX_REQUEST_BYTES && op->nchunks < MAX_REQUEST_CHUNKS) {
		struct chunk *ch = dirty_neighbour(d, pos >> CHUNK_SHIFT);
		unsigned first = (unsigned)(pos & (CHUNK_BYTES - 1)) >> SECTOR_SHIFT;
		unsigned n, room = (MAX_REQUEST_BYTES - op->len) >> SECTOR_SHIFT;

		if (!ch || !sectors_has(ch->dirty, first))
			break;
		n = sectors_run(ch->dirty, first);
		if (n > room)
			n = room;
		op_take(d, op, ch, first, n);
		pos += (uint64_t)n << SECTOR_SHIFT;
		if (first + n < CHUNK_SECTORS)
			break;
	}
}

/* --- sending it --- */

static bool all_zero(const struct store_op *op)
{
	unsigned i;

	for (i = 0; i < op->nchunks; i++) {
		const uint8_t *p = op->iov[i].iov_base;

		if (p[0] || memcmp(p, p + 1, op->iov[i].iov_len - 1))
			return false;
	}
	return true;
}

static void store_done(void *arg, const struct store_result *result);

static void store_start(struct disk *d, struct task *t)
{
	struct store_op *op = (struct store_op *)t;
	const char *lease_id = d->lease ? op->lease_id : NULL;

	op->clear = all_zero(op);
	if (op->clear)
		d->store.ops->clear(d->store.impl, op->offset, op->len, lease_id, store_done, op);
	else
		d->store.ops->write(d->store.impl, op->offset, op->iov, (int)op->nchunks, lease_id,
				    store_done, op);
}

static struct store_op *idle_op(struct disk *d)
{
	unsigned i;

	for (i = 0; i < d->nstores; i++)
		if (!d->stores[i].busy)
			return &d->stores[i];
	return NULL;
}

void disk_store_kick(struct disk *d)
{
	uint64_t now = disk_now_ms();
	struct store_op *op;
	struct chunk *ch;

	if (d->o.overlay || d->lease_state == LEASE_LOST || now < d->store_retry_ms)
		return;
	while (d->dirty_sectors && (op = idle_op(d)) && (ch = next_chunk(d, now))) {
		op->generation = 0;
		if (d->lease && lease_current(d->lease, op->lease_id, &op->generation) < 0)
			return;
		op->disk = d;
		op->busy = true;
		op_fill(d, op, ch);
		/* From now on the blob may hold data here. */
		map_set_data(d->map, op->offset, op->len);
		disk_active(d); /* until store_done */
		disk_queue(d, &op->task, store_start);
	}
}

/* --- how it went --- */

/* What was on its way is dirty again, as old as it was. */
static void put_back(struct disk *d, struct store_op *op, struct chunk *ch, sector_set run)
{
	uint64_t since = disk_now_ms();

	if (d->lease_state == LEASE_LOST) {
		d->stats.dropped_bytes += (uint64_t)sectors_count(run) << SECTOR_SHIFT;
		ch->have &= ~run;
		return;
	}
	if (ch->on_dirty) {
		since = ch->dirty_since_ms;
		disk_dirty_remove(d, ch);
	}
	d->dirty_sectors += sectors_count(run);
	ch->dirty |= run;
	disk_dirty_insert(d, ch, ch->dirty == run || op->epoch < ch->epoch ? op->epoch : ch->epoch, since);
}

static void back_off(struct disk *d)
{
	d->store_backoff_ms = d->store_backoff_ms ? d->store_backoff_ms * 2 : BACKOFF_MIN_MS;
	if (d->store_backoff_ms > BACKOFF_MAX_MS)
		d->store_backoff_ms = BACKOFF_MAX_MS;
	d->store_retry_ms = disk_now_ms() + d->store_backoff_ms;
}

static bool is_lease_error(const struct err *err)
{
	return err->code == ERR_LEASE_LOST || err->code == ERR_LEASE_HELD;
}

static void store_failed(struct disk *d, struct store_op *op, const struct store_result *result)
{
	char id[BLOB_LEASE_ID_MAX];
	uint64_t generation;

	if (d->lease_state == LEASE_LOST)
		return;
	if (result->outcome_unknown) {
		/* It may still land, on top of newer data: shut it out first. */
		if (d->lease) {
			lease_saw_etag(d->lease, NULL);
			lease_fence(d->lease, op->generation);
		} else {
			back_off(d);
		}
		return;
	}
	if (is_lease_error(result->err) && d->lease) {
		if (lease_current(d->lease, id, &generation) == 0 && generation != op->generation)
			return; /* sent under an old id: goes again under the new one */
		lease_refused(d->lease, op->generation);
		back_off(d);
		return;
	}
	if (!d->store_backoff_ms)
		log_error("can't write %u bytes at %" PRIu64 ", will try again: %s", op->len, op->offset,
			  result->err->msg);
	disk_note_failure(d, result->err);
	disk_flushes_fail(d, op->epoch, result->err);
	back_off(d);
}

static void store_done(void *arg, const struct store_result *result)
{
	struct store_op *op = arg;
	struct disk *d = op->disk;
	uint64_t pos = op->offset;
	unsigned i;

	disk_enter(d);
	for (i = 0; i < op->nchunks; i++) {
		struct chunk *ch = op->chunks[i];
		sector_set run = disk_sectors_of(ch->index, pos, op->iov[i].iov_len);

		ch->writing &= ~run;
		d->writing_sectors -= sectors_count(run);
		if (result->err)
			put_back(d, op, ch, run);
		cache_unpin(d->cache, ch);
		pos += op->iov[i].iov_len;
	}
	op->busy = false;
	if (result->err) {
		store_failed(d, op, result);
	} else {
		if (d->lease)
			lease_saw_etag(d->lease, result->etag && result->etag[0] ? result->etag : NULL);
		if (op->clear)
			map_set_hole(d->map, op->offset, op->len);
		d->stats.stored_bytes += op->clear ? 0 : op->len;
		d->stats.stores += !op->clear;
		d->stats.clears += op->clear;
		d->store_backoff_ms = 0;
		d->stalled = false;
	}
	disk_wake(d);
	disk_inactive(d);
	disk_leave(d);
}
