/* Reads of the virtual disk: from the cache, by fetches, ahead. */
#include <config.h>

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/disk_content.h"

static void test_read_any_alignment(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t len;
	} reads[] = {
		{ 0, 1 }, { 511, 2 }, { 65535, 2 }, { 65536, 65536 }, { 1, 65536 }, { 131071, 131074 },
		{ SIZE - 1, 1 }, { SIZE - 70000, 70000 }, { 4096, 4096 }, { 3 * MIB + 17, 200000 },
	};
	unsigned char *buf = malloc(MIB);
	struct rig r;
	size_t i;
	int round;

	open_filled(&r, fill_all);
	for (round = 0; round < 2; round++)
		for (i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
			memset(buf, 0, MIB);
			read_ok(&r, reads[i].offset, reads[i].len, buf);
			assert_content(buf, reads[i].offset, reads[i].len);
		}
	read_ok(&r, 2 * MIB + 5, disk_max_io(r.d), buf);
	assert_content(buf, 2 * MIB + 5, disk_max_io(r.d));
	free(buf);
	close_ok(&r);
}

static void test_hit_at_once(void **state)
{
	unsigned char buf[4096];
	struct io io;
	struct rig r;

	open_filled(&r, fill_all);
	read_ok(&r, 100, 1000, buf);
	assert_true(rig_until(rig_quiet, &r));
	io_init(&io);
	io_read(&r, &io, 500, 4000, buf);
	assert_true(io.in_call);
	assert_int_equal(io_wait(&io), 0);
	assert_content(buf, 500, 4000);
	io_destroy(&io);
	assert_int_equal(rig_calls(&r, CALL_READ), 1);
	close_ok(&r);
}

static void test_holes_cost_nothing(void **state)
{
	unsigned char *buf = malloc(256 * KIB);
	struct io io;
	struct rig r;

	open_filled(&r, fill_half);
	assert_true(rig_until(rig_quiet, &r));
	io_init(&io);
	io_read(&r, &io, SIZE / 2 + 12345, 256 * KIB, buf);
	assert_true(io.in_call);
	assert_int_equal(io_wait(&io), 0);
	assert_all(buf, 256 * KIB, 0);
	io_destroy(&io);
	assert_int_equal(rig_calls(&r, CALL_READ), 0);
	/* Half in the hole. */
	read_ok(&r, SIZE / 2 - 1000, 2000, buf);
	assert_content(buf, SIZE / 2 - 1000, 1000);
	assert_all(buf + 1000, 1000, 0);
	free(buf);
	close_ok(&r);
}

static void test_map_unknown(void **state)
{
	unsigned char buf[8192];
	struct rig r;

	/* While the list of ranges is not there, everything counts as data. */
	struct rig_options o = { .disk = { .size = SIZE, .cache_bytes = 4 * MIB }, .fill = fill_half };
	rig_open(&r, &o);
	read_ok(&r, SIZE / 2 - 4096, 8192, buf);
	assert_content(buf, SIZE / 2 - 4096, 4096);
	assert_all(buf + 4096, 4096, 0);
	close_ok(&r);
}

static void test_misses_share(void **state)
{
	unsigned char buf[8][4096];
	struct io io[8];
	struct rig r;
	int i;

	open_filled(&r, fill_all);
	model_hold(r.m, CALL_READ, true);
	for (i = 0; i < 8; i++) {
		io_init(&io[i]);
		io_read(&r, &io[i], MIB + 512 * (uint64_t)i, 4096, buf[i]);
		assert_false(io_done(&io[i]));
	}
	assert_int_equal(rig_calls(&r, CALL_READ), 1);
	model_hold(r.m, CALL_READ, false);
	for (i = 0; i < 8; i++) {
		assert_int_equal(io_wait(&io[i]), 0);
		assert_content(buf[i], MIB + 512 * (uint64_t)i, 4096);
		io_destroy(&io[i]);
	}
	close_ok(&r);
}

static void test_random_reads_fetch_little(void **state)
{
	static const unsigned places[] = { 77, 3, 50, 101, 23, 66, 90, 11, 119, 38 };
	struct disk_stats s;
	unsigned char buf[4096];
	struct rig r;
	size_t i;

	open_filled(&r, fill_all);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		read_ok(&r, (uint64_t)places[i] * 64 * KIB + 8192, 4096, buf);
	disk_stats(r.d, &s);
	assert_int_equal(s.fetches, 10);
	assert_true(s.fetched_bytes <= 10 * 64 * KIB);
	close_ok(&r);
}

static void test_stream_reads_ahead(void **state)
{
	struct rig_options o = { .disk = { .size = 32 * MIB, .cache_bytes = 16 * MIB }, .fill = fill_all };
	unsigned char *buf = malloc(128 * KIB);
	struct model_seen seen;
	struct disk_stats s;
	struct rig r;
	uint64_t pos;

	rig_open(&r, &o);
	model_set_latency(r.m, 2, 4);
	for (pos = 0; pos < 32 * MIB; pos += 128 * KIB) {
		read_ok(&r, pos, 128 * KIB, buf);
		assert_content(buf, pos, 128 * KIB);
	}
	disk_stats(r.d, &s);
	model_seen(r.m, &seen);
	/* Several at a time, each larger than what was asked for. */
	assert_true(seen.most_in_flight >= 3);
	assert_true(s.fetches < 128);
	assert_int_equal(s.fetched_bytes, 32 * MIB);
	free(buf);
	close_ok(&r);
}

/* Who reads a large file from start to end does not push out what others use. */
static void test_stream_leaves_the_rest(void **state)
{
	static const unsigned places[] = { 400, 409, 431, 455, 460, 477, 490, 503 };
	struct rig_options o = { .disk = { .size = 32 * MIB, .cache_bytes = 4 * MIB }, .fill = fill_all };
	unsigned char *buf = malloc(128 * KIB);
	struct disk_stats before, after;
	struct rig r;
	uint64_t pos;
	size_t i;

	rig_open(&r, &o);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		read_ok(&r, (uint64_t)places[i] * 64 * KIB, 4096, buf);
	/* In steps that end within chunks. */
	for (pos = 0; pos < 16 * MIB; pos += 96 * KIB) {
		read_ok(&r, pos, 96 * KIB, buf);
		assert_content(buf, pos, 96 * KIB);
	}
	assert_true(rig_until(rig_quiet, &r));
	disk_stats(r.d, &before);
	/* Read ahead at most the window, half of the cache, and nothing twice. */
	assert_true(before.fetched_bytes <= 18 * MIB + 8 * 64 * KIB);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		read_ok(&r, (uint64_t)places[i] * 64 * KIB, 4096, buf);
		assert_content(buf, (uint64_t)places[i] * 64 * KIB, 4096);
	}
	disk_stats(r.d, &after);
	assert_int_equal(after.fetches, before.fetches);
	free(buf);
	close_ok(&r);
}

/* Each callback begins the next read: the stack must not grow with the chain. */
struct chain {
	struct rig *r;
	unsigned left;
	struct io *end;
};

static void chain_next(void *arg, const struct err *err, const struct iovec *iov, int count)
{
	struct chain *c = arg;
	static unsigned char sink[512];

	if (--c->left == 0)
		io_read(c->r, c->end, 0, 512, sink);
	else
		disk_read(c->r->d, (c->left * 7919ull * 512) % (SIZE - 4096), 512, chain_next, c);
}

static void test_io_from_callbacks(void **state)
{
	struct chain c;
	struct io io;
	struct rig r;

	open_filled(&r, fill_all);
	io_init(&io);
	c = (struct chain){ &r, 3000, &io };
	disk_read(r.d, 0, 512, chain_next, &c);
	assert_true(rig_until((bool (*)(void *))io_done, &io));
	io_wait(&io);
	io_destroy(&io);
	close_ok(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_any_alignment),
		cmocka_unit_test(test_hit_at_once),
		cmocka_unit_test(test_holes_cost_nothing),
		cmocka_unit_test(test_map_unknown),
		cmocka_unit_test(test_misses_share),
		cmocka_unit_test(test_random_reads_fetch_little),
		cmocka_unit_test(test_stream_reads_ahead),
		cmocka_unit_test(test_stream_leaves_the_rest),
		cmocka_unit_test(test_io_from_callbacks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
