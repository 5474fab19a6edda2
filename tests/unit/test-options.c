#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"

static const enum option_id upload_ids[] = {
	OPTIONS_STORAGE, OPT_RELATIVE_PATH, OPT_DESCRIPTION, OPT_BLOCK_SIZE, OPT_BLOB_TYPE,
	OPTIONS_COMMON, OPT_COUNT
};
static const struct command upload = {
	.name = "upload", .synopsis = "FILE [options]", .summary = "put it there", .options = upload_ids,
	.min_args = 1, .max_args = 1,
};
static const enum option_id mount_ids[] = {
	OPTIONS_STORAGE, OPT_SNAPSHOT, OPT_FORCE, OPT_LIST, OPT_MOUNT_OPTIONS, OPT_JSON, OPTIONS_COMMON,
	OPT_COUNT
};
static const struct command mount = {
	.name = "mount", .synopsis = "NAME [MOUNTPOINT]\n--list", .summary = "mount it",
	.options = mount_ids, .min_args = 0, .max_args = 2,
};
static const enum option_id create_ids[] = {
	OPT_NO_RECURSE, OPT_LEVEL_0, OPT_LEVEL_1, OPT_LEVEL_9, OPTIONS_COMMON, OPT_COUNT
};
static const struct command create = {
	.name = "create", .synopsis = "PACKAGE SOURCE...", .summary = "make it", .options = create_ids,
	.min_args = 2, .max_args = -1,
};
static const enum option_id download_ids[] = { OPTIONS_STORAGE, OPT_PATH, OPT_UNPACK, OPTIONS_COMMON, OPT_COUNT };
static const struct command download = {
	.name = "download", .synopsis = "PACKAGE", .summary = "get it", .options = download_ids,
	.min_args = 1, .max_args = 1,
};

static struct options o;
static struct err err;
static char storage[16][128];   /* argv that may be written to */
static char *argv[17];

static int parse_list(const struct command *c, const char *const *words)
{
	int argc = 1;

	options_free(&o);
	argv[0] = storage[0];
	for (; *words; words++, argc++) {
		snprintf(storage[argc], sizeof(storage[0]), "%s", *words);
		argv[argc] = storage[argc];
	}
	argv[argc] = NULL;
	return options_parse(&o, c, "hpcpack test", argc, argv, &err);
}

#define PARSE(c, ...) parse_list((c), (const char *const[]){ __VA_ARGS__, NULL })
#define GOOD(c, ...) do { \
		if (PARSE(c, __VA_ARGS__) < 0) \
			fail_msg("%s", err.msg); \
	} while (0)
#define BAD(message, c, ...) do { \
		assert_int_equal(PARSE(c, __VA_ARGS__), -1); \
		assert_int_equal(err.code, ERR_USAGE); \
		if (!strstr(err.msg, message)) \
			fail_msg("'%s' is not in '%s'", message, err.msg); \
		assert_non_null(strstr(err.msg, "; see hpcpack test --help")); \
	} while (0)

static void gnu_spelling(void **state)
{
	GOOD(&upload, "--account", "abc", "a.vhd", "--key=K", "--use-http", "-qv", "-v");
	assert_string_equal(o.value[OPT_ACCOUNT], "abc");
	assert_string_equal(o.value[OPT_KEY], "K");
	assert_int_equal(o.count[OPT_USE_HTTP], 1);
	assert_int_equal(o.count[OPT_QUIET], 1);
	assert_int_equal(o.count[OPT_VERBOSE], 2);
	assert_int_equal(o.arg_count, 1);
	assert_string_equal(o.args[0], "a.vhd");

	/* A value may look like anything; the last one counts. */
	GOOD(&upload, "--description", "--key", "x", "--account=a", "--account=b", "--relative-path=");
	assert_string_equal(o.value[OPT_DESCRIPTION], "--key");
	assert_string_equal(o.value[OPT_ACCOUNT], "b");
	assert_string_equal(o.value[OPT_RELATIVE_PATH], "");
	assert_null(o.value[OPT_KEY]);

	GOOD(&create, "-d9", "p.zip", "dir");
	assert_int_equal(o.count[OPT_NO_RECURSE], 1);
	assert_int_equal(o.count[OPT_LEVEL_9], 1);
	GOOD(&create, "p.zip", "-0", "a", "-1", "b", "c");
	assert_int_equal(o.arg_count, 4);
	assert_int_equal(o.count[OPT_LEVEL_0] + o.count[OPT_LEVEL_1], 2);

	GOOD(&mount, "-oro,sync", "x", "-o", "cache=1G", "-qo", "noatime");
	assert_string_equal(o.value[OPT_MOUNT_OPTIONS], "ro,sync,cache=1G,noatime");
}

static void end_of_options(void **state)
{
	GOOD(&upload, "--", "--key");
	assert_string_equal(o.args[0], "--key");
	GOOD(&create, "-", "--", "/d", "-d", "--");
	assert_int_equal(o.arg_count, 4);
	assert_string_equal(o.args[1], "/d");
	assert_string_equal(o.args[3], "--");
	assert_int_equal(o.count[OPT_NO_RECURSE], 0);
}

static void optional_value(void **state)
{
	GOOD(&mount, "x", "--snapshot", "/mnt");
	assert_int_equal(o.count[OPT_SNAPSHOT], 1);
	assert_null(o.value[OPT_SNAPSHOT]);
	assert_int_equal(o.arg_count, 2);
	GOOD(&mount, "x", "--snapshot=latest");
	assert_string_equal(o.value[OPT_SNAPSHOT], "latest");
	GOOD(&mount, "x", "/snapshot");
	assert_int_equal(o.count[OPT_SNAPSHOT], 1);
	/* Not one of the original's: a path. */
	GOOD(&mount, "x", "/snapshot:latest");
	assert_int_equal(o.count[OPT_SNAPSHOT], 0);
	assert_string_equal(o.args[1], "/snapshot:latest");
}

static void original_spelling(void **state)
{
	GOOD(&upload, "C.vhd", "/account:abc", "/KEY:ab==", "/Container:c", "/relativePath:a/b",
	     "/DESCRIPTION:two words: yes", "/blocksize:1024", "/blobtype:PageBlob", "/usehttp");
	assert_string_equal(o.value[OPT_ACCOUNT], "abc");
	assert_string_equal(o.value[OPT_KEY], "ab==");
	assert_string_equal(o.value[OPT_CONTAINER], "c");
	assert_string_equal(o.value[OPT_RELATIVE_PATH], "a/b");
	assert_string_equal(o.value[OPT_DESCRIPTION], "two words: yes");
	assert_string_equal(o.value[OPT_BLOCK_SIZE], "1024");
	assert_string_equal(o.value[OPT_BLOB_TYPE], "PageBlob");
	assert_int_equal(o.count[OPT_USE_HTTP], 1);
	assert_int_equal(o.arg_count, 1);

	GOOD(&upload, "x", "/nodetemplate:Azure Worker", "/scheduler:head", "/sas:sv=1&sig=a");
	assert_string_equal(o.value[OPT_NODE_TEMPLATE], "Azure Worker");
	assert_string_equal(o.value[OPT_SCHEDULER], "head");
	assert_string_equal(o.value[OPT_SAS], "sv=1&sig=a");
	GOOD(&download, "x", "/path:/data", "/unpack");
	assert_string_equal(o.value[OPT_PATH], "/data");
	GOOD(&download, "x", "/targetPath:c");
	assert_string_equal(o.value[OPT_PATH], "c");
	GOOD(&create, "p.zip", "f", "/d", "/0", "/1", "/9");
	assert_int_equal(o.count[OPT_NO_RECURSE] + o.count[OPT_LEVEL_0] + o.count[OPT_LEVEL_1] +
			 o.count[OPT_LEVEL_9], 4);
	GOOD(&mount, "/LIST");
	assert_int_equal(o.count[OPT_LIST], 1);
	GOOD(&mount, "x", "/force", "/Snapshot");
	assert_int_equal(o.count[OPT_FORCE], 1);
	GOOD(&mount, "/?");
	assert_int_equal(o.count[OPT_HELP], 1);
	GOOD(&mount, "/Help");
	assert_int_equal(o.count[OPT_HELP], 1);
}

/* Exactly one of the command's own, else a path. */
static void paths(void **state)
{
	static const char *const of_mount[] = {
		"/data", "/d", "/0", "/listing", "/list/", "/list:x", "/key", "/snapshots", "/account",
		"/force:", "/relativepath:x", "/unpack", "/", "//list", "/mnt/list", "/h", "/??", "/json",
		"/lazy", "/raw", "/connection-string:x", "/endpoint:x", "/quiet", "/nodetemplate",
	};

	for (size_t i = 0; i < sizeof(of_mount) / sizeof(*of_mount); i++) {
		GOOD(&mount, "x", of_mount[i]);
		assert_int_equal(o.arg_count, 2);
		assert_string_equal(o.args[1], of_mount[i]);
	}
	GOOD(&create, "p.zip", "/list", "/data", "/D:", "/dd", "/00", "/2");
	assert_int_equal(o.arg_count, 7);
	assert_int_equal(o.count[OPT_NO_RECURSE], 0);
	/* With a value, but an empty one, it is the option. */
	GOOD(&mount, "x", "/key:");
	assert_string_equal(o.value[OPT_KEY], "");
}

static void mistakes(void **state)
{
	BAD("unknown option --snapshoot (did you mean --snapshot?)", &mount, "x", "--snapshoot");
	BAD("unknown option --snap (did you mean --snapshot?)", &mount, "x", "--snap");
	BAD("unknown option --kye (did you mean --key?)", &mount, "x", "--kye=SECRET");
	assert_null(strstr(err.msg, "SECRET"));
	BAD("unknown option --relativepath (did you mean --relative-path?)", &upload, "--relativepath", "x");
	BAD("unknown option --frobnicate;", &upload, "--frobnicate", "x");
	BAD("unknown option -x;", &upload, "-qx", "x");
	BAD("--key needs a value (KEY)", &upload, "x", "--key");
	BAD("-o needs a value", &mount, "x", "-o");
	BAD("--use-http takes no value", &upload, "x", "--use-http=1");
	BAD("an argument is missing: hpcpack test FILE [options]", &upload, "-q");
	BAD("'b' is one argument too many", &upload, "a", "b");
	BAD("'/data' is one argument too many;", &upload, "a", "/data");
	BAD("'/kye' is one argument too many (did you mean --key?)", &upload, "a", "/kye:SECRET");
	assert_null(strstr(err.msg, "SECRET"));
	/* An option of another command. */
	BAD("unknown option --force;", &upload, "x", "--force");
	BAD("unknown option -d;", &mount, "x", "-d");
}

static void help_comes_first(void **state)
{
	GOOD(&upload, "--help");
	GOOD(&upload, "a", "b", "--help", "--nonsense");
	GOOD(&upload, "--version");
	BAD("--nonsense", &upload, "--nonsense", "--help");
}

/* No word of argv holds a secret any more; what is no secret stands as it was. */
static void secrets_are_overwritten(void **state)
{
	GOOD(&upload, "x", "--key", "SECRET1", "--key=SECRET2", "--sas", "SECRET3", "/key:SECRET4", "/SAS:SECRET5",
	     "--connection-string=SECRET6", "--account", "abc");
	assert_string_equal(o.value[OPT_KEY], "SECRET4");
	assert_string_equal(o.value[OPT_SAS], "SECRET5");
	assert_string_equal(o.value[OPT_CONNECTION_STRING], "SECRET6");
	for (int i = 1; argv[i]; i++)
		assert_null(strstr(argv[i], "SECRET"));
	assert_string_equal(argv[4], "--key=xxxxxxx");
	assert_string_equal(argv[7], "/key:xxxxxxx");
	assert_string_equal(argv[11], "abc");
}

/* The original's parameters, as its reference spells them, are all there. */
static void the_original_is_complete(void **state)
{
	static const char *const names[] = {
		"account", "key", "sas", "container", "relativePath", "description", "blocksize", "blobtype",
		"path", "targetpath", "unpack", "usehttp", "nodetemplate", "scheduler", "force", "snapshot",
		"list", "d", "0", "1", "9", "packageName", "?", "help",
	};

	for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++) {
		int found = 0;

		for (int i = 0; i < OPT_COUNT; i++) {
			char words[64];

			snprintf(words, sizeof(words), "%s",
				 option_table[i].original ? option_table[i].original : "");
			for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
				found += !strcmp(w, names[n]);
		}
		if (found != 1)
			fail_msg("/%s is there %d times", names[n], found);
	}
	for (int i = 0; i < OPT_COUNT; i++) {
		assert_true(option_table[i].name || option_table[i].letter);
		assert_non_null(option_table[i].help);
		assert_true((option_table[i].kind == OPTION_FLAG) == (option_table[i].value == NULL));
	}
}

static void help_text(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	options_help(f, &mount, "hpcpack mount");
	fclose(f);
	assert_non_null(strstr(text, "usage: hpcpack mount NAME [MOUNTPOINT]\n       hpcpack mount --list\n"));
	assert_non_null(strstr(text, "Mount it.\n"));
	assert_non_null(strstr(text, "--snapshot[=TIME]  "));
	assert_non_null(strstr(text, "-o OPTION,...  "));
	assert_non_null(strstr(text, " /account:NAME /key:KEY "));
	free(text);
}

static int done(void **state)
{
	options_free(&o);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gnu_spelling),
		cmocka_unit_test(end_of_options),
		cmocka_unit_test(optional_value),
		cmocka_unit_test(original_spelling),
		cmocka_unit_test(paths),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(help_comes_first),
		cmocka_unit_test(secrets_are_overwritten),
		cmocka_unit_test(the_original_is_complete),
		cmocka_unit_test(help_text),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, done);
}
