/*
 * upload_pool.h - the buffers of one upload and what is under way from them.
 * Between blob/upload_feed.c (whose threads fill them) and blob/upload_send.c (which
 * sends).
 *
 * A slot is
 *   IDLE     in nobody's hands
 *   FILLING  one feeder's (or the caller's, for the last page): slot_get() ..
 *            slot_send() or slot_put()
 *   SENDING  the I/O threads': one request of it is under way at any time; after
 *            its last piece, or the first failure of the upload, it is IDLE
 * `idle` counts the first kind, `feeders` the threads that may still take some. `lock`
 * guards idle, feeders, failed, why, stats, lease_id and the states; pieces and bytes
 * belong to whoever has the slot; `whole` is the only feeder's of an upload of blocks.
 * What is above `lock` does not change, but for the two said.
 */
#ifndef HPCPACK_BLOB_UPLOAD_POOL_H
#define HPCPACK_BLOB_UPLOAD_POOL_H

#include <pthread.h>

#include "blob/upload.h"
#include "blob/upload_plan.h"

#define UPLOAD_SLOTS 16

struct upload;

struct upload_slot {
	struct upload *u;
	enum { SLOT_IDLE, SLOT_FILLING, SLOT_SENDING } state;
	char *data;
	uint64_t offset;               /* of data, in the blob */
	struct upload_piece *pieces;
	size_t count, next;            /* pieces[next] is under way */
	unsigned attempts;             /* at it: with unknown outcome, or damaged */
	uint64_t generation;           /* of the lease that it was sent under */
};

struct upload {
	struct blob_client *client;
	const struct blob_ref *ref;
	const struct upload_lease *lease;
	const struct upload_options *options;
	uint64_t total;                /* bytes, for progress */
	struct md5_thread *whole;      /* of all blocks, in order; NULL: pages */
	char block_prefix[24];         /* of the ids of blocks; "": pages */
	char lease_id[BLOB_LEASE_ID_MAX];   /* the last good one; under lock */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct upload_slot slots[UPLOAD_SLOTS];
	unsigned slot_count, idle, feeders;
	bool failed;
	struct err why;                /* the first failure */
	struct upload_stats stats;
};

/* Make the pool, of buffers with room for so many pieces; the struct is zero but
 * for what the caller set. */
int upload_pool_init(struct upload *u, uint64_t buffer_bytes, size_t max_pieces, struct err *err);

/* Wait for everything under way, then free. */
void upload_pool_free(struct upload *u);

/* An idle slot, waiting for one; NULL when the upload has failed. Any thread that may
 * wait. */
struct upload_slot *upload_slot_get(struct upload *u);
void upload_slot_put(struct upload_slot *s);

/* Around the life of a thread that fills slots; `why` (may be NULL) is what failed. */
void upload_feeder_begins(struct upload *u);
void upload_feeder_ended(struct upload *u, const struct err *why);

/* Wait until nobody feeds and all are idle; the user is told meanwhile how far it is:
 * for the caller's thread. 0, or -1 and *err: the first failure. */
int upload_drain(struct upload *u, struct err *err);

/* Count bytes that need not travel. */
void upload_skip(struct upload *u, uint64_t bytes);

/* Send pieces[0 .. count-1] of it; nothing when the upload has failed meanwhile. */
void upload_slot_send(struct upload_slot *s);

/* It is idle again; `why` (may be NULL) is what failed. Once for each slot that was
 * got, from an I/O thread if it was sent. */
void upload_slot_done(struct upload_slot *s, const struct err *why);

/* The id of the block that begins at `offset`; BLOB ids are of equal length. */
#define UPLOAD_BLOCK_ID_MAX 48
void upload_block_id(const struct upload *u, uint64_t offset, char out[UPLOAD_BLOCK_ID_MAX]);

#endif
