/*
 * upload_plan.h - which bytes of a local file must travel: where it has data,
 * and which pages of that are not zero. Knows nothing of requests.
 */
#ifndef HPCPACK_BLOB_UPLOAD_PLAN_H
#define HPCPACK_BLOB_UPLOAD_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blob/base/err.h"
#include "blob/md5.h"

/* Bytes of one request, relative to the chunk; multiples of BLOB_PAGE. */
struct upload_piece {
	uint32_t offset, len;
	char md5[MD5_TEXT_MAX];        /* filled in by who sends it */
};

/*
 * Two runs of data with a few zero pages between them travel as one request, as
 * long as all zeros that were sent so far stay below 1/16 of the data: few
 * requests where that costs nearly nothing, and a bound on what it can cost.
 */
struct upload_economy {
	uint64_t data;    /* bytes of pages that are not zero */
	uint64_t zeros;   /* bytes of zero pages sent along */
};

/* As many pieces as a chunk can have: every other page. */
#define UPLOAD_MAX_PIECES(len) ((len) / (2 * 512) + 1)

/*
 * The pieces of `data` that are not zero, ascending. `len` is a multiple of
 * BLOB_PAGE, `out` has room for UPLOAD_MAX_PIECES(len). Their number.
 */
size_t upload_plan(const void *data, size_t len, struct upload_economy *economy,
		   struct upload_piece *out);

/*
 * The next extent of the file with data at or behind `from`, by SEEK_DATA and
 * SEEK_HOLE (all of it where the filesystem knows neither), as whole pages: *end
 * may lie up to BLOB_PAGE - 1 beyond `size`. 1, 0 when there is none, -1.
 */
int upload_next_extent(int fd, const char *path, uint64_t from, uint64_t size,
		       uint64_t *start, uint64_t *end, struct err *err);

#endif
