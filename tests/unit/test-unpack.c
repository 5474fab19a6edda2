/*
 * Members that are inflated once (fs/unpack.h): who gets what when, and what is kept.
 * Damage and storage in trouble: test-unpack-damage.c; directories: test-unpack-place.c.
 *
 *   HPCPACK_SEED=N   what the random readers do
 */
#include <config.h>

#include "tests/unit/unit.h"
#include "tests/unit/unpack_rig.h"

#define READERS 6

static void readers_of(struct rig_reader *all, uint64_t seed, unsigned first, unsigned members,
		       unsigned reads, uint32_t most)
{
	for (unsigned i = 0; i < READERS; i++)
		all[i] = (struct rig_reader) { .state = seed + i, .first = first, .members = members,
					       .reads = reads, .most = most };
}

/* --- once --- */

static void once(void **state)
{
	static const size_t sizes[] = { 1, 100, 10 * KIB, 128 * KIB - 1, 128 * KIB, 128 * KIB + 1,
					300 * KIB, MIB, MIB + 1, 3 * MIB };
	uint64_t sum = 0, seed = seed_of_test();
	struct rig_reader readers[READERS];
	struct unpack_stats now;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (enum rig_kind kind = RIG_NOISE; kind <= RIG_STORED; kind++) {
			rig_add(kind, sizes[i], NULL);
			sum += sizes[i];
		}
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 64 * MIB }, 0);
	readers_of(readers, seed, 0, rig.count, 200, 100 * KIB);
	rig_readers_start(readers, READERS);
	rig_readers_join(readers, READERS, 0);
	for (unsigned m = 0; m < rig.count; m++)
		rig_reads_all(m, 64 * KIB);
	now = rig_stats();
	assert_int_equal(now.inflated_bytes, sum);
	assert_int_equal(now.members, rig.count);
	assert_int_equal(now.restarts, 0);
	assert_int_equal(now.evicted, 0);
	assert_int_equal(now.bytes, 64 * MIB);
	assert_true(now.used >= sum && now.used <= now.bytes);
	/* Where two members meet, a block that one of them is done with may come again. */
	assert_true(range_server_look(&rig.server, rig.blob).bytes <= rig.blob->size + rig.count * 64 * KIB);
	rig_close();
}

static void beyond(void **state)
{
	rig_add(RIG_NOISE, 3 * MIB, NULL);
	rig_add(RIG_NOISE, 100, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 64 * MIB }, 0);
	assert_int_equal(rig_read(0, 3 * MIB, 1), ERR_RANGE);
	assert_int_equal(rig_read(0, 3 * MIB - 1, 2), ERR_RANGE);
	assert_int_equal(rig_read(1, UINT64_MAX, 2), ERR_RANGE);
	assert_int_equal(rig_read(1, 0, 0), ERR_RANGE);
	assert_int_equal(rig_read(0, 0, unpack_max_io(rig.unpack) + 1), ERR_RANGE);
	rig_reads(0, 3 * MIB - unpack_max_io(rig.unpack), unpack_max_io(rig.unpack));
	rig_reads(1, 99, 1);
	rig_close();
}

static bool something_made(void *arg)
{
	return rig_stats().inflated_bytes > 0;
}

/* What is there is given out while the rest can't be had; of a small member nothing is
 * before it is complete. */
static void as_it_grows(void **state)
{
	struct reading *begin, *end, *small;

	rig_add(RIG_NOISE, 4 * MIB, NULL);
	rig_add(RIG_NOISE, UNPACK_SMALL, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 64 * MIB }, 0);
	range_server_hold(&rig.server, rig.blob, rig_place(0, 2 * MIB), rig_place(0, 2 * MIB + 1));
	end = rig_start(0, 4 * MIB - 1000, 1000, false);
	begin = rig_start(0, 0, 64 * KIB, false);
	assert_int_equal(rig_finish(begin, 0, 0), ERR_NONE);
	rig_reads(0, MIB, 1000);
	range_server_wait_held(&rig.server, 1);
	assert_false(reading_is_over(end));
	range_server_clear(&rig.server);
	assert_int_equal(rig_finish(end, 0, 4 * MIB - 1000), ERR_NONE);
	assert_int_equal(rig_stats().inflated_bytes, 4 * MIB);
	rig_close();

	rig_add(RIG_NOISE, UNPACK_SMALL, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 64 * MIB }, 0);
	range_server_hold(&rig.server, rig.blob, rig_place(0, 700 * KIB), rig_place(0, 700 * KIB + 1));
	small = rig_start(0, 0, 1000, false);
	range_server_wait_held(&rig.server, 1);
	until(something_made, NULL, "a part of it");
	assert_false(reading_is_over(small));
	range_server_clear(&rig.server);
	assert_int_equal(rig_finish(small, 0, 0), ERR_NONE);
	rig_close();
}

static void backwards(void **state)
{
	uint32_t step = 100 * KIB;

	rig_add(RIG_NOISE, 3 * MIB, NULL);
	rig_add(RIG_TEXT, 20 * MIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 16 * MIB }, 0);
	for (uint64_t at = 3 * MIB - step; at >= step; at -= step)
		rig_reads(0, at, step);
	assert_int_equal(rig_stats().inflated_bytes, 3 * MIB);
	for (uint64_t at = 20 * MIB - step; at >= 15 * MIB; at -= step * 10)
		rig_reads(1, at, step);
	assert_true(rig_stats().restarts > 0);
	assert_true(rig_stats().used <= 16 * MIB);
	rig_close();
}

/* One whose bytes do not come keeps no other waiting. */
static void in_parallel(void **state)
{
	struct reading *slow[2];

	/* The slow ones stand last: no read-ahead over them brings what others need. */
	for (unsigned i = 0; i < 6; i++)
		rig_add(RIG_NOISE, i % 2 || i == 4 ? 2 * MIB : 100 * KIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 64 * MIB, .threads = 3 }, 0);
	for (unsigned i = 4; i < 6; i++)
		range_server_hold(&rig.server, rig.blob, rig_place(i, 300 * KIB), rig_place(i, 300 * KIB + 1));
	for (unsigned i = 4; i < 6; i++)
		slow[i - 4] = rig_start(i, 2 * MIB - 1000, 1000, false);
	range_server_wait_held(&rig.server, 2);
	for (unsigned i = 0; i < 4; i++)
		rig_reads_all(i, 128 * KIB);
	for (unsigned i = 0; i < 2; i++)
		assert_false(reading_is_over(slow[i]));
	range_server_clear(&rig.server);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(rig_finish(slow[i], i + 4, 2 * MIB - 1000), ERR_NONE);
	rig_close();
}

/* --- what is kept --- */

static void more_than_fits(void **state)
{
	uint64_t inflated;

	for (unsigned i = 0; i < 30; i++)
		rig_add(RIG_TEXT, i % 3 ? MIB + 100 * i : 100 * KIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 16 * MIB }, 0);
	for (unsigned turn = 0; turn < 2; turn++)
		for (unsigned m = 0; m < 30; m++) {
			rig_reads_all(m, 256 * KIB);
			assert_true(rig_stats().used <= rig_stats().bytes);
			rig_reads(0, 1000, 1000);
		}
	assert_true(rig_stats().evicted > 10);
	inflated = rig_stats().inflated_bytes;
	for (unsigned m = 25; m < 30; m++)
		rig_reads_all(m, 256 * KIB);
	rig_reads(0, 5, 10);
	assert_int_equal(rig_stats().inflated_bytes, inflated);
	rig_close();
}

static void evicted_while_read(void **state)
{
	struct rig_grip grips[3];

	for (unsigned i = 0; i < 25; i++)
		rig_add(RIG_TEXT, i ? MIB + i : 100 * KIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 16 * MIB }, 0);
	for (unsigned i = 0; i < 3; i++) {
		rig_reads_all(i, 100 * KIB);
		rig_grip(&grips[i], i, 1000 * i, 90 * KIB);
	}
	for (unsigned m = 3; m < 25; m++)
		rig_reads_all(m, 512 * KIB);
	assert_true(rig_stats().evicted > 0);
	unpack_forget(rig.unpack, object_number(rig.object));
	for (unsigned m = 3; m < 25; m++)
		rig_reads_all(m, 512 * KIB);
	for (unsigned i = 0; i < 3; i++)
		rig_let_go(&grips[i]);
	rig_close();
}

static void larger_than_the_cache(void **state)
{
	struct rig_reader readers[READERS];

	rig_add(RIG_TEXT, 40 * MIB + 5, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 16 * MIB }, 0);
	for (uint64_t at = 0; at < 40 * MIB; at += 128 * KIB) {
		rig_reads(0, at, 128 * KIB);
		assert_true(rig_stats().used <= 16 * MIB);
	}
	rig_reads(0, 40 * MIB, 5);
	assert_int_equal(rig_stats().inflated_bytes, 40 * MIB + 5);
	assert_int_equal(rig_stats().restarts, 0);
	readers_of(readers, 7, 0, 1, 4, 100 * KIB);
	rig_readers_start(readers, READERS);
	rig_readers_join(readers, READERS, 0);
	rig_close();
}

/* All that has a window is being copied out: the next one waits for its own. The two that
 * keep the threads busy lie in front, where no read-ahead of the others comes. */
static void all_windows_in_use(void **state)
{
	enum { BUSY, WITH_WINDOW = 2, NEXT = 6, LAST = 7, MEMBERS };
	struct rig_grip grips[4];
	struct reading *busy[2], *next;

	for (unsigned i = 0; i < MEMBERS; i++) {
		bool large = i >= WITH_WINDOW && i <= NEXT;

		rig_add(large ? RIG_TEXT : RIG_NOISE, large ? 13 * MIB : 300 * KIB, NULL);
	}
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 16 * MIB, .threads = 2 }, 0);
	for (unsigned i = 0; i < 4; i++)
		rig_reads(WITH_WINDOW + i, 0, 1000);
	/* Both threads have left those four when they wait for these. */
	for (unsigned i = 0; i < 2; i++) {
		range_server_hold(&rig.server, rig.blob, rig_place(BUSY + i, 100 * KIB),
				  rig_place(BUSY + i, 100 * KIB + 1));
		busy[i] = rig_start(BUSY + i, 0, 1000, false);
	}
	range_server_wait_held(&rig.server, 2);
	for (unsigned i = 0; i < 4; i++)
		rig_grip(&grips[i], WITH_WINDOW + i, 10, 500);
	range_server_clear(&rig.server);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(rig_finish(busy[i], BUSY + i, 0), ERR_NONE);
	next = rig_start(NEXT, 1000, 1000, false);
	/* The other thread goes on; when this is there, the first one has come to `next`. */
	rig_reads(LAST, 0, 1000);
	assert_false(reading_is_over(next));
	for (unsigned i = 0; i < 4; i++)
		rig_let_go(&grips[i]);
	assert_int_equal(rig_finish(next, NEXT, 1000), ERR_NONE);
	rig_close();
}

/* A thread may still be looking at the end of the last one. */
static bool nothing_left(void *arg)
{
	unpack_forget(rig.unpack, object_number(rig.object));
	return rig_stats().members == 0;
}

static void forgotten(void **state)
{
	for (unsigned i = 0; i < 5; i++)
		rig_add(RIG_NOISE, i % 2 ? 50 * KIB : 2 * MIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 64 * MIB }, 0);
	for (unsigned turn = 0; turn < 2; turn++) {
		for (unsigned m = 0; m < 5; m++)
			rig_reads_all(m, 256 * KIB);
		assert_int_equal(rig_stats().inflated_bytes, (turn + 1) * (6 * MIB + 100 * KIB));
		unpack_forget(rig.unpack, object_number(rig.object) + 1);
		assert_int_equal(rig_stats().members, 5);
		until(nothing_left, NULL, "all of it is forgotten");
		assert_int_equal(rig_stats().used, 0);
	}
	rig_close();
}

static void at_random(void **state)
{
	uint64_t seed = seed_of_test();
	struct rig_reader readers[READERS];

	for (unsigned i = 0; i < 20; i++)
		rig_add(i % 4 ? RIG_TEXT : RIG_NOISE, 1 + (size_t)seed_below(&seed, i % 3 ? 200 * KIB : 3 * MIB), NULL);
	rig_add(RIG_TEXT, 14 * MIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 16 * MIB }, 0);
	readers_of(readers, seed, 0, 21, 100, 200 * KIB);
	rig_readers_start(readers, READERS);
	for (unsigned i = 0; i < 50; i++) {
		rig_reads(i % 20, 0, 1);
		unpack_forget(rig.unpack, object_number(rig.object));
		assert_true(rig_stats().used <= 16 * MIB);
	}
	rig_readers_join(readers, READERS, 0);
	rig_close();
}

/* --- the end --- */

static void stopped(void **state)
{
	struct reading *r[12];

	for (unsigned i = 0; i < 6; i++)
		rig_add(RIG_NOISE, i % 2 ? 100 * KIB : 2 * MIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 16 * MIB, .threads = 2 }, 0);
	range_server_hold(&rig.server, rig.blob, rig_place(1, 0), ALL);
	rig_reads(0, 0, 1000);
	for (unsigned i = 0; i < 12; i++)
		r[i] = rig_start(1 + i % 5, 1000, 5000, false);
	range_server_wait_held(&rig.server, 1);
	blob_client_abort(rig.client);
	unpack_stop(rig.unpack);
	for (unsigned i = 0; i < 12; i++) {
		assert_true(reading_is_over(r[i]));
		assert_int_equal(rig_finish(r[i], 1 + i % 5, 1000), ERR_CANCELLED);
	}
	assert_int_equal(rig_read(0, 0, 1000), ERR_CANCELLED);
	assert_int_equal(rig_stats().damaged, 0);
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once), cmocka_unit_test(beyond), cmocka_unit_test(as_it_grows),
		cmocka_unit_test(backwards), cmocka_unit_test(in_parallel), cmocka_unit_test(more_than_fits),
		cmocka_unit_test(evicted_while_read), cmocka_unit_test(larger_than_the_cache),
		cmocka_unit_test(all_windows_in_use), cmocka_unit_test(forgotten),
		cmocka_unit_test(at_random), cmocka_unit_test(stopped),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
