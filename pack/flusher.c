#include <config.h>

#include "pack/flusher.h"

#include <unistd.h>

/* Each time the disk's journal is closed once: not for less than this. */
#define BYTES_STEP (16u << 20)
#define FILES_STEP 2000u

static void *flush(void *arg)
{
	struct flusher *f = arg;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		while (!f->wanted && !f->stop)
			pthread_cond_wait(&f->changed, &f->lock);
		if (f->stop)
			break;
		f->wanted = false;
		pthread_mutex_unlock(&f->lock);
		if (syncfs(f->fd) < 0) {
			/* The one at the end will say so. */
		}
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

void flusher_start(struct flusher *f, int fd)
{
	*f = (struct flusher){ .fd = fd };
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	f->started = pthread_create(&f->thread, NULL, flush, f) == 0;
}

void flusher_progress(struct flusher *f, uint64_t bytes, uint64_t files)
{
	if (bytes - f->asked_bytes < BYTES_STEP && files - f->asked_files < FILES_STEP)
		return;
	f->asked_bytes = bytes;
	f->asked_files = files;
	pthread_mutex_lock(&f->lock);
	f->wanted = true;
	pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

void flusher_stop(struct flusher *f)
{
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->lock);
	if (f->started)
		pthread_join(f->thread, NULL);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
}
