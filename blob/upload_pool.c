#include <config.h>

#include "blob/upload_pool.h"

#include <stdlib.h>
#include <string.h>

/* All buffers together; a single one may be larger if its user said so. */
#define POOL_BYTES (64ull << 20)

int upload_pool_init(struct upload *u, uint64_t buffer_bytes, size_t max_pieces, struct err *err)
{
	uint64_t wanted = POOL_BYTES / buffer_bytes;

	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->changed, NULL);
	if (wanted > UPLOAD_SLOTS)
		wanted = UPLOAD_SLOTS;
	if (wanted < 2)
		wanted = 2;
	for (unsigned i = 0; i < wanted; i++) {
		struct upload_slot *s = &u->slots[i];

		s->u = u;
		s->data = malloc(buffer_bytes);
		s->pieces = malloc(max_pieces * sizeof(*s->pieces));
		u->slot_count = i + 1;
		u->idle = i + 1;
		if (!s->data || !s->pieces) {
			upload_pool_free(u);
			return err_set(err, ERR_NO_MEMORY,
				       "no memory for %llu buffers of %llu bytes: choose a smaller block size",
				       (unsigned long long)wanted, (unsigned long long)buffer_bytes);
		}
	}
	return 0;
}

void upload_pool_free(struct upload *u)
{
	upload_drain(u, NULL);
	for (unsigned i = 0; i < u->slot_count; i++) {
		free(u->slots[i].data);
		free(u->slots[i].pieces);
	}
	pthread_cond_destroy(&u->changed);
	pthread_mutex_destroy(&u->lock);
}

/* With the lock held, which is let go meanwhile: tell the user how far it is. */
static void tell(struct upload *u)
{
	const struct upload_options *o = u->options;
	uint64_t done = u->stats.sent + u->stats.skipped;

	if (!o->progress)
		return;
	pthread_mutex_unlock(&u->lock);
	o->progress(o->arg, done, u->total);
	pthread_mutex_lock(&u->lock);
}

struct upload_slot *upload_slot_get(struct upload *u)
{
	struct upload_slot *found = NULL;

	pthread_mutex_lock(&u->lock);
	while (!u->failed && !u->idle)
		pthread_cond_wait(&u->changed, &u->lock);
	for (unsigned i = 0; !u->failed && !found; i++)
		if (u->slots[i].state == SLOT_IDLE)
			found = &u->slots[i];
	if (found) {
		found->state = SLOT_FILLING;
		u->idle--;
	}
	pthread_mutex_unlock(&u->lock);
	return found;
}

void upload_slot_put(struct upload_slot *s)
{
	upload_slot_done(s, NULL);
}

/* With the lock held; `why` may be NULL. */
static void keep_first(struct upload *u, const struct err *why)
{
	if (why && !u->failed) {
		u->failed = true;
		u->why = *why;
	}
}

void upload_slot_done(struct upload_slot *s, const struct err *why)
{
	struct upload *u = s->u;

	pthread_mutex_lock(&u->lock);
	s->state = SLOT_IDLE;
	u->idle++;
	keep_first(u, why);
	pthread_cond_broadcast(&u->changed);
	pthread_mutex_unlock(&u->lock);
}

void upload_feeder_begins(struct upload *u)
{
	pthread_mutex_lock(&u->lock);
	u->feeders++;
	pthread_mutex_unlock(&u->lock);
}

void upload_feeder_ended(struct upload *u, const struct err *why)
{
	pthread_mutex_lock(&u->lock);
	u->feeders--;
	keep_first(u, why);
	pthread_cond_broadcast(&u->changed);
	pthread_mutex_unlock(&u->lock);
}

int upload_drain(struct upload *u, struct err *err)
{
	bool failed;

	pthread_mutex_lock(&u->lock);
	while (u->feeders || u->idle < u->slot_count) {
		pthread_cond_wait(&u->changed, &u->lock);
		tell(u);
	}
	failed = u->failed;
	if (failed && err)
		*err = u->why;
	pthread_mutex_unlock(&u->lock);
	return failed ? -1 : 0;
}

void upload_skip(struct upload *u, uint64_t bytes)
{
	pthread_mutex_lock(&u->lock);
	u->stats.skipped += bytes;
	pthread_mutex_unlock(&u->lock);
}
