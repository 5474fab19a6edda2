#include <config.h>

#include "vhd/fetch_size.h"

#include <string.h>

#define ROUND 8
#define BYTES_PER_US 16           /* about 16 MiB/s: one connection's at the least */

void fetch_size_init(struct fetch_size *f, unsigned fixed)
{
	memset(f, 0, sizeof(*f));
	f->fixed = fixed;
}

void fetch_size_measured(struct fetch_size *f, uint32_t bytes, uint64_t us)
{
	if (bytes > FETCH_SIZE_MOST)
		return;
	if (!us)
		us = 1;
	if (!f->measured || us < f->least_us)
		f->least_us = us;
	if (++f->measured < ROUND)
		return;
	f->measured = 0;
	if (!f->latency_us || f->least_us < f->latency_us)
		f->latency_us = f->least_us;
	else
		f->latency_us += (f->least_us - f->latency_us + 3) / 4;
}

unsigned fetch_size_for(const struct fetch_size *f, unsigned there)
{
	unsigned bytes = FETCH_SIZE_LEAST;

	if (f->fixed)
		return f->fixed;
	if (!f->latency_us)
		return FETCH_SIZE_MOST;
	while (bytes < FETCH_SIZE_MOST && bytes * 2 <= f->latency_us * BYTES_PER_US)
		bytes *= 2;
	return there > bytes ? there : bytes;
}
