/* What hpcsync keeps in a package root: records, trees in place, old ones, trash. */
#include <config.h>

#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pack/sync.h"
#include "pack/sync_place.h"
#include "pack/sync_record.h"
#include "scratch.h"

static struct sync_root root;
static struct err err;

static int setup(void **state)
{
	if (scratch_setup(state) < 0)
		return -1;
	return sync_root_open(&root, scratch_path("deep/er/root"), NULL, NULL, NULL, &err);
}

static int teardown(void **state)
{
	sync_root_close(&root);
	return scratch_teardown(state);
}

static unsigned count_in(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(fd);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

/* A staged tree of one file. */
static void stage(char name[SYNC_STAGE_NAME_MAX], const char *content)
{
	int fd = sync_root_stage(&root, name, &err), file;

	assert_true(fd >= 0);
	file = openat(fd, "file", O_WRONLY | O_CREAT, 0644);
	assert_true(write(file, content, strlen(content)) > 0);
	close(file);
	close(fd);
}

static void holds(const char *path, const char *content)
{
	char got[64] = "";
	int fd = openat(root.fd, path, O_RDONLY);

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	assert_true(read(fd, got, sizeof(got) - 1) >= 0);
	close(fd);
	assert_string_equal(got, content);
}

static bool odd(void *arg, unsigned number)
{
	return number % 2;
}

static void places(void **state)
{
	char name[SYNC_STAGE_NAME_MAX];

	assert_int_equal(sync_look(&root, "a/b"), SYNC_THERE_NOTHING);
	stage(name, "one");
	assert_int_equal(sync_place(&root, name, "a/b", 7, false, &err), 0);
	assert_int_equal(sync_look(&root, "a/b"), SYNC_THERE_FOLDER);
	assert_int_equal(sync_look(&root, "a/b/file/x"), SYNC_THERE_ELSE);
	holds("a/b/file", "one");
	/* not ours, says the caller */
	stage(name, "two");
	assert_int_equal(sync_place(&root, name, "a/b", 7, false, &err), -1);
	assert_int_equal(err.code, ERR_EXISTS);
	holds("a/b/file", "one");
	assert_int_equal(sync_place(&root, name, "a/b", 7, true, &err), 0);
	holds("a/b/file", "two");
	holds(".hpcsync/old/7.1/file", "one");
	for (int i = 2; i < 12; i++) {
		stage(name, "more");
		assert_int_equal(sync_place(&root, name, "a/b", 7, true, &err), 0);
	}
	holds(".hpcsync/old/7.2/file", "two");
	assert_int_equal(count_in(root.old, "."), 11);
	/* numbers, not text, are compared: 11 is newer than 9 */
	assert_int_equal(mkdirat(root.old, "8.1", 0755), 0);
	assert_int_equal(mkdirat(root.old, "mine", 0755), 0);
	sync_prune_old(&root, 2, odd, NULL);
	assert_int_equal(count_in(root.old, "."), 3);
	assert_int_equal(faccessat(root.old, "7.11", F_OK, 0), 0);
	assert_int_equal(faccessat(root.old, "7.10", F_OK, 0), 0);
	assert_int_equal(count_in(root.stage, "."), 0);
	sync_take_away(&root, "a/b");
	assert_int_equal(sync_look(&root, "a"), SYNC_THERE_NOTHING);
}

/* An empty folder may be there; nothing of a failure stays. */
static void obstacles(void **state)
{
	char name[SYNC_STAGE_NAME_MAX];

	assert_int_equal(mkdirat(root.fd, "empty", 0755), 0);
	assert_int_equal(sync_look(&root, "empty"), SYNC_THERE_EMPTY);
	stage(name, "one");
	assert_int_equal(sync_place(&root, name, "empty", 1, false, &err), 0);
	holds("empty/file", "one");
	stage(name, "two");
	assert_int_equal(sync_place(&root, name, "empty/file/x", 1, false, &err), -1);
	assert_int_equal(sync_place(&root, "no-such-stage", "new/path/x", 1, false, &err), -1);
	assert_int_equal(sync_look(&root, "new"), SYNC_THERE_NOTHING);
	assert_int_equal(symlinkat("/tmp", root.fd, "link"), 0);
	assert_int_equal(sync_look(&root, "link"), SYNC_THERE_ELSE);
	assert_int_equal(sync_look(&root, "link/x"), SYNC_THERE_ELSE);
	assert_int_equal(sync_place(&root, name, "link/x", 1, false, &err), -1);
}

/* Deeper than a path can be long, and than there are descriptors. */
static void deep_trash(void **state)
{
	char name[SYNC_STAGE_NAME_MAX], part[201];
	int at = sync_root_stage(&root, name, &err), next;

	assert_true(at >= 0);
	memset(part, 'd', 200);
	part[200] = '\0';
	for (int i = 0; i < 1500; i++) {
		assert_int_equal(mkdirat(at, part, 0755), 0);
		close(openat(at, "file", O_WRONLY | O_CREAT, 0444));
		assert_int_equal(symlinkat("..", at, "link"), 0);
		next = openat(at, part, O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	close(at);
	sync_root_remove(&root, root.stage, name);
	assert_int_equal(count_in(root.stage, "."), 0);
	assert_int_equal(count_in(root.trash, "."), 0);
}

/* What a sync that was killed has left is gone when the next one has the lock. */
static void left_behind(void **state)
{
	char name[SYNC_STAGE_NAME_MAX], *path = strdup(root.path);

	stage(name, "half");
	assert_int_equal(mkdirat(root.trash, "17", 0755), 0);
	sync_root_close(&root);
	assert_int_equal(sync_root_open(&root, path, NULL, NULL, NULL, &err), 0);
	assert_int_equal(count_in(root.stage, "."), 0);
	assert_int_equal(count_in(root.trash, "."), 0);
	free(path);
}

static atomic_bool cancel;

static void somebody_waits(void *arg, long pid)
{
	*(long *)arg = pid;
	atomic_store(&cancel, true);
}

static void one_at_a_time(void **state)
{
	struct sync_root second;
	long pid = 0;

	atomic_store(&cancel, false);
	assert_int_equal(sync_root_open(&second, root.path, &cancel, somebody_waits, &pid, &err), -1);
	assert_int_equal(err.code, ERR_CANCELLED);
	assert_int_equal(pid, getpid());
}

static void records(void **state)
{
	struct sync_records r = { .count = 0 };
	struct sync_record *one, *two;

	one = sync_records_add(&r, "apps/l\xc3\xa4uft gut");
	two = sync_records_add(&r, "b/2026-11-21T071500Z");
	assert_int_equal(sync_record_set_source(one, "acc", "c", "dir/a b.zip"), 0);
	assert_int_equal(sync_record_set_source(two, "acc", "c", "b.zip"), 0);
	one->pending = false;
	one->bytes = 1ull << 40;
	one->files = 7;
	snprintf(one->etag, sizeof(one->etag), "\"0x8D\"");
	assert_int_equal(sync_record_prepare(one, root.state, &err), 0);
	assert_int_equal(sync_record_commit(one, root.state, &err), 0);
	assert_int_equal(sync_record_prepare(two, root.state, &err), 0);
	assert_int_equal(sync_record_commit(two, root.state, &err), 0);
	/* half of a change that never came */
	one->files = 8;
	assert_int_equal(sync_record_prepare(one, root.state, &err), 0);
	sync_records_free(&r);

	close(openat(root.state, "99", O_WRONLY | O_CREAT, 0644));
	assert_int_equal(sync_records_load(&r, root.state, &err), 0);
	assert_int_equal(r.count, 2);
	one = sync_records_find(&r, "apps/l\xc3\xa4uft gut");
	assert_non_null(one);
	assert_false(one->pending);
	assert_int_equal(one->files, 7);
	assert_int_equal(one->bytes, 1ull << 40);
	assert_string_equal(one->etag, "\"0x8D\"");
	assert_true(sync_record_is_of(one, "acc", "c", "dir/a b.zip"));
	assert_false(sync_record_is_of(one, "acc", "d", "dir/a b.zip"));
	assert_null(sync_records_find(&r, "apps"));
	two = sync_records_find(&r, "b/2026-11-21T071500Z");
	assert_true(two->pending);
	sync_records_drop(&r, two, root.state);
	assert_int_equal(sync_records_add(&r, "c")->number, 2);
	sync_records_free(&r);
	assert_int_equal(count_in(root.state, "."), 1);
}

/* Where it is: what was said, else where the build keeps what lasts. */
static void usual_place(void **state)
{
	struct config *config = config_load(scratch_write("hpcpack.conf", 0600, "[packages]\nroot = /theirs\n"), &err);
	struct config *none = config_load(scratch_write("none.conf", 0600, "[packages]\n"), &err);

	assert_non_null(config);
	assert_non_null(none);
	unsetenv("CCP_PACKAGE_ROOT");
	assert_string_equal(sync_root(NULL, none), HPCPACK_LOCALSTATEDIR "/lib/hpcpack/packages");
	assert_string_equal(sync_root(NULL, config), "/theirs");
	setenv("CCP_PACKAGE_ROOT", "/mine", 1);
	assert_string_equal(sync_root(NULL, config), "/mine");
	assert_string_equal(sync_root("/given", config), "/given");
	unsetenv("CCP_PACKAGE_ROOT");
	config_free(config);
	config_free(none);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(places), TEST(obstacles), TEST(deep_trash), TEST(left_behind), TEST(one_at_a_time),
		TEST(records), TEST(usual_place),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
