/*
 * The virtual disk on a storage that fails: errors and unknown outcomes. DESIGN: nothing
 * that was flushed is lost, nothing old lands on top of newer data. (Leases in doubt and
 * lost: test-disk-lease.c.)
 */
#include <config.h>

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/faulty_disk.h"

static void plan(struct rig *r, enum model_call call, enum model_fault fault, unsigned times)
{
	model_plan(r->m, &(struct model_plan){ .call = call, .fault = fault, .times = times, .ms = 30,
					       .code = ERR_SERVER, .http_status = 503,
					       .service_code = "ServerBusy" });
}

/* --- reads --- */

static void test_read_error(void **state)
{
	char buf[3][4096];
	struct io io[3];
	struct rig r;
	int i;

	open_old(&r);
	plan(&r, CALL_READ, FAULT_ERROR, 1);
	/* All that wait for it hear of it; the next one asks anew. */
	model_hold(r.m, CALL_READ, true);
	for (i = 0; i < 3; i++) {
		io_init(&io[i]);
		io_read(&r, &io[i], 512 * (uint64_t)i, 4096, buf[i]);
	}
	model_hold(r.m, CALL_READ, false);
	for (i = 0; i < 3; i++) {
		assert_int_equal(io_wait(&io[i]), -1);
		assert_int_equal(io[i].err.code, ERR_SERVER);
		assert_non_null(strstr(io[i].err.msg, "ServerBusy"));
		io_destroy(&io[i]);
	}
	assert_reads(&r, 0, 4096, 'o');
	close_ok(&r);
}

static void test_blob_gone(void **state)
{
	struct disk_stats s;
	char buf[512];
	struct rig r;
	struct err err;

	open_old(&r);
	assert_reads(&r, 0, 512, 'o');
	model_blob_delete(model_blob(r.m));
	assert_int_equal(rig_read(&r, 4 * MIB, 512, buf, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	/* What is in memory can still be read. */
	assert_reads(&r, 0, 512, 'o');
	disk_stats(r.d, &s);
	assert_true(s.failed);
	assert_non_null(strstr(s.failure, "BlobNotFound"));
	assert_true(rig_until(is_lost, &r));
	assert_int_equal(disk_close(r.d, &err), -1);
	lease_keeper_stop(r.k, true, NULL);
	model_free(r.m);
}

static void test_ranges_error(void **state)
{
	struct rig_options o = options();
	struct model *m;
	struct store s;
	struct disk *d;

	/* The map only saves requests: without it everything still works. */
	m = model_new(SIZE, 50, 1);
	s = model_store(m);
	model_plan(m, &(struct model_plan){ .call = CALL_RANGES, .fault = FAULT_ERROR, .times = 5,
					    .code = ERR_SERVER });
	d = disk_open(&s, NULL, &o.disk, NULL);
	assert_non_null(d);
	{
		struct rig r = { .m = m, .d = d };

		assert_true(rig_until(rig_quiet, &r));
		assert_reads(&r, 5 * MIB, 4096, 0);
		assert_true(rig_calls(&r, CALL_READ) >= 1);
	}
	assert_int_equal(disk_close(d, NULL), 0);
	model_free(m);
}

static void test_edge_that_cannot_be_read(void **state)
{
	char data[100];
	struct rig r;
	struct err err;

	open_old(&r);
	memset(data, 'n', sizeof(data));
	plan(&r, CALL_READ, FAULT_ERROR, 1);
	assert_int_equal(rig_write(&r, 1000, sizeof(data), data, &err), -1);
	assert_int_equal(err.code, ERR_SERVER);
	assert_reads(&r, 900, 300, 'o');
	assert_int_equal(rig_write(&r, 1000, sizeof(data), data, &err), 0);
	flush_ok(&r);
	assert_reads(&r, 1000, 100, 'n');
	close_ok(&r);
}

/* --- writes that are refused --- */

static void test_store_error(void **state)
{
	struct rig r;
	struct err err;

	open_old(&r);
	put(&r, 64 * KIB, 4096, 'n');
	plan(&r, CALL_WRITE, FAULT_ERROR, 1);
	assert_int_equal(rig_flush(&r, &err), -1);
	assert_int_equal(err.code, ERR_SERVER);
	/* Said once. The data is still there, and the next flush brings it out. */
	assert_reads(&r, 64 * KIB, 4096, 'n');
	flush_ok(&r);
	assert_stored(&r, 64 * KIB, 4096, 'n');
	close_ok(&r);
}

static void test_flush_deadline(void **state)
{
	struct rig_options o = options();
	struct rig r;
	struct err err;

	o.disk.io_deadline_ms = 700;
	rig_open(&r, &o);
	put(&r, 0, 4096, 'n');
	model_hold(r.m, CALL_WRITE, true);
	assert_int_equal(rig_flush(&r, &err), -1);
	assert_int_equal(err.code, ERR_TIMEOUT);
	model_hold(r.m, CALL_WRITE, false);
	flush_ok(&r);
	assert_stored(&r, 0, 4096, 'n');
	close_ok(&r);
}

static void test_waiting_writes_deadline(void **state)
{
	enum { N = 32 };
	struct rig_options o = options();
	char *data = malloc(64 * KIB), *got = malloc(64 * KIB);
	struct io io[N], read;
	int i, failed = 0;
	struct rig r;

	o.disk.io_deadline_ms = 700;
	o.disk.cache_bytes = MIB;
	rig_open(&r, &o);
	assert_true(rig_until(rig_quiet, &r));
	model_hold(r.m, CALL_WRITE, true);
	memset(data, 'n', 64 * KIB);
	for (i = 0; i < N; i++) {
		io_init(&io[i]);
		/* One sector each: all chunks are dirty, none is full. */
		io_write(&r, &io[i], (uint64_t)i * 64 * KIB, 512, data);
	}
	io_init(&read);
	io_read(&r, &read, 7 * MIB, 64 * KIB, got);
	assert_int_equal(io_wait(&read), -1);
	assert_int_equal(read.err.code, ERR_TIMEOUT);
	for (i = 0; i < N; i++)
		if (io_wait(&io[i]) < 0) {
			assert_int_equal(io[i].err.code, ERR_TIMEOUT);
			failed++;
		}
	assert_true(failed >= N - 16 && failed < N);
	model_hold(r.m, CALL_WRITE, false);
	flush_ok(&r);
	/* Who heard of success is in, who heard of an error is not. */
	for (i = 0; i < N; i++) {
		assert_stored(&r, (uint64_t)i * 64 * KIB, 512, io[i].rc == 0 ? 'n' : 'o');
		io_destroy(&io[i]);
	}
	assert_reads(&r, 7 * MIB, 64 * KIB, 'o');
	io_destroy(&read);
	free(data);
	free(got);
	close_ok(&r);
}

static void test_close_reports(void **state)
{
	struct rig_options o = options();
	struct rig r;
	struct err err;

	o.disk.io_deadline_ms = 500;
	rig_open(&r, &o);
	put(&r, 0, 8192, 'n');
	plan(&r, CALL_WRITE, FAULT_ERROR, 1000);
	assert_int_equal(rig_close(&r, &err), -1);
	assert_non_null(strstr(err.msg, "8192 bytes"));
	assert_non_null(strstr(err.msg, "ServerBusy"));
}

/* --- outcomes that nobody knows --- */

static void unknown(enum model_call call, enum model_fault fault)
{
	struct lease_info before, after;
	struct model_seen seen;
	char zero = call == CALL_CLEAR ? '\0' : 'n';
	struct rig r;

	open_old(&r);
	lease_keeper_info(r.k, &before);
	put(&r, 64 * KIB, 64 * KIB, zero);
	put(&r, 2 * MIB, 4096, 'm');
	plan(&r, call, fault, 1);
	flush_ok(&r);
	lease_keeper_info(r.k, &after);
	assert_true(after.generation > before.generation);
	assert_stored(&r, 64 * KIB, 64 * KIB, zero);
	assert_stored(&r, 2 * MIB, 4096, 'm');
	/* Newer data, and then whatever was late has had its time. */
	put(&r, 64 * KIB, 64 * KIB, 'N');
	put(&r, 2 * MIB, 4096, 'M');
	flush_ok(&r);
	nanosleep(&(struct timespec){ .tv_nsec = 60000000 }, NULL);
	model_seen(r.m, &seen);
	assert_int_equal(seen.late_landed, 0);
	assert_int_equal(seen.late_refused, fault == FAULT_LATE);
	assert_stored(&r, 64 * KIB, 64 * KIB, 'N');
	assert_stored(&r, 2 * MIB, 4096, 'M');
	close_ok(&r);
}

static void test_unknown_outcomes(void **state)
{
	unknown(CALL_WRITE, FAULT_SWALLOWED);
	unknown(CALL_WRITE, FAULT_RESET);
	unknown(CALL_WRITE, FAULT_LATE);
	unknown(CALL_CLEAR, FAULT_SWALLOWED);
	unknown(CALL_CLEAR, FAULT_RESET);
	unknown(CALL_CLEAR, FAULT_LATE);
}

/* A fence turns the other writes away that are under way: they go again. */
static void test_fence_with_others_under_way(void **state)
{
	struct io flush;
	struct rig r;
	int i;

	open_old(&r);
	for (i = 0; i < 12; i++)
		put(&r, (uint64_t)i * 128 * KIB, 4096, (char)('a' + i));
	model_set_latency(r.m, 5, 60);
	plan(&r, CALL_WRITE, FAULT_SWALLOWED, 3);
	io_init(&flush);
	io_flush(&r, &flush);
	assert_int_equal(io_wait(&flush), 0);
	for (i = 0; i < 12; i++)
		assert_stored(&r, (uint64_t)i * 128 * KIB, 4096, (char)('a' + i));
	io_destroy(&flush);
	close_ok(&r);
}

static void test_fence_that_does_not_come_through(void **state)
{
	struct rig r;

	open_old(&r);
	put(&r, 0, 4096, 'n');
	plan(&r, CALL_WRITE, FAULT_LATE, 1);
	plan(&r, CALL_CHANGE, FAULT_SWALLOWED, 2);
	plan(&r, CALL_CHANGE, FAULT_RESET, 2);
	flush_ok(&r);
	assert_stored(&r, 0, 4096, 'n');
	close_ok(&r);
}

/* --- discards --- */

static void test_discard_unknown(void **state)
{
	static const enum model_fault faults[] = { FAULT_SWALLOWED, FAULT_RESET, FAULT_LATE };
	struct rig r;
	struct err err;
	size_t i;

	for (i = 0; i < 3; i++) {
		open_old(&r);
		plan(&r, CALL_CLEAR, faults[i], 1);
		if (rig_discard(&r, 64 * KIB, MIB, &err) < 0)
			fail_msg("discard: %s", err.msg);
		assert_stored(&r, 64 * KIB, MIB, 0);
		put(&r, 512 * KIB, 4096, 'n');
		flush_ok(&r);
		nanosleep(&(struct timespec){ .tv_nsec = 60000000 }, NULL);
		assert_stored(&r, 512 * KIB, 4096, 'n');
		close_ok(&r);
	}
}

/* One that is given up while its outcome is unknown must not clear later data. */
static void test_discard_given_up(void **state)
{
	struct rig_options o = options();
	struct rig r;

	o.disk.io_deadline_ms = 20;
	rig_open(&r, &o);
	model_set_latency(r.m, 60, 60);
	model_plan(r.m, &(struct model_plan){ .call = CALL_CLEAR, .fault = FAULT_LATE, .ms = 150 });
	assert_int_equal(rig_discard(&r, 64 * KIB, 64 * KIB, NULL), -1);
	model_set_latency(r.m, 0, 0);
	put(&r, 64 * KIB, 64 * KIB, 'n');
	while (rig_flush(&r, NULL) < 0)
		;
	nanosleep(&(struct timespec){ .tv_nsec = 250000000 }, NULL);
	assert_stored(&r, 64 * KIB, 64 * KIB, 'n');
	close_ok(&r);
}

/* A discard that fails has not eaten what was written before it. */
static void test_discard_refused(void **state)
{
	struct rig r;
	struct err err;

	open_old(&r);
	put(&r, 64 * KIB, 64 * KIB, 'n');
	model_plan(r.m, &(struct model_plan){ .call = CALL_CLEAR, .fault = FAULT_ERROR, .code = ERR_SERVER });
	assert_int_equal(rig_discard(&r, 64 * KIB, 64 * KIB, &err), -1);
	assert_int_equal(err.code, ERR_SERVER);
	assert_reads(&r, 64 * KIB, 64 * KIB, 'n');
	flush_ok(&r);
	assert_stored(&r, 64 * KIB, 64 * KIB, 'n');
	close_ok(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_error),
		cmocka_unit_test(test_blob_gone),
		cmocka_unit_test(test_ranges_error),
		cmocka_unit_test(test_edge_that_cannot_be_read),
		cmocka_unit_test(test_store_error),
		cmocka_unit_test(test_flush_deadline),
		cmocka_unit_test(test_waiting_writes_deadline),
		cmocka_unit_test(test_close_reports),
		cmocka_unit_test(test_unknown_outcomes),
		cmocka_unit_test(test_fence_with_others_under_way),
		cmocka_unit_test(test_fence_that_does_not_come_through),
		cmocka_unit_test(test_discard_unknown),
		cmocka_unit_test(test_discard_given_up),
		cmocka_unit_test(test_discard_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
