/*
 * cursor.h - a place in an iovec that moves on as bytes are copied in or out.
 */
#ifndef HPCPACK_BLOB_CURSOR_H
#define HPCPACK_BLOB_CURSOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct cursor {
	const struct iovec *iov; /* borrowed */
	int count;
	size_t at;               /* bytes of *iov that are done */
};

/* Copy at most `len` bytes into the memory behind the cursor, or out of it; how
 * many it were: fewer when the end is reached. */
size_t cursor_put(struct cursor *c, const void *data, size_t len);
size_t cursor_get(struct cursor *c, void *data, size_t len);

/* The memory behind the cursor, at most `len` bytes in at most `max` pieces: how many.
 * The cursor stays where it is. */
int cursor_pieces(const struct cursor *c, uint64_t len, struct iovec *pieces, int max);

/* Move on by `len` bytes, of those that are left. */
void cursor_skip(struct cursor *c, size_t len);

/* Bytes of the whole vector. */
size_t iov_length(const struct iovec *iov, int count);

#endif
