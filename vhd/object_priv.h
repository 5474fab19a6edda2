/*
 * object_priv.h - the inside of vhd/object.h.
 *
 *	object.c         objects, their beginning and end, what is done without the lock
 *	object_read.c    reads: their chunks, their waiting
 *	object_fetch.c   requests to storage, read-ahead
 *
 * One mutex protects everything. What must happen without it (requests to storage,
 * callbacks) is queued and run by objects_leave().
 *
 * A read that waits for bytes holds pins on its chunks: its fetches are under way and
 * will end. One that waits for room (starved) holds nothing and is tried again, in
 * order, whenever a fetch has ended; there is one under way, or there would be room.
 */
#ifndef HPCPACK_VHD_OBJECT_PRIV_H
#define HPCPACK_VHD_OBJECT_PRIV_H

#include <pthread.h>

#include "vhd/cache.h"
#include "vhd/object.h"
#include "vhd/readahead.h"

#define MAX_IO_BYTES (1u << 20)
#define MAX_IO_CHUNKS (MAX_IO_BYTES / CHUNK_BYTES + 1)
#define MAX_FETCH_BYTES (4u << 20)
#define MAX_FETCH_CHUNKS (MAX_FETCH_BYTES / CHUNK_BYTES + 1)

struct read_req {
	struct read_req *next;
	struct object *object;
	uint64_t offset;
	uint32_t len;
	uint64_t since;            /* from where its stream has had all: sectors before it, it
	                            * may not have had whole */
	bool sequential;           /* it belongs to a stream that does not come back */
	uint64_t fetch_end;        /* how far its fetch may go beyond its own end */
	unsigned nchunks;
	bool pinned, failed;
	object_read_fn *done;
	void *arg;
	struct chunk *chunks[MAX_IO_CHUNKS];
	struct iovec iov[MAX_IO_CHUNKS];
	struct err err;            /* if failed; else not initialised */
};

/* A request for adjacent chunks, each pinned once. Keeps its object. */
struct fetch {
	struct fetch *next;
	struct object *object;
	uint64_t offset;
	uint32_t len;
	bool prefetch;
	unsigned nchunks;
	struct chunk *chunks[MAX_FETCH_CHUNKS];
	struct iovec iov[MAX_FETCH_CHUNKS];
};

struct object {
	struct objects *all;
	uint32_t number;
	unsigned refs;
	struct blob_ref ref;       /* strings are ours */
	char etag[BLOB_ETAG_MAX];
	uint64_t size;
	enum err_code lost;
	struct readahead ra;
	uint64_t began[READAHEAD_STREAMS]; /* where each stream went on without a break */
	struct read_req *waiting;  /* for bytes; pinned */
};

struct objects {
	pthread_mutex_t lock;
	pthread_cond_t quiet;      /* active fell to 0 */
	struct blob_client *client;
	struct objects_options o;
	unsigned max_io;
	struct cache *cache;
	uint32_t next_number;
	unsigned prefetches;       /* under way */
	unsigned active;           /* reads and fetches under way */
	bool closing;
	struct read_req *starved;  /* for room; FIFO */
	struct fetch *to_start, **to_start_end;
	struct read_req *to_finish;
	struct objects_stats stats;
};

/* All of these with the lock held, but where they say otherwise. */

/* --- object.c --- */

/* Give one reference back. */
void object_drop(struct object *o);

/* A read or fetch has ended. */
void objects_inactive(struct objects *all);

/* Do what is queued. Ends without the lock. */
void objects_leave(struct objects *all);

/* --- object_read.c --- */

/* Without the lock: tell whoever asked. Ends with the lock. */
void object_finish(struct objects *all, struct read_req *r);

/* [offset, end) has come, or will not: `err`. */
void object_arrived(struct object *o, uint64_t offset, uint64_t end, const struct err *err);

/* There may be room again. */
void object_retry_starved(struct objects *all);

/* --- object_fetch.c --- */

/* Fetch what is missing in [offset, end); how far it got. Read-ahead leaves an eighth
 * of the cache to others. */
uint64_t object_fetch(struct object *o, uint64_t offset, uint64_t end, bool prefetch);

/* As far ahead of the stream as it wants and storage may be asked. */
void object_read_ahead(struct object *o, struct stream *s);

/* Without the lock: send it. */
void object_fetch_start(struct fetch *f);

#endif
