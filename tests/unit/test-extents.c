#include <config.h>

#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "blob/extents.h"

/* Against a row of flags. */
static void random_ones(void **state)
{
	enum { N = 200 };

	for (unsigned seed = 1; seed <= 200; seed++) {
		struct extents e = { .items = NULL };
		char there[N] = "";
		unsigned r = seed;

		for (int i = 0; i < 30; i++) {
			unsigned start = (unsigned)rand_r(&r) % N, len = (unsigned)rand_r(&r) % 20;
			unsigned end = start + len > N ? N : start + len, from = (unsigned)rand_r(&r) % N;
			uint64_t sum = 0, begin = 0;
			struct extent gap = { 0 };
			bool found;

			assert_int_equal(extents_add(&e, start, end), 0);
			memset(there + start, 1, end - start);
			for (unsigned j = 0; j < N; j++)
				sum += (uint64_t)there[j];
			while (begin < N && there[begin])
				begin++;
			assert_int_equal(extents_sum(&e), sum);
			assert_int_equal(extents_begin(&e), begin);
			for (size_t j = 1; j < e.count; j++)
				assert_true(e.items[j - 1].end < e.items[j].start);
			found = extents_gap(&e, from, N, &gap);
			while (from < N && there[from])
				from++;
			assert_int_equal(found, from < N);
			if (!found)
				continue;
			assert_int_equal(gap.start, from);
			while (from < N && !there[from])
				from++;
			assert_int_equal(gap.end, from);
		}
		extents_free(&e);
	}
}

static void no_gap_in_nothing(void **state)
{
	struct extents e = { .items = NULL };
	struct extent gap;

	assert_false(extents_gap(&e, 5, 5, &gap));
	assert_true(extents_gap(&e, 5, 6, &gap));
	assert_int_equal(extents_add(&e, 7, 7), 0);
	assert_int_equal(extents_sum(&e), 0);
	extents_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_ones), cmocka_unit_test(no_gap_in_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
