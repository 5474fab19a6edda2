#include <config.h>

#include "vhd/disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blob/base/log.h"
#include "vhd/disk_priv.h"

#define DEFAULT_CACHE (UINT64_C(256) << 20)
#define MIN_CACHE (UINT64_C(1) << 20)
#define DEFAULT_OVERLAY (UINT64_C(1) << 30)

/* The disk whose tasks this thread is running: a nested disk_leave() (a callback
 * that starts I/O, a store that answers at once) leaves its tasks to the outer
 * one, so that the stack does not grow with the length of a chain. */
static __thread struct disk *running;

uint64_t disk_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void disk_enter(struct disk *d)
{
	pthread_mutex_lock(&d->lock);
}

void disk_active(struct disk *d)
{
	d->active++;
}

void disk_inactive(struct disk *d)
{
	if (--d->active == 0)
		pthread_cond_broadcast(&d->quiet);
}

void disk_queue(struct disk *d, struct task *t, void (*run)(struct disk *d, struct task *t))
{
	t->run = run;
	t->next = NULL;
	*d->tasks_end = t;
	d->tasks_end = &t->next;
	disk_active(d);
}

void disk_leave(struct disk *d)
{
	struct disk *outer = running;
	struct task *t;

#ifdef DEBUG_CHECKS
	cache_check(d->cache);
#endif
	if (outer == d) {
		pthread_mutex_unlock(&d->lock);
		return;
	}
	running = d;
	while ((t = d->tasks)) {
		d->tasks = t->next;
		if (!d->tasks)
			d->tasks_end = &d->tasks;
		pthread_mutex_unlock(&d->lock);
		t->run(d, t);
		pthread_mutex_lock(&d->lock);
		disk_inactive(d);
	}
	running = outer;
	pthread_mutex_unlock(&d->lock);
}

void disk_need_clock(struct disk *d)
{
	pthread_cond_signal(&d->tick);
}

bool disk_overlaps(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a < b_end && b < a_end;
}

void disk_wake(struct disk *d)
{
	disk_writes_retry(d);
	disk_discards_retry(d);
	disk_reads_retry(d);
	disk_store_kick(d);
	disk_flushes_check(d);
}

void disk_note_failure(struct disk *d, const struct err *err)
{
	if (d->stats.failed || err->code != ERR_NOT_FOUND)
		return;
	d->stats.failed = true;
	snprintf(d->stats.failure, sizeof(d->stats.failure), "%.*s",
		 (int)sizeof(d->stats.failure) - 1, err->msg);
	log_error("%s", err->msg);
}

/* --- open and close --- */

static void fill_defaults(struct disk_options *o)
{
	if (!o->cache_bytes)
		o->cache_bytes = DEFAULT_CACHE;
	if (o->cache_bytes < MIN_CACHE)
		o->cache_bytes = MIN_CACHE;
	if (!o->overlay_bytes)
		o->overlay_bytes = DEFAULT_OVERLAY;
	if (!o->max_requests)
		o->max_requests = 16;
	if (!o->window_bytes)
		o->window_bytes = 64u << 20;
	if (o->window_bytes > o->cache_bytes / 2)
		o->window_bytes = (unsigned)(o->cache_bytes / 2);
	if (!o->io_deadline_ms)
		o->io_deadline_ms = 120000;
}

static void init_sync(struct disk *d)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&d->tick, &attr);
	pthread_cond_init(&d->quiet, NULL);
	pthread_condattr_destroy(&attr);
}

static void free_disk(struct disk *d)
{
	cache_free(d->cache);
	map_free(d->map);
	free(d->stores);
	pthread_cond_destroy(&d->tick);
	pthread_cond_destroy(&d->quiet);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

struct disk *disk_open(const struct store *store, struct lease_keeper *lease,
		       const struct disk_options *o, struct err *err)
{
	struct disk *d;
	unsigned quarter;

	if (!o->size || o->size % SECTOR_BYTES) {
		err_set(err, ERR_RANGE, "a disk of %" PRIu64 " bytes is not made of sectors", o->size);
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		err_set(err, ERR_NO_MEMORY, "no memory for a disk");
		return NULL;
	}
	init_sync(d);
	d->store = *store;
	d->lease = lease;
	d->o = *o;
	fill_defaults(&d->o);
	d->tasks_end = &d->tasks;
	d->dirty.dirty_next = d->dirty.dirty_prev = &d->dirty;
	d->epoch = 1;
	d->lease_state = LEASE_HELD;
	readahead_init(&d->ra, d->o.window_bytes);
	fetch_size_init(&d->fetch_size, d->o.fetch_bytes);
	d->nstores = d->o.max_requests;
	d->stores = calloc(d->nstores, sizeof(*d->stores));
	d->map = map_new(o->size);
	d->cache = cache_new(d->o.cache_bytes, err);
	if (!d->stores || !d->map || !d->cache) {
		if (d->cache)
			err_set(err, ERR_NO_MEMORY, "no memory for a disk of %" PRIu64 " bytes", o->size);
		free_disk(d);
		return NULL;
	}
	quarter = (unsigned)(cache_chunks(d->cache) / 4) << CHUNK_SHIFT;
	d->max_io = quarter < MAX_IO_BYTES ? quarter : MAX_IO_BYTES;
	d->clock_runs = true;
	if (pthread_create(&d->clock, NULL, disk_clock_main, d)) {
		err_set(err, ERR_NO_MEMORY, "can't start the disk's clock thread");
		free_disk(d);
		return NULL;
	}
	disk_enter(d);
	disk_map_touch(d, 0);
	disk_map_touch(d, (o->size - 1) >> CHUNK_SHIFT);
	disk_leave(d);
	return d;
}

struct closing {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	struct err err;
};

static void close_flushed(void *arg, const struct err *err)
{
	struct closing *c = arg;

	pthread_mutex_lock(&c->lock);
	if (err)
		c->err = *err;
	c->done = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

/* The last flush. Where storage took nothing for a whole deadline already, it is
 * not waited for a second time. */
static void flush_and_wait(struct disk *d, struct err *err)
{
	struct closing c = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
	};
	bool hopeless;

	disk_enter(d);
	hopeless = d->stalled && d->dirty_sectors + d->writing_sectors;
	disk_leave(d);
	if (hopeless) {
		err_set(err, ERR_TIMEOUT, "storage took no writes for %u s", d->o.io_deadline_ms / 1000);
		return;
	}
	disk_flush(d, close_flushed, &c);
	pthread_mutex_lock(&c.lock);
	while (!c.done)
		pthread_cond_wait(&c.cond, &c.lock);
	pthread_mutex_unlock(&c.lock);
	*err = c.err;
}

int disk_close(struct disk *d, struct err *err)
{
	struct err cancelled, failure;
	uint64_t left;

	flush_and_wait(d, &failure);
	err_set(&cancelled, ERR_CANCELLED, "the disk is being closed");
	disk_enter(d);
	d->closing = true;
	left = (d->dirty_sectors + d->writing_sectors) << SECTOR_SHIFT;
	disk_writes_fail(d, &cancelled);
	disk_discards_fail(d, &cancelled);
	disk_flushes_fail(d, 0, &cancelled);
	disk_reads_expire(d, UINT64_MAX);
	disk_leave(d);
	if (failure.code != ERR_NONE && d->store.ops->abort)
		d->store.ops->abort(d->store.impl);

	disk_enter(d);
	while (d->active)
		pthread_cond_wait(&d->quiet, &d->lock);
	d->clock_runs = false;
	pthread_cond_signal(&d->tick);
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->clock, NULL);
	free_disk(d);

	if (failure.code == ERR_NONE)
		return 0;
	if (err)
		*err = failure;
	if (failure.code == ERR_LEASE_LOST)
		return -1;
	return err_prefix(err, "%" PRIu64 " bytes that were written could not be made durable", left);
}

/* --- facts --- */

uint64_t disk_size(const struct disk *d)
{
	return d->o.size;
}

unsigned disk_max_io(const struct disk *d)
{
	return d->max_io;
}

void disk_stats(struct disk *d, struct disk_stats *out)
{
	disk_enter(d);
	*out = d->stats;
	out->cache_bytes = d->o.cache_bytes;
	out->cached_bytes = cache_used_bytes(d->cache);
	out->dirty_bytes = (d->dirty_sectors + d->writing_sectors) << SECTOR_SHIFT;
	pthread_mutex_unlock(&d->lock);
}
