/*
 * loop.h - the threads that receive FUSE requests and hand them to libfuse, and
 * the buffers that the requests arrive in.
 *
 * A request is read into a buffer and its handler is called on the same thread.
 * A handler that can't be done at once with the bytes of a write holds the
 * buffer (loop_hold) instead of copying them: the thread goes on with another
 * one out of a pool that is made once. When all buffers are held, or as many bytes
 * as may be, no request is received until one is released, so memory never grows.
 *
 * A buffer's references: one of the thread that reads into it, one of each
 * loop_hold(). With the last it goes back to the pool.
 */
#ifndef HPCPACK_FS_LOOP_H
#define HPCPACK_FS_LOOP_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blob/base/err.h"

struct loop;

/* `req` and `len` are free for the use of who holds it. */
struct loop_buf {
	fuse_req_t req;
	uint32_t len;
};

struct loop_options {
	unsigned threads;
	unsigned spare;      /* buffers beside one for each thread */
	size_t max_held;     /* bytes of requests that are held at a time, at most by one
	                      * request for each thread more */
	size_t max_write;    /* the largest write, bytes, as the kernel was or will be
	                      * told at INIT */
	/* The mount is gone (unmounted, or its connection was aborted); called once,
	 * on the last of the threads. Not called after loop_stop(). */
	void (*ended)(void *arg);
	void *arg;
};

/* `se` is mounted and borrowed. NULL and *err on failure. */
struct loop *loop_start(struct fuse_session *se, const struct loop_options *o, struct err *err);

/* True once all threads have ended because the mount is gone; waits for that at
 * most so long. */
bool loop_ended(struct loop *l, unsigned timeout_ms);

/* Make the threads leave, whatever the mount does, and wait until they have. A
 * request that was read is handed over before. Idempotent. */
void loop_stop(struct loop *l);

/* Stop, free. Every buffer must have been released. */
void loop_free(struct loop *l);

/* In a handler: hold the buffer that the request came in. Its bytes (the data of
 * a write) stay until loop_release(), from any thread. */
struct loop_buf *loop_hold(void);
void loop_release(struct loop_buf *b);

#endif
