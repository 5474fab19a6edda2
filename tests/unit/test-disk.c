/*
 * The virtual disk on a storage that works: its shape, discards, snapshots and its end,
 * as vhd/disk.h promises. (Reads, writes, memory: test-disk-read.c and so on. Storage
 * that fails: test-disk-faults.c.)
 */
#include <config.h>

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/disk_content.h"

/* --- shape --- */

static void test_bounds(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t len;
	} bad[] = { { 0, 0 }, { SIZE, 1 }, { SIZE - 1, 2 }, { UINT64_MAX, 1 }, { UINT64_MAX - 511, 512 } };
	unsigned char buf[64];
	struct rig r;
	struct err err;
	size_t i;

	open_filled(&r, NULL);
	assert_int_equal(disk_size(r.d), SIZE);
	assert_true(disk_max_io(r.d) >= 64 * KIB);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(rig_read(&r, bad[i].offset, bad[i].len, buf, &err), -1);
		assert_int_equal(err.code, ERR_RANGE);
		assert_int_equal(rig_write(&r, bad[i].offset, bad[i].len, buf, &err), -1);
		assert_int_equal(err.code, ERR_RANGE);
		assert_int_equal(rig_discard(&r, bad[i].offset, bad[i].len, &err), -1);
		assert_int_equal(err.code, ERR_RANGE);
	}
	assert_int_equal(rig_read(&r, 0, disk_max_io(r.d) + 1, buf, &err), -1);
	assert_int_equal(rig_write(&r, 0, disk_max_io(r.d) + 1, buf, &err), -1);
	close_ok(&r);
}

static void test_open_refuses(void **state)
{
	struct disk_options o = { .size = 1000 };
	struct model *m = model_new(1024, 50, 1);
	struct store s = model_store(m);
	struct err err;

	assert_null(disk_open(&s, NULL, &o, &err));
	assert_int_equal(err.code, ERR_RANGE);
	o.size = 0;
	assert_null(disk_open(&s, NULL, &o, &err));
	model_free(m);
}

static void test_smallest_disk(void **state)
{
	struct rig_options o = { .disk = { .size = 512 } };
	unsigned char buf[512];
	struct rig r;

	o.disk.cache_bytes = MIB;
	rig_open(&r, &o);
	read_ok(&r, 0, 512, buf);
	assert_all(buf, 512, 0);
	memset(buf, 'x', 512);
	write_ok(&r, 0, 512, buf);
	flush_ok(&r);
	memset(buf, 0, 512);
	rig_peek(&r, 0, 512, buf);
	assert_all(buf, 512, 'x');
	close_ok(&r);
}

/* --- discard --- */

static void test_discard(void **state)
{
	static const struct {
		uint64_t offset, len;
	} cases[] = {
		{ 64 * KIB, 256 * KIB }, { 100, 50 }, { 512, 512 }, { 1000, 5000 }, { 0, 100 }, { 3 * MIB - 1, 2 },
		{ 2 * MIB + 17, MIB + 3 }, { SIZE - 513, 513 },
	};
	unsigned char *expect = malloc(SIZE), *got = malloc(SIZE);
	struct rig r;
	struct err err;
	size_t i;

	open_filled(&r, fill_all);
	rig_peek(&r, 0, SIZE, expect);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(expect + cases[i].offset, 0, cases[i].len);
		if (rig_discard(&r, cases[i].offset, cases[i].len, &err) < 0)
			fail_msg("discard: %s", err.msg);
	}
	for (i = 0; i < SIZE; i += 128 * KIB)
		read_ok(&r, i, 128 * KIB, got + i);
	assert_memory_equal(got, expect, SIZE);
	flush_ok(&r);
	rig_peek(&r, 0, SIZE, got);
	assert_memory_equal(got, expect, SIZE);
	assert_true(rig_calls(&r, CALL_CLEAR) >= 4);
	free(expect);
	free(got);
	close_ok(&r);
}

static void test_discard_of_dirty_data(void **state)
{
	unsigned char *buf = malloc(256 * KIB);
	struct rig r;
	struct err err;

	open_filled(&r, fill_all);
	memset(buf, 'x', 256 * KIB);
	write_ok(&r, MIB, 256 * KIB, buf);
	assert_int_equal(rig_discard(&r, MIB + 512, 128 * KIB, &err), 0);
	memset(buf, 'y', 512);
	write_ok(&r, MIB + 1024, 512, buf);
	flush_ok(&r);
	rig_peek(&r, MIB, 256 * KIB, buf);
	assert_all(buf, 512, 'x');
	assert_all(buf + 512, 512, 0);
	assert_all(buf + 1024, 512, 'y');
	assert_all(buf + 1536, 128 * KIB - 1024, 0);
	assert_all(buf + 512 + 128 * KIB, 128 * KIB - 512, 'x');
	free(buf);
	close_ok(&r);
}

/* --- read-only and snapshots --- */

static void test_read_only(void **state)
{
	struct rig_options o = { .disk = { .size = SIZE, .cache_bytes = MIB, .read_only = true },
				 .no_lease = true, .fill = fill_all };
	unsigned char buf[1024];
	struct rig r;
	struct err err;

	rig_open(&r, &o);
	assert_int_equal(rig_write(&r, 0, sizeof(buf), buf, &err), -1);
	assert_int_equal(err.code, ERR_READ_ONLY);
	assert_int_equal(rig_discard(&r, 0, 4096, &err), -1);
	assert_int_equal(err.code, ERR_READ_ONLY);
	read_ok(&r, 5, sizeof(buf), buf);
	assert_content(buf, 5, sizeof(buf));
	flush_ok(&r);
	close_ok(&r);
}

static void test_overlay(void **state)
{
	struct rig_options o = { .disk = { .size = SIZE, .cache_bytes = MIB, .overlay = true,
					   .overlay_bytes = 2 * MIB },
				 .no_lease = true, .fill = fill_all };
	unsigned char *expect = malloc(SIZE), *got = malloc(SIZE), *data = malloc(64 * KIB);
	uint64_t pos;
	struct rig r;
	struct err err;
	int i;

	rig_open(&r, &o);
	rig_peek(&r, 0, SIZE, expect);
	/* More than the cache holds, up to what the overlay may hold. */
	for (i = 0; i < 32; i++) {
		pos = (uint64_t)i * 3 * 64 * KIB;
		memset(data, 'o', 64 * KIB);
		memset(expect + pos + 7, 'o', 60000);
		write_ok(&r, pos + 7, 60000, data);
	}
	assert_int_equal(rig_write(&r, 64 * KIB, 512, data, &err), -1);
	assert_int_equal(err.code, ERR_NO_SPACE);
	/* What is in it already can be written again. */
	memset(data, 'p', 100);
	memset(expect + 20, 'p', 100);
	write_ok(&r, 20, 100, data);
	flush_ok(&r);
	for (pos = 0; pos < SIZE; pos += 128 * KIB)
		read_ok(&r, pos, 128 * KIB, got + pos);
	assert_memory_equal(got, expect, SIZE);
	assert_int_equal(rig_calls(&r, CALL_WRITE) + rig_calls(&r, CALL_CLEAR), 0);
	free(expect);
	free(got);
	free(data);
	close_ok(&r);
}

/* --- the end --- */

static void test_close_makes_durable(void **state)
{
	struct rig_options o = { .disk = { .size = SIZE, .cache_bytes = 4 * MIB }, .no_lease = false };
	unsigned char buf[3000], held[3072];
	struct rig r;
	struct err err;

	rig_open(&r, &o);
	memset(buf, 'c', sizeof(buf));
	write_ok(&r, 512, sizeof(buf), buf);
	pthread_mutex_lock(&r.lock);
	assert_int_equal(disk_close(r.d, &err), 0);
	r.d = NULL;
	pthread_mutex_unlock(&r.lock);
	rig_peek(&r, 512, sizeof(held), held);
	assert_all(held, sizeof(buf), 'c');
	assert_all(held + sizeof(buf), sizeof(held) - sizeof(buf), 0);
	close_ok(&r);
}

static void test_close_with_reads_under_way(void **state)
{
	unsigned char buf[8][512];
	struct io io[8];
	struct rig r;
	int i;

	open_filled(&r, fill_all);
	model_set_latency(r.m, 20, 40);
	for (i = 0; i < 8; i++) {
		io_init(&io[i]);
		io_read(&r, &io[i], (uint64_t)i * MIB, 512, buf[i]);
	}
	close_ok(&r);
	for (i = 0; i < 8; i++) {
		assert_true(io_done(&io[i]));
		io_destroy(&io[i]);
	}
}

static void test_statistics(void **state)
{
	unsigned char *buf = malloc(64 * KIB);
	struct disk_stats s;
	struct rig r;

	open_filled(&r, fill_all);
	read_ok(&r, 0, 1000, buf);
	memset(buf, 'q', 64 * KIB);
	write_ok(&r, MIB, 64 * KIB, buf);
	disk_stats(r.d, &s);
	assert_int_equal(s.reads, 1);
	assert_int_equal(s.read_bytes, 1000);
	assert_int_equal(s.writes, 1);
	assert_int_equal(s.write_bytes, 64 * KIB);
	assert_int_equal(s.fetches, 1);
	assert_true(s.fetched_bytes >= 1024);
	flush_ok(&r);
	disk_stats(r.d, &s);
	assert_int_equal(s.flushes, 1);
	assert_int_equal(s.stores, 1);
	assert_int_equal(s.stored_bytes, 64 * KIB);
	assert_int_equal(s.dirty_bytes, 0);
	assert_int_equal(s.dropped_bytes, 0);
	assert_false(s.failed);
	free(buf);
	close_ok(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_open_refuses),
		cmocka_unit_test(test_smallest_disk),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_discard_of_dirty_data),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_close_makes_durable),
		cmocka_unit_test(test_close_with_reads_under_way),
		cmocka_unit_test(test_statistics),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
