/*
 * download_pool.h - the inside of one download: buffers, and who has them. Between
 * blob/download.c (which asks for ranges) and blob/download_write.c (which checks and
 * writes what comes).
 *
 * A slot is idle (`idle` counts those), or it belongs to one after the other: the
 * caller's thread, which asks; the I/O thread that receives; the queue; a writer, which
 * ends it or, when it is damaged, asks again. `lock` guards everything that changes but
 * what is in a slot, which belongs to whoever has it. Once `failed`, nothing new is
 * asked for; `why` is the first failure.
 */
#ifndef HPCPACK_BLOB_DOWNLOAD_POOL_H
#define HPCPACK_BLOB_DOWNLOAD_POOL_H

#include <pthread.h>

#include "blob/download.h"
#include "blob/download_part.h"

#define DOWNLOAD_SLOTS 16
#define DOWNLOAD_WRITERS_MAX 4

struct download;

struct download_slot {
	struct download *d;
	bool idle;                     /* under lock */
	char *data;
	uint64_t offset;
	size_t len;
	unsigned attempts;             /* that came damaged */
	char md5[MD5_TEXT_MAX];        /* "": the service said none */
	struct download_slot *next;    /* in the queue */
};

struct download {
	struct blob_client *client;
	const struct blob_ref *ref;
	const struct blob_props *props;
	const struct download_options *options;
	struct part part;
	uint64_t size;                 /* bytes */
	uint64_t request_size;         /* bytes at most */
	bool sum_whole;                /* the blob's MD5 is to be compared */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct download_slot slots[DOWNLOAD_SLOTS];
	unsigned slot_count, idle;
	struct download_slot *head, *tail;
	bool failed, ending;
	struct err why;
	struct extents done;           /* in the file */
	struct download_stats stats;

	pthread_t writers[DOWNLOAD_WRITERS_MAX], follower;
	unsigned writer_count;
	bool has_follower;
};

/* Ask for what the slot's offset and len say. */
void download_ask(struct download_slot *s);

/* It is idle again; `why` (may be NULL) is what failed. Any thread. */
void download_slot_done(struct download_slot *s, const struct err *why);

void download_fail(struct download *d, const struct err *why);

/* Threads that take what was received, and one that sums up the whole from its
 * beginning on as it grows. download_threads_end() waits for the end of what they have
 * to do, or, after a failure, of what they are at. */
int download_threads_start(struct download *d, struct err *err);
void download_threads_end(struct download *d);

#endif
