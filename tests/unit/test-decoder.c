/* Content of members, in pieces of any size; and what is no content. */
#include <config.h>

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pack/decoder.h"
#include "zip_image.h"

#define ROOM 200000

static struct zip_image z;
static struct pack_index ix;
static struct pack_memory mem;
static struct err err;
static uint8_t out[ROOM];
static size_t out_len;
static char text[100000]; /* content that deflate can do something with */

static int setup(void **state)
{
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + (i * i / 977 + i / 3) % 23);
	return 0;
}

static int clean(void **state)
{
	pack_index_free(&ix);
	zip_free(&z);
	return 0;
}

static const struct pack_entry *open_member(const char *path)
{
	ssize_t n;

	pack_index_free(&ix);
	pack_memory_init(&mem, "c/app.zip", z.data, z.len);
	if (pack_index_open(&ix, &mem.reader, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	n = pack_index_find(&ix, path);
	assert_true(n > 0);
	return &ix.entries[n];
}

/* Feed it in pieces of `in_step`, take in pieces of `out_step`. Each piece has a
 * home of its own, so that the sanitizer sees who leaves it. */
static enum pack_step run(struct pack_decoder *d, const struct pack_entry *e, size_t in_step, size_t out_step)
{
	uint64_t at = e->header_offset;
	uint8_t *piece = malloc(in_step), *room = malloc(out_step ? out_step : 1);
	const uint8_t *in = piece;
	enum pack_step step = PACK_STEP_INPUT;
	size_t left = 0, made;

	assert_true(piece && room);
	out_len = 0;
	do {
		if (step == PACK_STEP_INPUT) {
			assert_int_equal(left, 0);
			left = z.len - at < in_step ? z.len - at : in_step;
			if (!left)
				break;
			memcpy(piece, z.data + at, left);
			in = piece;
			at += left;
		}
		step = pack_decoder_run(d, &in, &left, room, out_step, &made, &err);
		assert_true(made <= out_step && out_len + made <= ROOM);
		memcpy(out + out_len, room, made);
		out_len += made;
		if (step == PACK_STEP_OUTPUT)
			assert_true(made == out_step && made);
	} while (step == PACK_STEP_INPUT || step == PACK_STEP_OUTPUT);
	free(piece);
	free(room);
	return step;
}

static enum pack_step decode(const char *path, size_t in_step, size_t out_step)
{
	const struct pack_entry *e = open_member(path);
	struct pack_decoder *d = pack_decoder_new(e, "c/app.zip", &err);
	enum pack_step step;

	if (!d)
		return PACK_STEP_FAILED;
	step = run(d, e, in_step, out_step);
	pack_decoder_free(d);
	return step;
}

static void gives(const char *path, const void *data, size_t len)
{
	static const size_t steps[][2] = {
		{ 1 << 20, 1 << 20 }, { 1, 7 }, { 7, 1 }, { 31, 4096 }, { 4096, 64 }, { 512, ROOM },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (decode(path, steps[i][0], steps[i][1]) != PACK_STEP_DONE)
			fail_msg("steps of %zu and %zu: %s", steps[i][0], steps[i][1], err.msg);
		assert_int_equal(out_len, len);
		assert_memory_equal(out, data, len);
	}
}

static void fails(const char *path, const char *says)
{
	static const size_t steps[][2] = { { 1 << 20, 1000 }, { 1 << 20, ROOM }, { 1, 1000 }, { 33, ROOM } };
	char start[64];

	snprintf(start, sizeof(start), "c/app.zip: %s: ", path);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		err_clear(&err);
		assert_int_equal(decode(path, steps[i][0], steps[i][1]), PACK_STEP_FAILED);
		if (!strstr(err.msg, says) || strncmp(err.msg, start, strlen(start)) != 0)
			fail_msg("'%s' does not say '%s'", err.msg, says);
		assert_int_equal(err.code, ERR_FORMAT);
	}
}

static void good(void **state)
{
	static const uint8_t extra[] = { 0xfe, 0xca, 4, 0, 1, 2, 3, 4 };

	zip_file(&z, "stored", "hello");
	zip_add(&z, &(struct zip_spec){ .name = "text", .data = text, .len = sizeof(text), .method = 8 });
	zip_add(&z, &(struct zip_spec){ .name = "later", .data = text, .len = 5000, .method = 8, .flags = 8 });
	zip_add(&z, &(struct zip_spec){ .name = "later-stored", .data = text, .len = 50, .flags = 8 });
	zip_add(&z, &(struct zip_spec){ .name = "extra", .data = text, .len = 500, .method = 8,
					.local_extra = extra, .local_extra_len = sizeof(extra) });
	zip_add(&z, &(struct zip_spec){ .name = "wide", .data = text, .len = 500, .zip64 = true });
	zip_file(&z, "empty", "");
	zip_add(&z, &(struct zip_spec){ .name = "empty-deflated", .data = "", .method = 8 });
	zip_end(&z, NULL);
	gives("stored", "hello", 5);
	gives("text", text, sizeof(text));
	gives("later", text, 5000);
	gives("later-stored", text, 50);
	gives("extra", text, 500);
	gives("wide", text, 500);
	gives("empty", "", 0);
	gives("empty-deflated", "", 0);
}

/* Called deflated, but there is not even an empty stream. */
static void nothing_deflated(void **state)
{
	zip_file(&z, "none", "");
	z.directory[10] = z.data[8] = 8;
	zip_end(&z, NULL);
	gives("none", "", 0);
}

/* What is repeated from as far back as can be, in pieces that begin anywhere. */
static void far_back(void **state)
{
	uint8_t *data = malloc(ROOM);
	uint32_t seed = 4711;

	assert_non_null(data);
	for (size_t i = 0; i < ROOM; i++) {
		seed = seed * 1664525 + 1013904223;
		data[i] = i < 32768 - 262 || i % 1000 < 20 ? (uint8_t)(seed >> 24) : data[i - (32768 - 262)];
	}
	zip_add(&z, &(struct zip_spec){ .name = "far", .data = data, .len = ROOM, .method = 8 });
	zip_end(&z, NULL);
	gives("far", data, ROOM);
	for (unsigned i = 0; i < 50; i++) {
		size_t in = 1 + (seed = seed * 1664525 + 1013904223) % 50000;
		size_t room = 1 + (seed = seed * 1664525 + 1013904223) % 90000;

		if (decode("far", in, room) != PACK_STEP_DONE)
			fail_msg("steps of %zu and %zu: %s", in, room, err.msg);
		assert_int_equal(out_len, ROOM);
		assert_memory_equal(out, data, ROOM);
	}
	free(data);
}

static void again(void **state)
{
	struct pack_decoder *d;

	zip_add(&z, &(struct zip_spec){ .name = "a", .data = text, .len = 5000, .method = 8 });
	zip_add(&z, &(struct zip_spec){ .name = "b", .data = text, .len = 5000, .method = 8, .crc = LIE(5) });
	zip_file(&z, "c", "hello");
	zip_add(&z, &(struct zip_spec){ .name = "d", .data = text, .len = 700, .method = 8 });
	zip_end(&z, NULL);
	d = pack_decoder_new(open_member("a"), "c/app.zip", &err);
	assert_non_null(d);
	for (uint32_t i = 1; i < ix.count; i++) {
		const struct pack_entry *e = &ix.entries[i];

		assert_int_equal(pack_decoder_reset(d, e, &err), 0);
		assert_int_equal(run(d, e, 100, 100), i == 2 ? PACK_STEP_FAILED : PACK_STEP_DONE);
		if (i != 2)
			assert_int_equal(out_len, e->size);
	}
	/* Left in the middle, it starts anew. */
	assert_int_equal(pack_decoder_reset(d, &ix.entries[4], &err), 0);
	assert_int_equal(run(d, &ix.entries[4], 100, 100), PACK_STEP_DONE);
	pack_decoder_free(d);
}

static void crc(void **state)
{
	zip_add(&z, &(struct zip_spec){ .name = "stored", .data = "hello", .flags = 8, .crc = LIE(1) });
	zip_add(&z, &(struct zip_spec){ .name = "text", .data = text, .len = 5000, .method = 8, .flags = 8,
					.crc = LIE(1) });
	zip_add(&z, &(struct zip_spec){ .name = "empty", .flags = 8, .crc = LIE(1) });
	zip_end(&z, NULL);
	fails("stored", "CRC error");
	fails("text", "CRC error");
	fails("empty", "CRC error");
}

static void lies(void **state)
{
	zip_add(&z, &(struct zip_spec){ .name = "more", .data = text, .len = 5000, .method = 8, .flags = 8,
					.size = LIE(4999) });
	zip_add(&z, &(struct zip_spec){ .name = "none", .data = text, .len = 5000, .method = 8, .flags = 8,
					.size = LIE(0) });
	zip_add(&z, &(struct zip_spec){ .name = "less", .data = text, .len = 5000, .method = 8, .flags = 8,
					.size = LIE(5001) });
	zip_add(&z, &(struct zip_spec){ .name = "cut", .data = text, .len = 5000, .method = 8, .flags = 8,
					.packed = LIE(100) });
	zip_add(&z, &(struct zip_spec){ .name = "long", .data = "hello", .method = 8, .flags = 8,
					.packed = LIE(10) });
	zip_add(&z, &(struct zip_spec){ .name = "not-empty", .data = "", .method = 8, .flags = 8,
					.packed = LIE(0), .size = LIE(1) });
	zip_file(&z, "last", "room for those that are too long");
	zip_end(&z, NULL);
	fails("more", "more than the size it claims");
	fails("none", "more than the size it claims");
	fails("less", "less than the size it claims");
	fails("cut", "ends too early");
	fails("long", "ends before the packed size");
	fails("not-empty", "can't be true");
}

static void local_lies(void **state)
{
	zip_add(&z, &(struct zip_spec){ .name = "size", .data = "hello", .local_size = LIE(4) });
	zip_add(&z, &(struct zip_spec){ .name = "crc", .data = "hello", .local_crc = LIE(4) });
	zip_add(&z, &(struct zip_spec){ .name = "method", .data = "hello", .local_method = LIE(8) });
	zip_add(&z, &(struct zip_spec){ .name = "wide", .data = "hello", .local_size = LIE(0xffffffff) });
	zip_end(&z, NULL);
	fails("size", "another size or CRC");
	fails("crc", "another size or CRC");
	fails("method", "another method");
	gives("wide", "hello", 5);
	clean(NULL);
	zip_file(&z, "first", "some content");
	zip_add(&z, &(struct zip_spec){ .name = "x", .data = "hello", .offset = LIE(44) });
	zip_end(&z, NULL);
	fails("x", "shares its data");
	/* A longer name than the directory's would push the data into the next one. */
	clean(NULL);
	zip_file(&z, "a", "content");
	zip_file(&z, "x", "hello");
	z.data[26] = 2;
	zip_end(&z, NULL);
	fails("a", "leaves no room");
	clean(NULL);
	zip_add(&z, &(struct zip_spec){ .name = "x", .data = "hello", .offset = LIE(1) });
	zip_raw(&z, "#", 1);
	zip_end(&z, NULL);
	fails("x", "no local header");
}

static void refused(void **state)
{
	zip_add(&z, &(struct zip_spec){ .name = "secret", .data = "x", .flags = 1 });
	zip_add(&z, &(struct zip_spec){ .name = "bzip2", .data = "x", .method = 12 });
	zip_add(&z, &(struct zip_spec){ .name = "lies", .data = "x", .size = LIE(2) });
	zip_end(&z, NULL);
	assert_int_equal(decode("secret", 100, 100), PACK_STEP_FAILED);
	assert_string_equal(err.msg, "c/app.zip: secret: it is encrypted");
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_int_equal(decode("bzip2", 100, 100), PACK_STEP_FAILED);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_int_equal(decode("lies", 100, 100), PACK_STEP_FAILED);
	assert_int_equal(err.code, ERR_FORMAT);
}

/* Each byte of header and data, changed: never wrong content. */
static void flipped(void **state)
{
	size_t end;

	zip_add(&z, &(struct zip_spec){ .name = "a", .data = text, .len = 300, .method = 8 });
	end = z.len;
	zip_end(&z, NULL);
	for (size_t i = 0; i < end; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			z.data[i] ^= (uint8_t)(1u << bit);
			if (decode("a", 1000, 1000) == PACK_STEP_DONE) {
				assert_int_equal(out_len, 300);
				assert_memory_equal(out, text, 300);
			}
			z.data[i] ^= (uint8_t)(1u << bit);
		}
}

/* Neither input nor room: it says what it wants, and nothing happens. */
static void starved(void **state)
{
	const struct pack_entry *e;
	struct pack_decoder *d;
	const uint8_t *in = NULL;
	size_t left = 0, made;

	zip_add(&z, &(struct zip_spec){ .name = "a", .data = text, .len = 300, .method = 8 });
	zip_end(&z, NULL);
	e = open_member("a");
	d = pack_decoder_new(e, "c/app.zip", &err);
	assert_int_equal(pack_decoder_run(d, &in, &left, NULL, 0, &made, &err), PACK_STEP_INPUT);
	in = z.data;
	left = z.len;
	assert_int_equal(pack_decoder_run(d, &in, &left, NULL, 0, &made, &err), PACK_STEP_OUTPUT);
	assert_int_equal(made, 0);
	assert_int_equal(pack_decoder_run(d, &in, &left, out, 299, &made, &err), PACK_STEP_OUTPUT);
	assert_int_equal(made, 299);
	assert_int_equal(pack_decoder_run(d, &in, &left, out + 299, 100, &made, &err), PACK_STEP_DONE);
	assert_int_equal(made, 1);
	assert_int_equal(left, z.len - 30 - 1 - e->packed_size);
	assert_memory_equal(out, text, 300);
	assert_int_equal(pack_decoder_run(d, &in, &left, out, 100, &made, &err), PACK_STEP_DONE);
	assert_int_equal(made, 0);
	pack_decoder_free(d);
}

int main(void)
{
#define with_clean(f) cmocka_unit_test_teardown(f, clean)
	const struct CMUnitTest tests[] = {
		with_clean(good), with_clean(nothing_deflated), with_clean(far_back), with_clean(again),
		with_clean(crc), with_clean(lies), with_clean(local_lies), with_clean(refused), with_clean(flipped),
		with_clean(starved),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, NULL);
}
