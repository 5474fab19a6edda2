/*
 * sectors.h - a set of the 128 sectors of one chunk, as a 128-bit word.
 */
#ifndef HPCPACK_VHD_SECTORS_H
#define HPCPACK_VHD_SECTORS_H

#include <stdbool.h>
#include <stdint.h>

#define SECTOR_SHIFT 9
#define SECTOR_BYTES 512u
#define CHUNK_SHIFT 16
#define CHUNK_BYTES 65536u
#define CHUNK_SECTORS 128u

typedef unsigned __int128 sector_set;

#define SECTORS_ALL (~(sector_set)0)

/* Sectors [first, first + count); count may be 0. */
static inline sector_set sectors_range(unsigned first, unsigned count)
{
	if (count == 0)
		return 0;
	return (SECTORS_ALL >> (CHUNK_SECTORS - count)) << first;
}

/* All sectors that bytes [from, to) of a chunk touch. */
static inline sector_set sectors_touched(unsigned from, unsigned to)
{
	unsigned first = from >> SECTOR_SHIFT;

	return sectors_range(first, ((to + SECTOR_BYTES - 1) >> SECTOR_SHIFT) - first);
}

/* The sectors of [offset, offset + len) that lie in chunk number `index`. */
static inline sector_set sectors_within(uint64_t index, uint64_t offset, uint64_t len)
{
	uint64_t base = index << CHUNK_SHIFT, end = offset + len;
	unsigned from = offset > base ? (unsigned)(offset - base) : 0;
	unsigned to = end < base + CHUNK_BYTES ? (unsigned)(end - base) : CHUNK_BYTES;

	return sectors_touched(from, to);
}

/* The lowest sector of the set; CHUNK_SECTORS if it is empty. */
static inline unsigned sectors_first(sector_set s)
{
	uint64_t low = (uint64_t)s, high = (uint64_t)(s >> 64);

	if (low)
		return (unsigned)__builtin_ctzll(low);
	if (high)
		return 64 + (unsigned)__builtin_ctzll(high);
	return CHUNK_SECTORS;
}

/* How many sectors follow each other in the set from `first` (in it) on. */
static inline unsigned sectors_run(sector_set s, unsigned first)
{
	return sectors_first(~(s >> first)) < CHUNK_SECTORS - first ?
	       sectors_first(~(s >> first)) : CHUNK_SECTORS - first;
}

static inline unsigned sectors_count(sector_set s)
{
	return (unsigned)(__builtin_popcountll((uint64_t)s) +
			  __builtin_popcountll((uint64_t)(s >> 64)));
}

static inline bool sectors_has(sector_set s, unsigned sector)
{
	return (s >> sector) & 1;
}

#endif
