/*
 * The virtual disk on a storage that works: each promise of vhd/disk.h.
 * (Storage that fails: test-disk-faults.c.)
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

/* Content by place, never 0. */
static unsigned char byte_at(uint64_t offset)
{
	return (unsigned char)(1 + (offset * 2654435761u >> 13) % 255);
}

static void fill_range(struct rig *r, uint64_t offset, uint64_t len)
{
	unsigned char page[4096];
	uint64_t pos, i;

	for (pos = offset; pos < offset + len; pos += sizeof(page)) {
		for (i = 0; i < sizeof(page); i++)
			page[i] = byte_at(pos + i);
		model_blob_put(model_blob(r->m), pos, sizeof(page), page, NULL, NULL, NULL);
	}
}

static void fill_all(struct rig *r)
{
	fill_range(r, 0, r->size);
}

static void fill_half(struct rig *r)
{
	fill_range(r, 0, r->size / 2);
}

static void assert_content(const unsigned char *got, uint64_t offset, uint64_t len)
{
	uint64_t i;

	for (i = 0; i < len; i++)
		if (got[i] != byte_at(offset + i))
			fail_msg("byte %llu is 0x%02x, not 0x%02x", (unsigned long long)(offset + i), got[i],
				 byte_at(offset + i));
}

static void assert_all(const unsigned char *got, uint64_t len, unsigned char c)
{
	uint64_t i;

	for (i = 0; i < len; i++)
		if (got[i] != c)
			fail_msg("byte %llu is 0x%02x, not 0x%02x", (unsigned long long)i, got[i], c);
}

static void open_filled(struct rig *r, void (*fill)(struct rig *r))
{
	struct rig_options o = { .disk = { .size = SIZE, .cache_bytes = 4 * MIB }, .fill = fill };

	rig_open(r, &o);
}

static void read_ok(struct rig *r, uint64_t offset, uint32_t len, void *into)
{
	struct err err;

	if (rig_read(r, offset, len, into, &err) < 0)
		fail_msg("read: %s", err.msg);
}

static void write_ok(struct rig *r, uint64_t offset, uint32_t len, const void *data)
{
	struct err err;

	if (rig_write(r, offset, len, data, &err) < 0)
		fail_msg("write: %s", err.msg);
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

static bool clean(void *arg)
{
	struct rig *r = arg;
	struct disk_stats s;

	disk_stats(r->d, &s);
	return s.dirty_bytes == 0;
}

/* --- shape ---------------------------------------------------------------------- */

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

/* --- reads ------------------------------------------------------------------------ */

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

/* --- writes ------------------------------------------------------------------------- */

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

/* --- memory ------------------------------------------------------------------------- */

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

/* --- discard ------------------------------------------------------------------------- */

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

/* --- read-only and snapshots ---------------------------------------------------------- */

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

/* --- the end --------------------------------------------------------------------------- */

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
		cmocka_unit_test(test_read_any_alignment),
		cmocka_unit_test(test_hit_at_once),
		cmocka_unit_test(test_holes_cost_nothing),
		cmocka_unit_test(test_map_unknown),
		cmocka_unit_test(test_misses_share),
		cmocka_unit_test(test_random_reads_fetch_little),
		cmocka_unit_test(test_stream_reads_ahead),
		cmocka_unit_test(test_stream_leaves_the_rest),
		cmocka_unit_test(test_io_from_callbacks),
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
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_hits_while_others_starve),
		cmocka_unit_test(test_large_write_in_a_crowd),
		cmocka_unit_test(test_read_in_a_crowd),
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
