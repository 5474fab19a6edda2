/*
 * upload_feed.h - the threads that fill the buffers of one upload: each takes the next
 * chunk of the file, gets a slot, reads, looks for zeros, sums up and sends.
 * Between blob/upload.c and blob/upload_pool.h.
 */
#ifndef HPCPACK_BLOB_UPLOAD_FEED_H
#define HPCPACK_BLOB_UPLOAD_FEED_H

#include "blob/upload_pool.h"

/*
 * Send the first `size` bytes of the file, what is beyond its end as zeros, and wait
 * until all has arrived or the first failure has ended all. Pages: on as many threads
 * as there are processors for us, in any order, whole pages, those of zeros left out.
 * With u->whole, that is blocks: on one, in order, everything. The threads have ended
 * when it returns; the caller's meanwhile says how far it is. 0, or -1 and *err: what
 * failed first.
 */
int upload_feed(struct upload *u, const struct upload_source *source, uint64_t size, struct err *err);

/* The file is not what it was when it was opened: -1 and *err. */
int upload_has_changed(const struct upload_source *source, struct err *err);

#endif
