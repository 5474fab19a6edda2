#include <config.h>

#include "fs/worker.h"

#include <time.h>

#include "blob/base/log.h"

/* After the data: for the lease, the snapshot and a last look at the blob. */
#define FAREWELL_MS 10000

int64_t worker_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool worker_stopping(struct worker *w)
{
	bool stop;

	pthread_mutex_lock(&w->lock);
	stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	return stop;
}

int worker_check_stop(struct worker *w, struct err *err)
{
	return worker_stopping(w) ? err_set(err, ERR_CANCELLED, "%s: the mount was given up", w->name) : 0;
}

void worker_wait_stop(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->stop)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

void worker_ask_stop(struct worker *w, const char *why)
{
	pthread_mutex_lock(&w->lock);
	if (!w->stop)
		log_info("%s: ending: %s", w->name, why);
	w->stop = true;
	pthread_cond_broadcast(&w->changed);
	if (w->phase == WORKER_OPENING)
		w->ops->give_up(w);
	pthread_mutex_unlock(&w->lock);
}

void worker_begin_closing(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->phase = WORKER_CLOSING;
	w->stop = true;
	w->moved_at = worker_now_ms();
	pthread_mutex_unlock(&w->lock);
}

void worker_enforce_deadline(struct worker *w)
{
	int64_t idle;

	pthread_mutex_lock(&w->lock);
	if (w->phase == WORKER_CLOSING) {
		uint64_t moved = w->ops->moved ? w->ops->moved(w) : 0;

		if (moved != w->moved)
			w->moved_at = worker_now_ms();
		w->moved = moved;
		idle = worker_now_ms() - w->moved_at;
		if (w->data && idle > w->job.io_deadline_ms)
			blob_client_abort(w->data);
		if (w->control_client && idle > (int64_t)w->job.io_deadline_ms + FAREWELL_MS)
			blob_client_abort(w->control_client);
	}
	pthread_mutex_unlock(&w->lock);
}
