/* What an index costs: requests, bytes read, memory; of large packages and of small
 * ones that claim to be large. */
#include <config.h>

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_count.h"
#include "pack/index.h"
#include "zip_image.h"

static struct zip_image z;
static unsigned reads;
static uint64_t bytes_read;

static int counting_read(const struct pack_reader *r, uint64_t offset, void *data, size_t len,
			 struct err *err)
{
	assert_true(offset <= z.len && len <= z.len - offset);
	reads++;
	bytes_read += len;
	memcpy(data, z.data + offset, len);
	return 0;
}

/* Open and free it; the peak above what was there before is in alloc_most. */
static int cost(struct pack_index *index, struct err *err)
{
	struct pack_reader reader = { .name = "app.zip", .size = z.len, .read = counting_read };

	reads = 0;
	bytes_read = 0;
	alloc_now = alloc_most = 0;
	return pack_index_open(index, &reader, NULL, err);
}

static int clean(void **state)
{
	zip_free(&z);
	return 0;
}

static void hundred_thousand(void **state)
{
	static const uint8_t times[] = { 0x55, 0x54, 5, 0, 1, 0x80, 0x43, 0x6d, 0x38 };
	struct pack_index index;
	struct err err;
	char name[128];

	for (unsigned i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "opt/software/release-%u/lib/python3.11/site-packages/module%u/file%u.py",
			 i % 7, i / 50, i);
		zip_add(&z, &(struct zip_spec){ .name = name, .data = "x", .extra = times, .extra_len = sizeof(times) });
	}
	zip_end(&z, &(struct zip_ending){ .zip64 = true });
	if (cost(&index, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(index.file_count, 100000);
	print_message("# 100,000 members: %zu bytes at most, %zu kept, %u reads of %llu bytes\n", alloc_most, alloc_now,
		      reads, (unsigned long long)bytes_read);
	assert_true(alloc_most < 64u << 20);
	assert_true(alloc_now < 32u << 20);
	assert_true(reads <= 3);
	/* The directory, once, and what is looked at to find it. */
	assert_true(bytes_read <= index.directory_size + (256u << 10));
	assert_true(pack_index_find(&index, "opt/software/release-6/lib/python3.11/site-packages/module1999/file99999.py") < 0);
	assert_true(pack_index_find(&index, "opt/software/release-4/lib/python3.11/site-packages/module1999/file99999.py") > 0);
	pack_index_free(&index);
	assert_int_equal(alloc_now, 0);
}

static void small(void **state)
{
	struct pack_index index;
	struct err err;

	zip_file(&z, "a", "x");
	zip_end(&z, NULL);
	assert_int_equal(cost(&index, &err), 0);
	assert_true(alloc_now < 8192);
	pack_index_free(&index);
	assert_int_equal(alloc_now, 0);
}

/* Claims cost nothing until there are bytes to prove them. */
static void claims(void **state)
{
	static const struct zip_ending lies[] = {
		{ .zip64 = true, .count = LIE(1ull << 40), .directory_size = LIE(46ull << 40) },
		{ .zip64 = true, .count = LIE(3000000) },
		{ .zip64 = true, .directory_size = LIE(1ull << 30) },
		{ .count = LIE(65535), .directory_size = LIE(65535 * 46) },
	};
	struct pack_index index;
	struct err err;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		zip_free(&z);
		zip_file(&z, "a", "x");
		zip_end(&z, &lies[i]);
		assert_int_equal(cost(&index, &err), -1);
		assert_true(alloc_most < 100000);
		assert_int_equal(alloc_now, 0);
	}
}

/* Few bytes that name many folders, or members that are all bad. */
static void amplified(void **state)
{
	static char name[65536];
	struct pack_index index;
	struct err err;

	for (size_t i = 0; i + 2 <= sizeof(name); i += 2)
		memcpy(name + i, "a/", 2);
	name[4094] = 'f';
	for (unsigned n = 0; n < 200; n++) {
		name[0] = (char)('A' + n / 20);
		name[2] = (char)('A' + n % 20);
		zip_add(&z, &(struct zip_spec){ .name = name, .name_len = 4095, .data = "x" });
	}
	zip_end(&z, NULL);
	assert_int_equal(cost(&index, &err), -1);
	assert_true(alloc_most < 64u << 20);
	assert_int_equal(alloc_now, 0);
	zip_free(&z);
	memset(name, 0xb0, sizeof(name)); /* three bytes of UTF-8 each */
	for (unsigned n = 0; n < 100; n++)
		zip_add(&z, &(struct zip_spec){ .name = name, .name_len = 65535, .data = "x" });
	zip_end(&z, NULL);
	assert_int_equal(cost(&index, &err), 0);
	assert_int_equal(index.bad_count, 100);
	assert_true(alloc_most < 32u << 20);
	pack_index_free(&index);
	assert_int_equal(alloc_now, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(hundred_thousand, clean),
		cmocka_unit_test_teardown(small, clean),
		cmocka_unit_test_teardown(claims, clean),
		cmocka_unit_test_teardown(amplified, clean),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
