/*
 * extents.h - which parts of a row of bytes are there. Not for use from two threads
 * at once.
 */
#ifndef HPCPACK_BLOB_EXTENTS_H
#define HPCPACK_BLOB_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct extent {
	uint64_t start, end;  /* bytes; start < end */
};

/* Ascending, with gaps between them. All zero: empty. */
struct extents {
	struct extent *items;
	size_t count, size;
};

/* 0, or -1 when out of memory. */
int extents_add(struct extents *e, uint64_t start, uint64_t end);
void extents_free(struct extents *e);

/* The first gap within [from, limit): false when there is none. */
bool extents_gap(const struct extents *e, uint64_t from, uint64_t limit, struct extent *gap);

/* How far it is there from byte 0 on without a gap. */
uint64_t extents_begin(const struct extents *e);

/* Bytes in all. */
uint64_t extents_sum(const struct extents *e);

#endif
