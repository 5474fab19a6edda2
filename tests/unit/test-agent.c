/*
 * A real hpcagentd in a runtime directory of its own, with tests/unit/fake-drive
 * for its workers: mounting and unmounting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/client.h"
#include "blob/base/cleanup.h"
#include "fs/channel.h"
#include "tests/unit/agent-rig.h"
#include "tests/unit/sandbox.h"

static void mounts_lists_unmounts(void **state)
{
	const char *at = rig_folder("one");
	json_t *entry = rig_mounted(rig_mount_request("d.vhd", at)), *reply, *lease;

	assert_string_equal(json_string_value(json_object_get(entry, "state")), "ready");
	assert_string_equal(json_string_value(json_object_get(entry, "mode")), "rw");
	assert_string_equal(json_string_value(json_object_get(entry, "filesystem")), "ext4");
	assert_string_equal(json_string_value(json_object_get(entry, "driver")), "kernel");
	assert_string_equal(json_string_value(json_object_get(entry, "user")), "root");
	assert_true(json_is_null(json_object_get(entry, "snapshot")));
	assert_int_equal(json_integer_value(json_object_get(entry, "size")), 16 << 20);
	assert_int_equal(json_integer_value(json_object_get(entry, "requests")), 7);
	lease = json_object_get(entry, "lease");
	assert_string_equal(json_string_value(json_object_get(lease, "state")), "held");
	assert_int_equal(json_number_value(json_object_get(lease, "next_renewal_seconds")), 20);
	json_decref(entry);
	sandbox_run("grep -q hello one/hello.txt && echo written >one/new");
	sandbox_run("! grep -r endpoint run/mounts/*/mount.json");

	rig_refused(rig_mount_request("d.vhd", rig_folder("two")), "is already mounted at ");
	rig_refused(rig_mount_request("e.vhd", at), "is mounted there; unmount that first, or take another place");
	rig_refused(rig_mount_request("e.vhd", sandbox_path("none")), "create it with: mkdir -p ");

	reply = rig_unmounted("drives/d.vhd");
	assert_string_equal(json_string_value(json_object_get(reply, "mountpoint")), at);
	assert_string_equal(json_string_value(json_object_get(reply, "source")), "acct/drives/d.vhd");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(reply, "receipt"),
							     "bytes_read")),
			 4096);
	json_decref(reply);
	rig_nothing_left();
	sandbox_run("grep -qx d.vhd stopped && e2fsck -fn images/d.vhd");
	rig_refused(rig_unmount_request("d.vhd", false), "d.vhd is not mounted by this agent");
	rig_mount("d.vhd", at);
	sandbox_run("grep -q written one/new");
	sandbox_run("ln -sfn . link");
	json_decref(rig_unmounted(sandbox_path("link//./one/")));
	rig_nothing_left();
}

static void snapshot_is_read_only(void **state)
{
	const char *at = rig_folder("one");
	json_t *entry = rig_mounted(rig_with(rig_mount_request("d.vhd", at), "snapshot", json_string("new")));

	assert_string_equal(json_string_value(json_object_get(entry, "mode")), "ro");
	assert_non_null(json_string_value(json_object_get(entry, "snapshot")));
	json_decref(entry);
	/* beside the drive itself */
	rig_mount("d.vhd", rig_folder("two"));
	assert_int_not_equal(sandbox_try("touch one/no"), 0);
	rig_refused(rig_unmount_request("d.vhd", false), "d.vhd is mounted 2 times");
	json_decref(rig_unmounted(at));
	json_decref(rig_unmounted("d.vhd"));
	rig_nothing_left();
}

static void default_mount_point(void **state)
{
	json_t *entry = rig_mounted(rig_with(rig_mount_request("d.vhd", ""), "mountpoint", json_null()));

	assert_string_equal(json_string_value(json_object_get(entry, "mountpoint")),
			    sandbox_path("root/drives/d"));
	json_decref(entry);
	json_decref(rig_unmounted("d.vhd"));
	sandbox_run("! test -e root/drives");
	rig_nothing_left();
}

static void raw_is_the_disk(void **state)
{
	json_t *entry = rig_mounted(rig_with(rig_mount_request("d.vhd", rig_folder("one")), "raw", json_true()));

	assert_true(json_is_null(json_object_get(entry, "filesystem")));
	json_decref(entry);
	sandbox_run("cmp one/disk images/d.vhd");
	assert_int_equal(sandbox_loops(), 0);
	json_decref(rig_unmounted("d.vhd"));
	rig_nothing_left();
}

static void failures_leave_nothing(void **state)
{
	const char *at = rig_folder("one");
	struct err err;

	rig_refused(rig_mount_request("fail-d.vhd", at), "held by joe on host7");
	assert_null(rig_call(rig_mount_request("fail-d.vhd", at), &err));
	assert_int_equal(err.code, ERR_LEASE_HELD);
	assert_string_equal(err.service_code, "LeaseAlreadyPresent");
	rig_refused(rig_mount_request("exit-d.vhd", at), "ended with status 3 before the drive was ready");
	rig_refused(rig_mount_request("empty.vhd", at), "empty.vhd: no filesystem found");
	rig_refused(rig_with(rig_mount_request("d.vhd", at), "partition", json_integer(3)), "no partition 3");
	rig_refused(rig_with(rig_mount_request("d.vhd", at), "options", json_string("cache=none")),
		    "-o cache=none");
	rig_refused(rig_with(rig_mount_request("../../x", ""), "mountpoint", json_null()), "x");
	rig_nothing_left();
	/* The lease was released each time that it had been taken. */
	sandbox_run("test $(grep -cx empty.vhd stopped) = 1 && test $(grep -cx d.vhd stopped) = 1");
}

/* Whoever else writes to the socket is held to what hpcpack refuses itself. */
static void secrets_travel_encrypted(void **state)
{
	static const struct {
		const char *kind, *secret, *endpoint;
		bool chosen, refused;
	} cases[] = {
		{ "shared-key", "key", "http://storage.invalid/acct", false, true },
		{ "sas", "sas", "http://storage.invalid/acct", false, true },
		{ "sas", "sas", "http://storage.invalid/acct", true, false },
		{ "shared-key", "key", "https://storage.invalid/acct", false, false },
		{ "shared-key", "key", "http://127.0.0.1:1/acct", false, false },
		{ "anonymous", "key", "http://storage.invalid/acct", false, false },
	};
	const char *at = rig_folder("one");

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *account = json_pack("{s:s, s:s, s:s, s:s, s:b}", "kind", cases[i].kind, "name", "acct",
					    "endpoint", cases[i].endpoint, cases[i].secret, "c2VjcmV0",
					    "http_chosen", cases[i].chosen);
		json_t *request = rig_with(rig_mount_request("d.vhd", at), "account", account);

		if (cases[i].refused) {
			rig_refused(request, "would travel unencrypted to storage.invalid");
			continue;
		}
		json_decref(rig_mounted(request));
		json_decref(rig_unmounted("d.vhd"));
	}
	rig_nothing_left();
}

static void what_was_not_stored_is_said(void **state)
{
	rig_mount("unsaved-d.vhd", rig_folder("one"));
	rig_refused(rig_unmount_request("unsaved-d.vhd", false), "4096 bytes were not stored");
	rig_nothing_left();
}

static void busy_and_lazy(void **state)
{
	const char *at = rig_folder("one");
	char expected[64];
	struct err err;
	json_t *reply;
	pid_t pid;

	rig_mount("d.vhd", at);
	pid = rig_sleep_in(at);
	snprintf(expected, sizeof(expected), "is in use by sleep (%d)", (int)pid);
	rig_refused(rig_unmount_request(at, false), expected);
	assert_string_equal(rig_field(at, "state"), "ready");
	sandbox_run("echo more >one/more");
	reply = rig_call(rig_unmount_request(at, true), &err);
	if (!reply)
		fail_msg("%s", err.msg);
	assert_true(json_is_true(json_object_get(reply, "pending")));
	json_decref(reply);
	assert_string_equal(rig_field(at, "state"), "degraded");
	assert_non_null(strstr(rig_field(at, "reason"), "sleep"));
	assert_int_not_equal(sandbox_try("mountpoint one"), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	rig_nothing_left();
	sandbox_run("grep -qx d.vhd stopped && debugfs -R 'cat more' images/d.vhd | grep more");
}

#define WITH_AGENT(test) cmocka_unit_test_setup_teardown(test, rig_begin, rig_finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_AGENT(mounts_lists_unmounts),
		WITH_AGENT(snapshot_is_read_only),
		WITH_AGENT(default_mount_point),
		WITH_AGENT(raw_is_the_disk),
		WITH_AGENT(failures_leave_nothing),
		WITH_AGENT(secrets_travel_encrypted),
		WITH_AGENT(what_was_not_stored_is_said),
		WITH_AGENT(busy_and_lazy),
	};

	sandbox_require();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, rig_setup, sandbox_teardown);
}
