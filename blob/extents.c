#include <config.h>

#include "blob/extents.h"

#include <stdlib.h>
#include <string.h>

/* The first extent that ends at `at` or behind it. */
static size_t find(const struct extents *e, uint64_t at)
{
	size_t low = 0, high = e->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (e->items[middle].end < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int grow(struct extents *e)
{
	size_t size = e->size ? e->size * 2 : 64;
	struct extent *more;

	if (e->count < e->size)
		return 0;
	more = realloc(e->items, size * sizeof(*more));
	if (!more)
		return -1;
	e->items = more;
	e->size = size;
	return 0;
}

int extents_add(struct extents *e, uint64_t start, uint64_t end)
{
	size_t first = find(e, start), last = first;

	if (start >= end)
		return 0;
	for (; last < e->count && e->items[last].start <= end; last++) {
		if (e->items[last].start < start)
			start = e->items[last].start;
		if (e->items[last].end > end)
			end = e->items[last].end;
	}
	if (last == first && grow(e) < 0)
		return -1;
	if (first + 1 != last)
		memmove(e->items + first + 1, e->items + last, (e->count - last) * sizeof(*e->items));
	e->count = e->count + 1 - (last - first);
	e->items[first] = (struct extent){ start, end };
	return 0;
}

void extents_free(struct extents *e)
{
	free(e->items);
	memset(e, 0, sizeof(*e));
}

bool extents_gap(const struct extents *e, uint64_t from, uint64_t limit, struct extent *gap)
{
	size_t i = find(e, from);

	/* One that ends right here is behind us. */
	if (i < e->count && e->items[i].end == from)
		i++;
	if (i < e->count && e->items[i].start <= from)
		from = e->items[i++].end;
	if (from >= limit)
		return false;
	gap->start = from;
	gap->end = i < e->count && e->items[i].start < limit ? e->items[i].start : limit;
	return true;
}

uint64_t extents_begin(const struct extents *e)
{
	return e->count && e->items[0].start == 0 ? e->items[0].end : 0;
}

uint64_t extents_sum(const struct extents *e)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < e->count; i++)
		sum += e->items[i].end - e->items[i].start;
	return sum;
}
