/*
 * One mutex protects everything. What must happen without it (requests to storage,
 * callbacks) is queued and run by leave().
 *
 * A read that waits for bytes holds pins on its chunks: its fetches are under way and
 * will end. One that waits for room (starved) holds nothing and is tried again, in
 * order, whenever a fetch has ended; there is one under way, or there would be room.
 */
#include <config.h>

#include "vhd/object.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vhd/cache.h"
#include "vhd/readahead.h"

#define DEFAULT_CACHE (UINT64_C(256) << 20)
#define MIN_CACHE (UINT64_C(1) << 20)
#define DEFAULT_WINDOW (64u << 20)
#define MAX_IO_BYTES (1u << 20)
#define MAX_IO_CHUNKS (MAX_IO_BYTES / CHUNK_BYTES + 1)
#define MAX_FETCH_BYTES (4u << 20)
#define MAX_FETCH_CHUNKS (MAX_FETCH_BYTES / CHUNK_BYTES + 1)
#define FETCH_ALIGN 4096u
/* Between the members of a package: data descriptors, padding. */
#define GAP 64u

struct read_req {
	struct read_req *next;
	struct object *object;
	uint64_t offset;
	uint32_t len;
	uint64_t fetch_end;        /* how far its fetch may go beyond its own end */
	unsigned nchunks;
	bool pinned, failed;
	object_read_fn *done;
	void *arg;
	struct chunk *chunks[MAX_IO_CHUNKS];
	struct iovec iov[MAX_IO_CHUNKS];
	struct err err;            /* if failed; else not initialised */
};

/* A request for adjacent chunks, each pinned once. Keeps its object. */
struct fetch {
	struct fetch *next;
	struct object *object;
	uint64_t offset;
	uint32_t len;
	bool prefetch;
	unsigned nchunks;
	struct chunk *chunks[MAX_FETCH_CHUNKS];
	struct iovec iov[MAX_FETCH_CHUNKS];
};

struct object {
	struct objects *all;
	uint32_t number;
	unsigned refs;
	struct blob_ref ref;       /* strings are ours */
	char etag[BLOB_ETAG_MAX];
	uint64_t size;
	enum err_code lost;
	struct readahead ra;
	struct read_req *waiting;  /* for bytes; pinned */
};

struct objects {
	pthread_mutex_t lock;
	pthread_cond_t quiet;      /* active fell to 0 */
	struct blob_client *client;
	struct objects_options o;
	unsigned max_io;
	struct cache *cache;
	uint32_t next_number;
	unsigned prefetches;       /* under way */
	unsigned active;           /* reads and fetches under way */
	bool closing;
	struct read_req *starved;  /* for room; FIFO */
	struct fetch *to_start, **to_start_end;
	struct read_req *to_finish;
	struct objects_stats stats;
};

/* --- fetches --- */

static void fetch_done(void *arg, const struct blob_reply *reply);

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

/* Fetch what is missing in [offset, end); how far it got. Read-ahead leaves an eighth
 * of the cache to others. */
static uint64_t fetch(struct object *o, uint64_t offset, uint64_t end, bool prefetch)
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

static void read_ahead(struct object *o, struct stream *s)
{
	uint64_t n;

	while (o->all->prefetches < o->all->o.max_requests && s->ahead < o->size &&
	       (n = readahead_request(s, MAX_FETCH_BYTES)) > 0) {
		uint64_t end = s->ahead + n < o->size ? s->ahead + n : o->size;
		uint64_t got = fetch(o, s->ahead, end, true);

		s->ahead = got;
		if (got < end)
			return;
	}
}

/* --- reads --- */

static void release(struct objects *all, struct read_req *r)
{
	unsigned i;

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
		if (fetch(r->object, missing_from, missing_end, false) < missing_end)
			return READ_FAILS;
	}
	return complete ? READ_READY : READ_WAITS;
}

static int build_iov(struct read_req *r)
{
	uint64_t pos = r->offset, end = r->offset + r->len;
	int n = 0;

	while (pos < end) {
		unsigned within = (unsigned)(pos & (CHUNK_BYTES - 1));
		uint64_t len = CHUNK_BYTES - within < end - pos ? CHUNK_BYTES - within : end - pos;

		r->iov[n] = (struct iovec) { r->chunks[n]->data + within, len };
		n++;
		pos += len;
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

static void retry_starved(struct objects *all)
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

/* --- what happens without the lock --- */

static void object_drop(struct object *o)
{
	if (--o->refs)
		return;
	free((char *)o->ref.container);
	free((char *)o->ref.blob);
	free(o);
}

static void inactive(struct objects *all)
{
	if (--all->active == 0)
		pthread_cond_broadcast(&all->quiet);
}

static void start(struct fetch *f)
{
	struct object *o = f->object;

	blob_get_range_start(o->all->client, &o->ref, f->offset, f->iov, (int)f->nchunks,
			     *o->etag ? o->etag : NULL, fetch_done, f);
}

static void finish(struct objects *all, struct read_req *r)
{
	if (r->failed)
		r->done(r->arg, &r->err, NULL, 0);
	else
		r->done(r->arg, NULL, r->iov, build_iov(r));
	pthread_mutex_lock(&all->lock);
	release(all, r);
	object_drop(r->object);
	free(r);
	retry_starved(all);
	inactive(all);
}

/* Ends without the lock. */
static void leave(struct objects *all)
{
	struct fetch *f;
	struct read_req *r;

	while (all->to_start || all->to_finish) {
		f = all->to_start;
		r = f ? NULL : all->to_finish;
		if (f)
			all->to_start = f->next;
		if (!all->to_start)
			all->to_start_end = &all->to_start;
		if (!f)
			all->to_finish = r->next;
		pthread_mutex_unlock(&all->lock);
		if (f) {
			start(f);
			pthread_mutex_lock(&all->lock);
		} else {
			finish(all, r);
		}
	}
	pthread_mutex_unlock(&all->lock);
}

/* Reads that waited for [offset, end) of it. */
static void arrived(struct object *o, uint64_t offset, uint64_t end, const struct err *err)
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
	arrived(o, f->offset, f->offset + f->len, err);
	for (i = 0; i < f->nchunks; i++)
		cache_unpin(all->cache, f->chunks[i]);
	if (f->prefetch)
		all->prefetches--;
	if (!err && !all->closing)
		for (i = 0; i < READAHEAD_STREAMS; i++)
			read_ahead(o, &o->ra.streams[i]);
	retry_starved(all);
	free(f);
	object_drop(o);
	inactive(all);
	leave(all);
}

/* --- the face --- */

/* A reader of one member after the other leaves small gaps. */
static struct stream *note(struct object *o, uint64_t offset, uint64_t len)
{
	unsigned i;

	for (i = 0; i < READAHEAD_STREAMS; i++) {
		const struct stream *s = &o->ra.streams[i];

		if (s->reads && offset > s->next && offset - s->next <= GAP)
			return readahead_note(&o->ra, s->next, len + (offset - s->next));
	}
	return readahead_note(&o->ra, offset, len);
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
	s = note(o, offset, len);
	r->fetch_end = s->window ? 0 : random_fetch_end(o, offset, offset + len);
	/* First come, first served, among those who need room. */
	settle(all, r, all->starved ? READ_STARVES : read_step(all, r));
	if (s->window)
		read_ahead(o, s);
	leave(all);
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	char *data;
	struct err err;
};

static void copy_out(void *arg, const struct err *err, const struct iovec *iov, int count)
{
	struct waiter *w = arg;

	for (int i = 0; i < count; i++) {
		memcpy(w->data, iov[i].iov_base, iov[i].iov_len);
		w->data += iov[i].iov_len;
	}
	pthread_mutex_lock(&w->lock);
	if (err)
		w->err = *err;
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

int object_read_wait(struct object *o, uint64_t offset, void *data, uint32_t len, struct err *err)
{
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .data = data };

	object_read(o, offset, len, copy_out, &w);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	if (!w.err.code)
		return 0;
	if (err)
		*err = w.err;
	return -1;
}

struct object *object_open(struct objects *all, const struct blob_ref *ref, const char *etag,
			   uint64_t size)
{
	struct object *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->all = all;
	o->refs = 1;
	o->size = size;
	o->ref.container = strdup(ref->container);
	o->ref.blob = strdup(ref->blob);
	if (!o->ref.container || !o->ref.blob) {
		object_drop(o);
		return NULL;
	}
	strncpy(o->etag, etag, sizeof(o->etag) - 1);
	readahead_init(&o->ra, all->o.window_bytes);
	pthread_mutex_lock(&all->lock);
	o->number = ++all->next_number;
	pthread_mutex_unlock(&all->lock);
	return o;
}

struct object *object_ref(struct object *o)
{
	pthread_mutex_lock(&o->all->lock);
	o->refs++;
	pthread_mutex_unlock(&o->all->lock);
	return o;
}

void object_close(struct object *o)
{
	struct objects *all = o->all;

	pthread_mutex_lock(&all->lock);
	object_drop(o);
	pthread_mutex_unlock(&all->lock);
}

uint64_t object_size(const struct object *o)
{
	return o->size;
}

uint32_t object_number(const struct object *o)
{
	return o->number;
}

enum err_code object_lost(struct object *o)
{
	enum err_code code;

	pthread_mutex_lock(&o->all->lock);
	code = o->lost;
	pthread_mutex_unlock(&o->all->lock);
	return code;
}

static void fill_defaults(struct objects_options *o)
{
	if (!o->cache_bytes)
		o->cache_bytes = DEFAULT_CACHE;
	if (o->cache_bytes < MIN_CACHE)
		o->cache_bytes = MIN_CACHE;
	if (!o->fetch_bytes)
		o->fetch_bytes = CHUNK_BYTES;
	if (!o->max_requests)
		o->max_requests = 16;
	if (!o->window_bytes)
		o->window_bytes = DEFAULT_WINDOW;
	if (o->window_bytes > o->cache_bytes / 2)
		o->window_bytes = (unsigned)(o->cache_bytes / 2);
}

struct objects *objects_new(struct blob_client *client, const struct objects_options *o,
			    struct err *err)
{
	struct objects *all = calloc(1, sizeof(*all));
	unsigned quarter;

	if (!all) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	all->client = client;
	all->o = *o;
	all->to_start_end = &all->to_start;
	fill_defaults(&all->o);
	all->cache = cache_new_untouched(all->o.cache_bytes, err);
	if (!all->cache) {
		free(all);
		return NULL;
	}
	quarter = (unsigned)(cache_chunks(all->cache) / 4) << CHUNK_SHIFT;
	all->max_io = quarter < MAX_IO_BYTES ? quarter : MAX_IO_BYTES;
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->quiet, NULL);
	return all;
}

void objects_stop(struct objects *all)
{
	pthread_mutex_lock(&all->lock);
	all->closing = true;
	while (all->active)
		pthread_cond_wait(&all->quiet, &all->lock);
	pthread_mutex_unlock(&all->lock);
}

void objects_free(struct objects *all)
{
	if (!all)
		return;
	objects_stop(all);
	cache_free(all->cache);
	pthread_cond_destroy(&all->quiet);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

unsigned objects_max_io(const struct objects *all)
{
	return all->max_io;
}

void objects_stats(struct objects *all, struct objects_stats *out)
{
	pthread_mutex_lock(&all->lock);
	*out = all->stats;
	out->cache_bytes = all->o.cache_bytes;
	out->cached_bytes = cache_used_bytes(all->cache);
	pthread_mutex_unlock(&all->lock);
}
