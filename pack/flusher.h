/*
 * flusher.h - brings what is written onto the disk while more is written, so that
 * the syncfs(2) at the end finds little to do. Of many small files it would take as
 * long as making them.
 */
#ifndef HPCPACK_PACK_FLUSHER_H
#define HPCPACK_PACK_FLUSHER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct flusher {
	int fd;
	bool started;
	uint64_t asked_bytes, asked_files;  /* how much there was at the last request */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool wanted, stop;                  /* under the lock */
};

/* On the filesystem of `fd`, which is borrowed. */
void flusher_start(struct flusher *f, int fd);

/* So much is there now: begin, if that is worth it. One thread at a time. */
void flusher_progress(struct flusher *f, uint64_t bytes, uint64_t files);

void flusher_stop(struct flusher *f);

#endif
