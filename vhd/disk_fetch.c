#include <config.h>

#include <inttypes.h>
#include <stdlib.h>

#include "blob/base/log.h"
#include "vhd/disk_priv.h"

/* Chunks that read-ahead leaves for others: an eighth of the cache. */
static bool room_to_prefetch(const struct disk *d)
{
	return cache_spare(d->cache) > cache_chunks(d->cache) / 8;
}

void disk_fetch_rest(struct disk *d, struct fetch *f, const struct iovec *iov, int count)
{
	f->started_us = disk_now_us(d);
	d->store.ops->read(d->store.impl, f->rest_offset, iov, count, disk_fetch_done, f);
}

static void fetch_start(struct disk *d, struct task *t)
{
	struct fetch *f = (struct fetch *)t;

	if (d->o.pcache) {
		disk_pcache_start(d, f);
		return;
	}
	f->rest_offset = f->offset;
	f->rest_len = f->len;
	disk_fetch_rest(d, f, f->iov, (int)f->nchunks);
}

static void launch(struct disk *d, struct fetch *f)
{
	if (!f)
		return;
	if (f->prefetch)
		d->prefetches++;
	d->stats.fetches++;
	disk_active(d); /* until disk_fetch_done */
	disk_queue(d, &f->task, fetch_start);
}

static struct fetch *fetch_new(struct disk *d, uint64_t offset, bool prefetch)
{
	struct fetch *f = malloc(sizeof(*f));

	if (!f)
		return NULL;
	f->disk = d;
	f->offset = offset;
	f->len = 0;
	f->prefetch = prefetch;
	f->nchunks = 0;
	return f;
}

/* Add `count` sectors from `first` of a chunk to the fetch that ends there, or begin
 * a new one. False when out of memory: what is not fetched now is when a read that
 * needs it is tried again. */
static bool fetch_add(struct disk *d, struct fetch **current, struct chunk *ch, unsigned first,
		      unsigned count, bool prefetch)
{
	uint64_t offset = (ch->index << CHUNK_SHIFT) + ((uint64_t)first << SECTOR_SHIFT);
	uint32_t len = count << SECTOR_SHIFT;
	struct fetch *f = *current;

	if (f && (f->offset + f->len != offset || f->len + len > MAX_REQUEST_BYTES ||
		  f->nchunks == MAX_REQUEST_CHUNKS)) {
		launch(d, f);
		f = NULL;
	}
	if (!f)
		f = fetch_new(d, offset, prefetch);
	*current = f;
	if (!f)
		return false;
	ch->fetching |= sectors_range(first, count);
	cache_pin(d->cache, ch);
	f->chunks[f->nchunks] = ch;
	f->iov[f->nchunks].iov_base = ch->data + ((size_t)first << SECTOR_SHIFT);
	f->iov[f->nchunks].iov_len = len;
	f->nchunks++;
	f->len += len;
	return true;
}

/* What is being cleared is left out: it could come back as it was before. */
uint64_t disk_fetch(struct disk *d, uint64_t offset, uint64_t end, bool prefetch)
{
	struct fetch *f = NULL;
	uint64_t pos = offset & ~(uint64_t)(FETCH_ALIGN - 1);
	bool ok = true;

	/* Whole granules of the persistent cache. */
	end = (end + FETCH_ALIGN - 1) & ~(uint64_t)(FETCH_ALIGN - 1);
	if (end > d->o.size)
		end = d->o.size;

	while (ok && pos < end) {
		uint64_t index = pos >> CHUNK_SHIFT, next = (index + 1) << CHUNK_SHIFT;
		struct chunk *ch = cache_find(d->cache, DISK_OBJECT, index);
		sector_set want;
		unsigned s, n;

		disk_map_touch(d, index);
		if (map_is_hole(d->map, index)) {
			pos = next;
			continue;
		}
		if (!ch && prefetch && !room_to_prefetch(d))
			break;
		ch = cache_get(d->cache, DISK_OBJECT, index);
		if (!ch)
			break;
		want = disk_sectors_of(index, pos, end - pos) & ~ch->have & ~ch->fetching;
		want &= ~disk_discarding_sectors(d, index);
		for (; ok && (s = sectors_first(want)) < CHUNK_SECTORS; want &= ~sectors_range(s, n)) {
			n = sectors_run(want, s);
			ok = fetch_add(d, &f, ch, s, n, prefetch);
		}
		cache_unpin(d->cache, ch);
		pos = next;
	}
	launch(d, f);
	return pos < end ? pos : end;
}

void disk_fetch_done(void *arg, const struct store_result *result)
{
	struct fetch *f = arg;
	struct disk *d = f->disk;
	uint64_t pos = f->offset, now_us = disk_now_us(d);
	bool given_away;
	unsigned i;

	disk_enter(d);
	for (i = 0; i < f->nchunks; i++) {
		struct chunk *ch = f->chunks[i];
		sector_set got = disk_sectors_of(ch->index, pos, f->iov[i].iov_len);

		ch->fetching &= ~got;
		if (!result->err) {
			ch->have |= got;
			ch->prefetched = f->prefetch;
		}
		pos += f->iov[i].iov_len;
	}
	if (result->err) {
		disk_note_failure(d, result->err);
		disk_writes_unfetched(d, f->offset, f->offset + f->len, result->err);
	} else {
		d->stats.fetched_bytes += f->rest_len;
		if (f->rest_len)
			fetch_size_measured(&d->fetch_size, f->rest_len, now_us - f->started_us);
	}
	disk_reads_arrived(d, f->offset, f->offset + f->len, result->err);
	given_away = !result->err && disk_pcache_keep(d, f);
	for (i = 0; !given_away && i < f->nchunks; i++)
		cache_unpin(d->cache, f->chunks[i]);
	if (f->prefetch)
		d->prefetches--;
	if (!result->err && !d->closing)
		for (i = 0; i < READAHEAD_STREAMS; i++)
			disk_read_ahead(d, &d->ra.streams[i]);
	disk_wake(d);
	if (!given_away)
		disk_inactive(d);
	disk_leave(d);
	if (!given_away)
		free(f);
}

void disk_read_ahead(struct disk *d, struct stream *s)
{
	uint64_t n;

	while (d->prefetches < d->o.max_requests && s->ahead < d->o.size &&
	       (n = readahead_request(s, MAX_REQUEST_BYTES)) > 0) {
		uint64_t end = s->ahead + n < d->o.size ? s->ahead + n : d->o.size;
		uint64_t got = disk_fetch(d, s->ahead, end, true);

		s->ahead = got;
		if (got < end)
			return;
	}
}

/* --- the allocation map --- */

struct map_load {
	struct task task;
	struct disk *disk;
	uint64_t offset, len;
};

static void map_done(void *arg, const struct err *err, const struct blob_range *ranges, size_t count)
{
	struct map_load *m = arg;
	struct disk *d = m->disk;

	disk_enter(d);
	if (err) {
		/* Only slower without it; reads say what is really wrong. */
		log_warn("can't list the page ranges: %s", err->msg);
		map_load_failed(d->map, m->offset, disk_now_ms());
	} else {
		map_loaded(d->map, m->offset, ranges, count);
	}
	disk_inactive(d);
	disk_leave(d);
	free(m);
}

static void map_start(struct disk *d, struct task *t)
{
	struct map_load *m = (struct map_load *)t;

	d->store.ops->ranges(d->store.impl, m->offset, m->len, map_done, m);
}

void disk_map_touch(struct disk *d, uint64_t chunk)
{
	uint64_t offset, len, now = disk_now_ms();
	struct map_load *m;

	if (!map_want(d->map, chunk, now, &offset, &len))
		return;
	m = malloc(sizeof(*m));
	if (!m) {
		map_load_failed(d->map, offset, now);
		return;
	}
	m->disk = d;
	m->offset = offset;
	m->len = len;
	disk_active(d);
	disk_queue(d, &m->task, map_start);
}
