/*
 * download.h - a blob into a local file, in parallel, through a fixed pool of buffers:
 * the caller's thread asks for ranges, the I/O threads of the client receive them, a
 * few more check and write them. Memory is the pool and nothing else.
 *
 * What has come lies in PATH.part; PATH.part.state says of which blob it is and what of
 * it is there. PATH is replaced by rename when all of it is there, and on the disk. A
 * download that ended in any way before that, also with the machine, goes on where it
 * was if the blob is still the same (ETag), and begins anew if not.
 *
 * Checked: every range of up to BLOB_MAX_SUM against the MD5 that the service sends
 * with it (damaged ones are fetched again), and a block blob as a whole against the MD5
 * that it carries. A service that sends none is believed.
 *
 * Blocking, not from a callback. To interrupt: blob_client_abort() from another
 * thread; the call then ends with ERR_CANCELLED soon.
 */
#ifndef HPCPACK_BLOB_DOWNLOAD_H
#define HPCPACK_BLOB_DOWNLOAD_H

#include "blob/ops.h"

#define DOWNLOAD_PART_SUFFIX ".part"
#define DOWNLOAD_STATE_SUFFIX ".part.state"

struct download_options {
	uint64_t block_size;    /* bytes of a request at most, at least 1; larger ones than
	                         * BLOB_MAX_SUM only where the blob carries an MD5 */
	/* Called on the caller's thread whenever something has come. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

struct download_stats {
	uint64_t received;  /* bytes that travelled and were right */
	uint64_t skipped;   /* bytes of pages that are not allocated: holes of the file */
	uint64_t resumed;   /* bytes that were there from before */
	bool anew;          /* what was there from before was of another blob */
};

/*
 * The first `size` bytes of the blob that has (or had when the caller asked) these
 * properties into the file `path`, whose modification time is that of the blob.
 *
 * ERR_BUSY: another download into this file is under way. ERR_EXISTS: PATH.part is
 * there, and not of our making. ERR_CONDITION: the blob was changed meanwhile (nothing
 * is kept). ERR_NETWORK: among others, what came does not fit the blob's MD5 (nothing
 * is kept). ERR_NO_SPACE... In all other cases what has come is kept.
 */
int download_file(struct blob_client *c, const struct blob_ref *ref, const struct blob_props *props,
		  uint64_t size, const char *path, const struct download_options *o,
		  struct download_stats *stats, struct err *err);

#endif
