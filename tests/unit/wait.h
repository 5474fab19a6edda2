/* Waiting for a callback, with a deadline that is a failure. */
#ifndef HPCPACK_TESTS_WAIT_H
#define HPCPACK_TESTS_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "blob/client.h"

#define WAIT_SECONDS 120

struct waited {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int calls;
	struct err err;
	bool unknown;
	char etag[BLOB_ETAG_MAX];
};

#define WAITED_INIT { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER }

static inline void waited_signal(struct waited *w)
{
	pthread_mutex_lock(&w->lock);
	w->calls++;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

/* Until there were so many calls. */
static inline void waited_wait_for(struct waited *w, int calls)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_SECONDS;
	pthread_mutex_lock(&w->lock);
	while (w->calls < calls && !rc)
		rc = pthread_cond_timedwait(&w->changed, &w->lock, &until);
	pthread_mutex_unlock(&w->lock);
	if (rc)
		fail_msg("waited for %d calls, and %d came", calls, w->calls);
}

static inline void waited_wait(struct waited *w)
{
	waited_wait_for(w, 1);
}

#endif
