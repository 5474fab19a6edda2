/* pack/create.h: sources, order, types, warnings, files that change, the place. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blob/base/buf.h"
#include "pack/create_priv.h"
#include "pack/index.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static char said[65536];         /* warnings, a line each */

static void note(void *arg, const char *text)
{
	size_t len = strlen(said);

	snprintf(said + len, sizeof(said) - len, "%s\n", text);
}

/* Each test has a folder of its own, and works in it. */
static int enter(void **state)
{
	static int number;
	char name[32];

	snprintf(name, sizeof(name), "test-%d", number++);
	said[0] = '\0';
	return mkdir(scratch_path(name), 0755) || chdir(scratch_path(name));
}

static int leave(void **state)
{
	return chdir("/");
}

static void put(const char *path, const char *text)
{
	FILE *f;
	char *folder = strdup(path);

	for (char *p = folder; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		assert_true(!mkdir(folder, 0755) || errno == EEXIST);
	}
	free(folder);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

static void date(const char *path, time_t when)
{
	const struct timespec times[2] = { { .tv_sec = when, .tv_nsec = 700000000 }, { .tv_sec = when, .tv_nsec = 700000000 } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

#define SOURCES_MAX 8
/* Sources behind one another, up to NULL. */
static int make_with(const struct pack_create_options *o, struct err *err, const char *package, ...)
{
	const char *sources[SOURCES_MAX];
	struct pack_create_stats stats;
	size_t count = 0;
	va_list ap;

	va_start(ap, package);
	while (count < SOURCES_MAX && (sources[count] = va_arg(ap, const char *)))
		count++;
	va_end(ap);
	return pack_create(package, sources, count, o, &stats, err);
}

static const struct pack_create_options plain = { .warn = note };
#define make(...) make_with(&plain, &err, __VA_ARGS__, NULL)

/* "a bin/ bin/x>target": what is in it, but OPC's own. */
static const char *listing(const char *package)
{
	static char text[4096];
	struct pack_index index;
	struct pack_file file;
	struct err err;
	int fd = open(package, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	assert_true(fd >= 0);
	assert_int_equal(pack_file_init(&file, package, fd, &err), 0);
	if (pack_index_open(&index, &file.reader, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(pack_index_check(&index, package, 0, 0, &err), 0);
	assert_true(index.opc);
	text[0] = '\0';
	for (uint32_t i = 1; i < index.count; i++) {
		const struct pack_entry *e = &index.entries[i];
		static const char marks[] = { [PACK_FILE] = ' ', [PACK_DIR] = '/', [PACK_LINK] = '@' };

		if (!e->own && !e->implied && strncmp(e->path, "package", 7) && strcmp(e->path, "_rels"))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%c", len ? " " : "", e->path,
						marks[e->type]);
	}
	pack_index_free(&index);
	close(fd);
	return text;
}

static void same_file(const char *a, const char *b)
{
	char command[256];

	snprintf(command, sizeof(command), "cmp '%s' '%s'", a, b);
	assert_int_equal(system(command), 0);
}

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

/* --- Windows --- */

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

/* --- files that change --- */

static struct create_list list_of(const char *source)
{
	struct create_list list = { .options = &plain };

	assert_int_equal(create_sources(&list, &source, 1, NULL), 0);
	assert_int_equal(list.count, 1);
	return list;
}

static void grow_file(void)
{
	FILE *f = fopen("app/f", "a");

	assert_true(f && fputs("more", f) >= 0 && fclose(f) == 0);
}

static void shrink_file(void)
{
	assert_int_equal(truncate("app/f", 1), 0);
}

static void touch_file(void)
{
	date("app/f", 1234567890);
}

static void remove_file(void)
{
	assert_int_equal(unlink("app/f"), 0);
}

static void replace_file(void)
{
	put("app/g", "content");
	assert_int_equal(rename("app/g", "app/f"), 0);
}

static void make_it_a_fifo(void)
{
	assert_true(!unlink("app/f") && !mkfifo("app/f", 0600));
}

static void make_it_a_link(void)
{
	assert_true(!rename("app/f", "real") && !symlink("../real", "app/f"));
}

static void remove_folder(void)
{
	assert_true(!unlink("app/f") && !rmdir("app"));
}

static const struct change {
	void (*happen)(void);
	const char *message;
	bool late;               /* can be seen when the file is open already */
} changes[] = {
	{ grow_file, "app/f: grew while", true },
	{ shrink_file, "app/f: shrank while", true },
	{ touch_file, "app/f: was changed while", true },
	{ remove_file, "app/f: vanished while", false },
	{ replace_file, "app/f: was replaced while", false },
	{ make_it_a_fifo, "app/f: was replaced while", false },
	{ make_it_a_link, "app/f: was replaced while", false },
	{ remove_folder, "app/f: vanished while", false },
};

static void changed_files(void **state)
{
	for (size_t i = 0; i < 2 * sizeof(changes) / sizeof(*changes); i++) {
		const struct change *change = &changes[i / 2];
		struct err err = { .code = ERR_NONE };
		struct create_input in;
		struct create_list list;
		char data[4];
		ssize_t n = 0;

		put("app/f", "content");
		list = list_of("app");
		if (i % 2 == 0) {
			change->happen();
			assert_int_equal(create_input_open(&in, &list.items[0], &err), -1);
		} else if (change->late) {
			assert_int_equal(create_input_open(&in, &list.items[0], &err), 0);
			assert_int_equal(create_input_read(&in, data, 4, &err), 4);
			change->happen();
			while ((n = create_input_read(&in, data, 4, &err)) > 0)
				;
			assert_int_equal(n, -1);
			create_input_close(&in);
		}
		if (i % 2 == 0 || change->late) {
			assert_int_equal(err.code, ERR_CONDITION);
			if (strncmp(err.msg, change->message, strlen(change->message)))
				fail_msg("%s", err.msg);
		}
		create_list_free(&list);
		unlink("app/f");
	}
}

/* --- the place --- */

static int entries_here(void)
{
	return system("test \"$(ls -A | wc -l)\" = 2");
}

static void set_cancel(void *arg, uint64_t done, uint64_t total)
{
	atomic_store((atomic_bool *)arg, true);
}

static void all_or_nothing(void **state)
{
	atomic_bool cancel = false;
	const struct pack_create_options o = { .cancel = &cancel, .progress = set_cancel, .arg = &cancel };
	struct stat st;
	struct err err;

	put("app/a", "a");
	put("p", "the old one");
	assert_int_equal(chmod("p", 0600), 0);
	assert_int_equal(make_with(&o, &err, "p", "app", NULL), -1);
	assert_int_equal(err.code, ERR_CANCELLED);
	assert_int_equal(stat("p", &st), 0);
	assert_int_equal(st.st_size, 11);
	assert_int_equal(entries_here(), 0);
	assert_int_equal(make("p", "app"), 0);
	assert_string_equal(listing("p"), "a ");
	assert_int_equal(stat("p", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(entries_here(), 0);

	assert_int_equal(make("app", "p"), -1);
	assert_non_null(strstr(err.msg, "app: is a folder"));
	assert_int_equal(make("nowhere/p", "app"), -1);
	assert_non_null(strstr(err.msg, "nowhere/p: its folder"));
	assert_int_equal(make("/dev/null", "app"), -1);
	assert_non_null(strstr(err.msg, "/dev/null: is no regular file"));
	assert_int_equal(entries_here(), 0);
}

static void into_itself(void **state)
{
	struct stat st;
	struct err err;

	put("app/a", "a");
	assert_int_equal(make("app/p.zip", "app"), 0);
	assert_string_equal(listing("app/p.zip"), "a ");
	assert_int_equal(make("app/p.zip", "app"), 0);
	assert_string_equal(listing("app/p.zip"), "a ");
	assert_int_equal(make("app/p.zip", "app/a", "app/p.zip"), 0);
	assert_string_equal(listing("app/p.zip"), "a ");
	/* A link to it stays one, and leads to the new package. */
	assert_int_equal(symlink("app/p.zip", "link"), 0);
	put("app/b", "b");
	assert_int_equal(make("link", "app"), 0);
	assert_string_equal(listing("app/p.zip"), "a  b ");
	assert_true(lstat("link", &st) == 0 && S_ISLNK(st.st_mode));
}

/* As on a file system without O_TMPFILE. */
static int forbid_nameless_files(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = sizeof(filter) / sizeof(*filter), .filter = filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void with_a_name(void **state)
{
	atomic_bool cancel = false;
	const struct pack_create_options o = { .cancel = &cancel, .progress = set_cancel, .arg = &cancel };
	struct err err;
	int status;
	pid_t pid;

	put("app/a", "a");
	put("p", "the old one");
	pid = fork();
	if (pid == 0) {
		if (forbid_nameless_files())
			_exit(1);
		if (open(".", O_TMPFILE | O_RDWR, 0600) >= 0 || errno != EOPNOTSUPP)
			_exit(2);
		if (make_with(&o, &err, "p", "app", NULL) == 0 || err.code != ERR_CANCELLED)
			_exit(3);
		if (entries_here())
			_exit(4);
		_exit(make("p", "app") ? 5 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(listing("p"), "a ");
	assert_int_equal(entries_here(), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sources), TEST(no_recurse), TEST(links), TEST(special_files), TEST(names), TEST(order),
		TEST(deep), TEST(dates), TEST(types), TEST(warns), TEST(warns_of_case), TEST(warns_in_bounds),
		TEST(changed_files), TEST(all_or_nothing), TEST(into_itself), TEST(with_a_name),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
