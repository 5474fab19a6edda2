/* What is fetched in which portions. */
#include <config.h>

#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "pack/decoder.h"
#include "pack/extract_plan.h"

#define KIB 1024u
#define MIB (1024u * 1024u)
#define COUNT_MAX 600

static struct pack_entry entries[COUNT_MAX];
static struct pack_index index_;

/* An index of the root alone; members lie one behind the other, with `gap` bytes
 * between them. */
static void start(void)
{
	memset(entries, 0, sizeof(entries));
	memset(&index_, 0, sizeof(index_));
	entries[0] = (struct pack_entry){ .path = "", .type = PACK_DIR, .implied = true };
	index_ = (struct pack_index){ .entries = entries, .count = 1 };
}

static uint32_t add(enum pack_type type, uint32_t parent, uint64_t packed, uint64_t gap)
{
	struct pack_entry *e = &entries[index_.count];

	*e = (struct pack_entry){
		.path = "x", .type = (uint8_t)type, .parent = parent, .packed_size = packed,
		.size = packed * 2, .header_offset = index_.directory_offset + gap,
	};
	index_.directory_offset = e->header_offset + 30 + 1 + packed;
	return index_.count++;
}

/* Whatever it is made of: every wanted member is in one job, within its bytes. */
static void check(const struct extract_plan *p)
{
	uint32_t seen = 0;
	uint64_t sum = 0;

	for (uint32_t j = 0; j < p->job_count; j++) {
		const struct extract_job *job = &p->jobs[j];

		assert_true(job->count > 0);
		seen += job->count;
		sum += job->end - job->offset;
		for (uint32_t i = job->first; i < job->first + job->count; i++) {
			const struct pack_entry *e = &entries[p->members[i]];

			assert_true(e->header_offset >= job->offset);
			assert_true(p->ends[i] <= job->end);
			assert_true(p->ends[i] >= e->header_offset + 30 + e->packed_size);
		}
	}
	assert_int_equal(seen, p->member_count);
	assert_int_equal(sum, p->to_fetch);
}

static void neighbours_share_a_job(void **state)
{
	struct extract_plan p;

	start();
	for (int i = 0; i < 500; i++)
		add(PACK_FILE, 0, 10 * KIB, 0);
	assert_int_equal(extract_plan_make(&p, &index_, MIB, false, NULL), 0);
	check(&p);
	assert_int_equal(p.member_count, 500);
	assert_int_equal(p.bytes, 500 * 20 * KIB);
	assert_in_range(p.job_count, 5, 6);
	for (uint32_t i = 0; i < p.job_count; i++)
		assert_true(p.jobs[i].end - p.jobs[i].offset <= MIB);
	extract_plan_free(&p);
}

static void large_ones_come_first(void **state)
{
	struct extract_plan p;

	start();
	add(PACK_FILE, 0, 10, 0);
	add(PACK_FILE, 0, 2 * MIB, 0);
	add(PACK_FILE, 0, 10, 0);
	add(PACK_FILE, 0, 9 * MIB, 0);
	add(PACK_FILE, 0, 10, 0);
	assert_int_equal(extract_plan_make(&p, &index_, MIB, false, NULL), 0);
	check(&p);
	assert_int_equal(p.members[p.jobs[0].first], 4);
	assert_int_equal(p.members[p.jobs[1].first], 2);
	extract_plan_free(&p);
}

/* What nobody wants is read over if it is little, and left out if it is much. */
static void gaps(void **state)
{
	struct extract_plan p;

	start();
	add(PACK_FILE, 0, 10, 0);
	add(PACK_FILE, 0, 20 * KIB, 0);
	entries[2].own = true;
	add(PACK_FILE, 0, 10, 0);
	add(PACK_FILE, 0, 900 * KIB, 0);
	entries[4].own = true;
	add(PACK_FILE, 0, 10, 0);
	add(PACK_FILE, 0, 10, 700 * KIB);
	assert_int_equal(extract_plan_make(&p, &index_, 4 * MIB, false, NULL), 0);
	check(&p);
	assert_int_equal(p.member_count, 4);
	assert_int_equal(p.job_count, 3);
	assert_int_equal(p.jobs[0].count, 2);
	/* A local header can't be longer than this. */
	assert_true(p.jobs[1].end - p.jobs[1].offset <= PACK_LOCAL_HEADER_MAX + 10);
	extract_plan_free(&p);
	assert_int_equal(extract_plan_make(&p, &index_, 4 * MIB, true, NULL), 0);
	check(&p);
	assert_int_equal(p.member_count, 6);
	extract_plan_free(&p);
}

/* A folder is made if it is a member, or is needed by one that is wanted. */
static void folders(void **state)
{
	struct extract_plan p;
	uint32_t implied, rels, explicit_;

	start();
	implied = add(PACK_DIR, 0, 0, 0);
	entries[implied].implied = true;
	add(PACK_FILE, implied, 10, 0);
	rels = add(PACK_DIR, 0, 0, 0);
	entries[rels].implied = true;
	entries[add(PACK_FILE, rels, 10, 0)].own = true;
	explicit_ = add(PACK_DIR, 0, 0, 0);
	assert_int_equal(extract_plan_make(&p, &index_, MIB, false, NULL), 0);
	check(&p);
	assert_int_equal(p.member_count, 1);
	assert_true(p.wanted[implied]);
	assert_false(p.wanted[rels]);
	assert_true(p.wanted[explicit_]);
	extract_plan_free(&p);
}

/* Offsets that can't be give no range that ends before it begins. */
static void nonsense(void **state)
{
	struct extract_plan p;

	start();
	add(PACK_FILE, 0, 10, 0);
	add(PACK_FILE, 0, 10, 0);
	entries[1].header_offset = UINT64_MAX - 5;
	entries[2].header_offset = entries[1].header_offset;
	entries[2].packed_size = UINT64_MAX;
	assert_int_equal(extract_plan_make(&p, &index_, MIB, false, NULL), 0);
	for (uint32_t i = 0; i < p.job_count; i++)
		assert_true(p.jobs[i].end >= p.jobs[i].offset);
	extract_plan_free(&p);
	start();
	assert_int_equal(extract_plan_make(&p, &index_, MIB, false, NULL), 0);
	assert_int_equal(p.job_count, 0);
	extract_plan_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_share_a_job), cmocka_unit_test(large_ones_come_first),
		cmocka_unit_test(gaps), cmocka_unit_test(folders), cmocka_unit_test(nonsense),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
