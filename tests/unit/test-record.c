#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/mountpoint.h"
#include "agent/options.h"
#include "agent/record.h"
#include "tests/unit/scratch.h"

static struct mounts table;

static struct mount *make(const char *id, const char *blob, const char *mountpoint)
{
	struct err err;
	struct mount *m = mount_new(scratch_dir(), id, &err);

	assert_non_null(m);
	m->account = strdup("acct");
	m->container = strdup("drives");
	m->blob = strdup(blob);
	m->mountpoint = strdup(mountpoint);
	snprintf(m->user, sizeof(m->user), "joe");
	snprintf(m->since, sizeof(m->since), "2026-11-21T03:26:09Z");
	return m;
}

static void make_folder(const struct mount *m)
{
	mkdir(scratch_path("mounts"), 0700);
	mkdir(m->dir, 0700);
}

static void goes_round(void **state)
{
	struct mount *m = make("0011223344556677", "a \"b\".vhd", "/mnt/\xc3\xa4");
	struct mount *back;
	struct err err;
	bool same_boot;

	make_folder(m);
	m->wanted_snapshot = strdup("new");
	m->snapshot = strdup("2026-11-21T03:26:09.1234567Z");
	m->mountpoint_made = true;
	m->read_only = true;
	m->uid = 1234;
	m->gid = 5678;
	m->size = UINT64_C(1) << 43;
	m->worker = 4711;
	m->worker_start = UINT64_C(123456789012);
	m->state = MOUNT_DEGRADED;
	snprintf(m->reason, sizeof(m->reason), "no answer");
	m->lingering = true;
	m->guarded = true;
	m->volume.loop = 7;
	m->volume.loop_sequence = 99;
	m->volume.partition = 2;
	m->volume.device = 0x703;
	snprintf(m->volume.filesystem, sizeof(m->volume.filesystem), "xfs");
	snprintf(m->volume.mountpoint, sizeof(m->volume.mountpoint), "/mnt/x");
	assert_int_equal(record_write(m, &err), 0);
	back = record_read(scratch_dir(), m->id, &same_boot, &err);
	if (!back)
		fail_msg("%s", err.msg);
	assert_true(same_boot);
	assert_string_equal(back->dir, m->dir);
	assert_string_equal(back->blob, m->blob);
	assert_string_equal(back->mountpoint, m->mountpoint);
	assert_string_equal(back->wanted_snapshot, "new");
	assert_string_equal(back->snapshot, m->snapshot);
	assert_true(back->mountpoint_made && back->read_only && back->lingering && back->guarded && !back->raw);
	assert_int_equal(back->uid, 1234);
	assert_int_equal(back->gid, 5678);
	assert_int_equal(back->size, m->size);
	assert_int_equal(back->worker, 4711);
	assert_int_equal(back->worker_start, m->worker_start);
	assert_int_equal(back->state, MOUNT_DEGRADED);
	assert_string_equal(back->reason, "no answer");
	assert_int_equal(back->volume.loop, 7);
	assert_int_equal(back->volume.loop_sequence, 99);
	assert_int_equal(back->volume.partition, 2);
	assert_int_equal(back->volume.device, 0x703);
	assert_string_equal(back->volume.filesystem, "xfs");
	assert_string_equal(back->volume.mountpoint, "/mnt/x");
	mount_unref(&table, back);
	mount_unref(&table, m);
}

static void without_a_snapshot(void **state)
{
	struct mount *m = make("0011223344556688", "b.vhd", "/mnt/b"), *back;
	struct err err;
	bool same_boot;

	make_folder(m);
	assert_int_equal(record_write(m, &err), 0);
	back = record_read(scratch_dir(), m->id, &same_boot, &err);
	if (!back)
		fail_msg("%s", err.msg);
	assert_null(back->wanted_snapshot);
	assert_null(back->snapshot);
	assert_int_equal(back->state, MOUNT_MOUNTING);
	assert_int_equal(back->volume.loop, -1);
	mount_unref(&table, back);
	mount_unref(&table, m);
}

static void refused(const char *id, const char *expected)
{
	struct err err;
	bool same_boot;

	assert_null(record_read(scratch_dir(), id, &same_boot, &err));
	if (!strstr(err.msg, expected))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, expected);
}

static void is_not_trusted_blindly(void **state)
{
	struct mount *m = make("00112233445566aa", "a.vhd", "/mnt/a");
	char file[4200], moved[4200];
	struct err err;

	make_folder(m);
	snprintf(file, sizeof(file), "%s/mount.json", m->dir);
	refused(m->id, "No such file");
	assert_int_equal(record_write(m, &err), 0);
	/* Somebody else's file, and a name for a file that is elsewhere too. */
	if (geteuid() == 0) {
		assert_int_equal(chown(file, 65534, 65534), 0);
		refused(m->id, "was not written by this agent's user");
		assert_int_equal(chown(file, 0, 0), 0);
	}
	snprintf(moved, sizeof(moved), "%s/other", m->dir);
	assert_int_equal(link(file, moved), 0);
	refused(m->id, "was not written by this agent's user");
	assert_int_equal(unlink(file), 0);
	assert_int_equal(symlink("other", file), 0);
	refused(m->id, "symbolic links");
	assert_int_equal(unlink(file), 0);
	assert_int_equal(unlink(moved), 0);
	/* Another mount's record. */
	snprintf(moved, sizeof(moved), "%s", scratch_path("mounts/0011223344556677/mount.json"));
	assert_int_equal(rename(moved, file), 0);
	refused(m->id, "is not the record of this mount");
	scratch_write("mounts/00112233445566aa/mount.json", 0600, "{\"id\": 7}");
	refused(m->id, "is not the record of this mount");
	scratch_write("mounts/00112233445566aa/mount.json", 0600, "{");
	refused(m->id, "is not a record");
	mount_unref(&table, m);
}

static void options_are_split(void **state)
{
	struct mount_options o;
	struct err err;

	assert_int_equal(mount_options_parse(
				 "cache=64M,noatime,ro,deadline=30s,data=ordered,sync,allow_other", &o, &err),
			 0);
	assert_int_equal(o.cache_bytes, 64 << 20);
	assert_int_equal(o.io_deadline_ms, 30000);
	assert_true(o.read_only && o.sync && o.allow_other);
	assert_string_equal(o.rest, "noatime,data=ordered");
	mount_options_free(&o);
	assert_int_equal(mount_options_parse(NULL, &o, &err), 0);
	assert_null(o.rest);
	assert_int_equal(mount_options_parse("cache=1K", &o, &err), -1);
	assert_int_equal(err.code, ERR_USAGE);
	assert_non_null(strstr(err.msg, "cache=1K"));
	assert_int_equal(mount_options_parse("deadline=soon", &o, &err), -1);
	assert_non_null(strstr(err.msg, "deadline=soon"));
}

static void add(const char *id, const char *blob, const char *mountpoint, uid_t uid,
		enum mount_state state)
{
	struct mount *m = make(id, blob, mountpoint);
	struct err err;

	m->uid = uid;
	m->wanted_snapshot = strdup("new");
	if (mounts_add(&table, m, &err) < 0)
		fail_msg("%s", err.msg);
	m->state = state;
	mounts_release(&table, m);
	mount_unref(&table, m);
}

static const char *found(const char *target, const char *container, uid_t uid, struct err *err)
{
	struct mount *m = mounts_find(&table, target, NULL, container, uid, err);
	const char *at = m ? m->mountpoint : NULL;

	if (m)
		mount_unref(&table, m);
	return at;
}

static void targets(void **state)
{
	struct err err;

	add("1", "a.vhd", "/mnt/a", 0, MOUNT_READY);
	add("2", "sub/b.vhd", "/mnt/b", 1000, MOUNT_READY);
	add("3", "a.vhd", "/mnt/a2", 1000, MOUNT_READY);
	add("4", "c.vhd", "/mnt/dead", 0, MOUNT_FAILED);
	add("5", "c.vhd", "/mnt/c", 0, MOUNT_READY);
	assert_string_equal(found("/mnt/a", NULL, 0, &err), "/mnt/a");
	assert_string_equal(found("sub/b.vhd", NULL, 0, &err), "/mnt/b");
	assert_string_equal(found("drives/sub/b.vhd", NULL, 0, &err), "/mnt/b");
	assert_string_equal(found("acct/drives/sub/b.vhd", NULL, 0, &err), "/mnt/b");
	assert_null(found("b.vhd", NULL, 0, &err));
	assert_null(found("sub/b.vhd", "other", 0, &err));
	assert_null(found("a.vhd", NULL, 0, &err));
	assert_string_equal(err.msg, "a.vhd is mounted 2 times: at /mnt/a, /mnt/a2; name the mount point");
	/* Others' mounts are not there for an ordinary user. */
	assert_string_equal(found("a.vhd", NULL, 1000, &err), "/mnt/a2");
	assert_null(found("/mnt/a", NULL, 1000, &err));
	assert_string_equal(err.msg, "/mnt/a is not mounted by this agent");
	/* The living first. */
	assert_string_equal(found("c.vhd", NULL, 0, &err), "/mnt/c");
	assert_string_equal(found("/mnt/dead", NULL, 0, &err), "/mnt/dead");
}

static void one_writer_one_place(void **state)
{
	struct mount *m = make("6", "w.vhd", "/mnt/w"), *again = make("7", "w.vhd", "/mnt/w2");
	struct mount *there = make("8", "x.vhd", "/mnt/w");
	struct err err;

	assert_int_equal(mounts_add(&table, m, &err), 0);
	assert_int_equal(mounts_add(&table, again, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	assert_string_equal(err.msg, "acct/drives/w.vhd is already mounted at /mnt/w by joe; unmount it "
				     "first, or mount a snapshot with --snapshot");
	assert_int_equal(mounts_add(&table, there, &err), -1);
	assert_non_null(strstr(err.msg, "/mnt/w is already a mount point"));
	mounts_set_state(&table, m, MOUNT_LOST, "taken");
	assert_int_equal(mounts_add(&table, again, &err), 0);
	mount_unref(&table, m);
	mount_unref(&table, again);
	mount_unref(&table, there);
}

static int checked(const char *path, char **out, struct err *err)
{
	return mountpoint_check(path, geteuid(), getegid(), out, err);
}

static void mount_points(void **state)
{
	char *out = NULL, expected[9000];
	struct err err;
	bool made;

	assert_int_equal(checked(scratch_path("none"), &out, &err), -1);
	snprintf(expected, sizeof(expected), "mount point %s does not exist; create it with: mkdir -p %s",
		 scratch_path("none"), scratch_path("none"));
	assert_string_equal(err.msg, expected);
	assert_int_equal(checked(scratch_write("file", 0600, ""), &out, &err), -1);
	snprintf(expected, sizeof(expected), "mount point %s is not a directory", scratch_path("file"));
	assert_string_equal(err.msg, expected);
	assert_int_equal(checked("/proc", &out, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	assert_int_equal(checked("here", &out, &err), -1);
	/* Any spelling ends up as one. */
	assert_int_equal(symlink(".", scratch_path("link")), 0);
	assert_int_equal(mkdir(scratch_path("real"), 0700), 0);
	assert_int_equal(checked(scratch_path("link//./real/"), &out, &err), 0);
	assert_string_equal(out, scratch_path("real"));
	free(out);

	assert_int_equal(mountpoint_make(scratch_path("root"), "c", "dir/x.VHD", geteuid(), getegid(), &out,
					 &made, &err),
			 0);
	assert_string_equal(out, scratch_path("root/c/dir/x"));
	assert_true(made);
	mountpoint_remove(out, geteuid(), getegid());
	assert_int_equal(access(scratch_path("root/c/dir"), F_OK), -1);
	free(out);
	assert_int_equal(mountpoint_make(scratch_path("root"), "c", "../../x", geteuid(), getegid(), &out,
					 &made, &err),
			 -1);
	assert_int_equal(err.code, ERR_USAGE);
	assert_int_equal(access(scratch_path("x"), F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_round),
		cmocka_unit_test(without_a_snapshot),
		cmocka_unit_test(is_not_trusted_blindly),
		cmocka_unit_test(options_are_split),
		cmocka_unit_test(targets),
		cmocka_unit_test(one_writer_one_place),
		cmocka_unit_test(mount_points),
	};
	int rc;

	mounts_init(&table);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	rc = cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
	mounts_destroy(&table);
	return rc;
}
