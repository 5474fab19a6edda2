/*
 * pack/create.h: sources, order, types. (Warnings for Windows: test-create-windows.c;
 * files that change, and where the package comes to lie: test-create-place.c.)
 */
#include <config.h>

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pack/index.h"
#include "tests/unit/create_rig.h"
#include "tests/unit/scratch.h"

/* --- sources --- */

static void sources(void **state)
{
	struct err err;

	put("app/a.txt", "a");
	put("app/sub/b", "b");
	put("other/c", "c");
	put("with,comma", "d");
	put("x y", "e");
	assert_int_equal(mkdir("app/empty", 0755), 0);
	assert_int_equal(make("p", "app"), 0);
	assert_string_equal(listing("p"), "a.txt  empty/ sub/b ");
	assert_int_equal(make("p", "app/"), 0);
	assert_string_equal(listing("p"), "a.txt  empty/ sub/b ");
	assert_int_equal(make("p", "app", "other/", "with,comma"), 0);
	assert_string_equal(listing("p"), "app/a.txt  app/empty/ app/sub/b  other/c  with,comma ");
	assert_int_equal(make("p", "app/a.txt, other/c,x y ,"), 0);
	assert_string_equal(listing("p"), "a.txt  c  x y ");
	assert_int_equal(make("p", "app/a.txt,", "other/c,x y"), 0);
	assert_string_equal(listing("p"), "a.txt  c  x y ");
	assert_int_equal(make("p", "x y,                                                                          "
			      "                                                                               "
			      "                                                                               "
			      "                                                                               "
			      "with,"), -1);
	assert_string_equal(err.msg, "with: No such file or directory");
	assert_int_equal(make("p", "app/empty", "other/c"), 0);
	assert_string_equal(listing("p"), "c  empty/");
	assert_int_equal(make("p", "other/./", "app/a.txt"), 0);
	assert_string_equal(listing("p"), "a.txt  c ");

	assert_int_equal(make("p", "app,other,nowhere"), -1);
	assert_string_equal(err.msg, "nowhere: No such file or directory");
	assert_int_equal(make("p", "app/empty"), -1);
	assert_string_equal(err.msg, "there is nothing to pack");
	assert_int_equal(make("p", ", ,"), -1);
	assert_string_equal(err.msg, "there is nothing to pack");
	assert_int_equal(make("p", "app/a.txt", "./app/a.txt"), -1);
	assert_string_equal(err.msg, "app/a.txt and ./app/a.txt would both be a.txt in the package");
	assert_int_equal(make("p", "app", "./app"), -1);
	assert_string_equal(err.msg, "app and ./app would both be app in the package");
	put("more/app", "a file");
	assert_int_equal(make("p", "app", "more/app"), -1);
	assert_non_null(strstr(err.msg, "app would be a file and a folder"));
	assert_string_equal(listing("p"), "a.txt  c ");
}

static void no_recurse(void **state)
{
	const struct pack_create_options o = { .no_recurse = true };
	struct err err;

	put("app/a", "a");
	put("app/sub/b", "b");
	assert_int_equal(make_with(&o, &err, "p", "app", NULL), 0);
	assert_string_equal(listing("p"), "a ");
}

static void links(void **state)
{
	static const struct { const char *path, *target; bool stays; } cases[] = {
		{ "app/l", "a", true }, { "app/l", "sub/b", true }, { "app/l", "nowhere", true },
		{ "app/sub/l", "../a", true }, { "app/sub/l", "./../sub//b", true }, { "app/l", ".", true },
		{ "app/l", "..", false }, { "app/l", "../app/a", false }, { "app/sub/l", "../../x", false },
		{ "app/l", "/etc/passwd", false }, { "app/l", "sub/../a", true },
	};
	struct err err;

	put("app/a", "a");
	put("app/sub/b", "b");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(symlink(cases[i].target, cases[i].path), 0);
		if (make("p", "app") != (cases[i].stays ? 0 : -1))
			fail_msg("%s -> %s", cases[i].path, cases[i].target);
		if (!cases[i].stays)
			assert_true(strstr(err.msg, cases[i].path) == err.msg && strstr(err.msg, cases[i].target));
		assert_int_equal(unlink(cases[i].path), 0);
	}
	/* A source is followed, and has the name of the link. */
	assert_int_equal(symlink("app/a", "named"), 0);
	assert_int_equal(symlink("app", "folder"), 0);
	assert_int_equal(make("p", "named", "folder"), 0);
	assert_string_equal(listing("p"), "folder/a  folder/sub/b  named ");
}

static void special_files(void **state)
{
	struct err err;

	put("app/a", "a");
	assert_int_equal(mkfifo("app/f", 0600), 0);
	assert_int_equal(make("p", "app"), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "app/f: is a fifo"));
	assert_int_equal(make("p", "app/f"), -1);
	assert_non_null(strstr(err.msg, "app/f: is a fifo"));
	assert_int_equal(make("p", "/dev/null"), -1);
	assert_non_null(strstr(err.msg, "/dev/null: is a device"));
	assert_int_equal(access("p", F_OK), -1);
}

static void names(void **state)
{
	static const struct { const char *name, *message; } cases[] = {
		{ "a.", "app/a.: a part of its name ends in a dot" },
		{ "a\\b", "app/a\\b: its name has a '\\'" },
		{ "\xff", "its name is not UTF-8" },
		{ "[Content_Types].xml", "app/[Content_Types].xml: OPC keeps this name" },
		{ "_rels/.rels", "app/_rels/.rels: OPC keeps this name" },
		{ "c:", "app/c:: its name begins like a drive" },
	};
	struct err err;

	put("app/a", "a");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char path[64];

		snprintf(path, sizeof(path), "app/%s", cases[i].name);
		put(path, "x");
		assert_int_equal(make("p", "app"), -1);
		assert_int_equal(err.code, ERR_FORMAT);
		if (!strstr(err.msg, cases[i].message) || !strstr(err.msg, "rename it, or leave it out"))
			fail_msg("%s: %s", cases[i].name, err.msg);
		assert_int_equal(unlink(path), 0);
		rmdir("app/_rels");
	}
	put("app/x y/\xc3\xbc%20", "x");
	assert_int_equal(make("p", "app"), 0);
	assert_string_equal(listing("p"), "a  x y/\xc3\xbc%20 ");
}

static void deep(void **state)
{
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err err;

	assert_true(!mkdir("app", 0755) && !chdir("app"));
	for (int i = 0; i < 1900; i++)
		assert_true(!mkdir("d", 0755) && !chdir("d"));
	put("file", "x");
	assert_int_equal(fchdir(here), 0);
	close(here);
	assert_int_equal(make("p", "app"), 0);
	assert_int_equal(strlen(listing("p")), 1900 * 2 + strlen("file "));
}

/* --- the same bytes --- */

static void order(void **state)
{
	static const char *const files[] = { "b", "a/x", "a.c", "a-b", "a/b/c", "Z" };
	struct err err;

	for (int i = 0; i < 6; i++) {
		char one[32], two[32];

		snprintf(one, sizeof(one), "one/%s", files[i]);
		snprintf(two, sizeof(two), "two/%s", files[5 - i]);
		put(one, files[i]);
		put(two, files[5 - i]);
	}
	for (int i = 0; i < 6; i++)
		for (int k = 0; k < 2; k++) {
			char path[32];

			snprintf(path, sizeof(path), "%s/%s", k ? "two" : "one", files[i]);
			date(path, 1700000000 + i);
		}
	assert_int_equal(mkdir("one/e", 0755) | mkdir("two/e", 0755), 0);
	assert_int_equal(symlink("b", "one/l") | symlink("b", "two/l"), 0);
	date("one/e", 1);
	date("one/l", 1);
	setenv("TZ", "America/St_Johns", 1);
	assert_int_equal(make("first", "one"), 0);
	setenv("TZ", "Asia/Kathmandu", 1);
	assert_int_equal(make("second.zip", "two"), 0);
	same_file("first", "second.zip");
	assert_string_equal(listing("first"), "Z  a/b/c  a/x  a-b  a.c  b  e/ l@");
}

static int64_t mtime_of(const char *package, const char *path)
{
	struct pack_index index;
	struct pack_file file;
	int fd = open(package, O_RDONLY | O_CLOEXEC);
	int64_t when;
	ssize_t e;

	assert_int_equal(pack_file_init(&file, package, fd, NULL), 0);
	assert_int_equal(pack_index_open(&index, &file.reader, NULL, NULL), 0);
	e = pack_index_find(&index, path);
	assert_true(e >= 0);
	when = index.entries[e].mtime;
	pack_index_free(&index);
	close(fd);
	return when;
}

static void dates(void **state)
{
	const int64_t limit = 1600000001;
	const struct pack_create_options o = { .date = &limit };
	struct err err;

	put("app/old", "x");
	put("app/new", "x");
	put("app/ancient", "x");
	put("app/far", "x");
	date("app/old", 1500000001);
	date("app/new", 1700000001);
	date("app/ancient", 86401);
	assert_int_equal(symlink("old", "app/l"), 0);
	assert_int_equal(unlink("app/far"), 0);
	assert_int_equal(make("p", "app"), 0);
	assert_int_equal(mtime_of("p", "old"), 1500000001);
	assert_int_equal(mtime_of("p", "new"), 1700000001);
	assert_int_equal(mtime_of("p", "ancient"), 86401);
	assert_int_equal(mtime_of("p", "l"), 1700000001);
	assert_int_equal(mtime_of("p", "_rels/.rels"), 1700000001);
	assert_int_equal(make_with(&o, &err, "p", "app", NULL), 0);
	assert_int_equal(mtime_of("p", "old"), 1500000001);
	assert_int_equal(mtime_of("p", "new"), limit);
	assert_int_equal(mtime_of("p", "l"), limit);
	/* Beyond 2038 only the DOS time is left, in steps of two seconds. */
	put("app/far", "x");
	date("app/far", 4000000001);
	assert_int_equal(make("p", "app"), 0);
	assert_int_equal(mtime_of("p", "far"), 4000000000);
}

/* --- content types --- */

static void types(void **state)
{
	static const char *const there[] = {
		"<Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>",
		"<Default Extension=\"psmdcp\" ContentType=\"application/vnd.openxmlformats-package.core-properties+xml\"/>",
		"<Default Extension=\"txt\" ContentType=\"text/plain\"/>",
		"<Default Extension=\"xml\" ContentType=\"application/xml\"/>",
		"<Default Extension=\"strange\" ContentType=\"application/octet-stream\"/>",
		"<Default Extension=\"c++\" ContentType=\"application/octet-stream\"/>",
		"<Default Extension=\"a&amp;b\" ContentType=\"application/octet-stream\"/>",
		"<Default Extension=\"%c3%bc\" ContentType=\"application/octet-stream\"/>",
		"<Default Extension=\"hidden\" ContentType=\"application/octet-stream\"/>",
		"<Override PartName=\"/bin.d/run\" ContentType=\"application/octet-stream\"/>",
		"<Override PartName=\"/with%20space\" ContentType=\"application/octet-stream\"/>",
		"<Override PartName=\"/x&amp;y\" ContentType=\"application/octet-stream\"/>",
		"<Override PartName=\"/semi.a;b\" ContentType=\"application/octet-stream\"/>",
		"<Override PartName=\"/my.rels\" ContentType=\"application/octet-stream\"/>",
		"<Override PartName=\"/my.psmdcp\" ContentType=\"application/octet-stream\"/>",
		"<Override PartName=\"/link\" ContentType=\"application/octet-stream\"/>",
	};
	static const char *const files[] = {
		"a.txt", "b.TXT", "c.xml", "d.strange", "e.c++", "f.a&b", "g.\xc3\xbc", ".hidden", "bin.d/run",
		"with space", "x&y", "semi.a;b", "my.rels", "my.psmdcp",
	};
	struct create_list list = { .options = &plain };
	struct create_item own[CREATE_OWN_ITEMS];
	const char *source = "app";
	struct err err;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		char path[64];

		snprintf(path, sizeof(path), "app/%s", files[i]);
		put(path, "x");
	}
	assert_int_equal(symlink("a.txt", "app/link"), 0);
	assert_int_equal(mkdir("app/empty.dir", 0755), 0);
	assert_int_equal(create_sources(&list, &source, 1, &err), 0);
	assert_int_equal(create_check(&list, &err), 0);
	assert_int_equal(create_parts(&list, 1700000000, own, &err), 0);
	assert_string_equal(own[0].name, "[Content_Types].xml");
	for (size_t i = 0; i < sizeof(there) / sizeof(*there); i++) {
		const char *at = strstr(own[0].text, there[i]);

		if (!at || strstr(at + 1, there[i]))
			fail_msg("%s: not there once:\n%s", there[i], own[0].text);
	}
	assert_null(strstr(own[0].text, "empty"));
	assert_string_equal(own[1].name, "_rels/.rels");
	assert_non_null(strstr(own[1].text, own[2].name));
	assert_non_null(strstr(own[2].text, ">2023-11-14T22:13:20Z<"));
	create_parts_free(own);
	create_list_free(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sources),
		TEST(no_recurse),
		TEST(links),
		TEST(special_files),
		TEST(names),
		TEST(order),
		TEST(deep),
		TEST(dates),
		TEST(types),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
