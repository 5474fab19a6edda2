/* Finding the central directory: what stands around it, and what it claims. */
#include <config.h>

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pack/index.h"
#include "zip_image.h"

static struct zip_image z;
static struct pack_index ix;
static struct err err;
static unsigned reads;
static uint64_t bytes_read;

static int clean(void **state)
{
	pack_index_free(&ix);
	zip_free(&z);
	return 0;
}

static int counting_read(const struct pack_reader *r, uint64_t offset, void *data, size_t len,
			 struct err *e)
{
	assert_true(offset <= z.len && len <= z.len - offset);
	reads++;
	bytes_read += len;
	memcpy(data, z.data + offset, len);
	return 0;
}

static int open_index(void)
{
	struct pack_reader reader = { .name = "c/app.zip", .size = z.len, .read = counting_read };

	pack_index_free(&ix);
	reads = 0;
	bytes_read = 0;
	return pack_index_open(&ix, &reader, NULL, &err);
}

/* Two members are there, at these bytes behind where the archive begins. */
static void good(uint64_t data_start)
{
	if (open_index() < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(ix.count, 3);
	assert_int_equal(ix.data_start, data_start);
	assert_int_equal(ix.entries[1].header_offset, data_start);
	assert_int_equal(ix.entries[1].problem, PACK_OK);
	assert_int_equal(ix.entries[2].problem, PACK_OK);
	assert_memory_equal(z.data + ix.entries[2].header_offset, "PK\3\4", 4);
}

static void fails(enum err_code code, const char *says)
{
	assert_int_equal(open_index(), -1);
	assert_string_equal(err_code_name(err.code), err_code_name(code));
	if (!strstr(err.msg, says) || strncmp(err.msg, "c/app.zip: ", 11) != 0)
		fail_msg("'%s' does not say '%s'", err.msg, says);
}

static void members(void)
{
	zip_file(&z, "a", "content of a");
	zip_file(&z, "b", "content of b");
}

static void usual(void **state)
{
	members();
	zip_end(&z, NULL);
	good(0);
	assert_int_equal(reads, 1);
	assert_int_equal(bytes_read, z.len);
	assert_false(ix.zip64);
}

static void comment(void **state)
{
	members();
	zip_end(&z, &(struct zip_ending){ .comment = "PK\5\6 looks like the end, and is none" });
	good(0);
}

static void padding(void **state)
{
	static const char zeros[300000];

	members();
	zip_end(&z, NULL);
	zip_raw(&z, zeros, 511);
	good(0);
	zip_raw(&z, zeros, sizeof(zeros));
	good(0);
	assert_int_equal(reads, 2);
}

static void junk_behind(void **state)
{
	members();
	zip_end(&z, NULL);
	zip_raw(&z, "junk, but not so much of it", 27);
	good(0);
}

static void junk_in_front(void **state)
{
	static const char zeros[512];

	zip_raw(&z, "#!/bin/sh\n", 10);
	zip_begin(&z);
	members();
	zip_end(&z, NULL);
	good(10);
	zip_raw(&z, zeros, 512);
	good(10);
}

/* What is in front may be counted in the offsets as well. */
static void junk_counted(void **state)
{
	zip_raw(&z, "#!/bin/sh\n", 10);
	members();
	zip_end(&z, NULL);
	assert_int_equal(open_index(), 0);
	assert_int_equal(ix.data_start, 0);
	assert_int_equal(ix.entries[1].header_offset, 10);
}

static void gap(void **state)
{
	members();
	zip_end(&z, &(struct zip_ending){ .gap = 7 });
	good(0);
}

/* A zip that was cut off, with another one in it: not the other one. */
static void nested(void **state)
{
	struct zip_image inner = { 0 };

	zip_file(&inner, "evil", "evil");
	zip_end(&inner, NULL);
	zip_file(&z, "a", "content");
	zip_add(&z, &(struct zip_spec){ .name = "inner.zip", .data = inner.data, .len = inner.len });
	zip_raw(&z, "PK\3\4 the next member", 20);
	zip_free(&inner);
	fails(ERR_FORMAT, "foreign bytes in front of it and behind it");
}

static void zip64(void **state)
{
	zip_add(&z, &(struct zip_spec){ .name = "a", .data = "content", .zip64 = true });
	zip_file(&z, "b", "content");
	zip_end(&z, &(struct zip_ending){ .zip64 = true });
	good(0);
	assert_true(ix.zip64);
	assert_int_equal(ix.entries[1].size, 7);
	clean(NULL);
	zip_raw(&z, "#!/bin/sh\n", 10);
	zip_begin(&z);
	members();
	zip_end(&z, &(struct zip_ending){ .zip64 = true });
	good(10);
}

static void zip64_lies(void **state)
{
	static const struct zip_ending lies[] = {
		{ .zip64 = true, .directory_offset = LIE(UINT64_MAX) },
		{ .zip64 = true, .directory_offset = LIE(UINT64_MAX - 40) },
		{ .zip64 = true, .directory_size = LIE(UINT64_MAX) },
		{ .zip64 = true, .directory_size = LIE(UINT64_MAX), .directory_offset = LIE(2) },
		{ .zip64 = true, .count = LIE(UINT64_MAX) },
		{ .zip64 = true, .count = LIE(1) },
		{ .zip64 = true, .count = LIE(65538) },
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		clean(NULL);
		members();
		zip_end(&z, &lies[i]);
		fails(ERR_FORMAT, "");
	}
	/* The locator points nowhere. */
	clean(NULL);
	members();
	zip_end(&z, &(struct zip_ending){ .zip64 = true });
	z.data[z.len - 22 - 20 - 56] = 'X';
	fails(ERR_FORMAT, "no zip64 end record");
	/* The two end records tell of different directories. */
	clean(NULL);
	members();
	zip_end(&z, &(struct zip_ending){ .zip64 = true });
	memset(z.data + z.len - 22 + 16, 0, 4);
	fails(ERR_FORMAT, "the zip64 record says something else");
}

static void lies(void **state)
{
	static const struct {
		struct zip_ending ending;
		const char *says;
	} cases[] = {
		{ { .count = LIE(1) }, "another number of members" },
		{ { .count = LIE(3) }, "room" },
		{ { .count = LIE(60000) }, "room" },
		{ { .directory_size = LIE(93) }, "" },
		{ { .directory_size = LIE(95) }, "" },
		{ { .directory_size = LIE(47) }, "room" },
		{ { .directory_size = LIE(0xfffffff0) }, "begin before the file" },
		{ { .directory_offset = LIE(0xfffffff0) }, "behind it" },
		{ { .directory_offset = LIE(100) }, "" },
		{ { .directory_offset = LIE(10), .directory_size = LIE(94) }, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		clean(NULL);
		members();
		zip_end(&z, &cases[i].ending);
		if (i == 9)
			zip_raw(&z, "x", 1);
		fails(ERR_FORMAT, cases[i].says);
	}
	clean(NULL);
	members();
	zip_end(&z, &(struct zip_ending){ .disk = LIE(1) });
	fails(ERR_UNSUPPORTED, "split over several files");
}

/* Counts beyond 16 bits without zip64 are taken modulo 65536. */
static void many(void **state)
{
	char name[16];

	for (unsigned i = 0; i < 65537; i++) {
		snprintf(name, sizeof(name), "%u", i);
		zip_file(&z, name, "x");
	}
	zip_end(&z, NULL);
	assert_int_equal(open_index(), 0);
	assert_int_equal(ix.member_count, 65537);
	assert_int_equal(ix.file_count, 65537);
}

static void no_zip(void **state)
{
	fails(ERR_FORMAT, "empty");
	zip_raw(&z, "PK\3\4", 4);
	fails(ERR_FORMAT, "not a zip or OPC package");
	zip_raw(&z, "a longer text that is no zip either, but begins like one", 56);
	fails(ERR_FORMAT, "truncated");
	z.data[0] = 'X';
	fails(ERR_FORMAT, "not a zip or OPC package");
	/* Every length of a truncated archive. */
	clean(NULL);
	members();
	zip_end(&z, &(struct zip_ending){ .comment = "hello" });
	while (z.len > 1) {
		z.len--;
		assert_int_equal(open_index(), -1);
		assert_int_equal(err.code, ERR_FORMAT);
	}
}

/* Each byte of a good archive, changed: any answer, but no crash. */
static void flipped(void **state)
{
	zip_file(&z, "[Content_Types].xml", "x");
	members();
	zip_add(&z, &(struct zip_spec){ .name = "d/e", .data = "content", .zip64 = true });
	zip_end(&z, &(struct zip_ending){ .zip64 = true });
	for (size_t i = 0; i < z.len; i++) {
		uint8_t was = z.data[i];

		for (unsigned bit = 0; bit < 8; bit++) {
			z.data[i] = was ^ (uint8_t)(1u << bit);
			open_index();
		}
		z.data[i] = was;
	}
	assert_int_equal(open_index(), 0);
}

int main(void)
{
#define with_clean(f) cmocka_unit_test_teardown(f, clean)
	const struct CMUnitTest tests[] = {
		with_clean(usual), with_clean(comment), with_clean(padding), with_clean(junk_behind),
		with_clean(junk_in_front), with_clean(junk_counted), with_clean(gap), with_clean(nested),
		with_clean(zip64), with_clean(zip64_lies), with_clean(lies), with_clean(many),
		with_clean(no_zip), with_clean(flipped),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
