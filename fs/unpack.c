#include <config.h>

#include "fs/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "fs/unpack_priv.h"

#define MIB (UINT64_C(1) << 20)
#define DEFAULT_MEMORY (256 * MIB)
#define DEFAULT_FILES (4096 * MIB)
#define MIN_BYTES (16 * MIB)
#define MAX_THREADS 8u
#define MAX_IO (1u << 20)

/* Wait for it: at the end, so that who came first is served first. */
static void wait_for(struct unpack *u, struct member *m, struct unpack_req *r)
{
	struct unpack_req **p = &m->waiting;

	while (*p)
		p = &(*p)->next;
	r->next = NULL;
	*p = r;
	if (m->state == IDLE || m->state == PARKED)
		unpack_enqueue(u, m);
}

/* With the lock, which it gives back. */
static void answer_now(struct unpack *u, struct member *m, struct unpack_req *r)
{
	r->next = unpack_take_ready(m); /* who came while it was inflated here */
	if (r->offset + r->len > m->served)
		m->served = r->offset + r->len;
	if (m->lru_next) {
		unpack_lru_remove(m);
		unpack_lru_add(m);
	}
	/* Who reads on will not have to wait. */
	if (m->state == PARKED && !m->right && m->made < m->served + u->window_bytes / 8)
		unpack_enqueue(u, m);
	m->pins++;
	pthread_mutex_unlock(&u->lock);
	unpack_answer(m, r, NULL);
	pthread_mutex_lock(&u->lock);
	m->pins--;
	pthread_cond_broadcast(&u->unpinned);
	pthread_mutex_unlock(&u->lock);
}

static int check(struct unpack *u, const struct unpack_member *m, uint64_t offset, uint32_t len,
		 struct err *err)
{
	const struct pack_entry *e = m->entry;

	if (u->stopping)
		return err_set(err, ERR_CANCELLED, "%s: is being unmounted", m->name);
	if (!len || len > unpack_max_io(u) || offset > e->size || len > e->size - offset)
		return err_set(err, ERR_RANGE, "%s: %s: %u bytes at %" PRIu64 " can't be read", m->name,
			       e->path, len, offset);
	return 0;
}

void unpack_read(struct unpack *u, const struct unpack_member *face, uint64_t offset, uint32_t len,
		 object_read_fn *done, void *arg)
{
	struct unpack_req *r = malloc(sizeof(*r));
	struct member *m = NULL;
	struct err err;
	int rc;

	pthread_mutex_lock(&u->lock);
	rc = check(u, face, offset, len, &err);
	if (rc == 0) {
		m = unpack_find(u, object_number(face->object), face->entry->header_offset);
		if (r && !m)
			m = unpack_add(u, face);
		if (!r || !m)
			rc = err_set(&err, ERR_NO_MEMORY, "%s: out of memory", face->name);
		else if (m->state == DAMAGED) {
			err = m->err;
			rc = -1;
		}
	}
	if (rc < 0) {
		pthread_mutex_unlock(&u->lock);
		free(r);
		done(arg, &err, NULL, 0);
		return;
	}
	*r = (struct unpack_req) { .offset = offset, .len = len, .done = done, .arg = arg };
	if (m->state == IDLE)
		unpack_here(m);
	if (unpack_is_there(m, r)) {
		answer_now(u, m, r);
		return;
	}
	wait_for(u, m, r);
	pthread_mutex_unlock(&u->lock);
}

/* --- open and close --- */

static int open_dir(struct unpack *u, struct err *err)
{
	cleanup_close int probe = -1;

	u->dir_fd = open(u->o.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (u->dir_fd < 0)
		return err_set_errno(err, errno, "the cache directory %s", u->o.dir);
	probe = openat(u->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (probe < 0 && errno == EOPNOTSUPP)
		return err_set(err, ERR_UNSUPPORTED, "the cache directory %s: its file system has no files "
			       "without names (O_TMPFILE); choose one on a local disk", u->o.dir);
	if (probe < 0 && errno != ENOSPC)
		return err_set_errno(err, errno, "the cache directory %s can't be written to", u->o.dir);
	return 0;
}

/* A quarter of the memory at most is for windows, of which there are some more than
 * threads. */
static void divide(struct unpack *u)
{
	uint64_t memory = u->o.dir ? DEFAULT_MEMORY : u->o.bytes;
	uint64_t threads = memory / (32 * MIB), window;

	threads = threads < 2 ? 2 : threads > MAX_THREADS ? MAX_THREADS : threads;
	if (u->o.threads)
		threads = u->o.threads;
	u->o.threads = (unsigned)threads;
	u->windows_max = u->o.threads + 2;
	window = memory / 4 / u->windows_max;
	window = window > 4 * MIB ? 4 * MIB : window < UNPACK_SMALL ? UNPACK_SMALL : window;
	u->window_bytes = (unsigned)(window & ~(uint64_t)(PIECE - 1));
	u->room = u->o.bytes - (u->o.dir ? 0 : (uint64_t)u->windows_max * u->window_bytes);
}

static int start_threads(struct unpack *u, struct err *err)
{
	u->threads = calloc(u->o.threads, sizeof(*u->threads));
	if (!u->threads)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (; u->started < u->o.threads; u->started++) {
		int rc = pthread_create(&u->threads[u->started], NULL, unpack_thread, u);

		if (rc)
			return err_set_errno(err, rc, "can't start a thread for unpacking");
	}
	return 0;
}

struct unpack *unpack_new(const struct unpack_options *o, struct err *err)
{
	struct unpack *u = calloc(1, sizeof(*u));

	if (!u) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	u->o = *o;
	u->o.dir = o->dir ? strdup(o->dir) : NULL;
	u->dir_fd = -1;
	if (!u->o.bytes)
		u->o.bytes = o->dir ? DEFAULT_FILES : DEFAULT_MEMORY;
	if (u->o.bytes < MIN_BYTES)
		u->o.bytes = MIN_BYTES;
	divide(u);
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->work, NULL);
	pthread_cond_init(&u->unpinned, NULL);
	u->queue_end = &u->queue;
	u->lru.lru_next = u->lru.lru_prev = &u->lru;
	if ((o->dir && (!u->o.dir || open_dir(u, err) < 0)) || start_threads(u, err) < 0) {
		unpack_free(u);
		return NULL;
	}
	return u;
}

void unpack_stop(struct unpack *u)
{
	struct err err;
	unsigned i;

	pthread_mutex_lock(&u->lock);
	u->stopping = true;
	pthread_cond_broadcast(&u->work);
	while (u->here)
		pthread_cond_wait(&u->unpinned, &u->lock);
	pthread_mutex_unlock(&u->lock);
	for (i = 0; i < u->started; i++)
		pthread_join(u->threads[i], NULL);
	u->started = 0;
	err_set(&err, ERR_CANCELLED, "the package is being unmounted");
	for (i = 0; i < UNPACK_BUCKETS; i++)
		for (struct member *m = u->buckets[i]; m; m = m->hash_next)
			unpack_answer(m, unpack_take_all(m), &err);
}

void unpack_free(struct unpack *u)
{
	unsigned i;

	if (!u)
		return;
	unpack_stop(u);
	for (i = 0; i < UNPACK_BUCKETS; i++)
		while (u->buckets[i]) {
			unpack_vacate(u->buckets[i]);
			unpack_drop(u->buckets[i]);
		}
	while (u->inflaters) {
		struct inflater *f = u->inflaters;

		u->inflaters = f->next;
		inflater_free(f);
	}
	if (u->dir_fd >= 0)
		close(u->dir_fd);
	free((char *)u->o.dir);
	free(u->threads);
	pthread_cond_destroy(&u->work);
	pthread_cond_destroy(&u->unpinned);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

unsigned unpack_max_io(const struct unpack *u)
{
	return u->window_bytes / 2 < MAX_IO ? u->window_bytes / 2 : MAX_IO;
}

void unpack_stats(struct unpack *u, struct unpack_stats *out)
{
	pthread_mutex_lock(&u->lock);
	*out = u->stats;
	out->bytes = u->o.bytes;
	out->used += (uint64_t)u->windows * u->window_bytes;
	pthread_mutex_unlock(&u->lock);
}

void unpack_forget(struct unpack *u, uint32_t number)
{
	struct member *m, *next;
	unsigned i;

	pthread_mutex_lock(&u->lock);
	for (i = 0; i < UNPACK_BUCKETS; i++)
		for (m = u->buckets[i]; m; m = next) {
			next = m->hash_next;
			if (object_number(m->object) == number && !m->pins && !m->waiting &&
			    (m->state == COMPLETE || m->state == PARKED || m->state == DAMAGED))
				unpack_reset(m);
		}
	pthread_mutex_unlock(&u->lock);
}
