/*
 * extraction.h - one pack_extract() while it goes on; for extract*.c.
 *
 * The workers share the plan and take jobs from it one by one. Each has a queue of
 * pieces (at most a buffer of the pool each) that it has asked for, in the order in
 * which it needs them: while it decodes the first one, the others are on their way.
 * All pieces of a job go through one worker's queue in their order.
 *
 * A piece: ASKED -> (I/O thread) CAME or FAILED -> taken by its worker, which gives
 * the buffer back. A worker that ends waits for all its pieces first: the buffers are
 * borrowed to the client until then.
 */
#ifndef HPCPACK_PACK_EXTRACTION_H
#define HPCPACK_PACK_EXTRACTION_H

#include <pthread.h>
#include <time.h>

#include "pack/extract.h"
#include "pack/extract_out.h"
#include "pack/extract_plan.h"
#include "pack/pool.h"

struct extraction {
	const struct pack_index *index;
	const struct pack_reader *reader;
	const struct pack_blob *blob;       /* or NULL: by the reader */
	const struct extract_options *options;
	struct pack_pool *pool;
	size_t piece;                       /* bytes of a request at most */
	unsigned threads;

	struct extract_plan plan;
	struct extract_tree tree;

	_Atomic uint32_t next_job;
	atomic_bool stop;                   /* something failed: no more requests */
	_Atomic uint64_t bytes, fetched;
	_Atomic uint32_t files;

	pthread_mutex_t lock;               /* for what follows */
	struct err err;                     /* the first failure */
	struct extract_link *links;         /* made when all files are there */
	bool reporting;                     /* somebody is in options->progress */
	struct timespec reported;
};

struct extract_link {
	struct extract_link *next;
	uint32_t entry;
	char target[];
};

/* The first failure counts; the others stop. Any thread. Returns -1. */
int extraction_fail(struct extraction *x, const struct err *err);

/* Go on? False when something failed or the caller cancels. */
bool extraction_goes_on(struct extraction *x);

/* Tell the caller how far it is, if that is due. */
void extraction_progress(struct extraction *x);

/* A worker, until there is nothing left to do; `x` is the argument. */
void *extract_worker(void *x);

/* Make the symlinks that were found, and check that none leads out. */
int extract_make_links(struct extraction *x, struct err *err);

#endif
