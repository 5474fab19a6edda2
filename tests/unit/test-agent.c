/*
 * A real hpcagentd in a runtime directory of its own, with tests/unit/fake-drive
 * for its workers.
 */
#include <config.h>

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
#include <limits.h>
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
	rig_refused(rig_mount_request("e.vhd", at), "is already a mount point");
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

static pid_t sleep_in(const char *folder)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(chdir(folder) == 0 && execlp("sleep", "sleep", "300", NULL) ? 1 : 0);
	sandbox_note_pid(pid);
	sandbox_run("until test $(cat /proc/%d/comm) = sleep; do :; done", (int)pid);
	return pid;
}

static void busy_and_lazy(void **state)
{
	const char *at = rig_folder("one");
	char expected[64];
	struct err err;
	json_t *reply;
	pid_t pid;

	rig_mount("d.vhd", at);
	pid = sleep_in(at);
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

static void worker_dies(void **state)
{
	const char *at = rig_folder("one"), *other = rig_folder("two");
	pid_t pid;

	rig_mount("d.vhd", at);
	rig_mount("e.vhd", other);
	pid = rig_worker(at);
	kill(pid, SIGKILL);
	rig_becomes(at, "failed");
	assert_non_null(strstr(rig_field(at, "reason"), "was killed by signal 9"));
	assert_string_equal(rig_field(other, "state"), "ready");
	sandbox_run("grep -q hello two/hello.txt");
	assert_int_equal(sandbox_loops(), 1);
	rig_refused(rig_mount_request("fail-d.vhd", at), "held by joe");
	assert_string_equal(rig_field(at, "state"), "failed");
	json_decref(rig_unmounted(at));
	assert_string_equal(rig_field(at, "state"), "");
	/* A new mount at the place of a dead one takes its entry's place, too. */
	kill(rig_worker(other), SIGKILL);
	rig_becomes(other, "failed");
	rig_mount("e.vhd", other);
	assert_string_equal(rig_field(other, "state"), "ready");
	json_decref(rig_unmounted("e.vhd"));
	assert_string_equal(rig_field(other, "state"), "");
	rig_nothing_left();
}

/* So many guards in the sandbox, stacked ones too. */
static void guards_are(int expected)
{
	sandbox_run("test $(grep ' %s/.* - tmpfs hpcpack-failed ' /proc/self/mountinfo | wc -l) = %d",
		    sandbox_dir(), expected);
}

static void writes_get(const char *path, int expected)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd >= 0)
		close(fd);
	assert_int_equal(fd < 0 ? errno : 0, expected);
}

/* What goes on to write by name gets errors, and nothing into the folder beneath. */
static void dead_mount_is_guarded(void **state)
{
	const char *at = rig_folder("one");
	pid_t pid;

	rig_mount("d.vhd", at);
	writes_get(sandbox_path("one/new"), 0);
	kill(rig_worker(at), SIGKILL);
	rig_becomes(at, "failed");
	guards_are(1);
	writes_get(sandbox_path("one/new"), EROFS);
	sandbox_run("test $(stat -c %%a one) = 555 && findmnt -no OPTIONS one | grep "
		    "'ro,nosuid,nodev,noexec' && test -z \"$(ls -A one)\"");
	/* Without the mounts on it, the folder itself. */
	sandbox_run("mkdir -p bare && mount --bind . bare && test -z \"$(ls -A bare/one)\"; "
		    "rc=$?; umount bare; exit $rc");
	/* A mount there that does not come about leaves it, wherever it failed. */
	rig_refused(rig_mount_request("fail-d.vhd", at), "held by joe");
	rig_refused(rig_with(rig_mount_request("d.vhd", at), "options", json_string("data=nonsense")),
		    "data=nonsense");
	guards_are(1);
	writes_get(sandbox_path("one/new"), EROFS);
	/* One that does takes its place. */
	rig_mount("d.vhd", at);
	guards_are(0);
	writes_get(sandbox_path("one/again"), 0);
	kill(rig_worker(at), SIGKILL);
	rig_becomes(at, "failed");
	/* Whoever stands in it does not hold it. */
	pid = sleep_in(at);
	json_decref(rig_unmounted(at));
	guards_are(0);
	sandbox_run("test -z \"$(ls -A one)\" && touch one/mine && rm one/mine");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	rig_nothing_left();
}

static void raw_and_made_are_guarded(void **state)
{
	json_t *entry = rig_mounted(rig_with(rig_mount_request("d.vhd", rig_folder("one")), "raw",
					     json_true()));
	char made[PATH_MAX];

	snprintf(made, sizeof(made), "%s", sandbox_path("root/drives/e"));
	json_decref(entry);
	json_decref(rig_mounted(rig_with(rig_mount_request("e.vhd", ""), "mountpoint", json_null())));
	kill(rig_worker(sandbox_path("one")), SIGKILL);
	kill(rig_worker(made), SIGKILL);
	rig_becomes(sandbox_path("one"), "failed");
	rig_becomes(made, "failed");
	guards_are(2);
	writes_get(sandbox_path("one/new"), EROFS);
	writes_get(sandbox_path("root/drives/e/new"), EROFS);
	json_decref(rig_mounted(rig_with(rig_mount_request("d.vhd", sandbox_path("one")), "raw",
					 json_true())));
	guards_are(1);
	json_decref(rig_unmounted("d.vhd"));
	json_decref(rig_unmounted("e.vhd"));
	sandbox_run("! test -e root/drives");
	rig_nothing_left();
}

static void guard_outlives_the_agent(void **state)
{
	const char *at = rig_folder("one"), *other = rig_folder("two");
	pid_t pid;

	rig_mount("d.vhd", at);
	rig_mount("e.vhd", other);
	kill(rig_worker(at), SIGKILL);
	rig_becomes(at, "failed");
	pid = rig_worker(other);
	rig_end(SIGKILL);
	kill(pid, SIGKILL);
	sandbox_run("while test -e /proc/%d; do :; done", (int)pid);
	for (int i = 0; i < 2; i++) {
		rig_start(0, NULL, NULL);
		assert_string_equal(rig_field(at, "state"), "failed");
		assert_string_equal(rig_field(other, "state"), "failed");
		guards_are(2);
		writes_get(sandbox_path("one/new"), EROFS);
		writes_get(sandbox_path("two/new"), EROFS);
		rig_end(i ? SIGTERM : SIGUSR1);
	}
	rig_nothing_left();
	sandbox_run("test -z \"$(ls -A one two | grep -v :)\"");
}

/* An agent that dies while it mounts anew where a mount has failed. */
static void guard_comes_back(void **state)
{
	cleanup_close int fd = -1;
	const char *at = rig_folder("one");
	json_t *request, *progress;

	rig_mount("d.vhd", at);
	kill(rig_worker(at), SIGKILL);
	rig_becomes(at, "failed");
	fd = agent_connect(sandbox_path("run/agent.sock"), false, NULL, NULL, NULL);
	request = rig_mount_request("slow-d.vhd", at);
	assert_int_equal(channel_send(fd, request, NULL), 0);
	json_decref(request);
	progress = channel_receive(fd, 10000, NULL);
	assert_non_null(progress);
	json_decref(progress);
	rig_end(SIGKILL);
	/* As if it had got as far as that. */
	sandbox_run("umount one");
	rig_start(0, NULL, NULL);
	assert_string_equal(rig_field(at, "state"), "failed");
	guards_are(1);
	json_decref(rig_unmounted(at));
	rig_nothing_left();
}

static void worker_hangs(void **state)
{
	const char *at = rig_folder("one");
	pid_t pid;

	rig_mount("d.vhd", at);
	pid = rig_worker(at);
	kill(pid, SIGSTOP);
	/* However often it is asked. */
	rig_becomes(at, "degraded");
	for (int i = 0; i < 3; i++)
		assert_string_equal(rig_field(at, "state"), "degraded");
	assert_non_null(strstr(rig_field(at, "reason"), "does not answer"));
	kill(pid, SIGCONT);
	rig_becomes(at, "ready");
	json_decref(rig_unmounted(at));
	rig_nothing_left();
}

static void agent_is_killed(void **state)
{
	const char *at = rig_folder("one"), *other = rig_folder("two");
	char since[32];

	rig_mount("d.vhd", at);
	rig_mount("e.vhd", other);
	snprintf(since, sizeof(since), "%s", rig_field(at, "since"));
	assert_int_equal(rig_end(SIGKILL), -SIGKILL);
	sandbox_run("grep -q hello one/hello.txt && echo meanwhile >one/while");
	rig_start(0, NULL, NULL);
	assert_string_equal(rig_field(at, "state"), "ready");
	assert_string_equal(rig_field(at, "since"), since);
	/* Adopted ones are watched, too. */
	kill(rig_worker(other), SIGKILL);
	rig_becomes(other, "failed");
	json_decref(rig_unmounted(other));
	/* One that dies while no agent runs. */
	rig_mount("f.vhd", other);
	{
		pid_t pid = rig_worker(other);

		rig_end(SIGKILL);
		kill(pid, SIGKILL);
		sandbox_run("while test -e /proc/%d; do :; done", (int)pid);
	}
	rig_start(0, NULL, NULL);
	assert_string_equal(rig_field(other, "state"), "failed");
	assert_string_equal(rig_field(at, "state"), "ready");
	json_decref(rig_unmounted("f.vhd"));
	json_decref(rig_unmounted("d.vhd"));
	rig_nothing_left();
	sandbox_run("debugfs -R 'cat while' images/d.vhd | grep meanwhile");
}

static void agent_is_killed_in_mid_mount(void **state)
{
	cleanup_close int fd = agent_connect(sandbox_path("run/agent.sock"), false, NULL, NULL, NULL);
	json_t *request = rig_mount_request("slow-d.vhd", rig_folder("one")), *progress;

	assert_int_equal(channel_send(fd, request, NULL), 0);
	json_decref(request);
	progress = channel_receive(fd, 10000, NULL);
	assert_non_null(progress);
	json_decref(progress);
	rig_end(SIGKILL);
	rig_start(0, NULL, NULL);
	rig_nothing_left();
}

static void client_hangs_up(void **state)
{
	int fd = agent_connect(sandbox_path("run/agent.sock"), false, NULL, NULL, NULL);
	json_t *request = rig_mount_request("slow-d.vhd", rig_folder("one")), *progress;

	assert_int_equal(channel_send(fd, request, NULL), 0);
	json_decref(request);
	progress = channel_receive(fd, 10000, NULL);
	assert_string_equal(json_string_value(json_object_get(progress, "progress")), "opening the image");
	json_decref(progress);
	assert_string_equal(rig_field(sandbox_path("one"), "state"), "mounting");
	close(fd);
	rig_nothing_left();
	assert_string_equal(rig_field(sandbox_path("one"), "state"), "");
	assert_true(sandbox_wait(rig_stopped, (void *)"slow-d.vhd", 10000));
}

static void second_agent_is_refused(void **state)
{
	pid_t second = rig_spawn(0, NULL, NULL, "second.log");
	int status;

	assert_int_equal(waitpid(second, &status, 0), second);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	sandbox_run("grep 'another agent (pid %d) runs in .*/run' second.log && "
		    "test $(wc -l <second.log) = 1", (int)rig_agent);
	assert_true(rig_listens(NULL));
}

static void sigterm_unmounts(void **state)
{
	rig_mount("d.vhd", rig_folder("one"));
	rig_mount("e.vhd", rig_folder("two"));
	assert_int_equal(rig_end(SIGTERM), 0);
	rig_nothing_left();
	sandbox_run("grep -qx d.vhd stopped && grep -qx e.vhd stopped && ! test -e run/agent.sock");
}

/* Who uses a drive keeps it; the next agent ends what is left of it. */
static void sigterm_with_a_busy_drive(void **state)
{
	const char *at = rig_folder("one");
	pid_t pid;

	rig_mount("d.vhd", at);
	rig_mount("e.vhd", rig_folder("two"));
	pid = sleep_in(at);
	assert_int_equal(rig_end(SIGTERM), 1);
	sandbox_run("grep -qx e.vhd stopped && ! grep -qx d.vhd stopped");
	sandbox_run("grep 'one is in use by sleep' agent.log && grep -q hello /proc/%d/cwd/hello.txt",
		    (int)pid);
	rig_start(0, NULL, NULL);
	assert_string_equal(rig_field(at, "state"), "degraded");
	assert_non_null(strstr(rig_field(at, "reason"), "still in use by sleep"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	rig_nothing_left();
	sandbox_run("grep -qx d.vhd stopped");
}

static void stop_may_leave_mounts(void **state)
{
	struct err err;
	json_t *reply;

	rig_mount("d.vhd", rig_folder("one"));
	assert_int_equal(rig_end(SIGUSR1), 0);
	sandbox_run("grep -q hello one/hello.txt");
	rig_start(0, NULL, NULL);
	assert_string_equal(rig_field(sandbox_path("one"), "state"), "ready");
	reply = rig_call(json_pack("{s:s, s:b}", "op", "stop", "leave_mounts", 1), &err);
	assert_non_null(reply);
	json_decref(reply);
	assert_int_equal(rig_wait_end(10000), 0);
	sandbox_run("grep -q hello one/hello.txt && ! test -e stopped");
	rig_start(0, NULL, NULL);
	reply = rig_call(json_pack("{s:s}", "op", "stop"), &err);
	assert_non_null(reply);
	json_decref(reply);
	assert_int_equal(rig_wait_end(10000), 0);
	rig_nothing_left();
}

static void idle_agent_ends(void **state)
{
	rig_end(SIGTERM);
	rig_start(0, "--idle-exit", "1");
	rig_mount("d.vhd", rig_folder("one"));
	sandbox_run("sleep 1.5");
	assert_true(rig_listens(NULL));
	json_decref(rig_unmounted("d.vhd"));
	assert_int_equal(rig_wait_end(5000), 0);
}

static void starts_by_itself(void **state)
{
	struct err err;
	bool started = false;
	json_t *reply;
	int fd;

	rig_end(SIGTERM);
	fd = agent_connect(sandbox_path("run/agent.sock"), true, sandbox_path("hpcpack.conf"), &started,
			   &err);
	if (fd < 0)
		fail_msg("%s", err.msg);
	assert_true(started);
	close(fd);
	reply = rig_call(json_pack("{s:s}", "op", "status"), &err);
	assert_non_null(reply);
	sandbox_note_pid((pid_t)json_integer_value(json_object_get(reply, "pid")));
	assert_string_equal(json_string_value(json_object_get(reply, "runtime_dir")), sandbox_path("run"));
	json_decref(reply);
	json_decref(rig_call(json_pack("{s:s}", "op", "stop"), &err));
	/* What keeps it from starting comes through. */
	sandbox_run("printf '[agent]\\nnonsense = 1\\n' >bad.conf");
	fd = agent_connect(sandbox_path("run/agent.sock"), true, sandbox_path("bad.conf"), &started, &err);
	assert_int_equal(fd, -1);
	assert_non_null(strstr(err.msg, "hpcagentd could not be started: "));
	assert_non_null(strstr(err.msg, "nonsense"));
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
		WITH_AGENT(worker_dies),
		WITH_AGENT(dead_mount_is_guarded),
		WITH_AGENT(raw_and_made_are_guarded),
		WITH_AGENT(guard_outlives_the_agent),
		WITH_AGENT(guard_comes_back),
		WITH_AGENT(worker_hangs),
		WITH_AGENT(agent_is_killed),
		WITH_AGENT(agent_is_killed_in_mid_mount),
		WITH_AGENT(client_hangs_up),
		WITH_AGENT(second_agent_is_refused),
		WITH_AGENT(sigterm_unmounts),
		WITH_AGENT(sigterm_with_a_busy_drive),
		WITH_AGENT(stop_may_leave_mounts),
		WITH_AGENT(idle_agent_ends),
		WITH_AGENT(starts_by_itself),
	};

	sandbox_require();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, rig_setup, sandbox_teardown);
}
