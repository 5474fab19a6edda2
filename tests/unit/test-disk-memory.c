/* The virtual disk when its memory is full: who waits, and that nobody does for ever. */
#include <config.h>

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/disk_content.h"

static void test_memory_is_bounded(void **state)
{
	enum { N = 40 };
	struct rig_options o = { .disk = { .size = SIZE, .cache_bytes = MIB }, .fill = fill_all };
	unsigned char *data = malloc(64 * KIB), *held = malloc(64 * KIB), hit[512];
	struct io io[N], miss;
	struct disk_stats s;
	struct rig r;
	int i, waiting = 0;

	rig_open(&r, &o);
	assert_true(rig_until(rig_quiet, &r));
	model_hold(r.m, CALL_WRITE, true);
	memset(data, 'w', 64 * KIB);
	for (i = 0; i < N; i++) {
		io_init(&io[i]);
		io_write(&r, &io[i], (uint64_t)i * 64 * KIB, 64 * KIB, data);
		waiting += !io_done(&io[i]);
	}
	assert_true(waiting >= N - 16);
	disk_stats(r.d, &s);
	assert_int_equal(s.cache_bytes, MIB);
	assert_true(s.cached_bytes <= MIB);
	/* What is in memory is still read at once. */
	io_init(&miss);
	io_read(&r, &miss, 0, 512, hit);
	assert_true(miss.in_call);
	assert_all(hit, 512, 'w');
	io_read(&r, &miss, SIZE - 64 * KIB, 64 * KIB, held);
	io_wait(&io[0]);
	model_hold(r.m, CALL_WRITE, false);
	for (i = 0; i < N; i++) {
		assert_int_equal(io_wait(&io[i]), 0);
		io_destroy(&io[i]);
	}
	assert_int_equal(io_wait(&miss), 0);
	assert_content(held, SIZE - 64 * KIB, 64 * KIB);
	io_destroy(&miss);
	flush_ok(&r);
	for (i = 0; i < N; i++) {
		rig_peek(&r, (uint64_t)i * 64 * KIB, 64 * KIB, held);
		assert_all(held, 64 * KIB, 'w');
	}
	free(data);
	free(held);
	close_ok(&r);
}

/* Room in the cache that others wait for must not keep a hit waiting. */
static void test_hits_while_others_starve(void **state)
{
	struct rig_options o = { .disk = { .size = SIZE, .cache_bytes = MIB }, .fill = fill_all };
	unsigned char sector[512], got[512], *miss_buf = malloc(128 * KIB);
	struct io miss, hit;
	struct rig r;
	unsigned i;

	rig_open(&r, &o);
	assert_true(rig_until(rig_quiet, &r));
	model_hold(r.m, CALL_WRITE, true);
	memset(sector, 'd', sizeof(sector));
	for (i = 0; i < 16; i++)
		write_ok(&r, (uint64_t)i * 64 * KIB, sizeof(sector), sector);
	io_init(&miss);
	io_init(&hit);
	io_read(&r, &miss, SIZE - 128 * KIB, 128 * KIB, miss_buf);
	assert_false(io_done(&miss));
	io_read(&r, &hit, 3 * 64 * KIB, sizeof(got), got);
	assert_true(hit.in_call);
	assert_all(got, sizeof(got), 'd');
	model_hold(r.m, CALL_WRITE, false);
	assert_int_equal(io_wait(&miss), 0);
	assert_content(miss_buf, SIZE - 128 * KIB, 128 * KIB);
	io_destroy(&miss);
	io_destroy(&hit);
	free(miss_buf);
	close_ok(&r);
}

/* Many small writes without end must keep neither a large write nor a read that
 * need room waiting for ever. */
static void crowd(bool read)
{
	enum { N = 64, ROUNDS = 200 };
	struct rig_options o = { .disk = { .size = SIZE, .cache_bytes = MIB, .max_requests = 1 },
				 .fill = fill_all };
	unsigned char *data = malloc(256 * KIB), *got = malloc(256 * KIB);
	struct io large, small[N];
	unsigned i, rounds;
	struct rig r;

	rig_open(&r, &o);
	memset(data, 'f', 256 * KIB);
	model_set_latency(r.m, 1, 1);
	for (i = 0; i < N; i++) {
		io_init(&small[i]);
		io_write(&r, &small[i], 2 * MIB + (uint64_t)i * 64 * KIB, 512, data);
	}
	io_init(&large);
	if (read)
		io_read(&r, &large, 0, 256 * KIB, got);
	else
		io_write(&r, &large, 0, 256 * KIB, data);
	for (rounds = 1; rounds < ROUNDS && !io_done(&large); rounds++) {
		/* Whoever is done comes again; somebody always is, in the end. */
		io_wait(&small[rounds % N]);
		for (i = 0; i < N; i++)
			if (io_done(&small[i]))
				io_write(&r, &small[i], 2 * MIB + (uint64_t)i * 64 * KIB + rounds % 64 * 1024, 512,
					 data);
	}
	assert_true(rounds < ROUNDS);
	assert_int_equal(io_wait(&large), 0);
	for (i = 0; i < N; i++) {
		io_wait(&small[i]);
		io_destroy(&small[i]);
	}
	io_destroy(&large);
	if (read)
		assert_content(got, 0, 256 * KIB);
	free(data);
	free(got);
	close_ok(&r);
}

static void test_large_write_in_a_crowd(void **state)
{
	crowd(false);
}

static void test_read_in_a_crowd(void **state)
{
	crowd(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_hits_while_others_starve),
		cmocka_unit_test(test_large_write_in_a_crowd),
		cmocka_unit_test(test_read_in_a_crowd),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
