/* object_read.c - reads; see vhd/object_priv.h. */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>

#include "vhd/object_priv.h"

#define FETCH_ALIGN 4096u
/* Between the members of a package: data descriptors, padding. */
#define GAP 64u
/* So much in one go (or a quarter of the cache) makes a stream that does not come back:
 * among readers that come and go in any order, what one has had lies in the way of
 * another's read-ahead and would be fetched again. */
#define LONG_RUN (UINT64_C(8) << 20)

/* Whoever reads from `since` to `end` has had these sectors: but for the last one, if
 * the next read begins in it. A chunk that is there in part only stays: who comes for the
 * rest would fetch what was there with it. */
static void note_seen(const struct object *o, struct chunk **chunks, unsigned nchunks, uint64_t since,
		      uint64_t end, bool sequential)
{
	uint64_t whole = end == o->size ? end : end & ~(uint64_t)(SECTOR_BYTES - 1);

	for (unsigned i = 0; i < nchunks; i++) {
		uint64_t base = chunks[i]->index << CHUNK_SHIFT;
		uint64_t from = since > base ? since : base;
		bool some = from < whole && from < base + CHUNK_BYTES;

		cache_seen(chunks[i], some ? sectors_within(chunks[i]->index, from, whole - from) : 0, sequential);
		if (chunks[i]->have != sectors_within(chunks[i]->index, base, o->size - base))
			chunks[i]->spent = false;
	}
}

static void release(struct objects *all, struct read_req *r)
{
	unsigned i;

	if (r->pinned && !r->failed)
		note_seen(r->object, r->chunks, r->nchunks, r->since, r->offset + r->len, r->sequential);
	for (i = 0; r->pinned && i < r->nchunks; i++)
		cache_unpin(all->cache, r->chunks[i]);
	r->pinned = false;
}

static bool pin(struct objects *all, struct read_req *r)
{
	uint64_t first = r->offset >> CHUNK_SHIFT, last = (r->offset + r->len - 1) >> CHUNK_SHIFT;
	unsigned i, missing = 0;

	r->nchunks = (unsigned)(last - first + 1);
	/* What is there is pinned first, so that making room can't evict it. */
	for (i = 0; i < r->nchunks; i++) {
		r->chunks[i] = cache_find(all->cache, r->object->number, first + i);
		if (r->chunks[i])
			cache_pin(all->cache, r->chunks[i]);
		else
			missing++;
	}
	if (missing > cache_spare(all->cache)) {
		for (i = 0; i < r->nchunks; i++)
			if (r->chunks[i])
				cache_unpin(all->cache, r->chunks[i]);
		return false;
	}
	for (i = 0; i < r->nchunks; i++)
		if (!r->chunks[i])
			r->chunks[i] = cache_get(all->cache, r->object->number, first + i);
	r->pinned = true;
	return true;
}

enum step { READ_READY, READ_WAITS, READ_STARVES, READ_FAILS };

/* Pin its chunks, fetch what is missing and not under way yet. */
static enum step read_step(struct objects *all, struct read_req *r)
{
	uint64_t end = r->offset + r->len, first = r->offset >> CHUNK_SHIFT;
	uint64_t missing_from = UINT64_MAX, missing_end = 0;
	bool complete = true;
	unsigned i;

	if (!r->pinned && !pin(all, r))
		return READ_STARVES;
	for (i = 0; i < r->nchunks; i++) {
		struct chunk *ch = r->chunks[i];
		uint64_t base = (first + i) << CHUNK_SHIFT;
		sector_set need = sectors_within(first + i, r->offset, r->len) & ~ch->have;

		ch->prefetched = false;
		complete = complete && !need;
		if (!(need & ~ch->fetching))
			continue;
		if (missing_from == UINT64_MAX)
			missing_from = base > r->offset ? base : r->offset & ~(uint64_t)(FETCH_ALIGN - 1);
		missing_end = base + CHUNK_BYTES < end ? base + CHUNK_BYTES : end;
	}
	if (missing_from != UINT64_MAX) {
		if (missing_end == end && r->fetch_end > end)
			missing_end = r->fetch_end;
		if (object_fetch(r->object, missing_from, missing_end, false) < missing_end)
			return READ_FAILS;
	}
	return complete ? READ_READY : READ_WAITS;
}

static int build_iov(struct chunk **chunks, uint64_t offset, uint32_t len, struct iovec *iov)
{
	uint64_t pos = offset, end = offset + len;
	int n = 0;

	while (pos < end) {
		unsigned within = (unsigned)(pos & (CHUNK_BYTES - 1));
		uint64_t part = CHUNK_BYTES - within < end - pos ? CHUNK_BYTES - within : end - pos;

		iov[n] = (struct iovec) { chunks[n]->data + within, part };
		n++;
		pos += part;
	}
	return n;
}

static void fail(struct objects *all, struct read_req *r, const struct err *err)
{
	r->failed = true;
	r->err = *err;
	r->next = all->to_finish;
	all->to_finish = r;
}

static void fail_no_memory(struct objects *all, struct read_req *r)
{
	struct err err;

	err_set(&err, ERR_NO_MEMORY, "out of memory for a read");
	fail(all, r, &err);
}

static void settle(struct objects *all, struct read_req *r, enum step step)
{
	struct read_req **p;

	switch (step) {
	case READ_READY:
		r->next = all->to_finish;
		all->to_finish = r;
		break;
	case READ_WAITS:
		r->next = r->object->waiting;
		r->object->waiting = r;
		break;
	case READ_STARVES:
		for (p = &all->starved; *p;)
			p = &(*p)->next;
		r->next = NULL;
		*p = r;
		break;
	case READ_FAILS:
		fail_no_memory(all, r);
		break;
	}
}

void object_retry_starved(struct objects *all)
{
	struct read_req *r;

	while ((r = all->starved)) {
		enum step step = read_step(all, r);

		if (step == READ_STARVES)
			return;
		all->starved = r->next;
		settle(all, r, step);
	}
}

void object_finish(struct objects *all, struct read_req *r)
{
	if (r->failed)
		r->done(r->arg, &r->err, NULL, 0);
	else
		r->done(r->arg, NULL, r->iov, build_iov(r->chunks, r->offset, r->len, r->iov));
	pthread_mutex_lock(&all->lock);
	release(all, r);
	object_drop(r->object);
	free(r);
	object_retry_starved(all);
	objects_inactive(all);
}

void object_arrived(struct object *o, uint64_t offset, uint64_t end, const struct err *err)
{
	struct read_req *list = o->waiting, *r;

	o->waiting = NULL;
	while ((r = list)) {
		list = r->next;
		if (r->offset >= end || offset >= r->offset + r->len)
			settle(o->all, r, READ_WAITS);
		else if (err)
			fail(o->all, r, err);
		else
			settle(o->all, r, read_step(o->all, r));
	}
}

/* --- the face --- */

/* A reader of one member after the other leaves small gaps. *since: this read and what
 * its stream had right before it cover all sectors from there. */
static struct stream *note(struct object *o, uint64_t offset, uint64_t len, uint64_t *since)
{
	struct stream *before = NULL, *s;
	uint64_t from = offset, began;
	unsigned i;

	for (i = 0; i < READAHEAD_STREAMS && !before; i++) {
		s = &o->ra.streams[i];
		if (s->reads && offset >= s->next && offset - s->next <= GAP)
			before = s;
	}
	if (before)
		from = before->next;
	s = readahead_note(&o->ra, from, len + (offset - from));
	if (s != before)
		o->began[s - o->ra.streams] = offset;
	began = (o->began[s - o->ra.streams] + SECTOR_BYTES - 1) & ~(uint64_t)(SECTOR_BYTES - 1);
	*since = from > began ? from : began;
	return s;
}

static bool is_long_run(const struct object *o, const struct stream *s)
{
	uint64_t quarter = o->all->o.cache_bytes / 4;

	return s->window && s->next - o->began[s - o->ra.streams] >= (quarter < LONG_RUN ? quarter : LONG_RUN);
}

/* How far beyond its end a read that follows no stream may fetch. */
static uint64_t random_fetch_end(const struct object *o, uint64_t offset, uint64_t end)
{
	uint64_t want = (offset & ~(uint64_t)(FETCH_ALIGN - 1)) + o->all->o.fetch_bytes;
	uint64_t chunk_end = (((end - 1) >> CHUNK_SHIFT) + 1) << CHUNK_SHIFT;

	if (want < end)
		want = (end + FETCH_ALIGN - 1) & ~(uint64_t)(FETCH_ALIGN - 1);
	if (want > chunk_end)
		want = chunk_end;
	return want < o->size ? want : o->size;
}

static int check(const struct object *o, uint64_t offset, uint32_t len, struct err *err)
{
	if (o->all->closing)
		return err_set(err, ERR_CANCELLED, "%s/%s: is being unmounted", o->ref.container, o->ref.blob);
	if (!len || len > o->all->max_io || offset > o->size || len > o->size - offset)
		return err_set(err, ERR_RANGE, "%s/%s: %u bytes at %" PRIu64 " can't be read",
			       o->ref.container, o->ref.blob, len, offset);
	return 0;
}

void object_read(struct object *o, uint64_t offset, uint32_t len, object_read_fn *done, void *arg)
{
	struct objects *all = o->all;
	struct read_req *r = malloc(sizeof(*r));
	struct stream *s;
	struct err err;
	int rc;

	pthread_mutex_lock(&all->lock);
	rc = r ? check(o, offset, len, &err) : err_set(&err, ERR_NO_MEMORY, "out of memory for a read");
	if (rc < 0) {
		pthread_mutex_unlock(&all->lock);
		free(r);
		done(arg, &err, NULL, 0);
		return;
	}
	r->object = o;
	r->offset = offset;
	r->len = len;
	r->pinned = r->failed = false;
	r->done = done;
	r->arg = arg;
	o->refs++;
	all->active++;
	readahead_wasted(&o->ra, cache_take_wasted(all->cache));
	s = note(o, offset, len, &r->since);
	r->sequential = is_long_run(o, s);
	r->fetch_end = s->window ? 0 : random_fetch_end(o, offset, offset + len);
	/* First come, first served, among those who need room. */
	settle(all, r, all->starved ? READ_STARVES : read_step(all, r));
	if (s->window)
		object_read_ahead(o, s);
	objects_leave(all);
}

/* Pin what it needs, if all of that is there. */
static unsigned pin_cached(struct object *o, uint64_t offset, uint32_t len, struct chunk **chunks)
{
	uint64_t first = offset >> CHUNK_SHIFT, last = (offset + len - 1) >> CHUNK_SHIFT;
	unsigned i, n = (unsigned)(last - first + 1);

	for (i = 0; i < n; i++) {
		chunks[i] = cache_find(o->all->cache, o->number, first + i);
		if (!chunks[i] || sectors_within(first + i, offset, len) & ~chunks[i]->have)
			return 0;
	}
	for (i = 0; i < n; i++) {
		cache_pin(o->all->cache, chunks[i]);
		chunks[i]->prefetched = false;
	}
	return n;
}

bool object_read_cached(struct object *o, uint64_t offset, uint32_t len, object_read_fn *done, void *arg)
{
	struct objects *all = o->all;
	struct chunk *chunks[MAX_IO_CHUNKS];
	struct iovec iov[MAX_IO_CHUNKS];
	struct stream *s;
	uint64_t since;
	bool sequential;
	unsigned i, n = 0;

	pthread_mutex_lock(&all->lock);
	if (check(o, offset, len, NULL) == 0)
		n = pin_cached(o, offset, len, chunks);
	if (!n) {
		pthread_mutex_unlock(&all->lock);
		return false;
	}
	all->active++;
	readahead_wasted(&o->ra, cache_take_wasted(all->cache));
	s = note(o, offset, len, &since);
	sequential = is_long_run(o, s);
	if (s->window)
		object_read_ahead(o, s);
	objects_leave(all);
	done(arg, NULL, iov, build_iov(chunks, offset, len, iov));
	pthread_mutex_lock(&all->lock);
	note_seen(o, chunks, n, since, offset + len, sequential);
	for (i = 0; i < n; i++)
		cache_unpin(all->cache, chunks[i]);
	object_retry_starved(all);
	objects_inactive(all);
	objects_leave(all);
	return true;
}
