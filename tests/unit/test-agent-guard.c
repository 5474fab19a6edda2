/*
 * A real hpcagentd in a runtime directory of its own, with tests/unit/fake-drive
 * for its workers, which die and hang: what stays at the mount point.
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
	pid = rig_sleep_in(at);
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

#define WITH_AGENT(test) cmocka_unit_test_setup_teardown(test, rig_begin, rig_finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_AGENT(worker_dies),
		WITH_AGENT(dead_mount_is_guarded),
		WITH_AGENT(raw_and_made_are_guarded),
		WITH_AGENT(guard_outlives_the_agent),
		WITH_AGENT(guard_comes_back),
		WITH_AGENT(worker_hangs),
	};

	sandbox_require();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, rig_setup, sandbox_teardown);
}
