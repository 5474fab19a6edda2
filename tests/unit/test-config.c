#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "blob/config.h"
#include "tests/unit/scratch.h"

static struct config *must_load(const char *text)
{
	struct err err;
	struct config *c = config_load(scratch_write("a.conf", 0600, text), &err);

	if (!c)
		fail_msg("%s", err.msg);
	return c;
}

static void must_fail(const char *text, enum err_code code, const char *message)
{
	struct err err;

	assert_null(config_load(scratch_write("bad.conf", 0600, text), &err));
	assert_int_equal(err.code, code);
	if (!strstr(err.msg, message))
		fail_msg("'%s' is not in '%s'", message, err.msg);
}

static void reads_values(void **state)
{
	struct config *c = must_load("\xef\xbb\xbf# comment\n; another\n[account]\nname = abc\n"
				     "  key = a;b ;c#d==\n[drive]\ncache = 64M\nlease_duration = 15s\n"
				     "[agent]\nstop_leaves_mounts = Yes\n");
	uint64_t size;
	unsigned ms;
	bool b;
	struct err err;

	assert_string_equal(config_string(c, "account", "name", NULL), "abc");
	/* ';' and '#' within a line are no comments: keys and SAS hold them. */
	assert_string_equal(config_string(c, "account", "key", NULL), "a;b ;c#d==");
	assert_null(config_string(c, "account", "sas", NULL));
	assert_string_equal(config_string(c, "mount", "root", "/mnt"), "/mnt");
	assert_int_equal(config_size(c, "drive", "cache", 1, 0, UINT64_MAX, &size, &err), 0);
	assert_int_equal(size, 64 << 20);
	assert_int_equal(config_size(c, "drive", "connections", 7, 0, 9, &size, &err), 0);
	assert_int_equal(size, 7);
	assert_int_equal(config_time_ms(c, "drive", "lease_duration", 60000, 15000, 60000, &ms, &err), 0);
	assert_int_equal(ms, 15000);
	assert_int_equal(config_bool(c, "agent", "stop_leaves_mounts", false, &b, &err), 0);
	assert_true(b);
	assert_int_equal(config_bool(c, "agent", "users_may_use_kernel_drivers", true, &b, &err), 0);
	assert_true(b);
	config_free(c);
}

static void long_lines(void **state)
{
	char text[9000] = "[account]\nsas = ";
	size_t head = strlen(text);
	struct config *c;

	memset(text + head, 'x', 4000);
	strcpy(text + head + 4000, "\nname = abc\n");
	c = must_load(text);
	assert_int_equal(strlen(config_string(c, "account", "sas", "")), 4000);
	assert_string_equal(config_string(c, "account", "name", ""), "abc");
	config_free(c);
	memset(text + head, 'x', sizeof(text) - head - 1);
	must_fail(text, ERR_FORMAT, "bad.conf:2: line too long");
}

static void refuses_what_it_does_not_know(void **state)
{
	must_fail("[account]\nname = abc\nkeyy = 1\n", ERR_FORMAT, "bad.conf:3: unknown key 'keyy'");
	must_fail("[acount]\n", ERR_FORMAT, "bad.conf:1: unknown section 'acount'");
	must_fail("\n\nname = abc\n", ERR_FORMAT, "bad.conf:3: no [section] stands above 'name'");
	must_fail("[account]\nname\n", ERR_FORMAT, "bad.conf:2: neither");
	must_fail("[account]\nname = a\nname = b\n", ERR_FORMAT, "bad.conf:3: set a second time: 'name'");
	must_fail("[drive]\nname = abc\n", ERR_FORMAT, "bad.conf:2: unknown key 'name'");
}

static void numbers_name_their_line(void **state)
{
	struct config *c = must_load("[drive]\ncache = lots\nlease_duration = 61\n[agent]\nstop_leaves_mounts = maybe\n");
	uint64_t size;
	unsigned ms;
	bool b;
	struct err err;

	assert_int_equal(config_size(c, "drive", "cache", 1, 1, 100, &size, &err), -1);
	assert_non_null(strstr(err.msg, "a.conf:2: cache = lots: must be"));
	assert_int_equal(config_time_ms(c, "drive", "lease_duration", 60000, 15000, 60000, &ms, &err), -1);
	assert_non_null(strstr(err.msg, "a.conf:3: lease_duration = 61"));
	assert_non_null(strstr(err.msg, "from 15 s to 60 s"));
	assert_int_equal(config_bool(c, "agent", "stop_leaves_mounts", false, &b, &err), -1);
	assert_non_null(strstr(err.msg, "a.conf:5:"));
	config_free(c);
}

static void finds_the_file(void **state)
{
	struct err err;
	struct config *c;

	setenv("HPCPACK_CONFIG", scratch_write("env.conf", 0644, "[account]\nname = env\n"), 1);
	c = config_load(NULL, &err);
	assert_non_null(c);
	assert_string_equal(config_string(c, "account", "name", ""), "env");
	assert_non_null(strstr(config_path(c), "/env.conf"));
	assert_int_equal(config_path(c)[0], '/');
	assert_true(config_world_readable(c));
	config_free(c);

	/* --config beats it, and what was named must be there. */
	c = config_load(scratch_write("given.conf", 0600, "[account]\nname = given\n"), &err);
	assert_string_equal(config_string(c, "account", "name", ""), "given");
	assert_false(config_world_readable(c));
	config_free(c);
	assert_null(config_load(scratch_path("none.conf"), &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);
	setenv("HPCPACK_CONFIG", scratch_path("none.conf"), 1);
	assert_null(config_load(NULL, &err));
	assert_null(config_load(scratch_dir(), &err));
	unsetenv("HPCPACK_CONFIG");
}

static void sizes(void **state)
{
	static const struct { const char *text; int rc; uint64_t n; } cases[] = {
		{ "0", 0, 0 }, { "512", 0, 512 }, { "64K", 0, 65536 }, { "64k", 0, 65536 },
		{ "4M", 0, 4 << 20 }, { "1G", 0, 1 << 30 }, { "8T", 0, 8ull << 40 },
		{ "16777215T", 0, 16777215ull << 40 }, { "16777216T", -1, 0 },
		{ "18446744073709551615", 0, UINT64_MAX }, { "18446744073709551616", -1, 0 },
		{ "", -1, 0 }, { "K", -1, 0 }, { "-1", -1, 0 }, { "+1", -1, 0 }, { " 1", -1, 0 },
		{ "1 K", -1, 0 }, { "1KB", -1, 0 }, { "1.5M", -1, 0 }, { "0x10", -1, 0 }, { "1P", -1, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t n = 0;

		if (parse_size(cases[i].text, &n) != cases[i].rc || (!cases[i].rc && n != cases[i].n))
			fail_msg("parse_size(\"%s\")", cases[i].text);
	}
}

static void times(void **state)
{
	static const struct { const char *text; int rc; unsigned ms; } cases[] = {
		{ "1500ms", 0, 1500 }, { "60", 0, 60000 }, { "60s", 0, 60000 }, { "2m", 0, 120000 },
		{ "1h", 0, 3600000 }, { "1193h", 0, 4294800000u }, { "1194h", -1, 0 }, { "", -1, 0 },
		{ "s", -1, 0 }, { "-1s", -1, 0 }, { "1 s", -1, 0 }, { "1d", -1, 0 }, { "1sx", -1, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		unsigned ms = 0;

		if (parse_time_ms(cases[i].text, &ms) != cases[i].rc || (!cases[i].rc && ms != cases[i].ms))
			fail_msg("parse_time_ms(\"%s\")", cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_values),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(refuses_what_it_does_not_know),
		cmocka_unit_test(numbers_name_their_line),
		cmocka_unit_test(finds_the_file),
		cmocka_unit_test(sizes),
		cmocka_unit_test(times),
	};

	unsetenv("HPCPACK_CONFIG");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
