/* pack/create.h: what is said of names that break on Windows. */
#include <config.h>

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/create_rig.h"
#include "tests/unit/scratch.h"

/* Warnings alone. */
static void look(const char *source)
{
	struct create_list list = { .options = &plain };

	assert_int_equal(create_sources(&list, &source, 1, NULL), 0);
	assert_int_equal(create_check(&list, NULL), 0);
	assert_int_equal(create_warn_windows(&list, NULL), 0);
	create_list_free(&list);
}

static unsigned lines(void)
{
	unsigned n = 0;

	for (const char *c = said; (c = strchr(c, '\n')); c++)
		n++;
	return n;
}

static void warns(void **state)
{
	static const struct { const char *name, *warning; } cases[] = {
		{ "fine.txt", "" },
		{ "con", "con: 'con' is a reserved name on Windows\n" },
		{ "NUL.tar.gz", "NUL.tar.gz: 'NUL.tar.gz' is a reserved name on Windows\n" },
		{ "COM7", "COM7: 'COM7' is a reserved name on Windows\n" },
		{ "lpt\xc2\xb9", "lpt\xc2\xb9: 'lpt\xc2\xb9' is a reserved name on Windows\n" },
		{ "aux /x", "aux : 'aux ' is a reserved name on Windows\naux : a name that ends in a space does not work on Windows\n" },
		{ "COM0", "" },
		{ "com10", "" },
		{ "console", "" },
		{ "nul_", "" },
		{ "a b", "" },
		{ "ab ", "ab : a name that ends in a space does not work on Windows\n" },
		{ "a?b", "a?b: a name with ? does not work on Windows\n" },
		{ "x|y/z", "x|y: a name with | does not work on Windows\n" },
		{ "x\ty", "x?y: a name with a control character does not work on Windows\n" },
		/* 120 characters, and one more: Windows counts in UTF-16. */
		{ "ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/"
		  "ddddddddd/0123456789", "" },
		{ "ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/"
		  "ddddddddd/\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc", "" },
		{ "ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/ddddddddd/"
		  "ddddddddd/012345678\xf0\x9f\x98\x80", "the path has 121 characters" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char path[300];

		said[0] = '\0';
		snprintf(path, sizeof(path), "app%zu/%s", i, cases[i].name);
		put(path, "x");
		snprintf(path, sizeof(path), "app%zu", i);
		look(path);
		if (*cases[i].warning ? !strstr(said, cases[i].warning) : *said)
			fail_msg("'%s': %s", cases[i].name, said);
	}
}

static void warns_of_case(void **state)
{
	put("app/lib/a", "x");
	put("app/Lib/b", "x");
	put("app/README", "x");
	put("app/ReadMe", "x");
	put("app/readme", "x");
	put("app/\xc3\x9c.txt", "x");
	put("app/\xc3\xbc.TXT", "x");
	put("app/b", "x");
	look("app");
	assert_non_null(strstr(said, "Lib and lib differ in case only"));
	assert_non_null(strstr(said, "README and ReadMe differ in case only"));
	assert_non_null(strstr(said, "ReadMe and readme differ in case only"));
	assert_non_null(strstr(said, "\xc3\x9c.txt and \xc3\xbc.TXT differ in case only"));
	assert_int_equal(lines(), 4);
}

static void warns_in_bounds(void **state)
{
	for (int i = 0; i < 25; i++) {
		char path[32];

		snprintf(path, sizeof(path), "app/%d?", i);
		put(path, "x");
	}
	look("app");
	assert_int_equal(lines(), 11);
	assert_non_null(strstr(said, "and 15 more names with characters that Windows does not allow\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(warns),
		TEST(warns_of_case),
		TEST(warns_in_bounds),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
