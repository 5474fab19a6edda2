/*
 * upload_readers.h - who reads the file that is uploaded, and whose reads fail; which
 * threads the caller starts and waits for. Link with $(upload_readers_wrap).
 */
#ifndef HPCPACK_TESTS_UNIT_UPLOAD_READERS_H
#define HPCPACK_TESTS_UNIT_UPLOAD_READERS_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#define READERS_MAX 16

/*
 * The readers of the file, by thread. The first read of each waits until so many have
 * come (`meet`); the one at `fail_at` then gets `fail_errno` (0: the end of the file),
 * and the others wait until its thread is gone, so that the failure is known; they get
 * `others_errno` if that is not 0. None begins before the caller waits for them.
 */
extern struct readers {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pid_t tids[READERS_MAX];
	pthread_t caller;
	unsigned count, meet, reads;
	bool fails;
	off_t fail_at, last;
	int fail_errno, others_errno;
	pid_t failed;
	bool in_order, caller_waits;
	unsigned started, joined;      /* threads of the caller */
	unsigned start_fails_from;     /* this one and those after it; 0: none */
} readers;

/* Nobody has read yet. The calling thread is the one that uploads: its own reads are
 * not counted. */
void expect_readers(unsigned processors, unsigned meet);

#endif
