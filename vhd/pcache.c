#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blob/base/log.h"
#include "vhd/pcache_priv.h"

#define STACK_BYTES (256u << 10)

int64_t pcache_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void pcache_add(struct pcache *pc, uint64_t *counter, uint64_t n)
{
	pthread_mutex_lock(&pc->lock);
	*counter += n;
	pthread_mutex_unlock(&pc->lock);
}

/* What is there can be read also when nothing more can be written. */
void pcache_give_up(struct pcache *pc, bool reading, const char *what, int why)
{
	bool was = atomic_exchange(&pc->no_fill, true);

	if (reading)
		was = atomic_exchange(&pc->off, true);
	if (!was)
		log_warn("can't %s the cache directory %s: %s; %s", what, pc->dir, strerror(why),
			 reading ? "going on without it" : "nothing more is kept there by this mount");
}

/* --- what was changed --- */

void pcache_changed(struct pcache *pc, uint64_t offset, uint64_t len)
{
	uint64_t chunk = offset >> CHUNK_SHIFT, last = (offset + len - 1) >> CHUNK_SHIFT;

	for (; chunk <= last; chunk++) {
		uint64_t bit = UINT64_C(1) << (chunk & 63);

		if (!(atomic_load(&pc->changed[chunk >> 6]) & bit))
			atomic_fetch_or(&pc->changed[chunk >> 6], bit);
	}
}

bool pcache_is_changed(const struct pcache *pc, uint64_t chunk)
{
	return atomic_load(&pc->changed[chunk >> 6]) >> (chunk & 63) & 1;
}

/* --- the queues --- */

static uint64_t total(const struct iovec *iov, int count)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < count; i++)
		n += iov[i].iov_len;
	return n;
}

/* Whole granules at both ends, within the disk. */
static bool suits(const struct pcache *pc, uint64_t offset, uint64_t len)
{
	uint64_t end = offset + len;

	return offset % PCACHE_GRANULE == 0 && end > offset && end <= pc->size &&
	       (end % PCACHE_GRANULE == 0 || end == pc->size);
}

static struct pcache_req *make_req(uint64_t offset, const struct iovec *iov, int count, void *arg)
{
	struct pcache_req *r = malloc(sizeof(*r));

	if (r)
		*r = (struct pcache_req){ .offset = offset, .len = total(iov, count), .iov = iov, .count = count,
					  .arg = arg };
	return r;
}

/* Under the lock. */
static void push(struct pcache_queue *q, struct pcache_req *r)
{
	r->next = NULL;
	*q->last = r;
	q->last = &r->next;
	q->count++;
	q->bytes += r->len;
	pthread_cond_signal(&q->cond);
}

static struct pcache_req *pop(struct pcache_queue *q)
{
	struct pcache_req *r = q->first;

	q->first = r->next;
	if (!q->first)
		q->last = &q->first;
	q->count--;
	q->busy++;
	return r;
}

static bool all_changed(const struct pcache *pc, uint64_t offset, uint64_t len)
{
	uint64_t chunk = offset >> CHUNK_SHIFT, last = (offset + len - 1) >> CHUNK_SHIFT;

	while (chunk <= last && pcache_is_changed(pc, chunk))
		chunk++;
	return chunk > last;
}

void pcache_read(struct pcache *pc, uint64_t offset, const struct iovec *iov, int count,
		 pcache_read_fn *done, void *arg)
{
	uint64_t len = total(iov, count);
	struct pcache_req *r = NULL;
	bool queued = false;

	if (!atomic_load(&pc->off) && suits(pc, offset, len) && !all_changed(pc, offset, len))
		r = make_req(offset, iov, count, arg);
	if (r) {
		r->read_done = done;
		pthread_mutex_lock(&pc->lock);
		queued = !pc->stopping && pc->reads.count < READ_QUEUE;
		if (queued)
			push(&pc->reads, r);
		pthread_mutex_unlock(&pc->lock);
	}
	if (queued)
		return;
	free(r);
	done(arg, offset, offset + len);
}

bool pcache_fill(struct pcache *pc, uint64_t offset, const struct iovec *iov, int count,
		 pcache_fill_fn *done, void *arg)
{
	uint64_t len = total(iov, count);
	struct pcache_req *r = NULL;
	bool queued = false;

	if (!atomic_load(&pc->no_fill) && suits(pc, offset, len) && !all_changed(pc, offset, len))
		r = make_req(offset, iov, count, arg);
	pthread_mutex_lock(&pc->lock);
	if (r) {
		r->fill_done = done;
		queued = !pc->stopping && pc->fills.bytes + len <= pc->queue_bytes;
	}
	if (queued)
		push(&pc->fills, r);
	else
		pc->stats.dropped_bytes += len;
	pthread_mutex_unlock(&pc->lock);
	if (!queued)
		free(r);
	return queued;
}

void pcache_drain(struct pcache *pc)
{
	pthread_mutex_lock(&pc->lock);
	while (pc->reads.count + pc->reads.busy + pc->fills.count + pc->fills.busy)
		pthread_cond_wait(&pc->idle, &pc->lock);
	pthread_mutex_unlock(&pc->lock);
}

void pcache_stats(struct pcache *pc, struct pcache_stats *out)
{
	pthread_mutex_lock(&pc->lock);
	*out = pc->stats;
	pthread_mutex_unlock(&pc->lock);
	out->no_fill = atomic_load(&pc->no_fill);
	out->off = atomic_load(&pc->off);
}

/* --- the threads --- */

static void serve(struct pcache *pc, struct pcache_queue *q, void (*work)(struct pcache *pc, struct pcache_req *r))
{
	pthread_mutex_lock(&pc->lock);
	for (;;) {
		struct pcache_req *r;

		while (!q->count && !pc->stopping)
			pthread_cond_wait(&q->cond, &pc->lock);
		if (!q->count)
			break;
		r = pop(q);
		pthread_mutex_unlock(&pc->lock);
		work(pc, r);
		pthread_mutex_lock(&pc->lock);
		q->busy--;
		q->bytes -= r->len;
		free(r);
		pthread_cond_broadcast(&pc->idle);
	}
	pthread_mutex_unlock(&pc->lock);
}

static void *reader_main(void *arg)
{
	struct pcache *pc = arg;

	serve(pc, &pc->reads, pcache_do_read);
	return NULL;
}

static void *filler_main(void *arg)
{
	struct pcache *pc = arg;

	pcache_room_check(pc);
	serve(pc, &pc->fills, pcache_do_fill);
	return NULL;
}

static int start_threads(struct pcache *pc, struct err *err)
{
	pthread_attr_t attr;
	int rc = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	while (rc == 0 && pc->nthreads <= READERS) {
		rc = pthread_create(&pc->threads[pc->nthreads], &attr,
				    pc->nthreads < READERS ? reader_main : filler_main, pc);
		if (rc == 0)
			pc->nthreads++;
	}
	pthread_attr_destroy(&attr);
	return rc ? err_set_errno(err, rc, "can't start the threads of the cache directory") : 0;
}

/* What is queued is still done: whoever waits for it is told. */
static void stop_threads(struct pcache *pc)
{
	unsigned i;

	pthread_mutex_lock(&pc->lock);
	pc->stopping = true;
	pthread_cond_broadcast(&pc->reads.cond);
	pthread_cond_broadcast(&pc->fills.cond);
	pthread_mutex_unlock(&pc->lock);
	for (i = 0; i < pc->nthreads; i++)
		pthread_join(pc->threads[i], NULL);
}

/* --- open and close --- */

static void init_queue(struct pcache_queue *q)
{
	q->last = &q->first;
	pthread_cond_init(&q->cond, NULL);
}

static void free_all(struct pcache *pc)
{
	pcache_extents_close(pc);
	pcache_dir_close(pc);
	pthread_cond_destroy(&pc->reads.cond);
	pthread_cond_destroy(&pc->fills.cond);
	pthread_cond_destroy(&pc->idle);
	pthread_mutex_destroy(&pc->lock);
	free((void *)pc->changed);
	free(pc->dir);
	free(pc->drive);
	free(pc);
}

struct pcache *pcache_open(const struct pcache_options *o, struct err *err)
{
	uint64_t chunks = (o->size + CHUNK_BYTES - 1) >> CHUNK_SHIFT;
	struct pcache *pc = calloc(1, sizeof(*pc));

	if (!pc) {
		err_set(err, ERR_NO_MEMORY, "no memory for the cache directory %s", o->dir);
		return NULL;
	}
	pthread_mutex_init(&pc->lock, NULL);
	pthread_cond_init(&pc->idle, NULL);
	init_queue(&pc->reads);
	init_queue(&pc->fills);
	pc->drives_fd = pc->own_fd = pc->former_fd = pc->room_fd = -1;
	pc->size = o->size;
	pc->limit = o->max_bytes ? o->max_bytes : PCACHE_DEFAULT_BYTES;
	pc->queue_bytes = o->queue_bytes;
	pc->owned = o->owned;
	pc->dir = strdup(o->dir);
	pc->drive = strdup(o->drive);
	pc->changed = calloc((chunks >> 6) + 1, sizeof(*pc->changed));
	if (!pc->dir || !pc->drive || !pc->changed) {
		err_set(err, ERR_NO_MEMORY, "no memory for the cache directory %s", o->dir);
		free_all(pc);
		return NULL;
	}
	if (pcache_dir_open(pc, o, err) < 0) {
		free_all(pc);
		return NULL;
	}
	if (start_threads(pc, err) < 0) {
		stop_threads(pc);
		free_all(pc);
		return NULL;
	}
	return pc;
}

void pcache_close(struct pcache *pc, const char *version)
{
	stop_threads(pc);
	pcache_extents_close(pc);
	if (pc->owned && version)
		pcache_dir_finish(pc, version);
	free_all(pc);
}
