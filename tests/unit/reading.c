#include <config.h>

#include "tests/unit/reading.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/unit.h"
#include "tests/unit/wait.h"

void reading_init(struct reading *r, bool stay)
{
	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	r->stay = stay;
}

void reading_free(struct reading *r)
{
	unsigned calls;

	/* Whoever signals last has the lock. */
	pthread_mutex_lock(&r->lock);
	calls = r->calls;
	pthread_mutex_unlock(&r->lock);
	assert_true(calls <= 1);
	free(r->data);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
}

static void take(struct reading *r, const struct iovec *iov, int count)
{
	size_t len = 0;

	for (int i = 0; i < count; i++)
		len += iov[i].iov_len;
	free(r->data);
	r->data = malloc(len ? len : 1);
	r->len = 0;
	for (int i = 0; r->data && i < count; i++) {
		memcpy(r->data + r->len, iov[i].iov_base, iov[i].iov_len);
		r->len += iov[i].iov_len;
	}
}

void reading_done(void *arg, const struct err *err, const struct iovec *iov, int count)
{
	struct reading *r = arg;

	pthread_mutex_lock(&r->lock);
	if (err)
		r->err = *err;
	r->inside = true;
	pthread_cond_broadcast(&r->changed);
	while (r->stay)
		pthread_cond_wait(&r->changed, &r->lock);
	if (!err)
		take(r, iov, count);
	r->inside = false;
	r->calls++;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* With the lock; false after the deadline. */
static bool wait_changed(struct reading *r, const struct timespec *deadline)
{
	return pthread_cond_timedwait(&r->changed, &r->lock, deadline) == 0;
}

static struct timespec deadline(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += WAIT_SECONDS;
	return t;
}

enum err_code reading_wait(struct reading *r)
{
	struct timespec end = deadline();
	unsigned calls;

	pthread_mutex_lock(&r->lock);
	while (!r->calls && wait_changed(r, &end))
		;
	calls = r->calls;
	pthread_mutex_unlock(&r->lock);
	if (calls != 1)
		fail_msg("the callback of a read was called %u times", calls);
	return r->err.code;
}

bool reading_is_over(struct reading *r)
{
	bool over;

	pthread_mutex_lock(&r->lock);
	over = r->calls > 0;
	pthread_mutex_unlock(&r->lock);
	return over;
}

void reading_wait_inside(struct reading *r)
{
	struct timespec end = deadline();
	bool inside;

	pthread_mutex_lock(&r->lock);
	while (!r->inside && wait_changed(r, &end))
		;
	inside = r->inside;
	pthread_mutex_unlock(&r->lock);
	if (!inside)
		fail_msg("nobody called back");
}

void reading_leave(struct reading *r)
{
	pthread_mutex_lock(&r->lock);
	r->stay = false;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

void until(bool (*holds)(void *arg), void *arg, const char *what)
{
	struct timespec pause = { .tv_nsec = 1000000 }, end = deadline(), now;

	while (!holds(arg)) {
		clock_gettime(CLOCK_REALTIME, &now);
		if (now.tv_sec > end.tv_sec)
			fail_msg("never: %s", what);
		nanosleep(&pause, NULL);
	}
}

uint64_t seed_of_test(void)
{
	const char *text = getenv("HPCPACK_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = text ? strtoull(text, NULL, 10) : (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	printf("# HPCPACK_SEED=%" PRIu64 "\n", seed);
	fflush(stdout);
	return seed ? seed : 1;
}

uint64_t seed_below(uint64_t *state, uint64_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state * 0x2545f4914f6cdd1du >> 16) % n;
}
