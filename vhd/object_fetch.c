/* object_fetch.c - requests to storage; see vhd/object_priv.h. */
#include <config.h>

#include <stdlib.h>

#include "vhd/object_priv.h"

static void launch(struct objects *all, struct fetch *f)
{
	if (!f)
		return;
	if (f->prefetch)
		all->prefetches++;
	all->stats.fetches++;
	all->active++;
	f->object->refs++;
	f->next = NULL;
	*all->to_start_end = f;
	all->to_start_end = &f->next;
}

/* Add `count` sectors from `first` of a chunk to the fetch that ends there, or begin
 * a new one. The last one of the object may be cut short. */
static bool fetch_add(struct object *o, struct fetch **current, struct chunk *ch, unsigned first,
		      unsigned count, bool prefetch)
{
	uint64_t offset = (ch->index << CHUNK_SHIFT) + ((uint64_t)first << SECTOR_SHIFT);
	uint32_t len = count << SECTOR_SHIFT;
	struct fetch *f = *current;

	if (len > o->size - offset)
		len = (uint32_t)(o->size - offset);
	if (f && (f->offset + f->len != offset || f->len + len > MAX_FETCH_BYTES ||
		  f->nchunks == MAX_FETCH_CHUNKS)) {
		launch(o->all, f);
		f = NULL;
	}
	if (!f) {
		f = malloc(sizeof(*f));
		if (f)
			*f = (struct fetch) { .object = o, .offset = offset, .prefetch = prefetch };
	}
	*current = f;
	if (!f)
		return false;
	ch->fetching |= sectors_range(first, count);
	cache_pin(o->all->cache, ch);
	f->chunks[f->nchunks] = ch;
	f->iov[f->nchunks] = (struct iovec) { ch->data + ((size_t)first << SECTOR_SHIFT), len };
	f->nchunks++;
	f->len += len;
	return true;
}

uint64_t object_fetch(struct object *o, uint64_t offset, uint64_t end, bool prefetch)
{
	struct cache *cache = o->all->cache;
	struct fetch *f = NULL;
	uint64_t pos = offset;
	bool ok = true;

	while (ok && pos < end) {
		uint64_t index = pos >> CHUNK_SHIFT;
		struct chunk *ch = cache_find(cache, o->number, index);
		sector_set want;
		unsigned s, n;

		if (!ch && prefetch && cache_spare(cache) <= cache_chunks(cache) / 8)
			break;
		ch = cache_get(cache, o->number, index);
		if (!ch)
			break;
		want = sectors_within(index, pos, end - pos) & ~ch->have & ~ch->fetching;
		for (; ok && (s = sectors_first(want)) < CHUNK_SECTORS; want &= ~sectors_range(s, n)) {
			n = sectors_run(want, s);
			ok = fetch_add(o, &f, ch, s, n, prefetch);
		}
		cache_unpin(cache, ch);
		if (ok)
			pos = (index + 1) << CHUNK_SHIFT;
	}
	launch(o->all, f);
	return pos < end ? pos : end;
}

void object_read_ahead(struct object *o, struct stream *s)
{
	uint64_t n;

	while (o->all->prefetches < o->all->o.max_requests && s->ahead < o->size &&
	       (n = readahead_request(s, MAX_FETCH_BYTES)) > 0) {
		uint64_t end = s->ahead + n < o->size ? s->ahead + n : o->size;
		uint64_t got = object_fetch(o, s->ahead, end, true);

		s->ahead = got;
		if (got < end)
			return;
	}
}

/* --- the reply --- */

static void take_in(struct fetch *f, bool good)
{
	uint64_t pos = f->offset;
	unsigned i;

	for (i = 0; i < f->nchunks; i++) {
		struct chunk *ch = f->chunks[i];
		sector_set got = sectors_within(ch->index, pos, f->iov[i].iov_len);

		ch->fetching &= ~got;
		if (good) {
			ch->have |= got;
			ch->prefetched = f->prefetch;
		}
		pos += f->iov[i].iov_len;
	}
}

static void fetch_done(void *arg, const struct blob_reply *reply)
{
	const struct err *err = reply->err.code ? &reply->err : NULL;
	struct fetch *f = arg;
	struct object *o = f->object;
	struct objects *all = o->all;
	unsigned i;

	pthread_mutex_lock(&all->lock);
	take_in(f, !err);
	if (!err)
		all->stats.fetched_bytes += f->len;
	else if (err->code == ERR_NOT_FOUND || err->code == ERR_CONDITION)
		o->lost = err->code;
	object_arrived(o, f->offset, f->offset + f->len, err);
	for (i = 0; i < f->nchunks; i++)
		cache_unpin(all->cache, f->chunks[i]);
	if (f->prefetch)
		all->prefetches--;
	if (!err && !all->closing)
		for (i = 0; i < READAHEAD_STREAMS; i++)
			object_read_ahead(o, &o->ra.streams[i]);
	object_retry_starved(all);
	free(f);
	object_drop(o);
	objects_inactive(all);
	objects_leave(all);
}

void object_fetch_start(struct fetch *f)
{
	struct object *o = f->object;

	blob_get_range_start(o->all->client, &o->ref, f->offset, f->iov, (int)f->nchunks,
			     *o->etag ? o->etag : NULL, fetch_done, f);
}
