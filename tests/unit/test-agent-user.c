/*
 * hpcagentd and ordinary users: who is refused, who is served, and an agent that
 * runs as one. In a mount namespace of its own, where /dev/fuse is open to all.
 *
 * Be careful with loop devices here: killed together with everything else, a worker
 * may be the last process of the namespace, and then unmounts the volume on its own
 * disk in its own exit, for ever.
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
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/client.h"
#include "blob/base/cleanup.h"
#include "fs/channel.h"
#include "tests/unit/agent-rig.h"
#include "tests/unit/sandbox.h"


#define NOBODY 65534

static int as_nobody(json_t *request, char *why, size_t size)
{
	int pipe_fd[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		struct err err = { .msg = "it was served" };

		if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(126);
		rig_call(request, &err);
		if (write(pipe_fd[1], err.msg, strlen(err.msg)) < 0)
			_exit(126);
		_exit((int)err.code);
	}
	close(pipe_fd[1]);
	n = read(pipe_fd[0], why, size - 1);
	why[n > 0 ? n : 0] = '\0';
	close(pipe_fd[0]);
	json_decref(request);
	assert_int_equal(waitpid(pid, &pipe_fd[0], 0), pid);
	return WEXITSTATUS(pipe_fd[0]);
}

static void strangers_are_refused(void **state)
{
	char why[1024];

	assert_int_equal(as_nobody(json_pack("{s:s}", "op", "list"), why, sizeof(why)), ERR_PERMISSION);
	assert_non_null(strstr(why, "agent.sock does not serve this user"));
	/* The socket's mode is not the only fence. */
	sandbox_run("chmod 755 run && chmod 666 run/agent.sock");
	assert_int_equal(as_nobody(json_pack("{s:s}", "op", "list"), why, sizeof(why)), ERR_PERMISSION);
	assert_non_null(strstr(why, "this agent does not serve user nobody"));
	sandbox_run("chmod 700 run");
}

/* An ordinary user as client of root's agent, by the group of the socket. */
static void group_members_are_served(void **state)
{
	const char *at = rig_folder("mine"), *roots = rig_folder("one");
	char why[1024];

	assert_int_equal(chown(at, NOBODY, NOBODY), 0);
	rig_end(SIGTERM);
	sandbox_run("printf '[agent]\\nsocket_group = nogroup\\n' >>hpcpack.conf");
	rig_start(0, NULL, NULL);
	json_decref(rig_mounted(rig_with(rig_mount_request("e.vhd", roots), "raw", json_true())));
	sandbox_run("chown nobody images/d.vhd stopped 2>/dev/null; touch stopped; chmod 666 stopped");
	assert_int_equal(as_nobody(rig_mount_request("d.vhd", roots), why, sizeof(why)), ERR_BUSY);
	assert_int_equal(as_nobody(rig_mount_request("d.vhd", rig_folder("two")), why, sizeof(why)), ERR_PERMISSION);
	assert_non_null(strstr(why, "belongs to another user"));
	if (as_nobody(rig_mount_request("d.vhd", at), why, sizeof(why)) != 0)
		fail_msg("%s", why);
	assert_string_equal(rig_field(at, "driver"), "fuse");
	assert_string_equal(rig_field(at, "user"), "nobody");
	sandbox_run("test $(awk '/^Uid/ {print $2}' /proc/%d/status) = 65534", (int)rig_worker(at));
	sandbox_run("setpriv --reuid nobody --regid nogroup --clear-groups grep hello mine/hello.txt");
	/* The guard of a dead one is its user's to replace, whichever way he mounted
	 * and mounts. */
	for (int raw = 1; raw >= 0; raw--) {
		kill(rig_worker(at), SIGKILL);
		rig_becomes(at, "failed");
		sandbox_run("setpriv --reuid nobody --regid nogroup --clear-groups touch mine/no 2>&1 | "
			    "grep 'Read-only file system'");
		if (as_nobody(rig_with(rig_mount_request("d.vhd", at), "raw", json_boolean(raw)), why,
			      sizeof(why)) != 0)
			fail_msg("%s", why);
		sandbox_run("setpriv --reuid nobody --regid nogroup --clear-groups test -e mine/%s && "
			    "test $(grep -c '%s/mine ' /proc/self/mountinfo) = 1",
			    raw ? "disk" : "hello.txt", sandbox_dir());
	}
	assert_int_equal(as_nobody(rig_unmount_request("e.vhd", false), why, sizeof(why)), ERR_NOT_FOUND);
	assert_int_equal(as_nobody(json_pack("{s:s}", "op", "stop"), why, sizeof(why)), ERR_PERMISSION);
	if (as_nobody(rig_unmount_request("d.vhd", false), why, sizeof(why)) != 0)
		fail_msg("%s", why);
	json_decref(rig_unmounted("e.vhd"));
	rig_nothing_left();
	sandbox_run("sed -i '/socket_group/d' hpcpack.conf");
}

/* What [agent] users_may_use_kernel_drivers allows: the worker is the user's and
 * its disk open to nobody else, the volume the kernel's. */
static void kernel_drivers_for_users(void **state)
{
	const char *at = rig_folder("mine");
	char why[1024];

	assert_int_equal(chown(at, NOBODY, NOBODY), 0);
	rig_end(SIGTERM);
	sandbox_run("chown nobody images/xfs.vhd && "
		    "printf '[agent]\\nsocket_group = nogroup\\n"
		    "users_may_use_kernel_drivers = yes\\n' >>hpcpack.conf");
	rig_start(0, NULL, NULL);
	if (as_nobody(rig_mount_request("xfs.vhd", at), why, sizeof(why)) != 0)
		fail_msg("%s", why);
	assert_string_equal(rig_field(at, "driver"), "kernel");
	assert_string_equal(rig_field(at, "filesystem"), "xfs");
	sandbox_run("test $(awk '/^Uid/ {print $2}' /proc/%d/status) = 65534", (int)rig_worker(at));
	sandbox_run("echo here >mine/new && findmnt -no OPTIONS mine | grep nosuid | grep nodev");
	if (as_nobody(rig_unmount_request("xfs.vhd", false), why, sizeof(why)) != 0)
		fail_msg("%s", why);
	rig_nothing_left();
	sandbox_run("xfs_repair -n images/xfs.vhd && sed -i '/agent/d; /socket_group/d; /users_may/d' "
		    "hpcpack.conf");
}

/* Everything under an ordinary user's name. */
static void users_agent(void **state)
{
	static const char *const blobs[] = { "d.vhd", "gpt.vhd", "ntfs.vhd" };
	const char *at = rig_folder("mine");
	json_t *entry;

	sandbox_need("ntfs-3g");
	rig_end(SIGTERM);
	sandbox_run("rm -rf run stopped && mkdir -m 700 run && chown -R nobody:nogroup run mine images && "
		    "chmod 777 . && chmod 644 hpcpack.conf && rm -f agent.log");
	rig_start(NOBODY, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(blobs); i++) {
		entry = rig_mounted(rig_mount_request(blobs[i], at));
		assert_string_equal(json_string_value(json_object_get(entry, "driver")), "fuse");
		assert_string_equal(json_string_value(json_object_get(entry, "user")), "nobody");
		json_decref(entry);
		sandbox_run("setpriv --reuid nobody --regid nogroup --clear-groups "
			    "sh -c 'echo by-%s >mine/new && sync mine/new'", blobs[i]);
		json_decref(rig_unmounted(blobs[i]));
		rig_nothing_left();
		json_decref(rig_mounted(rig_with(rig_mount_request(blobs[i], at), "snapshot", json_string("new"))));
		sandbox_run("setpriv --reuid nobody --regid nogroup --clear-groups "
			    "sh -c 'grep by-%s mine/new && ! touch mine/no'", blobs[i]);
		json_decref(rig_unmounted(at));
		rig_nothing_left();
	}
	sandbox_run("e2fsck -fn images/d.vhd");
	rig_refused(rig_mount_request("xfs.vhd", at), "its filesystem is xfs, which only the kernel's driver");
	json_decref(rig_mounted(rig_with(rig_mount_request("xfs.vhd", at), "raw", json_true())));
	sandbox_run("setpriv --reuid nobody --regid nogroup --clear-groups cmp mine/disk images/xfs.vhd");
	json_decref(rig_unmounted(at));
	rig_nothing_left();
	rig_end(SIGTERM);
	sandbox_run("rm -rf run && chown -R root:root images && chmod 755 .");
}

static int setup(void **state)
{
	return rig_setup(state) < 0 ? -1 : sandbox_open_fuse();
}

#define WITH_AGENT(test) cmocka_unit_test_setup_teardown(test, rig_begin, rig_finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_AGENT(strangers_are_refused),
		WITH_AGENT(group_members_are_served),
		WITH_AGENT(kernel_drivers_for_users),
		WITH_AGENT(users_agent),
	};

	sandbox_require();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, sandbox_teardown);
}
