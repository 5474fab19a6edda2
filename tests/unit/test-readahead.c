/* Who reads in sequence, and how far ahead to fetch for them. */
#include <config.h>

#include "tests/unit/unit.h"
#include "vhd/readahead.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static struct readahead ra;

/* `count` streams, a GiB apart, read `reads` times 1 MiB each, in turn; the last window. */
static uint64_t read_streams(unsigned count, unsigned from, unsigned reads)
{
	struct stream *s = NULL;
	unsigned i, n;

	for (n = from; n < from + reads; n++)
		for (i = 0; i < count; i++)
			s = readahead_note(&ra, i * GIB + n * MIB, MIB);
	return s->window;
}

static void grows(void **state)
{
	struct stream *s;

	readahead_init(&ra, 64 * MIB);
	s = readahead_note(&ra, 0, MIB);
	assert_int_equal(s->window, 0);
	assert_int_equal(readahead_request(s, 4 * MIB), 0);
	assert_int_equal(readahead_note(&ra, MIB, MIB)->window, MIB / 4);
	assert_int_equal(readahead_note(&ra, 2 * MIB, MIB)->window, MIB / 2);
	assert_int_equal(read_streams(1, 3, 20), 64 * MIB);
	assert_int_equal(readahead_request(s, 4 * MIB), 4 * MIB);
}

static void not_for_random_reads(void **state)
{
	unsigned n;

	readahead_init(&ra, 64 * MIB);
	for (n = 0; n < 100; n++)
		assert_int_equal(readahead_note(&ra, (n * 37 % 100) * GIB, 4096)->window, 0);
}

static void each_has_its_own(void **state)
{
	readahead_init(&ra, 64 * MIB);
	assert_int_equal(read_streams(READAHEAD_STREAMS, 0, 20), 64 * MIB);
	/* One more than can be told apart: nobody is remembered until he comes again. */
	readahead_init(&ra, 64 * MIB);
	assert_int_equal(read_streams(READAHEAD_STREAMS + 1, 0, 20), 0);
}

static void less_when_it_was_wasted(void **state)
{
	readahead_init(&ra, 64 * MIB);
	read_streams(1, 0, 20);
	readahead_wasted(&ra, 1);
	assert_in_range(read_streams(1, 20, 1), 32 * MIB, 33 * MIB);
	assert_int_equal(read_streams(1, 21, 1000), 64 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows),
		cmocka_unit_test(not_for_random_reads),
		cmocka_unit_test(each_has_its_own),
		cmocka_unit_test(less_when_it_was_wasted),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
