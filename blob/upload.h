/*
 * upload.h - a local file into a blob, in parallel, through a fixed pool of
 * buffers: threads (one for each processor up to four, one for blocks) read the file,
 * look for zeros and fill buffers; what is in a buffer is sent request after request
 * by the I/O threads of the client; the caller's waits. Memory is the pool and nothing
 * else.
 *
 * Blocking, not from a callback. To interrupt: blob_client_abort() from another
 * thread; the call then ends with ERR_CANCELLED soon. What was sent so far stays
 * in the (unfinished) blob; making an end of that is the caller's.
 */
#ifndef HPCPACK_BLOB_UPLOAD_H
#define HPCPACK_BLOB_UPLOAD_H

#include <time.h>

#include "blob/ops.h"

/* A page blob is built under its name with this behind it, and then put in place. */
#define UPLOAD_TEMP_SUFFIX ".hpcpack-upload"

/* An open file, and what it was like when it was opened: a file that changes
 * while it is uploaded is an error, whatever of it has gone already. */
struct upload_source {
	int fd;
	const char *path;          /* borrowed */
	uint64_t file_size;
	struct timespec changed;   /* its modification time */
};

/* A regular file. Close with upload_source_close(). */
int upload_source_open(struct upload_source *out, const char *path, struct err *err);
void upload_source_close(struct upload_source *s);

struct upload_options {
	uint64_t block_size;    /* bytes of a request at most; for pages a multiple of
	                         * BLOB_PAGE up to BLOB_MAX_PUT_PAGE */
	/* Called on the caller's thread whenever something has got through. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

struct upload_stats {
	uint64_t sent;     /* bytes that travelled, repetitions not counted */
	uint64_t skipped;  /* bytes that did not need to */
};

/* Under which lease pages are written: asked before each request for the id and
 * its generation (0), or says that none is good now (-1; then the last one is
 * tried, and the service decides). A refusal counts only if the generation is
 * still the same. */
struct upload_lease {
	int (*current)(void *arg, char id[BLOB_LEASE_ID_MAX], uint64_t *generation);
	void *arg;
};

/*
 * Write `size` bytes of the file (rounded up to whole pages with zeros) into a
 * page blob that is all zeros before. Zero pages are not sent. `last` (BLOB_PAGE
 * bytes, or NULL) is written behind them when everything else is there and the
 * file has proved unchanged: a footer makes the image whole.
 */
int upload_pages(struct blob_client *c, const struct blob_ref *ref,
		 const struct upload_source *source, uint64_t size, const void *last,
		 const struct upload_lease *lease, const struct upload_options *o,
		 struct upload_stats *stats, struct err *err);

/* The whole file as blocks, then one commit that replaces the blob. */
int upload_blocks(struct blob_client *c, const struct blob_ref *ref,
		  const struct upload_source *source, const struct blob_meta_list *meta,
		  const struct upload_options *o, struct upload_stats *stats, struct err *err);

/* The service's limits, bytes and number of blocks in a blob. */
#define UPLOAD_MAX_BLOCK (4000ull << 20)
#define UPLOAD_MAX_BLOCKS 50000u

#endif
