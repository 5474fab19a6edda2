/* Extraction: what is made, where, and that nothing is left when it fails. */
#include <config.h>

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pack/beneath.h"
#include "pack/extract.h"
#include "scratch.h"
#include "zip_image.h"

static struct zip_image z;
static struct pack_index ix;
static struct pack_memory mem;
static struct err err;
static struct extract_stats stats;
static int dir = -1;
static char text[300000];

static int setup(void **state)
{
	if (scratch_setup(state) < 0)
		return -1;
	dir = open(scratch_dir(), O_RDONLY | O_DIRECTORY);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + (i * i / 977 + i / 3) % 23);
	umask(022);
	return dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	beneath_walk(false);
	pack_index_free(&ix);
	zip_free(&z);
	close(dir);
	return scratch_teardown(state);
}

static void file(const char *name, const void *data, size_t len, unsigned mode)
{
	zip_add(&z, &(struct zip_spec){ .name = name, .data = data, .len = len, .method = len > 100 ? 8 : 0,
					.host = 3, .attributes = (S_IFREG | mode) << 16 });
}

static void link_to(const char *name, const char *target)
{
	zip_add(&z, &(struct zip_spec){ .name = name, .data = target, .len = strlen(target), .host = 3,
					.attributes = (uint32_t)(S_IFLNK | 0777) << 16 });
}

static int extract(const struct extract_options *o)
{
	zip_end(&z, NULL);
	pack_memory_init(&mem, "c/app.zip", z.data, z.len);
	if (pack_index_open(&ix, &mem.reader, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	return pack_extract(&ix, &mem.reader, NULL, dir, o, &stats, &err);
}

static void extracts(const struct extract_options *o)
{
	if (extract(o) < 0)
		fail_msg("%s", err.msg);
}

static void fails(const struct extract_options *o, enum err_code code, const char *says)
{
	assert_int_equal(extract(o), -1);
	if (err.code != code || !strstr(err.msg, says))
		fail_msg("%s: '%s' does not say '%s'", err_code_name(err.code), err.msg, says);
}

static void holds(const char *name, const char *content, size_t len)
{
	static char got[sizeof(text) + 1];
	FILE *f = fopen(scratch_path(name), "r");

	if (!f)
		fail_msg("%s: %s", name, strerror(errno));
	assert_int_equal(fread(got, 1, sizeof(got), f), len);
	fclose(f);
	assert_memory_equal(got, content, len);
}

static unsigned count;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	count++;
	return 0;
}

/* How much there is, without the folder itself. */
static unsigned things(void)
{
	count = 0;
	nftw(scratch_dir(), count_one, 16, FTW_PHYS);
	return count - 1;
}

/* Pieces of any size and any number of threads make the same. */
static void in_pieces(void **state)
{
	static const struct { unsigned threads, buffers; size_t size; } ways[] = {
		{ 1, 1, 1 }, { 3, 2, 7 }, { 2, 4, 4096 }, { 5, 20, 65536 }, { 0, 0, 0 },
	};
	char name[40];

	for (size_t w = 0; w < sizeof(ways) / sizeof(*ways); w++) {
		struct extract_options o = { .threads = ways[w].threads };

		o.pool = pack_pool_new(ways[w].buffers, ways[w].size, NULL);
		assert_non_null(o.pool);
		for (int i = 1; i < 50; i++) {
			snprintf(name, sizeof(name), "w%zu/d%d/f%d", w, i % 3, i);
			file(name, text + i, (size_t)i * 40, 0644);
			if (i % 20 == 10) {
				snprintf(name, sizeof(name), "w%zu/large%d", w, i);
				file(name, text, sizeof(text), 0755);
			}
		}
		extracts(&o);
		for (int i = 1; i < 50; i++) {
			snprintf(name, sizeof(name), "w%zu/d%d/f%d", w, i % 3, i);
			holds(name, text + i, (size_t)i * 40);
		}
		snprintf(name, sizeof(name), "w%zu/large30", w);
		holds(name, text, sizeof(text));
		assert_int_equal(stats.files, 51);
		assert_int_equal(stats.dirs, 4);
		assert_int_equal(stats.bytes, 49 * 50 / 2 * 40 + 2 * sizeof(text));
		pack_pool_free(o.pool);
		pack_index_free(&ix);
		zip_free(&z);
	}
}

static unsigned mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(scratch_path(name), &st), 0);
	return st.st_mode & 07777;
}

static void modes_and_times(void **state)
{
	/* extended timestamp: 2001-09-09T01:46:40Z */
	static const uint8_t stamp[] = { 'U', 'T', 5, 0, 1, 0x00, 0xca, 0x9a, 0x3b };
	struct stat st;

	file("run", "x", 1, 0755);
	file("secret", "x", 1, 0600);
	file("suid", "x", 1, 06777);
	file("read-only", "x", 1, 0444);
	zip_add(&z, &(struct zip_spec){ .name = "closed/", .host = 3, .attributes = (uint32_t)(S_IFDIR | 0500) << 16,
					.extra = stamp, .extra_len = sizeof(stamp) });
	zip_add(&z, &(struct zip_spec){ .name = "closed/file", .data = "x", .len = 1, .extra = stamp,
					.extra_len = sizeof(stamp) });
	zip_file(&z, "implied/plain", "x");
	extracts(NULL);
	assert_int_equal(mode_of("run"), 0755);
	assert_int_equal(mode_of("secret"), 0600);
	assert_int_equal(mode_of("suid"), 0755);
	assert_int_equal(mode_of("read-only"), 0444);
	assert_int_equal(mode_of("closed"), 0700);   /* we can still remove it */
	assert_int_equal(mode_of("implied"), 0755);
	assert_int_equal(mode_of("implied/plain"), 0644);
	assert_int_equal(stat(scratch_path("closed"), &st), 0);
	assert_int_equal(st.st_mtime, 1000000000);
	assert_int_equal(stat(scratch_path("closed/file"), &st), 0);
	assert_int_equal(st.st_mtime, 1000000000);
}

static void what_is_there(void **state)
{
	scratch_write("lib/kept", 0644, "kept");
	file("lib/new", "new", 3, 0644);
	zip_file(&z, "lib/deep/er", "x");
	extracts(NULL);
	holds("lib/kept", "kept", 4);
	holds("lib/new", "new", 3);
	pack_index_free(&ix);
	zip_free(&z);

	zip_file(&z, "first/file", "x");
	zip_file(&z, "lib/other/x", "x");
	zip_file(&z, "lib/kept", "overwritten");
	fails(NULL, ERR_EXISTS, "lib/kept: can't make this file");
	holds("lib/kept", "kept", 4);
	assert_int_equal(things(), 5);
}

static void own_items(void **state)
{
	zip_file(&z, "[Content_Types].xml", "<Types/>");
	zip_file(&z, "_rels/.rels", "<Relationships/>");
	zip_file(&z, "a%20b", "x");
	extracts(NULL);
	holds("a b", "x", 1);
	assert_int_equal(things(), 1);
	pack_index_free(&ix);
	zip_free(&z);

	zip_file(&z, "[Content_Types].xml", "<Types/>");
	zip_file(&z, "_rels/.rels", "<Relationships/>");
	extracts(&(struct extract_options){ .own_items = true });
	holds("_rels/.rels", "<Relationships/>", 16);
	assert_int_equal(things(), 4);
}

/* --- failures --- */

static void damaged(void **state)
{
	scratch_write("there/kept", 0644, "kept");
	for (int i = 0; i < 200; i++) {
		char name[32];

		snprintf(name, sizeof(name), "there/%d/file", i);
		file(name, text, 1000, 0644);
	}
	link_to("link", "there");
	zip_add(&z, &(struct zip_spec){ .name = "bad", .data = text, .len = 5000, .method = 8,
					.crc = LIE(1), .local_crc = LIE(1) });
	fails(&(struct extract_options){ .threads = 4 }, ERR_FORMAT, "c/app.zip: bad: CRC");
	assert_int_equal(things(), 2);
}

/* It ends where the next member begins, whatever its stream says. */
static void goes_on(void **state)
{
	zip_file(&z, "good", "good");
	zip_add(&z, &(struct zip_spec){ .name = "lie", .data = text, .len = 90000, .method = 8,
					.packed = LIE(60), .flags = 8 });
	zip_file(&z, "after", "x");
	assert_int_equal(extract(NULL), -1);
	assert_int_equal(err.code, ERR_FORMAT);
	assert_int_equal(things(), 0);
}

static int failing_read(const struct pack_reader *r, uint64_t offset, void *data, size_t len, struct err *e)
{
	if (offset > 100000)
		return err_set(e, ERR_NETWORK, "the cable is cut");
	memcpy(data, mem.data + offset, len);
	return 0;
}

static void no_more_bytes(void **state)
{
	struct pack_reader reader;
	struct extract_options o = { .threads = 3, .block_size = 5000 };

	for (int i = 0; i < 40; i++) {
		char name[32];

		snprintf(name, sizeof(name), "d/%d", i);
		zip_add(&z, &(struct zip_spec){ .name = name, .data = text, .len = 9000 });
	}
	zip_end(&z, NULL);
	pack_memory_init(&mem, "c/app.zip", z.data, z.len);
	assert_int_equal(pack_index_open(&ix, &mem.reader, NULL, &err), 0);
	reader = mem.reader;
	reader.read = failing_read;
	assert_int_equal(pack_extract(&ix, &reader, NULL, dir, &o, &stats, &err), -1);
	assert_int_equal(err.code, ERR_NETWORK);
	assert_int_equal(things(), 0);
}

static atomic_bool cancel;

static void cancel_it(void *arg, const struct extract_stats *s)
{
	atomic_store(&cancel, true);
}

static void cancelled(void **state)
{
	struct extract_options o = { .threads = 1, .block_size = 1000, .cancel = &cancel };

	zip_file(&z, "a/b", "x");
	zip_add(&z, &(struct zip_spec){ .name = "large", .data = text, .len = sizeof(text) });
	atomic_store(&cancel, true);
	fails(&o, ERR_CANCELLED, "cancelled");
	assert_int_equal(things(), 0);
	pack_index_free(&ix);
	zip_free(&z);

	zip_file(&z, "a/b", "x");
	zip_add(&z, &(struct zip_spec){ .name = "large", .data = text, .len = sizeof(text) });
	atomic_store(&cancel, false);
	o.progress = cancel_it;
	fails(&o, ERR_CANCELLED, "cancelled");
	assert_int_equal(things(), 0);
}

static void too_long(void **state)
{
	zip_file(&z, "four", "x");
	zip_file(&z, "12/45678", "x");
	fails(&(struct extract_options){ .max_path = 20, .prefix = 12 }, ERR_FORMAT, "12/45678: its path");
	assert_int_equal(things(), 0);
	assert_int_equal(pack_extract(&ix, &mem.reader, NULL, dir,
				      &(struct extract_options){ .max_path = 21, .prefix = 12 }, &stats, &err), 0);
}

/* --- never outside --- */

/* Both with openat2(2) and without. */
static void links(void **state)
{
	for (int walk = 0; walk < 2; walk++) {
		static const struct { const char *at, *target; } bad[] = {
			{ "l", "/etc/passwd" }, { "l", ".." }, { "d/l", "../.." }, { "d/l", "x/../../.." },
			{ "d/l", "up/.." },   /* d/up leads to the top */
		};
		char target[32];

		beneath_walk(walk);
		zip_file(&z, "d/file", "x");
		link_to("d/up", "..");
		link_to("a", "d/file");
		link_to("d/e/back", "../../a");
		link_to("dangling", "nothing/there");
		extracts(NULL);
		assert_int_equal(readlink(scratch_path("d/e/back"), target, sizeof(target)), 7);
		assert_memory_equal(target, "../../a", 7);
		holds("d/e/back", "x", 1);
		assert_int_equal(things(), 7);
		pack_index_free(&ix);
		zip_free(&z);
		assert_int_equal(scratch_teardown(NULL), 0);
		assert_int_equal(mkdir(scratch_dir(), 0755), 0);
		close(dir);
		dir = open(scratch_dir(), O_RDONLY | O_DIRECTORY);

		for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
			zip_file(&z, "d/file", "x");
			link_to("d/up", "..");
			link_to(bad[i].at, bad[i].target);
			fails(NULL, ERR_FORMAT, "a symlink that leads out");
			assert_int_equal(things(), 0);
			pack_index_free(&ix);
			zip_free(&z);
		}
	}
	beneath_walk(false);
}

/* Somebody else's symlinks in the folder are not followed either. */
static void planted(void **state)
{
	for (int walk = 0; walk < 2; walk++) {
		beneath_walk(walk);
		assert_int_equal(mkdir(scratch_path("outside"), 0755), 0);
		assert_int_equal(mkdir(scratch_path("in"), 0755), 0);
		assert_int_equal(symlink("../outside", scratch_path("in/d")), 0);
		close(dir);
		dir = open(scratch_path("in"), O_RDONLY | O_DIRECTORY);
		zip_file(&z, "d/deep/file", "x");
		fails(NULL, ERR_EXISTS, "d: can't make this folder");
		assert_int_equal(things(), 3);
		pack_index_free(&ix);
		zip_free(&z);

		assert_int_equal(unlink(scratch_path("in/d")), 0);
		assert_int_equal(symlink("../outside/file", scratch_path("in/file")), 0);
		zip_file(&z, "file", "x");
		fails(NULL, ERR_EXISTS, "file: can't make this file");
		assert_int_equal(things(), 3);
		pack_index_free(&ix);
		zip_free(&z);
		assert_int_equal(scratch_teardown(NULL), 0);
		assert_int_equal(mkdir(scratch_dir(), 0755), 0);
	}
	beneath_walk(false);
}

static void beneath(void **state)
{
	for (int walk = 0; walk < 2; walk++) {
		int fd;

		beneath_walk(walk);
		scratch_write("a/b/file", 0644, "x");
		unlink(scratch_path("a/link"));
		assert_int_equal(symlink("b", scratch_path("a/link")), 0);
		fd = beneath_open_dir(dir, "a/b", O_PATH);
		assert_true(fd >= 0);
		close(fd);
		fd = beneath_open_dir(dir, "", O_RDONLY);
		assert_true(fd >= 0);
		close(fd);
		assert_int_equal(beneath_open_dir(dir, "a/link", O_PATH), -1);
		assert_int_equal(beneath_open_dir(dir, "a/none", O_PATH), -1);
		assert_int_equal(errno, ENOENT);
		assert_int_equal(beneath_open_dir(dir, "a/b/file", O_PATH), -1);
		assert_int_equal(errno, ENOTDIR);
		assert_int_equal(beneath_link_stays(dir, "a/link"), !walk);
	}
	beneath_walk(false);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(in_pieces), TEST(modes_and_times), TEST(what_is_there), TEST(own_items), TEST(damaged),
		TEST(goes_on), TEST(no_more_bytes), TEST(cancelled), TEST(too_long), TEST(links),
		TEST(planted), TEST(beneath),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
