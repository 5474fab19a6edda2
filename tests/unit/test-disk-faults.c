/*
 * The virtual disk on a storage that fails: errors, unknown outcomes, a lease in
 * doubt or lost. DESIGN: nothing that was flushed is lost, nothing old lands on
 * top of newer data, nothing is sent without the lease.
 */
#include <config.h>

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/disk_rig.h"

#define KIB 1024u
#define MIB (1024u * 1024)
#define SIZE (8 * MIB)

static void fill_old(struct rig *r)
{
	char *page = malloc(MIB);
	uint64_t pos;

	memset(page, 'o', MIB);
	for (pos = 0; pos < r->size; pos += MIB)
		model_blob_put(model_blob(r->m), pos, MIB, page, NULL, NULL, NULL);
	free(page);
}

static struct rig_options options(void)
{
	return (struct rig_options){ .disk = { .size = SIZE, .cache_bytes = 4 * MIB }, .fill = fill_old };
}

static void open_old(struct rig *r)
{
	struct rig_options o = options();

	rig_open(r, &o);
}

static void plan(struct rig *r, enum model_call call, enum model_fault fault, unsigned times)
{
	model_plan(r->m, &(struct model_plan){ .call = call, .fault = fault, .times = times, .ms = 30,
					       .code = ERR_SERVER, .http_status = 503,
					       .service_code = "ServerBusy" });
}

static void put(struct rig *r, uint64_t offset, uint32_t len, char c)
{
	char *data = malloc(len);
	struct err err;

	memset(data, c, len);
	if (rig_write(r, offset, len, data, &err) < 0)
		fail_msg("write: %s", err.msg);
	free(data);
}

static void flush_ok(struct rig *r)
{
	struct err err;

	if (rig_flush(r, &err) < 0)
		fail_msg("flush: %s", err.msg);
}

static void close_ok(struct rig *r)
{
	struct err err;

	if (rig_close(r, &err) < 0)
		fail_msg("close: %s", err.msg);
}

static void assert_all(const char *got, uint64_t offset, uint64_t len, char c)
{
	uint64_t i;

	for (i = 0; i < len; i++)
		if (got[i] != c)
			fail_msg("byte %llu is '%c', not '%c'", (unsigned long long)(offset + i), got[i], c);
}

static void assert_stored(struct rig *r, uint64_t offset, uint32_t len, char c)
{
	char *got = malloc(len);

	rig_peek(r, offset, len, got);
	assert_all(got, offset, len, c);
	free(got);
}

static void assert_reads(struct rig *r, uint64_t offset, uint32_t len, char c)
{
	char *got = malloc(len);
	struct err err;

	if (rig_read(r, offset, len, got, &err) < 0)
		fail_msg("read: %s", err.msg);
	assert_all(got, offset, len, c);
	free(got);
}

static enum lease_state lease_told(struct rig *r)
{
	enum lease_state s;

	pthread_mutex_lock(&r->lock);
	s = r->last;
	pthread_mutex_unlock(&r->lock);
	return s;
}

static bool is_lost(void *arg)
{
	return lease_told(arg) == LEASE_LOST;
}

static bool is_doubtful(void *arg)
{
	return lease_told(arg) == LEASE_DOUBTFUL;
}

static bool is_held(void *arg)
{
	return lease_told(arg) == LEASE_HELD;
}

/* --- reads ------------------------------------------------------------------------- */

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

/* --- writes that are refused ----------------------------------------------------------- */

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

/* --- outcomes that nobody knows ---------------------------------------------------------- */

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

/* --- discards ------------------------------------------------------------------------------ */

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

/* --- the lease ------------------------------------------------------------------------------- */

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
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_lost_while_all_waits),
		cmocka_unit_test(test_doubtful),
		cmocka_unit_test(test_doubtful_then_taken),
		cmocka_unit_test(test_close_in_outage),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
