/* The upload engine against a storage service in memory that fails as told. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/md5.h"
#include "blob/upload.h"
#include "tests/unit/scratch.h"
#include "tests/unit/upload_rig.h"

static struct upload_source source;
static struct upload_stats stats;
static struct err err;
static uint64_t seen_done;
static const char *path;

static void progress(void *arg, uint64_t done, uint64_t total)
{
	assert_true(done <= total + P && done >= seen_done);
	seen_done = done;
}

static const struct upload_options options = { .block_size = BLOCK, .progress = progress };

/* A file of SIZE bytes: data with runs of zeros in it, and a hole. */
static int setup(void **state)
{
	char *content = calloc(1, SIZE);
	unsigned seed = 7;
	int fd;

	path = scratch_path("file");
	service_reset(path);
	seen_done = 0;
	for (int i = 0; i < SIZE; i++)
		content[i] = (char)(1 + rand_r(&seed) % 255);
	memset(content + 100 * P, 0, 300 * P);
	memset(content + (1 << 20), 0, 1 << 20);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(pwrite(fd, content, 1 << 20, 0), 1 << 20);
	assert_int_equal(pwrite(fd, content + (2 << 20), SIZE - (2 << 20), 2 << 20), SIZE - (2 << 20));
	close(fd);
	free(content);
	return upload_source_open(&source, path, &err);
}

static int teardown(void **state)
{
	upload_source_close(&source);
	return 0;
}

static void same_bytes(const char *bytes, size_t len)
{
	char *content = malloc(len);

	assert_int_equal(pread(source.fd, content, len, 0), len);
	assert_memory_equal(content, bytes, len);
	free(content);
}

static void pages(void **state)
{
	char last[P];

	memset(last, 'F', P);
	assert_int_equal(upload_pages(NULL, NULL, &source, SIZE, last, NULL, &options, &stats, &err), 0);
	same_bytes(service.bytes, SIZE);
	assert_memory_equal(service.bytes + SIZE, last, P);
	assert_int_equal(service.last_offset, SIZE);   /* the footer came last */
	assert_int_equal(stats.sent, service.received);
	assert_int_equal(stats.skipped, (1 << 20) + 300 * P);
	assert_int_equal(stats.sent + stats.skipped, SIZE + P);
	assert_true(service.most_in_flight <= 16);
}

/* What is no whole page is filled up with zeros, and a part may be left out. */
static void odd_sizes(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 511, 512, 513, BLOCK - 1, BLOCK, BLOCK + 1, 90000, SIZE - 512 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		memset(service.bytes, 0, SIZE * 2);
		seen_done = 0;
		assert_int_equal(upload_pages(NULL, NULL, &source, sizes[i], NULL, NULL, &options, &stats, &err), 0);
		same_bytes(service.bytes, sizes[i]);
		for (uint64_t at = sizes[i]; at < SIZE; at++)
			assert_int_equal(service.bytes[at], 0);
		assert_int_equal(stats.sent + stats.skipped, (sizes[i] + P - 1) / P * P);
	}
}

static void unknown_outcome_is_repeated(void **state)
{
	service.fault = FAULT_UNKNOWN;
	service.fault_from = 3;
	service.fault_count = 5;
	assert_int_equal(upload_pages(NULL, NULL, &source, SIZE, NULL, NULL, &options, &stats, &err), 0);
	same_bytes(service.bytes, SIZE);
	assert_int_equal(stats.sent, service.received);

	service.fault_count = 1000000;   /* but not for ever */
	service.requests = 0;
	seen_done = 0;
	assert_int_equal(upload_pages(NULL, NULL, &source, SIZE, NULL, NULL, &options, &stats, &err), -1);
	assert_int_equal(err.code, ERR_NETWORK);
}

static void damage_is_repaired(void **state)
{
	char md5[MD5_TEXT_MAX];

	service.fault = FAULT_DAMAGE;
	service.fault_from = 3;
	service.fault_count = 5;
	assert_int_equal(upload_pages(NULL, NULL, &source, SIZE, NULL, NULL, &options, &stats, &err), 0);
	same_bytes(service.bytes, SIZE);
	assert_int_equal(stats.sent, service.received);

	service.requests = service.received = seen_done = 0;
	assert_int_equal(upload_blocks(NULL, NULL, &source, NULL, &options, &stats, &err), 0);
	same_bytes(service.committed, SIZE);
	assert_int_equal(md5_of(service.committed, SIZE, md5, &err), 0);
	assert_string_equal(service.md5, md5);

	service.fault_count = 1000000;
	service.requests = seen_done = 0;
	assert_int_equal(upload_pages(NULL, NULL, &source, SIZE, NULL, NULL, &options, &stats, &err), -1);
	assert_string_equal(err.msg, "damaged");
}

static void an_error_ends_it(void **state)
{
	char last[P] = { 'F' };

	service.fault = FAULT_ERROR;
	service.fault_from = 5;
	service.fault_count = 1;
	assert_int_equal(upload_pages(NULL, NULL, &source, SIZE, last, NULL, &options, &stats, &err), -1);
	assert_string_equal(err.msg, "the service is on fire");
	assert_int_equal(service.in_flight, 0);
	assert_int_equal(service.bytes[SIZE], 0);   /* no footer */
}

static void lease_changes(void **state)
{
	bool renews = true;
	struct upload_lease lease = { .current = service_lease, .arg = &renews };

	service.fault = FAULT_LEASE;
	service.fault_from = 4;
	service.fault_count = 1;
	assert_int_equal(upload_pages(NULL, NULL, &source, SIZE, NULL, &lease, &options, &stats, &err), 0);
	same_bytes(service.bytes, SIZE);

	/* The same generation was refused: it is lost. */
	renews = false;
	service.requests = seen_done = 0;
	assert_int_equal(upload_pages(NULL, NULL, &source, SIZE, NULL, &lease, &options, &stats, &err), -1);
	assert_int_equal(err.code, ERR_LEASE_LOST);
}

static void a_file_that_changes(void **state)
{
	struct timespec times[2] = { { 0 }, { .tv_sec = 1 } };
	char last[P] = { 'F' };

	assert_int_equal(futimens(source.fd, times), 0);
	assert_int_equal(upload_pages(NULL, NULL, &source, SIZE, last, NULL, &options, &stats, &err), -1);
	assert_int_equal(err.code, ERR_CONDITION);
	assert_non_null(strstr(err.msg, "was changed while it was uploaded"));
	assert_int_equal(service.bytes[SIZE], 0);
}

static void a_file_that_shrinks(void **state)
{
	assert_int_equal(truncate(path, (2 << 20) + 1000), 0);
	assert_int_equal(upload_blocks(NULL, NULL, &source, NULL, &options, &stats, &err), -1);
	assert_int_equal(err.code, ERR_CONDITION);
	assert_null(service.committed);
}

static void a_file_that_grows(void **state)
{
	service.grow_on_request = true;
	assert_int_equal(upload_blocks(NULL, NULL, &source, NULL, &options, &stats, &err), -1);
	assert_int_equal(err.code, ERR_CONDITION);
	assert_null(service.committed);
}

static void blocks(void **state)
{
	struct upload_options o = { .block_size = 100000 };

	assert_int_equal(upload_blocks(NULL, NULL, &source, NULL, &o, &stats, &err), 0);
	assert_int_equal(service.committed_size, SIZE);
	same_bytes(service.committed, SIZE);
	assert_int_equal(stats.sent, SIZE);
	assert_int_equal(service.blocks, (SIZE + 99999) / 100000);
}

static void an_empty_file(void **state)
{
	upload_source_close(&source);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(upload_source_open(&source, path, &err), 0);
	assert_int_equal(upload_blocks(NULL, NULL, &source, NULL, &options, &stats, &err), 0);
	assert_non_null(service.committed);
	assert_int_equal(service.committed_size, 0);
	assert_int_equal(upload_pages(NULL, NULL, &source, 0, NULL, NULL, &options, &stats, &err), 0);
}

static void what_is_no_file(void **state)
{
	struct upload_source s;

	assert_int_equal(upload_source_open(&s, scratch_dir(), &err), -1);
	assert_non_null(strstr(err.msg, "not a regular file"));
	assert_int_equal(mkfifo(scratch_path("fifo"), 0600), 0);
	assert_int_equal(upload_source_open(&s, scratch_path("fifo"), &err), -1);
	assert_non_null(strstr(err.msg, "not a regular file"));
	assert_int_equal(upload_source_open(&s, scratch_path("none"), &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static int finish(void **state)
{
	service_free();
	return scratch_teardown(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pages),
		TEST(odd_sizes),
		TEST(unknown_outcome_is_repeated),
		TEST(damage_is_repaired),
		TEST(an_error_ends_it),
		TEST(lease_changes),
		TEST(a_file_that_changes),
		TEST(a_file_that_shrinks),
		TEST(a_file_that_grows),
		TEST(blocks),
		TEST(an_empty_file),
		TEST(what_is_no_file),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, finish);
}
