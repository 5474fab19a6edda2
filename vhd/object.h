/*
 * object.h - reading several blobs through one chunk cache: what serves packages,
 * where vhd/disk.h serves one drive.
 *
 * An object is one version of a blob: each request carries its ETag (If-Match), so
 * what is read is that version or an error (ERR_CONDITION, ERR_NOT_FOUND), never a
 * mix. A random read fetches `fetch_bytes` at most; one that continues another gets
 * read-ahead (vhd/readahead.h), across the members of a package as well, which lie
 * one after the other. Overlapping misses share a request. What a long stream has had is the
 * first to go (vhd/cache.h, `spent`). Nothing is written.
 *
 * Memory: the cache's arena, which is used bit by bit, and a request of some KiB for
 * each read that waits. When all chunks are in flight, reads wait for them.
 *
 * Threads: any. Nothing here blocks but objects_stop() and object_read_wait(). A
 * callback is called exactly once, from within the call (a hit) or later on an I/O
 * thread, without a lock; it may start further reads.
 */
#ifndef HPCPACK_VHD_OBJECT_H
#define HPCPACK_VHD_OBJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "blob/ops.h"

struct objects;
struct object;

struct objects_options {
	uint64_t cache_bytes;      /* 0: 256 MiB; at least 1 MiB */
	unsigned fetch_bytes;      /* random read; 0: 64 KiB */
	unsigned window_bytes;     /* of a stream at most in flight; 0: 64 MiB, bounded
	                            * by half the cache */
	unsigned max_requests;     /* read-ahead in flight; 0: 16 */
};

/* `client` is borrowed. NULL and *err when memory is short. */
struct objects *objects_new(struct blob_client *client, const struct objects_options *o,
			    struct err *err);

/* Fail new reads, wait for those under way (blob_client_abort() makes that soon). */
void objects_stop(struct objects *all);
/* Stop, free. All objects are closed. */
void objects_free(struct objects *all);

/* The largest single read, bytes (at least 64 KiB). */
unsigned objects_max_io(const struct objects *all);

/* One reference to a new object of `size` bytes (not 0). NULL: out of memory. */
struct object *object_open(struct objects *all, const struct blob_ref *ref, const char *etag,
			   uint64_t size);
struct object *object_ref(struct object *o);
/* What is cached of it goes when room is needed. */
void object_close(struct object *o);

uint64_t object_size(const struct object *o);
/* Tells it from all other objects, for good. */
uint32_t object_number(const struct object *o);
/* The last read that storage refused because the blob is gone or another one by now:
 * ERR_NOT_FOUND, ERR_CONDITION; ERR_NONE. */
enum err_code object_lost(struct object *o);

/* Read [offset, offset + len), any alignment, within the object, len from 1 to
 * objects_max_io(). The bytes are valid during the callback: copy or send them there.
 * The object may be closed meanwhile; the read keeps what it needs of it. */
typedef void object_read_fn(void *arg, const struct err *err, const struct iovec *iov, int count);
void object_read(struct object *o, uint64_t offset, uint32_t len, object_read_fn *done, void *arg);

/* The same, from within the call and without a wait, if all of it is in the cache. False:
 * it is not (or the range is wrong); then `done` is not called. */
bool object_read_cached(struct object *o, uint64_t offset, uint32_t len, object_read_fn *done,
			void *arg);

/* The same, blocking, into `data`: not from a callback or a FUSE handler. */
int object_read_wait(struct object *o, uint64_t offset, void *data, uint32_t len, struct err *err);

struct objects_stats {
	uint64_t fetched_bytes, fetches;
	uint64_t cache_bytes, cached_bytes;
};
void objects_stats(struct objects *all, struct objects_stats *out);

#endif
