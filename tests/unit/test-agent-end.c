/*
 * A real hpcagentd in a runtime directory of its own, with tests/unit/fake-drive
 * for its workers: how agents begin and end.
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
	pid = rig_sleep_in(at);
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
