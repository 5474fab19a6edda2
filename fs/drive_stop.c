#include <config.h>

#include "fs/drive.h"

#include <time.h>

#include "blob/base/log.h"

/* After the data: for the lease, the snapshot and a last look at the blob. */
#define FAREWELL_MS 10000

int64_t drive_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool drive_stopping(struct drive *d)
{
	bool stop;

	pthread_mutex_lock(&d->lock);
	stop = d->stop;
	pthread_mutex_unlock(&d->lock);
	return stop;
}

void drive_wait_stop(struct drive *d)
{
	pthread_mutex_lock(&d->lock);
	while (!d->stop)
		pthread_cond_wait(&d->changed, &d->lock);
	pthread_mutex_unlock(&d->lock);
}

void drive_ask_stop(struct drive *d, const char *why)
{
	pthread_mutex_lock(&d->lock);
	if (!d->stop)
		log_info("%s: ending: %s", d->name, why);
	d->stop = true;
	pthread_cond_broadcast(&d->changed);
	/* Nothing was written yet. With a lease or snapshot in hand the control
	 * client is needed to give it back. */
	if (d->phase == DRIVE_OPENING) {
		if (d->data)
			blob_client_abort(d->data);
		if (d->control_client && !d->holding)
			blob_client_abort(d->control_client);
	}
	pthread_mutex_unlock(&d->lock);
}

void drive_begin_closing(struct drive *d)
{
	pthread_mutex_lock(&d->lock);
	d->phase = DRIVE_CLOSING;
	d->stop = true;
	d->moved_at = drive_now_ms();
	pthread_mutex_unlock(&d->lock);
}

void drive_enforce_deadline(struct drive *d)
{
	struct disk_stats stats;
	int64_t idle;

	pthread_mutex_lock(&d->lock);
	if (d->phase == DRIVE_CLOSING) {
		if (d->disk) {
			disk_stats(d->disk, &stats);
			if (stats.stored_bytes != d->moved)
				d->moved_at = drive_now_ms();
			d->moved = stats.stored_bytes;
		}
		idle = drive_now_ms() - d->moved_at;
		if (d->data && idle > d->job.io_deadline_ms)
			blob_client_abort(d->data);
		if (d->control_client && idle > (int64_t)d->job.io_deadline_ms + FAREWELL_MS)
			blob_client_abort(d->control_client);
	}
	pthread_mutex_unlock(&d->lock);
}
