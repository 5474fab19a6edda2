/*
 * Where fs/unpack.h keeps members: files in a directory, one that is full, one that is
 * taken away. In a mount namespace of its own.
 *
 *   HPCPACK_SEED=N   what the random readers do
 */
#include <config.h>

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"
#include "tests/unit/unpack_rig.h"

#define READERS 4

static const char *fresh_dir(const char *name)
{
	const char *dir = scratch_path(name);

	assert_int_equal(mkdir(dir, 0700), 0);
	return dir;
}

/* A file system of so many bytes. */
static const char *small_disk(const char *name, const char *options)
{
	const char *dir = fresh_dir(name);

	assert_int_equal(mount("tmpfs", dir, "tmpfs", 0, options), 0);
	return dir;
}

static void drop(const char *dir)
{
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
}

static unsigned names_in(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void at_random(unsigned members, unsigned reads)
{
	struct rig_reader readers[READERS];
	uint64_t seed = seed_of_test();

	for (unsigned i = 0; i < READERS; i++)
		readers[i] = (struct rig_reader) { .state = seed + i, .members = members, .reads = reads,
						   .most = 200 * KIB };
	rig_readers_start(readers, READERS);
	rig_readers_join(readers, READERS, 0);
}

/* --- a directory with room --- */

static void files(void **state)
{
	const char *dir = fresh_dir("files");
	uint64_t sum = 0;

	for (unsigned i = 0; i < 8; i++) {
		rig_add(i % 3 ? RIG_NOISE : RIG_TEXT, i % 2 ? 2 * MIB + i : 10 * KIB, NULL);
		sum += i % 2 ? 2 * MIB + i : 10 * KIB;
	}
	rig_serve();
	rig_open((struct unpack_options) { .dir = dir }, 0);
	at_random(8, 60);
	for (unsigned m = 0; m < 8; m++)
		rig_reads_all(m, 256 * KIB);
	assert_int_equal(rig_stats().inflated_bytes, sum);
	assert_int_equal(names_in(dir), 0);
	assert_false(rig_stats().disk_full);
	assert_int_equal(rig_logged(dir), 0);
	rig_close();
	assert_int_equal(rmdir(dir), 0);
}

static void bound_of_files(void **state)
{
	struct rig_grip grip;
	const char *dir = fresh_dir("bound");

	for (unsigned i = 0; i < 24; i++)
		rig_add(RIG_TEXT, 2 * MIB + i, NULL);
	rig_add(RIG_TEXT, 20 * MIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .bytes = 16 * MIB, .dir = dir }, 0);
	rig_reads_all(0, 512 * KIB);
	rig_grip(&grip, 0, 5, 100 * KIB);
	for (unsigned m = 1; m < 24; m++)
		rig_reads_all(m, 512 * KIB);
	assert_true(rig_stats().evicted > 10);
	rig_let_go(&grip);
	rig_reads_all(24, 512 * KIB);
	at_random(25, 10);
	assert_false(rig_stats().disk_full);
	rig_close();
}

/* --- one without --- */

/* Others make room on the disk; what is too large for it goes through memory. */
static void full_disk(void **state)
{
	const char *dir = small_disk("full", "size=4m");

	for (unsigned i = 0; i < 8; i++)
		rig_add(RIG_TEXT, MIB + 4096 * i, NULL);
	rig_add(RIG_TEXT, 6 * MIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .dir = dir, .threads = 1 }, 0);
	for (unsigned m = 0; m < 8; m++)
		rig_reads_all(m, 256 * KIB);
	assert_true(rig_stats().evicted >= 4);
	assert_false(rig_stats().disk_full);
	rig_reads_all(8, 256 * KIB);
	assert_true(rig_stats().disk_full);
	assert_int_equal(rig_logged("m08: No space left on device"), 1);
	at_random(9, 20);
	rig_close();
	drop(dir);
}

/* Others have it all. */
static void no_disk(void **state)
{
	const char *dir = small_disk("none", "size=64k");
	uint64_t used;

	for (unsigned i = 0; i < 6; i++)
		rig_add(i % 2 ? RIG_TEXT : RIG_NOISE, i < 3 ? 100 * KIB + i : 5 * MIB, NULL);
	rig_add(RIG_NOISE, 600 * KIB, &(struct zip_spec) { .crc = { true, 1 }, .flags = 8 });
	rig_serve();
	rig_open((struct unpack_options) { .dir = dir }, 0);
	at_random(6, 20);
	for (unsigned m = 0; m < 6; m++)
		rig_reads_all(m, 100 * KIB);
	assert_int_equal(rig_read(6, 0, 100), ERR_FORMAT);
	assert_true(rig_stats().disk_full);
	/* What memory it takes for that is bounded, whatever the cache on the disk may have. */
	used = rig_stats().used;
	assert_true(used <= 64 * MIB);
	rig_close();
	drop(dir);
}

static void no_inodes(void **state)
{
	const char *dir = small_disk("inodes", "size=64m,nr_inodes=3");

	for (unsigned i = 0; i < 8; i++)
		rig_add(RIG_TEXT, i % 2 ? 2 * MIB : 200 * KIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .dir = dir }, 0);
	for (unsigned m = 0; m < 8; m++)
		rig_reads_all(m, 100 * KIB);
	at_random(8, 20);
	rig_close();
	drop(dir);
}

/* Its name is gone, while some of what is kept there is in use. */
static void vanished(void **state)
{
	const char *dir = fresh_dir("vanished");
	struct rig_grip grip;

	for (unsigned i = 0; i < 6; i++)
		rig_add(RIG_NOISE, i % 2 ? 3 * MIB : 200 * KIB, NULL);
	rig_serve();
	rig_open((struct unpack_options) { .dir = dir }, 0);
	rig_reads_all(0, 100 * KIB);
	rig_reads_all(1, 100 * KIB);
	rig_grip(&grip, 1, 10, 1000);
	assert_int_equal(rmdir(dir), 0);
	for (unsigned m = 0; m < 6; m++)
		rig_reads_all(m, 100 * KIB);
	rig_let_go(&grip);
	assert_true(rig_logged("can't make a file for m03") >= 1);
	at_random(6, 20);
	rig_close();
}

/* --- one that can't be used --- */

static void refused(const char *dir, enum err_code code)
{
	struct unpack_options o = { .dir = dir };
	struct err err;

	assert_null(unpack_new(&o, &err));
	if (err.code != code)
		fail_msg("%s instead of %s: %s", err_code_name(err.code), err_code_name(code), err.msg);
	assert_non_null(strstr(err.msg, dir));
}

static void unusable(void **state)
{
	const char *dir = small_disk("unusable", "size=1m");

	refused(scratch_path("nothere"), ERR_NOT_FOUND);
	refused(scratch_write("file", 0600, "no directory"), ERR_SYSTEM);
	assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	refused(dir, ERR_READ_ONLY);
	drop(dir);
	refused("/proc", ERR_UNSUPPORTED);
}

static int setup(void **state)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	return scratch_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files), cmocka_unit_test(bound_of_files), cmocka_unit_test(full_disk),
		cmocka_unit_test(no_disk), cmocka_unit_test(no_inodes), cmocka_unit_test(vanished),
		cmocka_unit_test(unusable),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root (mounts)\n");
		return 77;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
