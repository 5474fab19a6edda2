/*
 * index_data.c - do members lie where they can.
 *
 * Of a local header only its place is known. It has at least the length of its
 * fixed part and (but for liars) the name, so that two members that are nearer to
 * each other than that share bytes: how a few megabytes unpack to petabytes.
 */
#include <config.h>

#include <stdlib.h>

#include "blob/base/cleanup.h"
#include "pack/index_priv.h"
#include "pack/zip_format.h"

/* Fixed part, raw name, data. */
static uint64_t least_length(const struct pack_entry *e)
{
	return ZIP_LOCAL_SIZE + (uint64_t)e->end + e->packed_size;
}

static bool is_outside(const struct builder *b, const struct pack_entry *e)
{
	uint64_t space = b->end.directory_offset - b->end.data_start;

	return e->header_offset > space || e->packed_size > space ||
	       least_length(e) > space - e->header_offset;
}

static int by_offset(const void *va, const void *vb, void *arg)
{
	const struct pack_entry *members = arg;
	uint64_t a = members[*(const uint32_t *)va].header_offset;
	uint64_t b = members[*(const uint32_t *)vb].header_offset;

	return a < b ? -1 : a > b;
}

static void mark(struct pack_entry *e)
{
	if (!e->problem)
		e->problem = PACK_DATA_OVERLAP;
}

/* `order` is by offset. What lies between two members is the former's. */
static void find_spans(const struct builder *b, const uint32_t *order, uint32_t count)
{
	uint64_t next = b->end.directory_offset, here = next;

	for (uint32_t i = count; i-- > 0;) {
		struct pack_entry *e = &b->members[order[i]];

		if (e->header_offset < here) {
			next = here;
			here = e->header_offset;
		}
		e->span = next - here;
	}
}

/* The same. Each must begin where all before it have ended. */
static void find_overlaps(struct pack_entry *members, const uint32_t *order, uint32_t count)
{
	struct pack_entry *longest = NULL;
	uint64_t end = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct pack_entry *e = &members[order[i]];

		if (longest && e->header_offset < end) {
			mark(e);
			mark(longest);
		}
		if (!longest || e->header_offset + least_length(e) > end) {
			end = e->header_offset + least_length(e);
			longest = e;
		}
	}
}

int index_data(struct builder *b, struct err *err)
{
	cleanup_free uint32_t *order = calloc(b->count ? b->count : 1, sizeof(*order));
	uint32_t count = 0;

	if (!order)
		return index_no_memory(b, err);
	for (uint32_t i = 0; i < b->count; i++) {
		struct pack_entry *e = &b->members[i];

		if (is_outside(b, e)) {
			if (!e->problem)
				e->problem = PACK_DATA_OUTSIDE;
			e->header_offset = 0;
			continue;
		}
		e->header_offset += b->end.data_start;
		if (e->type != PACK_DIR)
			order[count++] = i;
	}
	qsort_r(order, count, sizeof(*order), by_offset, b->members);
	find_spans(b, order, count);
	find_overlaps(b->members, order, count);
	return 0;
}
