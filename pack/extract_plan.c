#include <config.h>

#include "pack/extract_plan.h"

#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "pack/decoder.h"

/* A request costs more than to read over so many bytes. */
#define GAP_MAX (64u << 10)

/* Files and symlinks; folders that are members themselves, or that those need. */
static int choose(struct extract_plan *plan, const struct pack_index *index, bool own_items)
{
	plan->wanted = calloc(index->count ? index->count : 1, sizeof(*plan->wanted));
	if (!plan->wanted)
		return -1;
	for (uint32_t e = index->count; e-- > 1; ) {
		const struct pack_entry *entry = &index->entries[e];

		if (entry->type != PACK_DIR || !entry->implied)
			plan->wanted[e] = plan->wanted[e] || own_items || !entry->own;
		if (!plan->wanted[e])
			continue;
		plan->wanted[entry->parent] = true;
		if (entry->type != PACK_DIR) {
			plan->member_count++;
			plan->bytes += entry->size;
		}
	}
	return 0;
}

/* A member, wanted or not, and where it lies. */
struct place {
	uint64_t offset;
	uint32_t entry;
};

static int by_offset(const void *va, const void *vb)
{
	const struct place *a = va, *b = vb;

	return (a->offset > b->offset) - (a->offset < b->offset);
}

static struct place *all_places(const struct pack_index *index, uint32_t *count)
{
	struct place *places = malloc(((size_t)index->count + 1) * sizeof(*places));

	*count = 0;
	for (uint32_t e = 1; places && e < index->count; e++)
		if (!index->entries[e].implied)
			places[(*count)++] = (struct place){ index->entries[e].header_offset, e };
	if (places)
		qsort(places, *count, sizeof(*places), by_offset);
	return places;
}

/* How long the local header is stands in that header only: a member ends where the
 * next one begins, or where it must with the longest header there can be. */
static uint64_t end_of(const struct pack_index *index, const struct place *place, const struct place *next)
{
	const struct pack_entry *entry = &index->entries[place->entry];
	uint64_t end = next ? next->offset : index->directory_offset, longest;

	if (!__builtin_add_overflow(entry->header_offset, entry->packed_size, &longest) &&
	    !__builtin_add_overflow(longest, PACK_LOCAL_HEADER_MAX, &longest) && longest < end)
		end = longest;
	return end > place->offset ? end : place->offset;
}

static int sort_members(struct extract_plan *plan, const struct pack_index *index)
{
	uint32_t count, n = 0;
	cleanup_free struct place *places = all_places(index, &count);

	plan->members = malloc(((size_t)plan->member_count + 1) * sizeof(*plan->members));
	plan->ends = malloc(((size_t)plan->member_count + 1) * sizeof(*plan->ends));
	if (!places || !plan->members || !plan->ends)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t e = places[i].entry;

		if (!plan->wanted[e] || index->entries[e].type == PACK_DIR)
			continue;
		plan->members[n] = e;
		plan->ends[n++] = end_of(index, &places[i], i + 1 < count ? &places[i + 1] : NULL);
	}
	return 0;
}

static int larger_first(const void *va, const void *vb)
{
	const struct extract_job *a = va, *b = vb;
	uint64_t a_len = a->end - a->offset, b_len = b->end - b->offset;

	return (a_len < b_len) - (a_len > b_len);
}

/* Large members are jobs of their own, and stand in front. */
static void divide(struct extract_plan *plan, const struct pack_index *index, size_t portion)
{
	struct extract_job job = { .count = 0 };
	uint32_t large = 0, n = 0;

	for (uint32_t i = 0; i < plan->member_count; i++) {
		uint64_t offset = index->entries[plan->members[i]].header_offset;

		if (plan->ends[i] - offset > portion)
			plan->jobs[large++] = (struct extract_job){ offset, plan->ends[i], i, 1 };
	}
	if (large)
		qsort(plan->jobs, large, sizeof(*plan->jobs), larger_first);
	n = large;
	for (uint32_t i = 0; i < plan->member_count; i++) {
		uint64_t offset = index->entries[plan->members[i]].header_offset;
		bool is_large = plan->ends[i] - offset > portion;

		if (job.count && (is_large || offset - job.end > GAP_MAX ||
				  plan->ends[i] - job.offset > portion)) {
			plan->jobs[n++] = job;
			job.count = 0;
		}
		if (is_large)
			continue;
		if (!job.count++) {
			job.offset = offset;
			job.first = i;
		}
		job.end = plan->ends[i];
	}
	if (job.count)
		plan->jobs[n++] = job;
	plan->job_count = n;
}

int extract_plan_make(struct extract_plan *out, const struct pack_index *index, size_t portion,
		      bool own_items, struct err *err)
{
	memset(out, 0, sizeof(*out));
	if (choose(out, index, own_items) < 0 || sort_members(out, index) < 0)
		goto no_memory;
	out->jobs = malloc(((size_t)out->member_count + 1) * sizeof(*out->jobs));
	if (!out->jobs)
		goto no_memory;
	divide(out, index, portion);
	for (uint32_t i = 0; i < out->job_count; i++)
		out->to_fetch += out->jobs[i].end - out->jobs[i].offset;
	return 0;
no_memory:
	extract_plan_free(out);
	return err_set(err, ERR_NO_MEMORY, "out of memory for a package of %u members",
		       index->member_count);
}

void extract_plan_free(struct extract_plan *plan)
{
	free(plan->members);
	free(plan->ends);
	free(plan->jobs);
	free(plan->wanted);
	memset(plan, 0, sizeof(*plan));
}
