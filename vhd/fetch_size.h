/*
 * fetch_size.h - how much a random read fetches, by the distance to the service.
 *
 * Pure logic without a lock or I/O. A request takes its latency whatever it carries:
 * far away, 64 KiB cost hardly more than 4, and what is near by is there for the next
 * read. Close by, the bytes are most of what a request costs. So the rule is: as many
 * bytes as come in the time of the latency at 16 MiB/s, rounded down to a power of two:
 *
 *   latency   below 0.5 ms   0.5 ms   1 ms     2 ms     from 4 ms on, or not known
 *   fetch     4 KiB          8 KiB    16 KiB   32 KiB   64 KiB
 *
 * The latency is the least of 8 small fetches, since load only adds to it. One that is
 * lower is believed at once; when it has risen, the difference shrinks by a quarter
 * with each 8 fetches.
 *
 * Reads that return to a place where others were fetch at least as much again as is
 * there already: after five requests a chunk of 64 KiB can be complete, and a place
 * that is read once costs no more for it. (Reads in sequence are vhd/readahead.h's:
 * from the second one on they get a window.)
 */
#ifndef HPCPACK_VHD_FETCH_SIZE_H
#define HPCPACK_VHD_FETCH_SIZE_H

#include <stdint.h>

#define FETCH_SIZE_LEAST 4096u    /* granule of what the caches hold valid */
#define FETCH_SIZE_MOST 65536u

struct fetch_size {
	unsigned fixed;           /* bytes, whatever the distance; 0: by the rule */
	unsigned measured;        /* fetches of this round */
	uint64_t least_us;        /* of them */
	uint64_t latency_us;      /* of the service; 0: not known yet */
};

void fetch_size_init(struct fetch_size *f, unsigned fixed);

/* A request for `bytes` took `us` from its start to its good end. Large ones don't
 * count: they say how fast the bytes come. */
void fetch_size_measured(struct fetch_size *f, uint32_t bytes, uint64_t us);

/* How many bytes to fetch for a random read in a chunk of which `there` bytes are
 * cached or on their way. */
unsigned fetch_size_for(const struct fetch_size *f, unsigned there);

#endif
