#include <config.h>

#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "pack/target.h"

#define UPLOADED "Sat, 21 Nov 2026 07:15:00 GMT"
#define TIME "2026-11-21T071500Z"

static void is(const char *name, const char *relative, const char *wanted)
{
	struct err err;
	char *target = pack_target(name, relative, UPLOADED, &err);

	if (!target)
		fail_msg("%s: %s", name, err.msg);
	assert_string_equal(target, wanted);
	free(target);
}

static void is_refused(const char *name, const char *relative, const char *why)
{
	struct err err;
	char *target = pack_target(name, relative, UPLOADED, &err);

	if (target)
		fail_msg("%s, %s: became %s", name, relative ? relative : "no path", target);
	assert_int_equal(err.code, ERR_FORMAT);
	if (!strstr(err.msg, why))
		fail_msg("%s: is not about '%s'", err.msg, why);
}

static void by_relative_path(void **state)
{
	is("app.zip", "lizard", "lizard");
	is("app.zip", "apps\\lizard/1.0", "apps/lizard/1.0");
	is("app.zip", "lizard/", "lizard");
	is("app.zip", "gr%C3%BC%C3%9F dich", "gr\xc3\xbc\xc3\x9f dich");
	is("app.zip", "100%", "100%");
	is("../..", "lizard", "lizard");
}

static void by_name_and_time(void **state)
{
	is("app.zip", NULL, "app/" TIME);
	is("app.zip", "", "app/" TIME);
	is("service_1.0.zip", NULL, "service_1.0/" TIME);
	is("noextension", NULL, "noextension/" TIME);
	is(".zip", NULL, ".zip/" TIME);
	is("team.a/app", NULL, "team.a/app/" TIME);
	is("team\\app.zip", NULL, "team/app/" TIME);
	is("a b%c+d.zip", NULL, "a b%c+d/" TIME);
	is("a:b.zip", NULL, "a:b/" TIME);
}

static void hostile_relative_paths(void **state)
{
	static const char *const paths[][2] = {
		{ "/etc", "slash" }, { "\\\\host\\share", "slash" }, { "c:\\windows", "colon" },
		{ "..", "'..'" }, { "a/../../b", "'..'" }, { "a\\..\\b", "'..'" }, { "./a", "'.'" },
		{ "a//b", "empty part" }, { "a/b//", "empty part" }, { "/", "slash" },
		{ "%2e%2E/etc", "'..'" }, { "%2Fetc", "slash" }, { "..%5Cetc", "'..'" },
		{ "a%0Ab", "control" }, { "a%1B[31m", "control" }, { "a%7F", "control" },
		{ "a%FFb", "UTF-8" }, { ".hpcsync", "for itself" }, { "a/.HPCSync-lock", "for itself" },
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		is_refused("app.zip", paths[i][0], paths[i][1]);
}

static void hostile_names(void **state)
{
	static const char *const names[][2] = {
		{ "../app.zip", "'..'" }, { "/app.zip", "slash" }, { "a/..\\b.zip", "'..'" },
		{ "...", "'..'" }, { "a//b.zip", "empty" }, { "a/", "empty" }, { "a\n.zip", "control" },
		{ "\xff.zip", "UTF-8" }, { ".hpcsync.zip", "for itself" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		is_refused(names[i][0], NULL, names[i][1]);
}

static void long_ones(void **state)
{
	char part[300], path[4200];

	memset(part, 'x', sizeof(part));
	part[255] = '\0';
	is("app.zip", part, part);
	part[255] = 'x';
	part[256] = '\0';
	is_refused("app.zip", part, "255");
	is_refused(part, NULL, "255");
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 2 ? '/' : 'x';
	path[4096] = '\0';
	is_refused("app.zip", path, "4095");
}

/* A later upload sorts behind an earlier one. */
static void times(void **state)
{
	static const char *const dates[][2] = {
		{ "Sat, 01 Jan 2000 00:00:00 GMT", "2000-01-01T000000Z" },
		{ "Fri, 31 Dec 2027 23:59:59 GMT", "2027-12-31T235959Z" },
		{ "Sat, 01 Jan 2028 00:00:00 GMT", "2028-01-01T000000Z" },
	};
	char before[PACK_UPLOAD_TIME_MAX] = "", text[PACK_UPLOAD_TIME_MAX];
	struct err err;

	for (size_t i = 0; i < sizeof(dates) / sizeof(*dates); i++) {
		assert_int_equal(pack_upload_time(dates[i][0], text, &err), 0);
		assert_string_equal(text, dates[i][1]);
		assert_true(strcmp(before, text) < 0);
		memcpy(before, text, sizeof(before));
	}
	assert_int_equal(pack_upload_time("yesterday", text, &err), -1);
	assert_int_equal(err.code, ERR_PROTOCOL);
	assert_null(pack_target("app.zip", NULL, "", &err));
	assert_int_equal(err.code, ERR_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_relative_path),
		cmocka_unit_test(by_name_and_time),
		cmocka_unit_test(hostile_relative_paths),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(long_ones),
		cmocka_unit_test(times),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
