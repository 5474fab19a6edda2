/*
 * How much a random read fetches: the rule of vhd/fetch_size.h, and the disk that
 * goes by it, with a clock of its own.
 */
#include <config.h>

#include "tests/unit/unit.h"

#include <stdatomic.h>
#include <string.h>

#include "tests/unit/disk_rig.h"
#include "tests/unit/scratch.h"
#include "vhd/fetch_size.h"

#define KIB 1024u
#define MIB (1024u * 1024)
#define SIZE (32 * MIB)
#define ROUND 8

/* --- the rule ------------------------------------------------------------------- */

static void measure(struct fetch_size *f, unsigned count, uint64_t us)
{
	while (count--)
		fetch_size_measured(f, 4096, us);
}

static unsigned size_at(uint64_t us)
{
	struct fetch_size f;

	fetch_size_init(&f, 0);
	measure(&f, ROUND, us);
	return fetch_size_for(&f, 0);
}

static void test_unknown(void **state)
{
	struct fetch_size f;

	fetch_size_init(&f, 0);
	assert_int_equal(fetch_size_for(&f, 0), 64 * KIB);
	measure(&f, ROUND - 1, 100);
	assert_int_equal(fetch_size_for(&f, 0), 64 * KIB);
	measure(&f, 1, 100);
	assert_int_equal(fetch_size_for(&f, 0), 4 * KIB);
}

static void test_distances(void **state)
{
	assert_int_equal(size_at(0), 4 * KIB);
	assert_int_equal(size_at(450), 4 * KIB);
	assert_int_equal(size_at(600), 8 * KIB);
	assert_int_equal(size_at(1500), 16 * KIB);
	assert_int_equal(size_at(3000), 32 * KIB);
	assert_int_equal(size_at(4200), 64 * KIB);
	assert_int_equal(size_at(20000), 64 * KIB);
	assert_int_equal(size_at(UINT64_C(120000000)), 64 * KIB);
}

/* Requests that had to wait for others say nothing about the distance. */
static void test_load(void **state)
{
	struct fetch_size f;
	int i;

	fetch_size_init(&f, 0);
	for (i = 0; i < 20; i++) {
		measure(&f, 3, 30000);
		measure(&f, 1, 200);
		measure(&f, ROUND - 4, 30000);
		assert_int_equal(fetch_size_for(&f, 0), 4 * KIB);
	}
}

static void test_large_ones_do_not_count(void **state)
{
	struct fetch_size f;
	int i;

	fetch_size_init(&f, 0);
	for (i = 0; i < 100; i++)
		fetch_size_measured(&f, 64 * KIB + 512, 100);
	assert_int_equal(fetch_size_for(&f, 0), 64 * KIB);
	for (i = 0; i < ROUND; i++)
		fetch_size_measured(&f, 64 * KIB, 100);
	assert_int_equal(fetch_size_for(&f, 0), 4 * KIB);
}

static void test_changed_distance(void **state)
{
	struct fetch_size f;
	int rounds = 0;

	fetch_size_init(&f, 0);
	measure(&f, ROUND, 10000);
	measure(&f, ROUND, 200);
	assert_int_equal(fetch_size_for(&f, 0), 4 * KIB);
	measure(&f, ROUND, 1000);
	assert_int_equal(fetch_size_for(&f, 0), 4 * KIB);
	while (fetch_size_for(&f, 0) < 64 * KIB && ++rounds < 100)
		measure(&f, ROUND, 5000);
	assert_in_range(rounds, 3, 10);
}

/* Also when the difference is less than what a quarter can say. */
static void test_rises_to_the_end(void **state)
{
	struct fetch_size f;

	fetch_size_init(&f, 0);
	measure(&f, ROUND, 1023);
	assert_int_equal(fetch_size_for(&f, 0), 8 * KIB);
	measure(&f, ROUND, 1024);
	assert_int_equal(fetch_size_for(&f, 0), 16 * KIB);
}

static void test_same_place(void **state)
{
	struct fetch_size f;

	fetch_size_init(&f, 0);
	measure(&f, ROUND, 100);
	assert_int_equal(fetch_size_for(&f, 512), 4 * KIB);
	assert_int_equal(fetch_size_for(&f, 16 * KIB), 16 * KIB);
	measure(&f, 20 * ROUND, 10000);
	assert_int_equal(fetch_size_for(&f, 16 * KIB), 64 * KIB);
}

static void test_fixed(void **state)
{
	struct fetch_size f;

	fetch_size_init(&f, 16 * KIB);
	assert_int_equal(fetch_size_for(&f, 0), 16 * KIB);
	measure(&f, ROUND, 100);
	assert_int_equal(fetch_size_for(&f, 32 * KIB), 16 * KIB);
}

/* --- the disk ------------------------------------------------------------------- */

/* Each look at the clock makes it so much later: a request that nothing else
 * happens beside takes this time. */
static atomic_uint_least64_t step_us, clock_value_us;

static uint64_t test_clock(void)
{
	uint64_t step = atomic_load(&step_us);

	return atomic_fetch_add(&clock_value_us, step) + step;
}

static void fill_all(struct rig *r)
{
	static const char ones[64 * KIB] = { [0 ... 64 * KIB - 1] = 1 };
	uint64_t pos;

	for (pos = 0; pos < r->size; pos += sizeof(ones))
		model_blob_put(model_blob(r->m), pos, sizeof(ones), ones, NULL, NULL, NULL);
}

static void open_with(struct rig *r, uint64_t latency_us, struct pcache *pc)
{
	struct rig_options o = { .disk = { .size = SIZE, .cache_bytes = 16 * MIB, .clock_us = test_clock,
					   .pcache = pc },
				 .fill = fill_all };

	atomic_store(&step_us, latency_us);
	rig_open(r, &o);
}

static void open_at(struct rig *r, uint64_t latency_us)
{
	open_with(r, latency_us, NULL);
}

static void read_ok(struct rig *r, uint64_t offset, uint32_t len)
{
	unsigned char buf[64 * KIB];
	struct err err;
	uint32_t i;

	if (rig_read(r, offset, len, buf, &err) < 0)
		fail_msg("read: %s", err.msg);
	for (i = 0; i < len; i++)
		assert_int_equal(buf[i], 1);
}

/* What a read of these bytes brings. */
static uint64_t fetched_for(struct rig *r, uint64_t offset, uint32_t len)
{
	struct disk_stats before, after;

	disk_stats(r->d, &before);
	read_ok(r, offset, len);
	disk_stats(r->d, &after);
	return after.fetched_bytes - before.fetched_bytes;
}

static uint64_t chunk(unsigned n)
{
	return (uint64_t)n * 64 * KIB;
}

/* Far apart, backwards: no two of them look like a stream. */
static void read_from(struct rig *r, unsigned first, unsigned reads)
{
	while (reads--)
		read_ok(r, chunk(first + 2 * reads), 4 * KIB);
}

static void learn(struct rig *r, unsigned reads)
{
	read_from(r, 300, reads);
}

static void test_disk_near(void **state)
{
	struct rig r;

	open_at(&r, 200);
	assert_int_equal(fetched_for(&r, chunk(200), 4 * KIB), 64 * KIB);
	learn(&r, ROUND - 1);
	assert_int_equal(fetched_for(&r, chunk(100), 4 * KIB), 4 * KIB);
	assert_int_equal(fetched_for(&r, chunk(90) + 5 * KIB, 512), 4 * KIB);
	assert_int_equal(fetched_for(&r, chunk(80) + 5 * KIB, 16 * KIB), 20 * KIB);
	close_ok(&r);
}

static void test_disk_far(void **state)
{
	struct rig r;

	open_at(&r, 5000);
	learn(&r, 3 * ROUND);
	assert_int_equal(fetched_for(&r, chunk(100), 4 * KIB), 64 * KIB);
	close_ok(&r);
}

static void test_disk_in_between(void **state)
{
	struct rig r;

	open_at(&r, 1500);
	learn(&r, ROUND);
	assert_int_equal(fetched_for(&r, chunk(100), 4 * KIB), 16 * KIB);
	close_ok(&r);
}

static void test_disk_same_place(void **state)
{
	struct rig r;

	open_at(&r, 200);
	learn(&r, ROUND);
	assert_int_equal(fetched_for(&r, chunk(100) + 56 * KIB, 4 * KIB), 4 * KIB);
	assert_int_equal(fetched_for(&r, chunk(100) + 48 * KIB, 4 * KIB), 4 * KIB);
	assert_int_equal(fetched_for(&r, chunk(100) + 32 * KIB, 4 * KIB), 8 * KIB);
	assert_int_equal(fetched_for(&r, chunk(100), 4 * KIB), 16 * KIB);
	close_ok(&r);
}

/* Small reads in sequence get their window as ever. */
static void test_disk_walk(void **state)
{
	struct disk_stats before, after;
	struct rig r;
	uint64_t pos;

	open_at(&r, 200);
	learn(&r, ROUND);
	disk_stats(r.d, &before);
	for (pos = 0; pos < 8 * MIB; pos += 4 * KIB)
		read_ok(&r, pos, 4 * KIB);
	disk_stats(r.d, &after);
	/* The first two, 2 for each of the window's first sizes, then large ones. */
	assert_in_range(after.fetches - before.fetches, 4, 31);
	close_ok(&r);
}

static struct pcache *open_pcache(void)
{
	struct pcache_options o = { .dir = scratch_dir(), .max_bytes = 64 * MIB, .queue_bytes = 2 * MIB,
				    .size = SIZE, .drive = "d", .version = "snapshot 1" };
	struct pcache *pc;
	struct err err;

	pc = pcache_open(&o, &err);
	if (!pc)
		fail_msg("%s", err.msg);
	return pc;
}

/* How far the service is, the node's own disk does not know. */
static void test_disk_pcache(void **state)
{
	struct pcache *pc = open_pcache();
	struct rig r;

	open_with(&r, 200, pc);
	learn(&r, ROUND);
	assert_int_equal(fetched_for(&r, chunk(100), 4 * KIB), 4 * KIB);
	close_ok(&r);
	pcache_close(pc, NULL);
	pc = open_pcache();
	open_with(&r, 200, pc);
	assert_int_equal(fetched_for(&r, chunk(300), 4 * KIB), 0);
	learn(&r, ROUND);
	assert_int_equal(fetched_for(&r, chunk(110), 4 * KIB), 64 * KIB);
	read_from(&r, 200, ROUND - 1);
	assert_int_equal(fetched_for(&r, chunk(120), 4 * KIB), 4 * KIB);
	close_ok(&r);
	pcache_close(pc, NULL);
	pc = open_pcache();
	open_with(&r, 200, pc);
	read_from(&r, 400, ROUND);
	atomic_store(&step_us, 1000000);
	learn(&r, ROUND);
	assert_int_equal(fetched_for(&r, chunk(130), 4 * KIB), 4 * KIB);
	close_ok(&r);
	pcache_close(pc, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_distances),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_large_ones_do_not_count),
		cmocka_unit_test(test_changed_distance),
		cmocka_unit_test(test_rises_to_the_end),
		cmocka_unit_test(test_same_place),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_disk_near),
		cmocka_unit_test(test_disk_far),
		cmocka_unit_test(test_disk_in_between),
		cmocka_unit_test(test_disk_same_place),
		cmocka_unit_test(test_disk_walk),
		cmocka_unit_test(test_disk_pcache),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
