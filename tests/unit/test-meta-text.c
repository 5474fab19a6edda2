#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "blob/meta_text.h"

static void encodes(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "apps/lizard", "apps/lizard" },
		{ "needs 32 cores; \"fast\"", "needs 32 cores; \"fast\"" },
		{ "100%", "100%25" },
		{ " a ", "%20a%20" },
		{ " ", "%20" },
		{ "a\tb\r\nX: y", "a%09b%0D%0AX: y" },
		{ "gr\xc3\xbc\xc3\x9f", "gr%C3%BC%C3%9F" },
		{ "\x7f", "%7F" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *text = meta_text_encode(cases[i][0], "here", NULL);

		char *back = meta_text_decode(text);

		assert_string_equal(text, cases[i][1]);
		assert_string_equal(back, cases[i][0]);
		free(text);
		free(back);
	}
}

/* What others wrote, who know nothing of escapes. */
static void decodes_anything(void **state)
{
	static const char *const cases[][2] = {
		{ "100%", "100%" },
		{ "100%2", "100%2" },
		{ "50% of it", "50% of it" },
		{ "%zz%4", "%zz%4" },
		{ "a%00b", "a%00b" },
		{ "%c3%BC", "\xc3\xbc" },
		{ "%%41", "%A" },
		{ "%2541", "%41" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *text = meta_text_decode(cases[i][0]);

		assert_string_equal(text, cases[i][1]);
		free(text);
	}
}

static void has_an_end(void **state)
{
	static char text[BLOB_META_MAX];
	struct err err;

	memset(text, 'x', sizeof(text) - 1);
	assert_null(meta_text_encode(text, "--description", &err));
	assert_int_equal(err.code, ERR_USAGE);
	assert_non_null(strstr(err.msg, "--description: too long"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes),
		cmocka_unit_test(decodes_anything),
		cmocka_unit_test(has_an_end),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
