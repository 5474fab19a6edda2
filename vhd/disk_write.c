#include <config.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vhd/disk_priv.h"

enum step { WRITE_GOES, WRITE_WAITS, WRITE_FAILS };

void disk_check_writable(struct disk *d, struct err *err)
{
	err->code = ERR_NONE;
	if (d->closing)
		err_set(err, ERR_CANCELLED, "the disk is being closed");
	else if (d->o.read_only)
		err_set(err, ERR_READ_ONLY, "the disk is mounted read-only");
	else if (d->o.overlay)
		return;
	else if (d->lease_state == LEASE_LOST)
		err_set(err, ERR_LEASE_LOST, "the lease of the blob is lost");
	else if (d->lease_state != LEASE_HELD)
		err_set(err, ERR_TIMEOUT, "the lease of the blob is in doubt: storage does not answer");
}

/* More dirty data than this would leave no room for reads. */
static bool too_dirty(const struct disk *d, uint32_t len)
{
	uint64_t sectors = d->dirty_sectors + d->writing_sectors + (len >> SECTOR_SHIFT);

	return !d->o.overlay && sectors > (uint64_t)cache_chunks(d->cache) * CHUNK_SECTORS * 3 / 4;
}

/* What is in the overlay already can be written again. */
static bool overlay_full(const struct disk *d, const struct write_req *w)
{
	uint64_t more = 0;
	unsigned i;

	for (i = 0; i < w->nchunks; i++)
		more += !w->chunks[i]->on_dirty;
	return d->o.overlay && more && (d->overlay_chunks + more) * CHUNK_BYTES > d->o.overlay_bytes;
}

/* The sectors that the write covers only in part: they must be there first. */
static sector_set edges_of(const struct write_req *w, uint64_t index)
{
	uint64_t end = w->offset + w->len;
	sector_set edges = 0;

	if (w->offset % SECTOR_BYTES && w->offset >> CHUNK_SHIFT == index)
		edges |= disk_sectors_of(index, w->offset, 1);
	if (end % SECTOR_BYTES && (end - 1) >> CHUNK_SHIFT == index)
		edges |= disk_sectors_of(index, end - 1, 1);
	return edges;
}

/* Is the chunk free for this write? Starts the fetch of an edge that is not there. */
static bool chunk_ready(struct disk *d, const struct write_req *w, struct chunk *ch)
{
	sector_set touched = disk_sectors_of(ch->index, w->offset, w->len);
	sector_set edges = edges_of(w, ch->index), missing;

	if (touched & (ch->writing | ch->fetching))
		return false;
	disk_fill_hole(d, ch, edges);
	for (missing = edges & ~ch->have; missing;) {
		unsigned s = sectors_first(missing);
		uint64_t at = (ch->index << CHUNK_SHIFT) + ((uint64_t)s << SECTOR_SHIFT);
		uint64_t from = at & ~(uint64_t)(FETCH_ALIGN - 1);
		uint64_t end = from + FETCH_ALIGN < d->o.size ? from + FETCH_ALIGN : d->o.size;

		disk_fetch(d, from, end, false);
		missing &= ~disk_sectors_of(ch->index, from, end - from);
	}
	return !(edges & ~ch->have);
}

/*
 * One step of a write, mutex held: reserve the sectors that it will fill. `earlier`
 * ends the list of blocked writes that came before it: they go first where they
 * overlap, and where they wait for room (small writes would take it from under a
 * large one for ever). Waits with nothing pinned.
 */
static enum step write_step(struct disk *d, struct write_req *w, const struct write_req *earlier)
{
	uint64_t end = w->offset + w->len;
	const struct write_req *o;
	bool ready = true;
	unsigned i;

	w->needs_room = false;
	disk_check_writable(d, &w->err);
	if (w->err.code != ERR_NONE)
		return WRITE_FAILS;
	for (o = d->blocked; o && o != earlier; o = o->next)
		if (o->needs_room || disk_overlaps(o->offset, o->offset + o->len, w->offset, end))
			return WRITE_WAITS;
	if (disk_discarding(d, w->offset, end))
		return WRITE_WAITS;
	/* A read that has waited for room longer goes first. */
	if ((d->starved && d->starved->deadline_ms <= w->deadline_ms) || too_dirty(d, w->len) ||
	    !disk_pin_range(d, w->offset, w->len, false, w->chunks, &w->nchunks)) {
		w->needs_room = true;
		return WRITE_WAITS;
	}
	if (overlay_full(d, w)) {
		disk_unpin_range(d, w->chunks, w->nchunks);
		err_set(&w->err, ERR_NO_SPACE, "the overlay of this snapshot is full (%" PRIu64 " MiB)",
			d->o.overlay_bytes >> 20);
		return WRITE_FAILS;
	}
	for (i = 0; i < w->nchunks; i++)
		ready &= chunk_ready(d, w, w->chunks[i]);
	if (!ready) {
		disk_unpin_range(d, w->chunks, w->nchunks);
		return WRITE_WAITS;
	}
	if (d->o.pcache)
		pcache_changed(d->o.pcache, w->offset, w->len);
	for (i = 0; i < w->nchunks; i++) {
		struct chunk *ch = w->chunks[i];

		ch->copying++;
		ch->fetching |= disk_sectors_of(ch->index, w->offset, w->len) & ~ch->have;
	}
	return WRITE_GOES;
}

/* Mutex not held: the bytes. Sectors that were not there are marked `fetching` and
 * ours; into the others we write as any disk is overwritten. */
static void write_copy(const struct write_req *w)
{
	uint64_t pos = w->offset, end = w->offset + w->len;
	const uint8_t *from = w->data;

	while (pos < end) {
		const struct chunk *ch = w->chunks[(pos >> CHUNK_SHIFT) - (w->offset >> CHUNK_SHIFT)];
		unsigned within = (unsigned)(pos & (CHUNK_BYTES - 1));
		uint64_t len = CHUNK_BYTES - within < end - pos ? CHUNK_BYTES - within : end - pos;

		memcpy(ch->data + within, from, len);
		from += len;
		pos += len;
	}
}

/* Mutex held: what was copied is there, and dirty. */
static void write_commit(struct disk *d, struct write_req *w)
{
	unsigned i;

	for (i = 0; i < w->nchunks; i++) {
		struct chunk *ch = w->chunks[i];
		sector_set touched = disk_sectors_of(ch->index, w->offset, w->len);

		ch->copying--;
		ch->fetching &= ~touched;
		ch->have |= touched;
		/* The lease may have gone while we copied: then this is no longer
		 * what the blob will hold. */
		if (d->lease_state == LEASE_LOST && !d->o.overlay) {
			d->stats.dropped_bytes += (uint64_t)sectors_count(touched) << SECTOR_SHIFT;
			ch->have &= ~touched | ch->writing;
			disk_forget_dirty(d, ch, touched);
		} else {
			disk_mark_dirty(d, ch, touched);
		}
	}
	disk_reads_arrived(d, w->offset, w->offset + w->len, NULL);
	disk_unpin_range(d, w->chunks, w->nchunks);
	d->stats.writes++;
	d->stats.write_bytes += w->len;
	disk_wake(d);
	disk_need_clock(d);
}

static void write_completed(struct disk *d, disk_done_fn *done, void *arg)
{
	if (!d->o.sync_writes || d->o.overlay) {
		disk_leave(d);
		done(arg, NULL);
		disk_enter(d);
		return;
	}
	disk_flush_locked(d, done, arg);
}

void disk_write(struct disk *d, uint64_t offset, const void *data, uint32_t len,
		disk_done_fn *done, void *arg)
{
	struct write_req w, *copy, **p;
	struct err err;

	if (len == 0 || len > d->max_io || offset > d->o.size || len > d->o.size - offset) {
		err_set(&err, ERR_RANGE, "write of %u bytes at %" PRIu64 " lies outside the disk", len, offset);
		done(arg, &err);
		return;
	}
	w.offset = offset;
	w.len = len;
	w.data = data;
	w.deadline_ms = disk_now_ms() + d->o.io_deadline_ms;
	w.done = done;
	w.arg = arg;

	disk_enter(d);
	disk_map_touch(d, offset >> CHUNK_SHIFT);
	switch (write_step(d, &w, NULL)) {
	case WRITE_GOES:
		disk_active(d);
		disk_leave(d);
		write_copy(&w);
		disk_enter(d);
		write_commit(d, &w);
		write_completed(d, done, arg);
		disk_inactive(d);
		disk_leave(d);
		return;
	case WRITE_FAILS:
		disk_leave(d);
		done(arg, &w.err);
		return;
	case WRITE_WAITS:
		break;
	}
	copy = malloc(sizeof(*copy));
	if (!copy) {
		disk_leave(d);
		err_set(&err, ERR_NO_MEMORY, "no memory for a write");
		done(arg, &err);
		return;
	}
	memcpy(copy, &w, offsetof(struct write_req, chunks));
	copy->next = NULL;
	for (p = &d->blocked; *p; p = &(*p)->next)
		;
	*p = copy;
	disk_store_kick(d);
	disk_need_clock(d);
	disk_leave(d);
}

static void write_run(struct disk *d, struct task *t)
{
	struct write_req *w = (struct write_req *)t;

	write_copy(w);
	disk_enter(d);
	write_commit(d, w);
	write_completed(d, w->done, w->arg);
	disk_leave(d);
	free(w);
}

static void write_report(struct disk *d, struct task *t)
{
	struct write_req *w = (struct write_req *)t;

	w->done(w->arg, &w->err);
	free(w);
}

void disk_writes_retry(struct disk *d)
{
	struct write_req **p = &d->blocked, *w;

	while ((w = *p)) {
		enum step step = write_step(d, w, w);

		if (step == WRITE_WAITS) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		disk_queue(d, &w->task, step == WRITE_GOES ? write_run : write_report);
	}
}

static void fail_first(struct disk *d, struct write_req **p, const struct err *err)
{
	struct write_req *w = *p;

	*p = w->next;
	w->err = *err;
	disk_queue(d, &w->task, write_report);
}

/* A fetch failed: a write that needed an edge from there can't be done. */
void disk_writes_unfetched(struct disk *d, uint64_t offset, uint64_t end, const struct err *err)
{
	struct write_req **p = &d->blocked;

	while (*p) {
		const struct write_req *w = *p;
		uint64_t last = w->offset + w->len - 1;
		bool head = w->offset % SECTOR_BYTES && w->offset >= offset && w->offset < end;
		bool tail = (last + 1) % SECTOR_BYTES && last >= offset && last < end;

		if (head || tail)
			fail_first(d, p, err);
		else
			p = &(*p)->next;
	}
}

void disk_writes_fail(struct disk *d, const struct err *err)
{
	while (d->blocked)
		fail_first(d, &d->blocked, err);
}

void disk_writes_expire(struct disk *d, uint64_t now_ms)
{
	struct write_req **p = &d->blocked;
	struct err err;

	while (*p) {
		if (now_ms < (*p)->deadline_ms) {
			p = &(*p)->next;
			continue;
		}
		err_set(&err, ERR_TIMEOUT, "a write found no room in the cache for %u s: storage takes no writes",
			d->o.io_deadline_ms / 1000);
		fail_first(d, p, &err);
	}
}
