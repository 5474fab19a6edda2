/* Writes to the virtual disk, and when they are durable. */
#include <config.h>

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/disk_content.h"

static void test_write_back(void **state)
{
	unsigned char buf[8192], held[8192];
	struct io io;
	struct rig r;

	open_filled(&r, fill_all);
	memset(buf, 'n', sizeof(buf));
	io_init(&io);
	io_write(&r, &io, 64 * KIB, sizeof(buf), buf);
	/* Into memory, at once, without asking storage. */
	assert_true(io.in_call);
	assert_int_equal(io_wait(&io), 0);
	io_destroy(&io);
	assert_int_equal(rig_calls(&r, CALL_READ), 0);
	rig_peek(&r, 64 * KIB, sizeof(held), held);
	assert_content(held, 64 * KIB, sizeof(held));
	memset(held, 0, sizeof(held));
	read_ok(&r, 64 * KIB, sizeof(held), held);
	assert_all(held, sizeof(held), 'n');

	flush_ok(&r);
	rig_peek(&r, 64 * KIB, sizeof(held), held);
	assert_all(held, sizeof(held), 'n');
	/* The neighbours are as they were. */
	rig_peek(&r, 64 * KIB - 512, 512, held);
	assert_content(held, 64 * KIB - 512, 512);
	rig_peek(&r, 64 * KIB + sizeof(buf), 512, held);
	assert_content(held, 64 * KIB + sizeof(buf), 512);
	close_ok(&r);
}

static void test_unaligned_writes(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t len;
	} writes[] = {
		{ 1, 1 }, { 700, 2000 }, { 65530, 12 }, { 131072 + 5, 65536 * 2 }, { SIZE - 3, 3 },
		{ 4 * MIB - 100, 200 }, { 6 * MIB + 512, 100 }, { 6 * MIB + 2048 - 100, 100 },
	};
	unsigned char *expect = malloc(SIZE), *got = malloc(SIZE), *data = malloc(MIB);
	struct rig r;
	size_t i;

	open_filled(&r, fill_half);
	rig_peek(&r, 0, SIZE, expect);
	for (i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		memset(data, 'A' + (int)i, writes[i].len);
		memset(expect + writes[i].offset, 'A' + (int)i, writes[i].len);
		write_ok(&r, writes[i].offset, writes[i].len, data);
	}
	for (i = 0; i < SIZE; i += 128 * KIB)
		read_ok(&r, i, 128 * KIB, got + i);
	assert_memory_equal(got, expect, SIZE);
	flush_ok(&r);
	rig_peek(&r, 0, SIZE, got);
	assert_memory_equal(got, expect, SIZE);
	free(expect);
	free(got);
	free(data);
	close_ok(&r);
}

static void test_adjacent_writes_go_together(void **state)
{
	unsigned char *buf = malloc(MIB), *held = malloc(MIB);
	struct rig r;
	unsigned i;

	/* The cache is large enough for nothing to go out before the flush. */
	struct rig_options o = { .disk = { .size = 32 * MIB, .cache_bytes = 32 * MIB } };
	rig_open(&r, &o);
	for (i = 0; i < MIB; i++)
		buf[i] = byte_at(i);
	for (i = 0; i < MIB; i += 4096)
		write_ok(&r, 5 * 4096 + (MIB - 4096 - i), 4096, buf + (MIB - 4096 - i));
	assert_int_equal(rig_calls(&r, CALL_WRITE), 0);
	flush_ok(&r);
	assert_int_equal(rig_calls(&r, CALL_WRITE), 1);
	rig_peek(&r, 5 * 4096, MIB, held);
	assert_memory_equal(held, buf, MIB);
	free(buf);
	free(held);
	close_ok(&r);
}

static void test_large_runs_are_cut(void **state)
{
	struct rig_options o = { .disk = { .size = 64 * MIB, .cache_bytes = 64 * MIB } };
	unsigned char *buf = malloc(MIB), *held = malloc(16 * MIB);
	struct rig r;
	unsigned i;

	rig_open(&r, &o);
	model_hold(r.m, CALL_WRITE, true);
	memset(buf, 'L', MIB);
	for (i = 0; i < 15; i++)
		write_ok(&r, 512 + (uint64_t)i * MIB, MIB, buf);
	model_hold(r.m, CALL_WRITE, false);
	flush_ok(&r);
	assert_true(rig_calls(&r, CALL_WRITE) >= 4 && rig_calls(&r, CALL_WRITE) <= 6);
	rig_peek(&r, 512, 15 * MIB, held);
	assert_all(held, 15 * MIB, 'L');
	free(buf);
	free(held);
	close_ok(&r); /* dies of bad_calls when one was above 4 MiB */
}

static void test_zeros_are_cleared(void **state)
{
	unsigned char *buf = calloc(1, 256 * KIB);
	struct rig r;

	open_filled(&r, fill_all);
	write_ok(&r, 128 * KIB, 256 * KIB, buf);
	flush_ok(&r);
	assert_int_equal(rig_calls(&r, CALL_WRITE), 0);
	assert_int_equal(rig_calls(&r, CALL_CLEAR), 1);
	memset(buf, 1, 256 * KIB);
	rig_peek(&r, 128 * KIB, 256 * KIB, buf);
	assert_all(buf, 256 * KIB, 0);
	free(buf);
	close_ok(&r);
}

static void test_flush_waits_for_what_was_before(void **state)
{
	unsigned char buf[4096];
	struct io flush, later;
	struct rig r;

	open_filled(&r, NULL);
	memset(buf, '1', sizeof(buf));
	write_ok(&r, 0, sizeof(buf), buf);
	model_hold(r.m, CALL_WRITE, true);
	io_init(&flush);
	io_init(&later);
	io_flush(&r, &flush);
	assert_false(io_done(&flush));
	/* What comes after is no business of this flush. */
	memset(buf, '2', sizeof(buf));
	io_write(&r, &later, MIB, sizeof(buf), buf);
	assert_int_equal(io_wait(&later), 0);
	assert_false(io_done(&flush));
	model_hold(r.m, CALL_WRITE, false);
	assert_int_equal(io_wait(&flush), 0);
	rig_peek(&r, 0, sizeof(buf), buf);
	assert_all(buf, sizeof(buf), '1');
	io_destroy(&flush);
	io_destroy(&later);
	close_ok(&r);
}

static void test_flush_of_nothing(void **state)
{
	struct io io;
	struct rig r;

	open_filled(&r, NULL);
	io_init(&io);
	io_flush(&r, &io);
	assert_true(io.in_call);
	assert_int_equal(io_wait(&io), 0);
	io_destroy(&io);
	close_ok(&r);
}

static void test_dirty_data_does_not_stay(void **state)
{
	unsigned char buf[512];
	struct rig r;

	open_filled(&r, NULL);
	memset(buf, 'o', sizeof(buf));
	write_ok(&r, 4096, sizeof(buf), buf);
	assert_true(rig_until(clean, &r));
	rig_peek(&r, 4096, sizeof(buf), buf);
	assert_all(buf, sizeof(buf), 'o');
	close_ok(&r);
}

static void test_sync_writes(void **state)
{
	struct rig_options o = { .disk = { .size = SIZE, .cache_bytes = 4 * MIB, .sync_writes = true } };
	unsigned char buf[700], held[1024];
	struct io io;
	struct rig r;

	rig_open(&r, &o);
	memset(buf, 's', sizeof(buf));
	model_hold(r.m, CALL_WRITE, true);
	io_init(&io);
	io_write(&r, &io, 0, sizeof(buf), buf);
	assert_false(io_done(&io));
	model_hold(r.m, CALL_WRITE, false);
	assert_int_equal(io_wait(&io), 0);
	rig_peek(&r, 0, sizeof(held), held);
	assert_all(held, sizeof(buf), 's');
	io_destroy(&io);
	close_ok(&r);
}

static void test_never_twice_at_a_time(void **state)
{
	unsigned char buf[4096], held[4096];
	struct io flush, again;
	struct rig r;

	open_filled(&r, NULL);
	memset(buf, '1', sizeof(buf));
	write_ok(&r, 0, sizeof(buf), buf);
	model_hold(r.m, CALL_WRITE, true);
	io_init(&flush);
	io_init(&again);
	io_flush(&r, &flush);
	memset(buf, '2', sizeof(buf));
	io_write(&r, &again, 512, 1024, buf);
	/* A read meanwhile sees the one or the other, and does not wait. */
	read_ok(&r, 0, sizeof(held), held);
	assert_true(held[512] == '1' || held[512] == '2');
	model_hold(r.m, CALL_WRITE, false);
	assert_int_equal(io_wait(&flush), 0);
	assert_int_equal(io_wait(&again), 0);
	flush_ok(&r);
	rig_peek(&r, 0, sizeof(held), held);
	assert_all(held, 512, '1');
	assert_all(held + 512, 1024, '2');
	assert_all(held + 1536, sizeof(held) - 1536, '1');
	io_destroy(&flush);
	io_destroy(&again);
	close_ok(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_back),
		cmocka_unit_test(test_unaligned_writes),
		cmocka_unit_test(test_adjacent_writes_go_together),
		cmocka_unit_test(test_large_runs_are_cut),
		cmocka_unit_test(test_zeros_are_cleared),
		cmocka_unit_test(test_flush_waits_for_what_was_before),
		cmocka_unit_test(test_flush_of_nothing),
		cmocka_unit_test(test_dirty_data_does_not_stay),
		cmocka_unit_test(test_sync_writes),
		cmocka_unit_test(test_never_twice_at_a_time),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
