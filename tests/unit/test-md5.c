/* The sums of RFC 1321, appendix A.5, as base64. */
#include <config.h>

#include "unit.h"

#include <string.h>

#include "blob/md5.h"

static const char *const texts[][2] = {
	{ "", "1B2M2Y8AsgTpgAmY7PhCfg==" },
	{ "abc", "kAFQmDzST7DWlj99KOF/cg==" },
	{ "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
	  "V+30oivjyVWsSdouIQe2eg==" },
};

static void in_one_go(void **state)
{
	char md5[MD5_TEXT_MAX];

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(md5_of(texts[i][0], strlen(texts[i][0]), md5, NULL), 0);
		assert_string_equal(md5, texts[i][1]);
	}
}

static void in_pieces(void **state)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct md5 *m = md5_new(NULL);
		struct md5_thread *t = md5_thread_new(NULL);
		char md5[MD5_TEXT_MAX];

		for (const char *c = texts[i][0]; *c; c++) {
			md5_add(m, c, 1);
			md5_thread_add(t, c, 1);
			md5_thread_wait(t);
		}
		md5_end(m, md5);
		assert_string_equal(md5, texts[i][1]);
		md5_thread_end(t, md5);
		assert_string_equal(md5, texts[i][1]);
	}
	md5_end(md5_new(NULL), NULL);
	md5_thread_end(md5_thread_new(NULL), NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(in_one_go), cmocka_unit_test(in_pieces) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
