/* object.c - objects; see vhd/object_priv.h. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "vhd/object_priv.h"

#define DEFAULT_CACHE (UINT64_C(256) << 20)
#define MIN_CACHE (UINT64_C(1) << 20)
#define DEFAULT_WINDOW (64u << 20)

void object_drop(struct object *o)
{
	if (--o->refs)
		return;
	free((char *)o->ref.container);
	free((char *)o->ref.blob);
	free(o);
}

void objects_inactive(struct objects *all)
{
	if (--all->active == 0)
		pthread_cond_broadcast(&all->quiet);
}

void objects_leave(struct objects *all)
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
			object_fetch_start(f);
			pthread_mutex_lock(&all->lock);
		} else {
			object_finish(all, r);
		}
	}
	pthread_mutex_unlock(&all->lock);
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
