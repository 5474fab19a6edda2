/* The threads that feed an upload: that they share a file out among them, and end. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blob/upload.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"
#include "tests/unit/upload_readers.h"
#include "tests/unit/upload_rig.h"

#define SLOTS 16               /* requests at a time */

static struct upload_source source;
static struct upload_stats stats;
static struct err err;

static void progress(void *arg, uint64_t done, uint64_t total)
{
	assert_true(pthread_equal(pthread_self(), readers.caller));
	assert_true(done <= total);
}

static const struct upload_options options = { .block_size = BLOCK, .progress = progress };

static int upload(uint64_t size)
{
	int rc = upload_pages(NULL, NULL, &source, size, NULL, NULL, &options, &stats, &err);

	assert_int_equal(readers.joined, readers.started);     /* nobody is left */
	assert_int_equal(service.in_flight, 0);
	return rc;
}

/* --- the file --- */

static uint64_t open_file(int fd, uint64_t size)
{
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
	upload_source_close(&source);
	assert_int_equal(upload_source_open(&source, service.file, &err), 0);
	return size;
}

static int create_file(void)
{
	int fd = open(service.file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static uint64_t full_file(void)
{
	char *data = malloc(SIZE);
	int fd = create_file();

	memset(data, 'x', SIZE);
	assert_int_equal(pwrite(fd, data, SIZE, 0), SIZE);
	free(data);
	return open_file(fd, SIZE);
}

/* Extents here and there, of all lengths up to some chunks, with zeros within. */
static uint64_t random_file(unsigned *seed)
{
	static char data[4 * BLOCK];
	uint64_t size = 1 + (uint64_t)rand_r(seed) % SIZE;
	unsigned extents = (unsigned)rand_r(seed) % 60;
	int fd = create_file();

	for (unsigned i = 0; i < extents; i++) {
		size_t len = 1 + (size_t)rand_r(seed) % (rand_r(seed) % 4 ? 3 * P : 4 * BLOCK);
		off_t at = (off_t)((uint64_t)rand_r(seed) % size);

		for (size_t b = 0; b < len; b++)
			data[b] = (char)(b / P % 7 == 3 ? 0 : 1 + rand_r(seed) % 255);
		assert_int_equal(pwrite(fd, data, len, at), len);
	}
	return open_file(fd, size);
}

static bool is_zero(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i])
			return false;
	return true;
}

/* Every page that is not zero has been written, and none twice. */
static void arrived_once(uint64_t size)
{
	uint64_t total = (size + P - 1) / P * P, data = 0;
	char *content = calloc(1, SIZE + P);

	assert_int_equal(pread(source.fd, content, size, 0), size);
	assert_memory_equal(content, service.bytes, total);
	for (uint64_t at = 0; at < total; at += P) {
		bool zero = is_zero(content + at, P);

		assert_in_range(service.writes[at / P], zero ? 0 : 1, 1);
		data += zero ? 0 : P;
	}
	free(content);
	assert_int_equal(stats.sent, service.received);
	assert_int_equal(stats.sent + stats.skipped, total);
	assert_true(stats.sent <= data + data / 16);
}

/* --- the tests --- */

static int setup(void **state)
{
	service_reset(scratch_path("file"));
	expect_readers(4, 0);
	source.fd = -1;
	return 0;
}

static int teardown(void **state)
{
	upload_source_close(&source);
	return 0;
}

static void any_file_arrives_once(void **state)
{
	const char *given = getenv("HPCPACK_SEED");
	unsigned first = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);

	for (unsigned round = 0; round < 40; round++) {
		unsigned seed = first + round;
		uint64_t size;

		print_message("# HPCPACK_SEED=%u\n", seed);
		service_reset(service.file);
		expect_readers(round % 5, 0);
		size = random_file(&seed);
		assert_int_equal(upload(size), 0);
		arrived_once(size);
	}
}

/* As many as there are processors, at once; four at most, also where nobody knows. */
static void as_many_as_processors(void **state)
{
	static const struct { unsigned processors, threads; } cases[] = {
		{ 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 4 }, { 64, 4 }, { 0, 4 },
	};
	uint64_t size = full_file();

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		service_reset(service.file);
		expect_readers(cases[i].processors, cases[i].threads);
		assert_int_equal(upload(size), 0);
		assert_int_equal(readers.count, cases[i].threads);
		assert_int_equal(readers.started, cases[i].threads);
		arrived_once(size);
	}
}

static void no_more_than_chunks(void **state)
{
	full_file();
	assert_int_equal(upload(BLOCK - 1), 0);
	assert_int_equal(readers.started, 1);
}

/* Four are at it; one fails: what the others have read is not even sent, and when they
 * fail, too, that is not what is told. */
static void an_error_of_reading_ends_all(void **state)
{
	uint64_t size = full_file();
	char message[256];

	for (int others = 0; others < 2; others++) {
		expect_readers(4, 4);
		readers.fails = true;
		readers.fail_at = 2 * BLOCK;
		readers.fail_errno = EIO;
		readers.others_errno = others ? ESTALE : 0;
		assert_int_equal(upload(size), -1);
		snprintf(message, sizeof(message), "%s: can't be read at byte %d: %s", service.file, 2 * BLOCK,
			 strerror(EIO));
		assert_string_equal(err.msg, message);
		assert_int_equal(readers.reads, 4);
		assert_int_equal(service.requests, 0);
	}
}

static void a_file_that_ends_early(void **state)
{
	uint64_t size = full_file();

	expect_readers(4, 4);
	readers.fails = true;
	readers.fail_at = BLOCK;
	assert_int_equal(upload(size), -1);
	assert_int_equal(err.code, ERR_CONDITION);
	assert_int_equal(readers.reads, 4);
	assert_int_equal(service.requests, 0);
}

/* From the sixth request on all fail: each slot meets it once, and is not used again. */
static void an_error_of_the_service_ends_all(void **state)
{
	uint64_t size = full_file();

	service.fault = FAULT_ERROR;
	service.fault_from = 5;
	service.fault_count = 1000000;
	assert_int_equal(upload(size), -1);
	assert_string_equal(err.msg, "the service is on fire");
	assert_in_range(service.requests, 6, 5 + SLOTS);
}

static void extents_that_can_not_be_found(void **state)
{
	int fds[2];

	full_file();
	upload_source_close(&source);
	assert_int_equal(pipe(fds), 0);
	source.fd = fds[0];
	assert_int_equal(upload(SIZE), -1);
	assert_non_null(strstr(err.msg, "can't find its holes"));
	assert_int_equal(readers.reads, 0);
	close(fds[1]);
}

static void threads_that_do_not_start(void **state)
{
	uint64_t size = full_file();

	expect_readers(4, 1);
	readers.start_fails_from = 2;
	assert_int_equal(upload(size), 0);
	assert_int_equal(readers.started, 1);
	arrived_once(size);

	expect_readers(4, 0);
	readers.start_fails_from = 1;
	assert_int_equal(upload(size), -1);
	assert_non_null(strstr(err.msg, "can't start a thread"));
	assert_int_equal(readers.reads, 0);
}

static void blocks_come_in_order(void **state)
{
	full_file();
	assert_int_equal(upload_blocks(NULL, NULL, &source, NULL, &options, &stats, &err), 0);
	assert_int_equal(readers.count, 1);
	assert_true(readers.in_order);
	assert_int_equal(readers.reads, SIZE / BLOCK);
	assert_int_equal(readers.joined, readers.started);
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
		TEST(any_file_arrives_once),
		TEST(as_many_as_processors),
		TEST(no_more_than_chunks),
		TEST(an_error_of_reading_ends_all),
		TEST(a_file_that_ends_early),
		TEST(an_error_of_the_service_ends_all),
		TEST(extents_that_can_not_be_found),
		TEST(threads_that_do_not_start),
		TEST(blocks_come_in_order),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, finish);
}
