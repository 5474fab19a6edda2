/* The index of a package: names, the tree, what is refused. */
#include <config.h>

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "pack/index.h"
#include "zip_image.h"

static struct zip_image z;
static struct pack_index ix;
static struct pack_memory mem;
static struct err err;

static int clean(void **state)
{
	pack_index_free(&ix);
	zip_free(&z);
	return 0;
}

static int open_limited(const struct pack_limits *limits)
{
	pack_index_free(&ix);
	pack_memory_init(&mem, "c/app.zip", z.data, z.len);
	return pack_index_open(&ix, &mem.reader, limits, &err);
}

static void open_good(void)
{
	if (open_limited(NULL) < 0)
		fail_msg("%s", err.msg);
}

static void fails(enum err_code code, const char *says)
{
	assert_int_equal(open_limited(NULL), -1);
	assert_string_equal(err_code_name(err.code), err_code_name(code));
	if (!strstr(err.msg, says) || strncmp(err.msg, "c/app.zip: ", 11) != 0)
		fail_msg("'%s' does not say '%s'", err.msg, says);
}

static void refused(enum err_code code, const char *says)
{
	assert_int_equal(pack_index_check(&ix, "c/app.zip", 0, 0, &err), -1);
	assert_string_equal(err_code_name(err.code), err_code_name(code));
	if (!strstr(err.msg, says) || strncmp(err.msg, "c/app.zip: ", 11) != 0)
		fail_msg("'%s' does not say '%s'", err.msg, says);
}

static const struct pack_entry *entry(const char *path)
{
	ssize_t n = pack_index_find(&ix, path);

	if (n < 0)
		fail_msg("no entry %s", path);
	return &ix.entries[n];
}

/* All paths, a space between, the root left out. */
static const char *listing(void)
{
	static char text[65536];
	size_t len = 0;

	text[0] = '\0';
	for (uint32_t i = 1; i < ix.count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%s", i > 1 ? " " : "",
					ix.entries[i].path, ix.entries[i].type == PACK_DIR ? "/" : "");
	return text;
}

/* One member of this name in a zip or OPC package: its path, or what is wrong. */
static const char *name_becomes(const char *name, size_t len, uint16_t flags, bool opc)
{
	clean(NULL);
	if (opc)
		zip_file(&z, "[Content_Types].xml", "<Types/>");
	zip_add(&z, &(struct zip_spec){ .name = name, .name_len = len, .flags = flags, .data = "x" });
	zip_end(&z, NULL);
	open_good();
	if (ix.bad_count)
		return pack_problem_text(ix.bad[0].problem);
	for (uint32_t i = 1; i < ix.count; i++)
		if (ix.entries[i].type != PACK_DIR && strcmp(ix.entries[i].path, "[Content_Types].xml") != 0)
			return ix.entries[i].path;
	return "nothing";
}

#define assert_path(name, flags, opc, path) \
	assert_string_equal(name_becomes(name, sizeof(name) - 1, flags, opc), path)
#define assert_bad(name, opc, problem) \
	assert_string_equal(name_becomes(name, sizeof(name) - 1, 0, opc), pack_problem_text(problem))

/* --- the tree --- */

static void tree(void **state)
{
	const struct pack_entry *e;

	zip_file(&z, "b/x.txt", "1");
	zip_file(&z, "a-b", "2");
	zip_file(&z, "a/c/d", "3");
	zip_file(&z, "a.b", "4");
	zip_add(&z, &(struct zip_spec){ .name = "e/" });
	zip_file(&z, "a/b", "55555");
	zip_file(&z, "b/", NULL);
	zip_end(&z, NULL);
	open_good();
	assert_string_equal(listing(), "a/ a/b a/c/ a/c/d a-b a.b b/ b/x.txt e/");
	assert_int_equal(ix.member_count, 7);
	assert_int_equal(ix.file_count, 5);
	assert_int_equal(ix.unpacked, 9);
	assert_int_equal(ix.count, 10);
	assert_false(ix.opc);
	assert_true(entry("a")->implied);
	assert_true(entry("a/c")->implied);
	assert_false(entry("b")->implied);
	assert_int_equal(ix.entries[0].end, 10);
	assert_int_equal(entry("a")->end, 5);
	assert_int_equal(entry("a/c")->end, 5);
	assert_int_equal(entry("e")->end, 10);
	e = entry("a/c/d");
	assert_string_equal(pack_entry_name(e), "d");
	assert_string_equal(ix.entries[e->parent].path, "a/c");
	assert_int_equal(pack_index_find(&ix, ""), 0);
	assert_int_equal(pack_index_find(&ix, "a/"), -1);
	assert_int_equal(pack_index_find(&ix, "zz"), -1);
	assert_int_equal(pack_index_child(&ix, 0, "a-b", 3), pack_index_find(&ix, "a-b"));
	assert_int_equal(pack_index_child(&ix, entry("a/c")->parent, "b", 1), pack_index_find(&ix, "a/b"));
	assert_int_equal(pack_index_child(&ix, 0, "a/b", 3), -1);
	assert_int_equal(pack_index_child(&ix, 0, "", 0), -1);
	assert_int_equal(pack_index_check(&ix, "c/app.zip", 0, 0, &err), 0);
}

static void empty(void **state)
{
	zip_end(&z, NULL);
	open_good();
	assert_int_equal(ix.count, 1);
	assert_int_equal(ix.entries[0].end, 1);
	assert_int_equal(pack_index_check(&ix, "c/app.zip", 0, 0, &err), 0);
}

static void conflicts(void **state)
{
	zip_file(&z, "twice", "first");
	zip_file(&z, "twice", "second!");
	zip_file(&z, "file", "1");
	zip_file(&z, "file/below", "2");
	zip_add(&z, &(struct zip_spec){ .name = "link", .data = "/etc", .host = 3,
					.attributes = (uint32_t)(S_IFLNK | 0777) << 16 });
	zip_file(&z, "link/passwd", "3");
	zip_file(&z, "both", "4");
	zip_file(&z, "both/", NULL);
	zip_file(&z, "dir/", NULL);
	zip_file(&z, "dir/", NULL);
	zip_end(&z, NULL);
	open_good();
	assert_string_equal(listing(), "both/ dir/ file/ file/below link/ link/passwd twice");
	assert_int_equal(entry("twice")->size, 5);
	assert_int_equal(ix.bad_count, 4);
	assert_int_equal(ix.bad[0].problem, PACK_NAME_CONFLICT);
	assert_int_equal(ix.bad[3].problem, PACK_NAME_TWICE);
	assert_string_equal(ix.bad[3].name, "twice");
	refused(ERR_FORMAT, "both: it is a file, and another member needs a folder there (and 3 more");
}

static void types(void **state)
{
	zip_add(&z, &(struct zip_spec){ .name = "run", .data = "x", .host = 3,
					.attributes = (uint32_t)(S_IFREG | 04755) << 16 });
	zip_add(&z, &(struct zip_spec){ .name = "link", .data = "run", .host = 3,
					.attributes = (uint32_t)(S_IFLNK | 0777) << 16 });
	zip_add(&z, &(struct zip_spec){ .name = "dir", .host = 3,
					.attributes = (uint32_t)(S_IFDIR | 0700) << 16 });
	zip_add(&z, &(struct zip_spec){ .name = "windows", .data = "x", .host = 0,
					.attributes = (uint32_t)(S_IFLNK | 0123) << 16 });
	zip_add(&z, &(struct zip_spec){ .name = "plain/", .host = 0 });
	zip_add(&z, &(struct zip_spec){ .name = "null", .host = 3, .attributes = (uint32_t)(S_IFCHR | 0666) << 16 });
	zip_add(&z, &(struct zip_spec){ .name = "socket", .host = 3, .attributes = (uint32_t)(S_IFSOCK | 0666) << 16 });
	zip_add(&z, &(struct zip_spec){ .name = "pipe", .data = "read from one", .host = 3,
					.attributes = (uint32_t)(S_IFIFO | 0600) << 16 });
	zip_end(&z, NULL);
	open_good();
	assert_string_equal(listing(), "dir/ link pipe plain/ run windows");
	assert_int_equal(entry("run")->mode, 0755);
	assert_int_equal(entry("link")->type, PACK_LINK);
	assert_int_equal(entry("dir")->mode, 0700);
	assert_int_equal(entry("windows")->mode, 0644);
	assert_int_equal(entry("windows")->type, PACK_FILE);
	assert_int_equal(entry("plain")->mode, 0755);
	assert_int_equal(entry("pipe")->type, PACK_FILE);
	assert_int_equal(entry("pipe")->mode, 0600);
	assert_int_equal(ix.bad_count, 2);
	assert_int_equal(ix.bad[1].problem, PACK_NAME_SPECIAL);
}

static void times(void **state)
{
	static const uint8_t unix_time[] = { 0x55, 0x54, 5, 0, 1, 0x80, 0x43, 0x6d, 0x38 };
	static const uint8_t ntfs[] = {
		0x0a, 0, 32, 0, 0, 0, 0, 0, 1, 0, 24, 0, 0x00, 0x40, 0x35, 0xd8, 0xc5, 0x3a, 0xbf, 0x01,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	};

	zip_add(&z, &(struct zip_spec){ .name = "unix", .extra = unix_time, .extra_len = sizeof(unix_time),
					.dos_date = 0x21 });
	zip_add(&z, &(struct zip_spec){ .name = "ntfs", .extra = ntfs, .extra_len = sizeof(ntfs) });
	zip_add(&z, &(struct zip_spec){ .name = "dos", .dos_date = (44 << 9) | (2 << 5) | 29,
					.dos_time = (23 << 11) | (59 << 5) | 29 });
	zip_add(&z, &(struct zip_spec){ .name = "none", .dos_date = 0, .dos_time = 0xffff });
	zip_end(&z, NULL);
	open_good();
	assert_int_equal(entry("unix")->mtime, 946684800);
	assert_int_equal(entry("ntfs")->mtime, 943920000);
	assert_int_equal(entry("dos")->mtime, 1709251198);
	assert_int_equal(entry("none")->mtime, 0);
}

/* --- names --- */

static void names(void **state)
{
	assert_path("./a//b/./c", 0, false, "a/b/c");
	assert_path("a\\b", 0, false, "a\\b");
	assert_path("..a/b..", 0, false, "..a/b..");
	assert_path("\xc3\xa4", 0x800, false, "\xc3\xa4");
	assert_path("\xc3\xa4", 0, false, "\xc3\xa4");
	assert_path("\x84\xe1", 0, false, "\xc3\xa4\xc3\x9f");
	assert_path("\x84\xe1\xb0", 0x800, false, "\xc3\xa4\xc3\x9f\xe2\x96\x91");
	assert_path("a%20b", 0, false, "a%20b");
	assert_path("./", 0, false, "nothing");
	assert_bad("/etc/passwd", false, PACK_NAME_ABSOLUTE);
	assert_bad("\\evil", false, PACK_NAME_ABSOLUTE);
	assert_bad("C:evil", false, PACK_NAME_ABSOLUTE);
	assert_bad("z:\\evil", false, PACK_NAME_ABSOLUTE);
	assert_bad("..", false, PACK_NAME_DOTDOT);
	assert_bad("../x", false, PACK_NAME_DOTDOT);
	assert_bad("a/../../x", false, PACK_NAME_DOTDOT);
	assert_bad("a/..", false, PACK_NAME_DOTDOT);
	assert_bad("..\\x", false, PACK_NAME_DOTDOT);
	assert_bad("a\\..\\x", false, PACK_NAME_DOTDOT);
	assert_bad("a\0b", false, PACK_NAME_BYTES);
	assert_bad(".", false, PACK_NAME_EMPTY);
	assert_bad("a\0b\n", false, PACK_NAME_BYTES);
	assert_string_equal(ix.bad[0].name, "a\\x00b\\x0a");
}

static void part_names(void **state)
{
	assert_path("a%20b/%C3%BC.txt", 0, true, "a b/\xc3\xbc.txt");
	assert_true(ix.opc);
	assert_path("100%25", 0, true, "100%");
	assert_bad("a%2Fb", true, PACK_NAME_BYTES);
	assert_bad("a%5Cb", true, PACK_NAME_BYTES);
	assert_bad("a%00b", true, PACK_NAME_BYTES);
	assert_bad("a%zzb", true, PACK_NAME_BYTES);
	assert_bad("a%ff", true, PACK_NAME_BYTES);
	assert_bad("a\\b", true, PACK_NAME_BYTES);
	assert_bad("%2E%2E/evil", true, PACK_NAME_DOTDOT);
	assert_bad("a/%2e./evil", true, PACK_NAME_DOTDOT);
	assert_bad("C%3A/evil", true, PACK_NAME_ABSOLUTE);
}

/* Parts and paths of the longest kind, and one byte more. */
static void long_names(void **state)
{
	char name[4200];

	memset(name, 'x', sizeof(name));
	for (size_t i = 255; i < sizeof(name); i += 256)
		name[i] = '/';
	assert_int_equal(strlen(name_becomes(name, 255, 0, false)), 255);
	assert_int_equal(strlen(name_becomes(name, 4095, 0, false)), 4095);
	assert_string_equal(name_becomes(name, 4097, 0, false), pack_problem_text(PACK_NAME_LONG));
	assert_true(strlen(ix.bad[0].name) < 300);
	memset(name, 'y', 256);
	assert_string_equal(name_becomes(name, 256, 0, false), pack_problem_text(PACK_NAME_LONG));
	/* 86 bytes that are 258 in UTF-8 */
	memset(name, 0xb0, 86);
	assert_string_equal(name_becomes(name, 86, 0, false), pack_problem_text(PACK_NAME_LONG));
	assert_int_equal(strlen(name_becomes(name, 85, 0, false)), 255);
}

static void unicode_field(void **state)
{
	uint8_t extra[] = { 0x75, 0x70, 8, 0, 1, 0, 0, 0, 0, 0xe2, 0x82, 0xac };
	uint32_t crc = (uint32_t)crc32(0, (const uint8_t *)"x", 1);
	struct zip_spec spec = { .name = "x", .extra = extra, .extra_len = sizeof(extra) };

	zip_add(&z, &spec);
	zip_end(&z, NULL);
	open_good();
	assert_string_equal(listing(), "x"); /* its CRC is another name's */
	for (size_t i = 0; i < 4; i++)
		extra[5 + i] = (uint8_t)(crc >> 8 * i);
	clean(NULL);
	zip_add(&z, &spec);
	zip_end(&z, NULL);
	open_good();
	assert_string_equal(listing(), "\xe2\x82\xac");
}

static void own_parts(void **state)
{
	zip_file(&z, "[CONTENT_types].xml", "<Types/>");
	zip_file(&z, "_rels/.rels", "<Relationships/>");
	zip_file(&z, "package/services/metadata/core-properties/1.psmdcp", "<coreProperties/>");
	zip_file(&z, "bin/app", "12345");
	zip_file(&z, "bin/_rels/app.rels", "<Relationships/>");
	zip_file(&z, "empty/", NULL);
	zip_end(&z, NULL);
	open_good();
	assert_true(ix.opc);
	assert_true(entry("[CONTENT_types].xml")->own);
	assert_true(entry("_rels")->own);
	assert_true(entry("package/services")->own);
	assert_true(entry("bin/_rels/app.rels")->own);
	assert_true(entry("bin/_rels")->own);
	assert_false(entry("bin")->own);
	assert_false(entry("bin/app")->own);
	assert_false(entry("empty")->own);
	assert_false(ix.entries[0].own);
	assert_int_equal(ix.file_count, 1);
	assert_int_equal(ix.unpacked, 5);
	/* In a zip these are files like any other. */
	clean(NULL);
	zip_file(&z, "_rels/.rels", "x");
	zip_file(&z, "data/[0].piece", "x");
	zip_end(&z, NULL);
	open_good();
	assert_false(entry("_rels/.rels")->own);
	assert_int_equal(ix.file_count, 2);
	assert_int_equal(pack_index_check(&ix, "c/app.zip", 0, 0, &err), 0);
}

static void links(void **state)
{
	assert_true(pack_link_stays("a", "b"));
	assert_true(pack_link_stays("a", "./b/c"));
	assert_true(pack_link_stays("d/a", "../b"));
	assert_true(pack_link_stays("d/e/a", "../../b"));
	assert_true(pack_link_stays("d/a", ".."));
	assert_false(pack_link_stays("a", ".."));
	assert_false(pack_link_stays("a", "../b"));
	assert_false(pack_link_stays("d/a", "../../b"));
	assert_false(pack_link_stays("a", "/etc/passwd"));
	assert_false(pack_link_stays("a", ""));
	assert_true(pack_link_stays("a", "dir/up/.."));
	assert_false(pack_link_stays("a", "dir/../../b"));
	assert_true(pack_link_stays("a", "..b/c.."));
}

/* A ".." behind what is a link itself leads out. */
static void chained_links(void **state)
{
	zip_file(&z, "dir/file", "x");
	zip_add(&z, &(struct zip_spec){ .name = "dir/up", .data = "..", .host = 3,
					.attributes = (uint32_t)(S_IFLNK | 0777) << 16 });
	zip_end(&z, NULL);
	open_good();
	assert_true(pack_link_inside(&ix, "a", "dir/up"));
	assert_true(pack_link_inside(&ix, "a", "dir/../b"));
	assert_true(pack_link_inside(&ix, "dir/a", "../dir/../b"));
	assert_true(pack_link_inside(&ix, "dir/a", "missing"));
	assert_false(pack_link_inside(&ix, "a", "dir/up/.."));
	assert_false(pack_link_inside(&ix, "a", "dir/up/../b"));
	assert_false(pack_link_inside(&ix, "a", "dir/file/.."));
	assert_false(pack_link_inside(&ix, "a", "missing/../b"));
	assert_false(pack_link_inside(&ix, "a", "../b"));
	assert_false(pack_link_inside(&ix, "a", "/dir"));
}

/* --- data --- */

static void problems(void **state)
{
	static const char zeros[100000];

	zip_file(&z, "[Content_Types].xml", "<Types/>");
	zip_add(&z, &(struct zip_spec){ .name = "encrypted", .data = "x", .flags = 1 });
	zip_add(&z, &(struct zip_spec){ .name = "bzip2", .data = "x", .method = 12 });
	zip_add(&z, &(struct zip_spec){ .name = "stored", .data = "x", .size = LIE(2) });
	zip_add(&z, &(struct zip_spec){ .name = "deflated", .data = zeros, .len = sizeof(zeros), .method = 8,
					.size = LIE(sizeof(zeros) * 2) });
	zip_add(&z, &(struct zip_spec){ .name = "outside", .data = "x", .offset = LIE(0xfffffff0) });
	zip_add(&z, &(struct zip_spec){ .name = "wide", .data = "x", .zip64 = true,
					.offset = LIE(UINT64_MAX - 10) });
	zip_add(&z, &(struct zip_spec){ .name = "long", .data = "x", .size = LIE(100000), .packed = LIE(100000) });
	zip_add(&z, &(struct zip_spec){ .name = "dir/", .data = "x" });
	zip_add(&z, &(struct zip_spec){ .name = "link", .host = 3, .data = zeros, .len = 5000,
					.attributes = (uint32_t)(S_IFLNK | 0777) << 16 });
	zip_add(&z, &(struct zip_spec){ .name = "part/[0].piece", .data = "x" });
	zip_add(&z, &(struct zip_spec){ .name = "good", .data = zeros, .len = sizeof(zeros), .method = 8 });
	zip_end(&z, NULL);
	open_good();
	assert_int_equal(ix.bad_count, 0);
	assert_int_equal(entry("encrypted")->problem, PACK_DATA_ENCRYPTED);
	assert_int_equal(entry("bzip2")->problem, PACK_DATA_METHOD);
	assert_int_equal(entry("stored")->problem, PACK_DATA_LIES);
	assert_int_equal(entry("deflated")->problem, PACK_DATA_LIES);
	assert_int_equal(entry("outside")->problem, PACK_DATA_OUTSIDE);
	assert_int_equal(entry("wide")->problem, PACK_DATA_OUTSIDE);
	assert_int_equal(entry("long")->problem, PACK_DATA_OUTSIDE);
	assert_int_equal(entry("dir")->problem, PACK_DATA_LIES);
	assert_int_equal(entry("link")->problem, PACK_DATA_LIES);
	assert_int_equal(entry("part/[0].piece")->problem, PACK_DATA_PIECE);
	assert_int_equal(entry("good")->problem, PACK_OK);
	assert_int_equal(ix.unpacked, sizeof(zeros));
	refused(ERR_UNSUPPORTED, "bzip2: it is neither stored nor deflated, and nothing else can be read (and 9 more");
}

static void overlaps(void **state)
{
	zip_file(&z, "a", "the first, which is not so short");
	zip_file(&z, "b", "the second");
	zip_add(&z, &(struct zip_spec){ .name = "c", .data = "x", .offset = LIE(0) });
	zip_add(&z, &(struct zip_spec){ .name = "d", .data = "y", .offset = LIE(1) });
	zip_file(&z, "e", "the third");
	zip_end(&z, NULL);
	open_good();
	assert_int_equal(entry("a")->problem, PACK_DATA_OVERLAP);
	assert_int_equal(entry("b")->problem, PACK_OK);
	assert_int_equal(entry("c")->problem, PACK_DATA_OVERLAP);
	assert_int_equal(entry("d")->problem, PACK_DATA_OVERLAP);
	assert_int_equal(entry("e")->problem, PACK_OK);
	refused(ERR_FORMAT, "a: it shares its data with another member");
	assert_int_equal(entry("b")->header_offset + entry("b")->span, entry("e")->header_offset);
	assert_int_equal(entry("e")->header_offset + entry("e")->span, ix.directory_offset);
}

static void path_limit(void **state)
{
	zip_file(&z, "12345/789", "x");
	zip_end(&z, NULL);
	open_good();
	assert_int_equal(pack_index_check(&ix, "c/app.zip", 9, 0, &err), 0);
	assert_int_equal(pack_index_check(&ix, "c/app.zip", 20, 10, &err), 0);
	assert_int_equal(pack_index_check(&ix, "c/app.zip", 19, 10, &err), -1);
	assert_non_null(strstr(err.msg, "12345/789: its path has 20 characters, and 19 is the limit"));
	assert_int_equal(pack_index_check(&ix, "c/app.zip", 8, 0, &err), -1);
}

static void limits(void **state)
{
	size_t len = 70u << 20;
	char *zeros = calloc(1, len);
	struct pack_limits l = { .max_ratio = 900 };

	assert_non_null(zeros);
	zip_add(&z, &(struct zip_spec){ .name = "zeros", .data = zeros, .len = len, .method = 8 });
	free(zeros);
	zip_end(&z, NULL);
	assert_int_equal(open_limited(&l), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "times its size"));
	l = (struct pack_limits){ .max_unpacked = len - 1 };
	assert_int_equal(open_limited(&l), -1);
	assert_non_null(strstr(err.msg, "unpacks to 73400320 bytes, and 73400319 is the limit"));
	l = (struct pack_limits){ .max_unpacked = len, .max_ratio = 1032, .max_members = 1 };
	assert_int_equal(open_limited(&l), 0);
	clean(NULL);
	zip_file(&z, "a", "x");
	zip_file(&z, "b", "x");
	zip_end(&z, NULL);
	assert_int_equal(open_limited(&l), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "2 members, and 1 is the limit"));
	l = (struct pack_limits){ .max_directory = 93 };
	assert_int_equal(open_limited(&l), -1);
	assert_non_null(strstr(err.msg, "its central directory has 94 bytes"));
}

/* A short zip whose names imply more folders than it has bytes. */
static void deep(void **state)
{
	char name[4096];
	size_t i;

	for (i = 0; i < 4094; i += 2)
		memcpy(name + i, "a/", 2);
	name[4094] = 'f';
	for (unsigned n = 0; n < 100; n++) {
		name[0] = (char)('A' + n / 10);
		name[2] = (char)('A' + n % 10);
		zip_add(&z, &(struct zip_spec){ .name = name, .name_len = 4095, .data = "x" });
	}
	zip_end(&z, NULL);
	fails(ERR_UNSUPPORTED, "nested too deeply");
}

int main(void)
{
#define with_clean(f) cmocka_unit_test_teardown(f, clean)
	const struct CMUnitTest tests[] = {
		with_clean(tree), with_clean(empty), with_clean(conflicts), with_clean(types),
		with_clean(times), with_clean(names), with_clean(part_names), with_clean(long_names),
		with_clean(unicode_field), with_clean(own_parts), with_clean(links), with_clean(chained_links),
		with_clean(problems), with_clean(overlaps), with_clean(path_limit), with_clean(limits),
		with_clean(deep),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
