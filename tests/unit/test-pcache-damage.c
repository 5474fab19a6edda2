/* The persistent cache when its files are damaged: right bytes or none. */
#include <config.h>

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/pcache_rig.h"
#include "tests/unit/scratch.h"

static void damage_bytes(const char *path, void *arg)
{
	int *how = arg, fd = open(path, O_RDWR);
	struct stat st;
	uint8_t byte;
	off_t at;
	int i;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	for (i = 0; i < 24; i++) {
		at = *how ? (off_t)(random_next() % (uint64_t)st.st_size) : (off_t)(random_next() % 4096);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= (uint8_t)(1u << random_next() % 8);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	close(fd);
}

static void truncate_it(const char *path, void *arg)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, (off_t)(random_next() % (uint64_t)st.st_size)), 0);
}

static void zero_it(const char *path, void *arg)
{
	int fd = open(path, O_RDWR);

	/* Metadata was written, data was not: what a crash may leave. */
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, MIB), 0);
	close(fd);
}

/* Whatever was done to the files: right bytes or none, and it can be filled again. */
static void after_damage(void (*fn)(const char *path, void *arg), int how)
{
	struct pcache_options o = fresh_options();
	struct pcache *pc = open_it(&o);
	struct pcache_stats s;
	uint64_t lost = 0;
	int i;

	for (i = 0; i < 8; i++)
		fill(pc, (uint64_t)i * MIB, MIB, 1);
	pcache_close(pc, NULL);
	assert_int_equal(each_file(o.dir, fn, &how), 8);
	pc = open_it(&o);
	for (i = 0; i < 8; i++)
		lost += missing(pc, (uint64_t)i * MIB, MIB, 1);
	assert_true(lost > 0);
	pcache_stats(pc, &s);
	assert_true(s.damaged > 0);
	for (i = 0; i < 8; i++) {
		assert_true(fill(pc, (uint64_t)i * MIB, MIB, 1));
		assert_int_equal(missing(pc, (uint64_t)i * MIB, MIB, 1), 0);
	}
	pcache_stats(pc, &s);
	assert_false(s.off || s.no_fill);
	pcache_close(pc, NULL);
}

static void test_flipped(void **state)
{
	after_damage(damage_bytes, 1);
}

static void test_flipped_header(void **state)
{
	after_damage(damage_bytes, 0);
}

static void test_truncated(void **state)
{
	after_damage(truncate_it, 0);
}

static void test_zeros(void **state)
{
	after_damage(zero_it, 0);
}

/* Damaged and removed while it is open. */
static void remove_it(const char *path, void *arg)
{
	unlink(path);
}

static void test_pulled_away(void **state)
{
	struct pcache_options o = fresh_options();
	struct pcache *pc = open_it(&o);
	int how = 1;

	assert_true(fill(pc, 0, MIB, 1));
	assert_int_equal(missing(pc, 0, MIB, 1), 0);
	each_file(o.dir, damage_bytes, &how);
	assert_true(missing(pc, 0, MIB, 1) > 0);
	assert_true(fill(pc, 0, MIB, 1));
	each_file(o.dir, remove_it, NULL);
	assert_true(fill(pc, 2 * CHUNK, CHUNK, 1));
	assert_int_equal(each_file(o.dir, NULL, NULL), 1);
	pcache_close(pc, NULL);
	pc = open_it(&o);
	assert_int_equal(missing(pc, 2 * CHUNK, CHUNK, 1), 0);
	pcache_close(pc, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_flipped, fresh),
		cmocka_unit_test_setup(test_flipped_header, fresh),
		cmocka_unit_test_setup(test_truncated, fresh),
		cmocka_unit_test_setup(test_zeros, fresh),
		cmocka_unit_test_setup(test_pulled_away, fresh),
	};

	pcache_rig_start("test-pcache-damage");
	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
