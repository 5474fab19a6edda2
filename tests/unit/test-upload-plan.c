#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/ops.h"
#include "blob/upload_plan.h"
#include "tests/unit/scratch.h"

enum { P = BLOB_PAGE, CHUNK = 4 << 20 };

static char *data;
static struct upload_piece pieces[UPLOAD_MAX_PIECES(CHUNK)];
static struct upload_economy economy;

static int clear(void **state)
{
	memset(data, 0, CHUNK);
	memset(&economy, 0, sizeof(economy));
	return 0;
}

static void check_piece(size_t i, uint32_t offset, uint32_t len)
{
	assert_int_equal(pieces[i].offset, offset);
	assert_int_equal(pieces[i].len, len);
}

static void zeros_are_no_pieces(void **state)
{
	assert_int_equal(upload_plan(data, CHUNK, &economy, pieces), 0);
	assert_int_equal(upload_plan(data, 0, &economy, pieces), 0);
	assert_int_equal(economy.data, 0);
}

static void one_byte_is_one_page(void **state)
{
	data[3 * P + 511] = 1;
	assert_int_equal(upload_plan(data, CHUNK, &economy, pieces), 1);
	check_piece(0, 3 * P, P);
	assert_int_equal(economy.data, P);
	assert_int_equal(economy.zeros, 0);
}

static void edges(void **state)
{
	data[0] = 1;
	data[CHUNK - 1] = 1;
	assert_int_equal(upload_plan(data, CHUNK, &economy, pieces), 2);
	check_piece(0, 0, P);
	check_piece(1, CHUNK - P, P);
	memset(data, 1, CHUNK);
	assert_int_equal(upload_plan(data, CHUNK, &economy, pieces), 1);
	check_piece(0, 0, CHUNK);
}

/* A few zeros in much data go along; the bound holds whatever the pattern. */
static void gaps(void **state)
{
	memset(data, 1, 1 << 20);
	memset(data + (64 << 10), 0, 4096);
	assert_int_equal(upload_plan(data, 1 << 20, &economy, pieces), 1);
	check_piece(0, 0, 1 << 20);
	assert_int_equal(economy.zeros, 4096);
	assert_int_equal(economy.data, (1 << 20) - 4096);

	/* Long ones never do. */
	memset(data + (256 << 10), 0, 64 << 10);
	assert_int_equal(upload_plan(data, 1 << 20, &economy, pieces), 2);
	check_piece(1, 320 << 10, (1 << 20) - (320 << 10));
}

static void sparse_costs_little(void **state)
{
	uint64_t sent = 0;
	size_t count;

	for (uint32_t at = 0; at < CHUNK; at += 2 * P)
		data[at] = 1;
	count = upload_plan(data, CHUNK, &economy, pieces);
	for (size_t i = 0; i < count; i++)
		sent += pieces[i].len;
	assert_true(economy.data == CHUNK / 2);
	assert_true(sent == economy.data + economy.zeros);
	assert_true(sent <= economy.data * 17 / 16);
	assert_true(count <= UPLOAD_MAX_PIECES(CHUNK));
}

/* For any pattern: pieces ascend, do not touch, lie on pages, hold all that is
 * not zero, and send at most a sixteenth more. */
static void any_pattern(void **state)
{
	unsigned seed = 20261121;

	for (int round = 0; round < 300; round++) {
		size_t len = (size_t)(1 + rand_r(&seed) % 512) * P;
		unsigned density = 1 + (unsigned)rand_r(&seed) % 20;
		uint32_t end = 0;
		size_t count;

		clear(state);
		for (size_t at = 0; at < len; at += P)
			if ((unsigned)rand_r(&seed) % 20 < density)
				data[at + (size_t)rand_r(&seed) % P] = 1;
		count = upload_plan(data, len, &economy, pieces);
		for (size_t i = 0; i < count; i++) {
			assert_true(pieces[i].len > 0 && pieces[i].len % P == 0 && pieces[i].offset % P == 0);
			assert_true(i == 0 || pieces[i].offset > end);
			for (uint32_t at = end; at < pieces[i].offset; at++)
				assert_int_equal(data[at], 0);
			end = pieces[i].offset + pieces[i].len;
			assert_true(end <= len);
		}
		for (size_t at = end; at < len; at++)
			assert_int_equal(data[at], 0);
		assert_true(economy.zeros * 16 <= economy.data);
	}
}

static void extents(void **state)
{
	int fd = open(scratch_path("sparse"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	uint64_t start, end, size = (1 << 20) + 100;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(upload_next_extent(fd, "f", 0, size, &start, &end, NULL), 0);
	assert_int_equal(pwrite(fd, "x", 1, 300000), 1);
	assert_int_equal(upload_next_extent(fd, "f", 0, size, &start, &end, NULL), 1);
	assert_true(start <= 300000 && end > 300000);
	assert_true(start % P == 0 && end % P == 0);
	assert_true(start > 0);            /* or this filesystem knows no holes */
	assert_int_equal(upload_next_extent(fd, "f", end, size, &start, &end, NULL), 0);
	/* The tail that is no whole page is rounded up to one. */
	assert_int_equal(pwrite(fd, "x", 1, (off_t)size - 1), 1);
	assert_int_equal(upload_next_extent(fd, "f", 1 << 20, size, &start, &end, NULL), 1);
	assert_int_equal(start, 1 << 20);
	assert_int_equal(end, (1 << 20) + P);
	assert_int_equal(upload_next_extent(fd, "f", end, size, &start, &end, NULL), 0);
	/* Never behind where it was asked from, never beyond the size asked for. */
	assert_int_equal(upload_next_extent(fd, "f", 300000 / P * P + P, 300000 / P * P + 2 * P, &start, &end, NULL), 1);
	assert_int_equal(start, 300000 / P * P + P);
	assert_int_equal(end, 300000 / P * P + 2 * P);
	close(fd);
}

/* What can not be sought in at all is an error. */
static void not_seekable(void **state)
{
	int fds[2];
	struct err err;
	uint64_t start, end;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(upload_next_extent(fds[0], "pipe", 0, 10, &start, &end, &err), -1);
	assert_non_null(strstr(err.msg, "pipe: can't find its holes"));
	close(fds[0]);
	close(fds[1]);
}

static int setup(void **state)
{
	data = malloc(CHUNK);
	return data ? scratch_setup(state) : -1;
}

static int teardown(void **state)
{
	free(data);
	return scratch_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(zeros_are_no_pieces, clear),
		cmocka_unit_test_setup(one_byte_is_one_page, clear),
		cmocka_unit_test_setup(edges, clear),
		cmocka_unit_test_setup(gaps, clear),
		cmocka_unit_test_setup(sparse_costs_little, clear),
		cmocka_unit_test_setup(any_pattern, clear),
		cmocka_unit_test(extents),
		cmocka_unit_test(not_seekable),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
