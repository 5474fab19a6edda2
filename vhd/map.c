#include <config.h>

#include "vhd/map.h"

#include <stdlib.h>

#include "vhd/sectors.h"

#define RETRY_MS 30000
#define WINDOW_CHUNKS (MAP_WINDOW_BYTES >> CHUNK_SHIFT)

enum window_state { WINDOW_UNKNOWN, WINDOW_LOADING, WINDOW_KNOWN };

struct window {
	enum window_state state;
	uint64_t not_before_ms;  /* after a failure */
};

struct map {
	uint64_t size;
	uint64_t chunks;
	uint64_t *data;          /* bit set: the chunk holds data */
	struct window *windows;
};

struct map *map_new(uint64_t size)
{
	struct map *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->size = size;
	m->chunks = (size + CHUNK_BYTES - 1) >> CHUNK_SHIFT;
	m->data = calloc((m->chunks + 63) / 64 + 1, sizeof(*m->data));
	m->windows = calloc(size / MAP_WINDOW_BYTES + 1, sizeof(*m->windows));
	if (!m->data || !m->windows) {
		map_free(m);
		return NULL;
	}
	return m;
}

void map_free(struct map *m)
{
	if (!m)
		return;
	free(m->data);
	free(m->windows);
	free(m);
}

bool map_is_hole(const struct map *m, uint64_t chunk)
{
	return m->windows[chunk / WINDOW_CHUNKS].state == WINDOW_KNOWN &&
	       !(m->data[chunk / 64] >> (chunk % 64) & 1);
}

bool map_want(struct map *m, uint64_t chunk, uint64_t now_ms, uint64_t *offset, uint64_t *len)
{
	uint64_t number = chunk / WINDOW_CHUNKS;
	struct window *w = &m->windows[number];

	if (w->state != WINDOW_UNKNOWN || now_ms < w->not_before_ms)
		return false;
	w->state = WINDOW_LOADING;
	*offset = number * MAP_WINDOW_BYTES;
	*len = m->size - *offset < MAP_WINDOW_BYTES ? m->size - *offset : MAP_WINDOW_BYTES;
	return true;
}

void map_loaded(struct map *m, uint64_t offset, const struct blob_range *ranges, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		map_set_data(m, ranges[i].offset, ranges[i].len);
	m->windows[offset / MAP_WINDOW_BYTES].state = WINDOW_KNOWN;
}

void map_load_failed(struct map *m, uint64_t offset, uint64_t now_ms)
{
	struct window *w = &m->windows[offset / MAP_WINDOW_BYTES];

	w->state = WINDOW_UNKNOWN;
	w->not_before_ms = now_ms + RETRY_MS;
}

/* Set or clear the bits of chunks [first, end), whole words at a time. */
static void set_bits(struct map *m, uint64_t first, uint64_t end, bool data)
{
	if (end > m->chunks)
		end = m->chunks;
	while (first < end) {
		uint64_t bit = first % 64;
		uint64_t n = 64 - bit < end - first ? 64 - bit : end - first;
		uint64_t bits = (n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1) << bit;

		if (data)
			m->data[first / 64] |= bits;
		else
			m->data[first / 64] &= ~bits;
		first += n;
	}
}

void map_set_data(struct map *m, uint64_t offset, uint64_t len)
{
	if (len && offset < m->size)
		set_bits(m, offset >> CHUNK_SHIFT, ((offset + len - 1) >> CHUNK_SHIFT) + 1, true);
}

void map_set_hole(struct map *m, uint64_t offset, uint64_t len)
{
	uint64_t end = offset + len;
	uint64_t first = (offset + CHUNK_BYTES - 1) >> CHUNK_SHIFT;
	uint64_t last = end >= m->size ? m->chunks : end >> CHUNK_SHIFT;

	while (first < last) {
		/* A window that is being loaded may still report what was there
		 * before: leave it as data, which is only slower. */
		uint64_t window = first / WINDOW_CHUNKS;
		uint64_t stop = (window + 1) * WINDOW_CHUNKS;

		if (stop > last)
			stop = last;
		if (m->windows[window].state == WINDOW_KNOWN)
			set_bits(m, first, stop, false);
		first = stop;
	}
}
