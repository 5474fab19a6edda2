/* The filter, and targets that get into each other's way. */
#include <config.h>

#include "unit.h"

#include "pack/sync_match.h"

static void filters(void **state)
{
	static const struct { const char *filter, *name; bool matches; } cases[] = {
		{ NULL, "app.zip", true },
		{ "*", "app.zip", true },
		{ "app.zip", "app.zip", true },
		{ "app", "app.zip", true },          /* without its extension */
		{ "APP.Zip", "app.zip", true },
		{ "app.z", "app.zip", false },
		{ "ap", "app.zip", false },
		{ "app.zip2", "app.zip", false },
		{ "a?p", "app.zip", true },
		{ "a?p", "ap.zip", false },
		{ "??.zip", "\xc3\xa4\xc3\xb6.zip", true },   /* characters, not bytes */
		{ "???.zip", "\xc3\xa4\xc3\xb6.zip", false },
		{ "*.zip", "a/b.zip", true },
		{ "a*b*c", "aXXbYYbZZc", true },
		{ "a*b*c", "aXXbYYbZZ", false },
		{ "*a", "aaab", false },
		{ "**", "", true },
		{ "", "app.zip", false },
		{ "", "", true },
		{ "[a]pp", "app", false },           /* nothing else is special */
		{ "[a]pp", "[a]pp.zip", true },
		{ "a\\*", "ab", false },
		{ "a\\*", "a\\b", true },
		{ ".zip", ".zip", true },            /* a name, no extension */
		{ "", ".zip", false },
		{ "v1.2", "v1.2.zip", true },
		{ "v1", "v1.2.zip", false },
		{ "x", "dir.v1/x", false },          /* that dot is a folder's */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (sync_filter_matches(cases[i].filter, cases[i].name) != cases[i].matches)
			fail_msg("'%s' and '%s'", cases[i].filter, cases[i].name);
}

/* What backtracks into every '*' would not come back. */
static void many_stars(void **state)
{
	static const char name[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

	assert_false(sync_filter_matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name));
	assert_true(sync_filter_matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*", name));
}

static void overlaps(void **state)
{
	assert_int_equal(sync_overlap("a", "a"), SYNC_SAME);
	assert_int_equal(sync_overlap("a", "b"), SYNC_APART);
	assert_int_equal(sync_overlap("a", "A"), SYNC_APART);
	assert_int_equal(sync_overlap("a/b", "a"), SYNC_INSIDE);
	assert_int_equal(sync_overlap("a", "a/b/c"), SYNC_AROUND);
	assert_int_equal(sync_overlap("ab", "a"), SYNC_APART);
	assert_int_equal(sync_overlap("a-b", "a/b"), SYNC_APART);
	assert_int_equal(sync_overlap("x/2026", "x/2027"), SYNC_APART);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters), cmocka_unit_test(many_stars), cmocka_unit_test(overlaps),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
