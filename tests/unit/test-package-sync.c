/* What hpcsync has printed, kept and handed on; and whether there is to be a sync. */
#include <config.h>

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/package_sync.h"
#include "fs/channel.h"
#include "tests/unit/scratch.h"

static const char good[] =
	"{\"root\":\"/r\",\"container\":\"c\",\"error\":null,\"packages\":[{\"name\":\"a.zip\",\"state\":"
	"\"installed\",\"error\":null},{\"name\":\"b.zip\",\"state\":\"failed\",\"error\":\"bad\"}],"
	"\"totals\":{\"installed\":1,\"failed\":1}}\n";

static void read_text(struct sync_result *r, const char *text, int status, const char *last_words)
{
	memset(r, 0, sizeof(*r));
	strcpy(r->started, "2026-11-21T03:26:09Z");
	strcpy(r->ended, "2026-11-21T03:26:10Z");
	sync_result_read(r, text, strlen(text), status, last_words);
}

static void reports(void **state)
{
	static const struct {
		const char *text;
		int status;
		const char *last_words;
		bool ok, report, total;
		const char *error;
	} cases[] = {
		{ good, 0, "", true, true, false, "" },
		{ good, 0, "hpcsync: mind this", true, true, false, "" },
		{ good, 1, "hpcsync: b.zip: bad", false, true, false, "1 of 2 packages failed" },
		{ good, -9, "killed by", false, true, false, "killed by" },
		{ "{\"error\":\"no such container\",\"packages\":[]}", 1, "x", false, true, true,
		  "no such container" },
		{ "{\"error\":null,\"packages\":[]}", 1, "", false, true, false,
		  "hpcsync ended with status 1 and did not say why" },
		{ "", 1, "hpcsync: no account", false, false, true, "hpcsync: no account" },
		{ "", 127, "", false, false, true, "hpcsync ended with status 127 and did not say why" },
		{ "", 0, "", false, false, true, "hpcsync has printed nothing that can be understood" },
		{ "[]", 0, "", false, false, true, "hpcsync has printed nothing that can be understood" },
		{ "{\"packages\":{}}", 0, "", false, false, true,
		  "hpcsync has printed nothing that can be understood" },
		{ "{\"packages\":[7]}", 0, "", false, false, true,
		  "hpcsync has printed nothing that can be understood" },
		{ "{\"packages\":[]} {}", 0, "", false, false, true,
		  "hpcsync has printed nothing that can be understood" },
		{ "{\"packages\":[", 0, "", false, false, true,
		  "hpcsync has printed nothing that can be understood" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sync_result r;

		read_text(&r, cases[i].text, cases[i].status, cases[i].last_words);
		if (r.ok != cases[i].ok || (r.report != NULL) != cases[i].report ||
		    sync_result_is_total_failure(&r) != cases[i].total || strcmp(r.error, cases[i].error))
			fail_msg("case %zu: ok %d, report %d, error \"%s\"", i, r.ok, r.report != NULL,
				 r.error);
		sync_result_free(&r);
	}
}

/* A report of so many packages with names so long. */
static void big_report(struct sync_result *r, int count, int name_len)
{
	json_t *packages = json_array(), *report;
	char name[20000];
	char *text;

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%0*d", name_len, i);
		json_array_append_new(packages, json_pack("{ss ss}", "name", name, "state", "unchanged"));
	}
	report = json_pack("{sn so}", "error", "packages", packages);
	text = json_dumps(report, 0);
	read_text(r, text, 0, "");
	free(text);
	json_decref(report);
}

/* In as many messages as it takes, each of them short enough. */
static void page_by_page(void **state)
{
	static const struct {
		int count, name_len;
	} cases[] = { { 0, 1 }, { 1, 1 }, { 5000, 10 }, { 40, 16000 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_int_t next = 0, seen = 0;
		struct sync_result r;

		big_report(&r, cases[i].count, cases[i].name_len);
		assert_true(r.ok);
		do {
			json_t *page = sync_result_pack(&r, (size_t)next, &next), *package;
			json_t *report = json_object_get(page, "report");
			size_t n;

			assert_true(json_dumpb(page, NULL, 0, JSON_COMPACT) < CHANNEL_MAX - 4096);
			json_array_foreach(json_object_get(report, "packages"), n, package)
				assert_int_equal(atoi(json_string_value(json_object_get(package, "name"))),
						 seen++);
			assert_true(next < 0 || next == seen);
			json_decref(page);
		} while (next >= 0);
		assert_int_equal(seen, cases[i].count);
		/* Beyond its end: nothing, and no more. */
		json_decref(sync_result_pack(&r, 100000, &next));
		assert_int_equal(next, -1);
		sync_result_free(&r);
	}
}

static void unbelievable(void **state)
{
	struct sync_result r;

	/* One package that would fill a message alone. */
	big_report(&r, 1, 17000);
	assert_false(r.ok);
	assert_null(r.report);
	sync_result_free(&r);
}

static void kept_for_the_next_agent(void **state)
{
	struct sync_result r, again;
	struct stat st;

	assert_false(sync_result_load(&again, scratch_dir()));
	read_text(&r, good, 1, "");
	sync_result_save(&r, scratch_dir());
	assert_int_equal(stat(scratch_path("sync.json"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(sync_result_load(&again, scratch_dir()));
	assert_false(again.ok);
	assert_string_equal(again.started, r.started);
	assert_string_equal(again.ended, r.ended);
	assert_string_equal(again.error, "1 of 2 packages failed");
	assert_true(json_equal(again.report, r.report));
	sync_result_free(&again);
	sync_result_free(&r);
	/* One that made no report. */
	read_text(&r, "", 1, "no account");
	sync_result_save(&r, scratch_dir());
	assert_true(sync_result_load(&again, scratch_dir()));
	assert_null(again.report);
	assert_string_equal(again.error, "no account");
	sync_result_free(&again);
	sync_result_free(&r);
}

static void strange_files(void **state)
{
	static const char *const texts[] = {
		"", "x", "[]", "{}", "{\"started\":1,\"ended\":\"y\"}",
		"{\"started\":\"x\",\"ended\":\"y\",\"report\":{\"packages\":3}}",
	};
	struct sync_result r;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		scratch_write("sync.json", 0600, texts[i]);
		assert_false(sync_result_load(&r, scratch_dir()));
	}
	scratch_write("other", 0600, "{\"started\":\"x\",\"ended\":\"y\"}");
	unlink(scratch_path("sync.json"));
	assert_int_equal(symlink("other", scratch_path("sync.json")), 0);
	assert_false(sync_result_load(&r, scratch_dir()));
	unlink(scratch_path("sync.json"));
}

static void who_syncs(void **state)
{
	static const struct {
		const char *config;
		unsigned idle_exit_s;
		bool wanted, awaited;
	} cases[] = {
		{ "", 0, false, false },
		{ "[packages]\nsync_at_start = yes\n", 0, true, false },
		{ "[packages]\nsync_at_start = yes\n", 30, false, false },
		{ "[packages]\nsync_interval = 5m\n", 0, true, false },
		{ "[packages]\nsync_interval = 0\n", 0, false, false },
		{ "[packages]\nsync_required = yes\n", 0, true, true },
		{ "[packages]\nsync_required = yes\n", 30, false, false },
		{ "[account]\nname = acc\n[packages]\nsync_at_start = no\n", 0, false, false },
	};

	unsetenv("CCP_AZURE_CONNECTIONSTRING");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings s = { .idle_exit_s = cases[i].idle_exit_s };
		struct err err;

		if (settings_load(&s, scratch_write("test.conf", 0600, cases[i].config), &err) < 0)
			fail_msg("%s", err.msg);
		if (package_sync_wanted(&s) != cases[i].wanted || package_sync_awaited(&s) != cases[i].awaited)
			fail_msg("case %zu", i);
		settings_free(&s);
	}
}

/* With an account, and nothing said, it is root's agent that syncs. */
static void an_account_is_enough_for_root(void **state)
{
	static const char *const texts[] = { "[account]\nname = acc\n", "[account]\nconnection_string = x=y\n",
					     "[account]\nendpoint = http://h/acc\n", "" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct settings s = { .idle_exit_s = 0 };
		struct err err;

		if (!*texts[i])
			setenv("CCP_AZURE_CONNECTIONSTRING", "UseDevelopmentStorage=true", 1);
		assert_int_equal(settings_load(&s, scratch_write("test.conf", 0600, texts[i]), &err), 0);
		assert_int_equal(package_sync_wanted(&s), geteuid() == 0);
		settings_free(&s);
	}
	unsetenv("CCP_AZURE_CONNECTIONSTRING");
}

static void bad_settings(void **state)
{
	struct settings s = { .idle_exit_s = 0 };
	struct err err;

	assert_int_equal(settings_load(&s, scratch_write("test.conf", 0600, "[packages]\nsync_interval = often\n"),
				       &err), -1);
	assert_non_null(strstr(err.msg, "sync_interval"));
	settings_free(&s);
	assert_int_equal(settings_load(&s, scratch_write("test.conf", 0600, "[packages]\nsync_required = 2\n"),
				       &err), -1);
	assert_non_null(strstr(err.msg, "sync_required"));
	settings_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reports),
		cmocka_unit_test(page_by_page),
		cmocka_unit_test(unbelievable),
		cmocka_unit_test(kept_for_the_next_agent),
		cmocka_unit_test(strange_files),
		cmocka_unit_test(who_syncs),
		cmocka_unit_test(an_account_is_enough_for_root),
		cmocka_unit_test(bad_settings),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
