/*
 * The virtual disk when its lease is in doubt or lost. DESIGN: nothing is sent without the
 * lease.
 */
#include <config.h>

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/faulty_disk.h"

static bool is_doubtful(void *arg)
{
	return lease_told(arg) == LEASE_DOUBTFUL;
}

static bool is_held(void *arg)
{
	return lease_told(arg) == LEASE_HELD;
}

static void take_over(struct rig *r)
{
	model_blob_break(model_blob(r->m), 0, NULL);
	model_blob_acquire(model_blob(r->m), "11111111-2222-3333-4444-555555555555", 60, NULL);
}

static void test_lost(void **state)
{
	char data[4096], *before = malloc(SIZE), *after = malloc(SIZE);
	struct disk_stats s;
	struct model_seen seen;
	struct rig r;
	struct err err;

	open_old(&r);
	put(&r, 0, 4096, 'd');
	flush_ok(&r);
	put(&r, MIB, 64 * KIB, 'n');
	take_over(&r);
	rig_peek(&r, 0, SIZE, before);
	/* Found out by the write that is refused, not by the next renewal. */
	assert_int_equal(rig_flush(&r, &err), -1);
	assert_int_equal(err.code, ERR_LEASE_LOST);
	assert_true(rig_until(is_lost, &r));
	disk_stats(r.d, &s);
	assert_int_equal(s.dropped_bytes, 64 * KIB);
	assert_int_equal(s.dirty_bytes, 0);
	assert_int_equal(rig_write(&r, 0, sizeof(data), data, &err), -1);
	assert_int_equal(err.code, ERR_LEASE_LOST);
	assert_int_equal(rig_discard(&r, 0, 4096, &err), -1);
	assert_int_equal(err.code, ERR_LEASE_LOST);
	assert_int_equal(rig_flush(&r, &err), -1);
	assert_int_equal(err.code, ERR_LEASE_LOST);
	/* Reads show what is in the blob. */
	assert_reads(&r, MIB, 64 * KIB, 'o');
	assert_reads(&r, 0, 4096, 'd');
	rig_peek(&r, 0, SIZE, after);
	assert_memory_equal(before, after, SIZE);
	model_seen(r.m, &seen);
	assert_int_equal(seen.after_mark, 0);
	free(before);
	free(after);
	assert_int_equal(rig_close(&r, &err), -1);
	assert_int_equal(err.code, ERR_LEASE_LOST);
}

static void test_lost_while_all_waits(void **state)
{
	enum { N = 40 };
	struct rig_options o = options();
	char *data = malloc(64 * KIB);
	struct io io[N], flush;
	struct rig r;
	int i, failed = 0;

	o.disk.cache_bytes = MIB;
	rig_open(&r, &o);
	model_hold(r.m, CALL_WRITE, true);
	memset(data, 'n', 64 * KIB);
	for (i = 0; i < N; i++) {
		io_init(&io[i]);
		io_write(&r, &io[i], (uint64_t)i * 64 * KIB, 64 * KIB, data);
	}
	io_init(&flush);
	io_flush(&r, &flush);
	take_over(&r);
	assert_true(rig_until(is_lost, &r));
	assert_int_equal(io_wait(&flush), -1);
	assert_int_equal(flush.err.code, ERR_LEASE_LOST);
	for (i = 0; i < N; i++) {
		failed += io_wait(&io[i]) < 0;
		io_destroy(&io[i]);
	}
	assert_true(failed >= N - 16);
	io_destroy(&flush);
	model_hold(r.m, CALL_WRITE, false);
	assert_true(rig_until(rig_quiet, &r));
	for (i = 0; i < N; i++)
		assert_stored(&r, (uint64_t)i * 64 * KIB, 64 * KIB, 'o');
	assert_reads(&r, 0, 64 * KIB, 'o');
	free(data);
	assert_int_equal(rig_close(&r, NULL), -1);
}

static void test_doubtful(void **state)
{
	struct rig_options o = options();
	char data[512];
	struct io flush;
	struct rig r;
	struct err err;

	o.lease_s = 15;
	o.unit_ms = 20;
	rig_open(&r, &o);
	assert_reads(&r, 0, 4096, 'o');
	put(&r, MIB, 4096, 'n');
	/* Longer than the lease lasts: it runs out, and nobody takes it. */
	model_outage(r.m, 600000);
	assert_true(rig_until(is_doubtful, &r));
	memset(data, 'x', sizeof(data));
	assert_int_equal(rig_write(&r, 0, sizeof(data), data, &err), -1);
	assert_int_equal(err.code, ERR_TIMEOUT);
	assert_reads(&r, 0, 4096, 'o');
	assert_reads(&r, MIB, 4096, 'n');
	io_init(&flush);
	io_flush(&r, &flush);
	assert_false(io_done(&flush));
	model_outage(r.m, 0);
	assert_int_equal(io_wait(&flush), 0);
	assert_true(rig_until(is_held, &r));
	assert_stored(&r, MIB, 4096, 'n');
	put(&r, 0, 512, 'x');
	flush_ok(&r);
	assert_stored(&r, 0, 512, 'x');
	io_destroy(&flush);
	close_ok(&r);
}

static void test_doubtful_then_taken(void **state)
{
	struct rig_options o = options();
	struct disk_stats s;
	struct rig r;
	struct err err;

	o.lease_s = 15;
	o.unit_ms = 20;
	rig_open(&r, &o);
	put(&r, MIB, 4096, 'n');
	model_outage(r.m, 600000);
	assert_true(rig_until(is_doubtful, &r));
	take_over(&r);
	model_outage(r.m, 0);
	assert_true(rig_until(is_lost, &r));
	disk_stats(r.d, &s);
	assert_int_equal(s.dropped_bytes, 4096);
	assert_stored(&r, MIB, 4096, 'o');
	assert_int_equal(rig_close(&r, &err), -1);
	assert_int_equal(err.code, ERR_LEASE_LOST);
}

/* A dead storage must not keep an unmount for longer than the deadline. */
static void test_close_in_outage(void **state)
{
	struct rig_options o = options();
	int64_t start;
	struct rig r;
	struct err err;

	o.disk.io_deadline_ms = 500;
	rig_open(&r, &o);
	model_set_give_up(r.m, 300);
	put(&r, 0, 4096, 'n');
	model_outage(r.m, 600000);
	start = model_now();
	assert_int_equal(rig_close(&r, &err), -1);
	assert_true(model_now() - start < 30000);
	assert_non_null(strstr(err.msg, "4096 bytes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_lost_while_all_waits),
		cmocka_unit_test(test_doubtful),
		cmocka_unit_test(test_doubtful_then_taken),
		cmocka_unit_test(test_close_in_outage),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
