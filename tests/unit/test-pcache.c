/*
 * The persistent cache in a real directory: what is kept, and for whom. (Damaged:
 * test-pcache-damage.c; full, shared, its writer killed: test-pcache-room.c.)
 */
#include <config.h>

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "tests/unit/pcache_rig.h"
#include "tests/unit/scratch.h"

/* --- what is kept --- */

static void test_kept(void **state)
{
	struct pcache_options o = fresh_options();
	struct pcache *pc = open_it(&o);
	struct pcache_stats s;

	assert_int_equal(missing(pc, 0, MIB, 1), MIB);
	assert_true(fill(pc, 3 * MIB - 8192, 4 * MIB, 1));
	assert_true(fill(pc, 4096, 8192, 1));
	assert_int_equal(missing(pc, 3 * MIB - 8192, 4 * MIB, 1), 0);
	assert_int_equal(missing(pc, 3 * MIB, 4096, 1), 0);
	assert_int_equal(missing(pc, 0, 4 * MIB, 1), 3 * MIB - 8192);
	/* what is missing is named as a whole, what lies around it is not */
	assert_int_equal(missing(pc, 4096, 65536, 1), 65536 - 8192);
	/* the odd end of the disk */
	assert_true(fill(pc, 32 * MIB - CHUNK, CHUNK + 1536, 1));
	assert_int_equal(missing(pc, 32 * MIB, 1536, 1), 0);
	/* not whole granules: nothing, but no harm */
	assert_int_equal(missing(pc, 3 * MIB + 512, 4096, 1), 4096);
	assert_int_equal(missing(pc, 3 * MIB, 512, 1), 512);
	assert_false(fill(pc, 5 * MIB + 512, 4096, 1));
	pcache_stats(pc, &s);
	assert_int_equal(s.filled_bytes, 4 * MIB + 8192 + CHUNK + 1536);
	assert_int_equal(s.damaged, 0);
	assert_false(s.off || s.no_fill);
	pcache_close(pc, NULL);

	pc = open_it(&o);
	assert_int_equal(missing(pc, 3 * MIB - 8192, 4 * MIB, 1), 0);
	assert_int_equal(missing(pc, 32 * MIB - CHUNK, CHUNK + 1536, 1), 0);
	pcache_stats(pc, &s);
	assert_int_equal(s.read_bytes, 4 * MIB + CHUNK + 1536);
	pcache_close(pc, NULL);
}

static void test_keys(void **state)
{
	struct pcache_options o = fresh_options(), other;
	struct pcache *pc = open_it(&o);

	assert_true(fill(pc, 0, MIB, 1));
	pcache_close(pc, NULL);
	other = o;
	other.version = "snapshot T2 E";
	pc = open_it(&other);
	assert_int_equal(missing(pc, 0, MIB, 2), MIB);
	assert_true(fill(pc, 0, MIB, 2));
	pcache_close(pc, NULL);
	other = o;
	other.drive = "http://host/acc\nc\nb2\n";
	pc = open_it(&other);
	assert_int_equal(missing(pc, 0, MIB, 3), MIB);
	pcache_close(pc, NULL);
	pc = open_it(&o);
	assert_int_equal(missing(pc, 0, MIB, 1), 0);
	pcache_close(pc, NULL);
}

/* A file that got into another drive's folder, or under another number, is nobody's. */
static void move_it(const char *path, void *arg)
{
	char to[1100];

	snprintf(to, sizeof(to), "%.*s00000007", (int)(strlen(path) - 8), path);
	assert_int_equal(rename(path, to), 0);
}

static void test_moved(void **state)
{
	struct pcache_options o = fresh_options();
	struct pcache *pc = open_it(&o);

	assert_true(fill(pc, 2 * MIB, MIB, 1));
	pcache_close(pc, NULL);
	assert_int_equal(each_file(o.dir, move_it, NULL), 1);
	pc = open_it(&o);
	assert_int_equal(missing(pc, 7 * MIB, MIB, 1), MIB);
	assert_int_equal(each_file(o.dir, NULL, NULL), 0);
	pcache_close(pc, NULL);
}

/* --- owned mounts --- */

static void test_owned(void **state)
{
	struct pcache_options o = fresh_options();
	struct pcache *pc;

	o.owned = true;
	o.version = "lease 1";
	o.former = "lease 0";
	pc = open_it(&o);
	assert_true(fill(pc, 0, 4 * MIB, 1));
	pcache_changed(pc, MIB + 100, 10);
	/* changed: silent, and deaf */
	assert_int_equal(missing(pc, MIB, CHUNK, 1), CHUNK);
	assert_int_equal(missing(pc, MIB + CHUNK, CHUNK, 1), 0);
	assert_false(fill(pc, MIB, CHUNK, 2));
	assert_true(fill(pc, 6 * MIB - CHUNK, 3 * CHUNK, 1));
	pcache_changed(pc, 6 * MIB, 1);
	pcache_close(pc, "lease 2");

	/* in order: what was not changed is the next one's, file by file */
	o.version = "lease 3";
	o.former = "lease 2";
	pc = open_it(&o);
	assert_int_equal(missing(pc, 0, MIB, 1), 0);
	assert_int_equal(missing(pc, MIB, MIB, 2), MIB);
	assert_int_equal(missing(pc, 2 * MIB, 2 * MIB, 1), 0);
	assert_int_equal(missing(pc, 6 * MIB - CHUNK, CHUNK, 1), 0);
	assert_int_equal(missing(pc, 6 * MIB, CHUNK, 2), CHUNK);
	assert_true(fill(pc, MIB, MIB, 2));
	pcache_changed(pc, 2 * MIB, CHUNK);
	/* not in order: nobody asks for "lease 3" but one who found it unchanged */
	pcache_close(pc, NULL);

	o.version = "lease 4";
	o.former = "lease 2";
	pc = open_it(&o);
	assert_int_equal(missing(pc, 0, MIB, 1), MIB);   /* "lease 3" took it over */
	pcache_close(pc, NULL);
	o.version = "lease 5";
	o.former = "lease 3";
	pc = open_it(&o);
	assert_int_equal(missing(pc, MIB, MIB, 2), 0);
	/* what nobody asked for meanwhile is carried over too, but for changes */
	pcache_changed(pc, 2 * MIB, 1);
	pcache_close(pc, "lease 6");
	o.version = "lease 7";
	o.former = "lease 6";
	pc = open_it(&o);
	assert_int_equal(missing(pc, 0, MIB, 1), 0);
	assert_int_equal(missing(pc, MIB, MIB, 2), 0);
	assert_int_equal(missing(pc, 2 * MIB, MIB, 1), MIB);
	assert_int_equal(missing(pc, 3 * MIB, MIB, 1), 0);
	pcache_close(pc, NULL);
}

/* One who has lost the lease without knowing, and fills in what others wrote:
 * nothing of it reaches those who come later. */
static void test_owner_of_old(void **state)
{
	struct pcache_options o = fresh_options(), next;
	struct pcache *old, *pc;

	o.owned = true;
	o.version = "lease 1";
	old = open_it(&o);
	assert_true(fill(old, 0, 2 * MIB, 1));

	next = o;
	next.version = "lease 2";
	next.former = "lease 1";
	pc = open_it(&next);
	assert_int_equal(missing(pc, 0, 2 * MIB, 1), 0);
	pcache_changed(pc, 0, 4096);
	pcache_changed(pc, 5 * MIB, 4096);
	assert_true(fill(old, 5 * MIB, CHUNK, 2));
	assert_int_equal(missing(pc, 5 * MIB, CHUNK, 2), CHUNK);
	pcache_close(pc, "lease 3");
	/* an open file, and one that it makes now */
	fill(old, 0, CHUNK, 2);
	fill(old, 9 * MIB, CHUNK, 2);
	fill(old, 5 * MIB, CHUNK, 2);

	next.version = "lease 4";
	next.former = "lease 3";
	pc = open_it(&next);
	assert_int_equal(missing(pc, 0, CHUNK, 3), CHUNK);
	assert_int_equal(missing(pc, MIB, MIB, 1), 0);
	assert_int_equal(missing(pc, 5 * MIB, CHUNK, 3), CHUNK);
	assert_int_equal(missing(pc, 9 * MIB, CHUNK, 3), CHUNK);
	pcache_close(pc, NULL);
	pcache_close(old, NULL);
}

struct late_change {
	struct call c;
	struct pcache *pc;
	uint8_t *data;
};

static void change_in_callback(void *arg)
{
	struct late_change *l = arg;

	/* What a writer has done before the filler was through. */
	pcache_changed(l->pc, CHUNK, 1);
	called(&l->c);
}

static void test_changed_while_filling(void **state)
{
	struct pcache_options o = fresh_options();
	struct late_change l = { .c = CALL_INIT, .data = memory_for(3 * CHUNK) };
	struct iovec iov[8];
	struct pcache *pc;

	o.owned = true;
	o.version = "lease 1";
	l.pc = pc = open_it(&o);
	content(l.data, 0, 3 * CHUNK, 1);
	assert_true(pcache_fill(pc, 0, iov, pieces(l.data, 0, 3 * CHUNK, iov), change_in_callback, &l));
	wait_call(&l.c);
	pcache_drain(pc);
	pcache_close(pc, NULL);
	free(l.data);
	/* as after a crash: nothing was stored, so the version is asked for again */
	o.version = "lease 2";
	o.former = "lease 1";
	pc = open_it(&o);
	assert_int_equal(missing(pc, CHUNK, CHUNK, 1), CHUNK);
	assert_int_equal(missing(pc, 0, CHUNK, 1), 0);
	assert_int_equal(missing(pc, 2 * CHUNK, CHUNK, 1), 0);
	pcache_close(pc, NULL);
}

/* --- whose directory --- */

/* `code` 0: whatever the system says. */
static void refused(const struct pcache_options *o, enum err_code code, const char *says)
{
	struct err err;

	assert_null(pcache_open(o, &err));
	if (code)
		assert_int_equal(err.code, code);
	assert_non_null(strstr(err.msg, says));
	assert_non_null(strstr(err.msg, o->dir));
}

static void test_refused(void **state)
{
	struct pcache_options o = fresh_options();
	cleanup_free char *target = NULL;
	char real[600];

	snprintf(real, sizeof(real), "%s", o.dir);
	assert_int_equal(chmod(real, 0770), 0);
	refused(&o, ERR_PERMISSION, "written by others");
	assert_int_equal(chmod(real, 0755), 0);
	pcache_close(open_it(&o), NULL);
	assert_true(asprintf(&target, "%s/drives", real) > 0);
	assert_int_equal(chmod(target, 0750), 0);
	refused(&o, ERR_PERMISSION, "read by others");
	assert_int_equal(chmod(target, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(real, 12345, 12345), 0);
		refused(&o, ERR_PERMISSION, "belongs to another user");
		assert_int_equal(chown(real, 0, 0), 0);
	}
	o.dir = scratch_path("link");
	assert_int_equal(symlink(real, o.dir), 0);
	refused(&o, 0, "can't open");
	o.dir = scratch_path("no/such/place");
	refused(&o, 0, "can't make");
	o.dir = scratch_path("made");
	pcache_close(open_it(&o), NULL);
	refused(&(struct pcache_options){ .dir = "/proc/1", .drive = "", .version = "", .size = 512 }, 0, "/proc/1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_kept, fresh),
		cmocka_unit_test_setup(test_keys, fresh),
		cmocka_unit_test_setup(test_moved, fresh),
		cmocka_unit_test_setup(test_owned, fresh),
		cmocka_unit_test_setup(test_owner_of_old, fresh),
		cmocka_unit_test_setup(test_changed_while_filling, fresh),
		cmocka_unit_test_setup(test_refused, fresh),
	};

	pcache_rig_start("test-pcache");
	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
