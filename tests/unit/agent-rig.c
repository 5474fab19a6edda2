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


pid_t rig_agent;

/* --- the agent --- */

pid_t rig_spawn(uid_t uid, const char *a, const char *b, const char *log)
{
	char *const argv[] = { (char *)sandbox_program("hpcagentd"), (char *)"--foreground",
			       (char *)"-v", (char *)"--runtime-dir", (char *)sandbox_path("run"),
			       (char *)"--config", (char *)sandbox_path("hpcpack.conf"), (char *)a,
			       (char *)b, NULL };
	const char *path = sandbox_path("%s", log);
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);

		dup2(fd, STDERR_FILENO);
		dup2(fd, STDOUT_FILENO);
		if (uid && (setgid(uid) < 0 || setuid(uid) < 0))
			_exit(126);
		execv(argv[0], argv);
		_exit(127);
	}
	sandbox_note_pid(pid);
	return pid;
}

bool rig_listens(void *arg)
{
	int fd = agent_connect(sandbox_path("run/agent.sock"), false, NULL, NULL, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void rig_start(uid_t uid, const char *a, const char *b)
{
	rig_agent = rig_spawn(uid, a, b, "agent.log");
	if (!sandbox_wait(rig_listens, NULL, 10000))
		fail_msg("the agent does not listen; see %s", sandbox_path("agent.log"));
}

static bool has_ended(void *arg)
{
	int *status = arg;

	return waitpid(rig_agent, status, WNOHANG) == rig_agent;
}

int rig_wait_end(unsigned ms)
{
	int status = 0;

	if (!sandbox_wait(has_ended, &status, ms))
		fail_msg("the agent does not end");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int rig_end(int sig)
{
	kill(rig_agent, sig);
	return rig_wait_end(30000);
}

/* --- requests --- */

json_t *rig_call(json_t *request, struct err *err)
{
	cleanup_close int fd = agent_connect(sandbox_path("run/agent.sock"), false, NULL, NULL, err);
	json_t *reply = fd < 0 ? NULL : agent_call(fd, request, NULL, NULL, err);

	json_decref(request);
	return reply;
}

json_t *rig_mount_request(const char *blob, const char *at)
{
	json_t *account = json_pack("{s:s, s:s, s:s, s:s}", "kind", "anonymous", "name", "acct",
				    "endpoint", "http://127.0.0.1:1/acct", "source", "test");

	return json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "mount", "account", account, "container",
			 "drives", "blob", blob, "mountpoint", at);
}

json_t *rig_with(json_t *request, const char *key, json_t *value)
{
	json_object_set_new(request, key, value);
	return request;
}

const char *rig_folder(const char *name)
{
	static struct {
		char name[32], path[4200];
	} known[8];
	size_t i = 0;

	while (i < ARRAY_LEN(known) && known[i].name[0] && strcmp(known[i].name, name))
		i++;
	assert_true(i < ARRAY_LEN(known));
	snprintf(known[i].name, sizeof(known[i].name), "%s", name);
	snprintf(known[i].path, sizeof(known[i].path), "%s", sandbox_path("%s", name));
	mkdir(known[i].path, 0755);
	return known[i].path;
}

/* The entry of a mount that must succeed. */
json_t *rig_mounted(json_t *request)
{
	struct err err;
	json_t *reply = rig_call(request, &err), *entry;

	if (!reply)
		fail_msg("%s", err.msg);
	entry = json_incref(json_object_get(reply, "mount"));
	json_decref(reply);
	sandbox_note_pid((pid_t)json_integer_value(json_object_get(entry, "pid")));
	return entry;
}

void rig_mount(const char *blob, const char *at)
{
	json_decref(rig_mounted(rig_mount_request(blob, at)));
}

void rig_refused(json_t *request, const char *expected)
{
	struct err err;
	json_t *reply = rig_call(request, &err);

	assert_null(reply);
	if (!strstr(err.msg, expected))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, expected);
}

json_t *rig_unmount_request(const char *target, bool lazy)
{
	return json_pack("{s:s, s:s, s:b}", "op", "unmount", "target", target, "lazy", lazy);
}

json_t *rig_unmounted(const char *target)
{
	struct err err;
	json_t *reply = rig_call(rig_unmount_request(target, false), &err);

	if (!reply)
		fail_msg("%s", err.msg);
	return reply;
}

static json_t *list(void)
{
	struct err err;
	json_t *reply = rig_call(json_pack("{s:s}", "op", "list"), &err), *mounts;

	if (!reply)
		fail_msg("%s", err.msg);
	mounts = json_incref(json_object_get(reply, "mounts"));
	json_decref(reply);
	return mounts;
}

static char listed[128];

/* A text field of the mount at `at`; "" when it is not listed. */
const char *rig_field(const char *at, const char *key)
{
	json_t *mounts = list(), *entry;
	size_t i;

	listed[0] = '\0';
	json_array_foreach(mounts, i, entry) {
		json_t *value = json_object_get(entry, key);

		if (strcmp(json_string_value(json_object_get(entry, "mountpoint")), at))
			continue;
		if (json_is_string(value))
			snprintf(listed, sizeof(listed), "%s", json_string_value(value));
		else if (json_is_integer(value))
			snprintf(listed, sizeof(listed), "%lld", (long long)json_integer_value(value));
	}
	json_decref(mounts);
	return listed;
}

pid_t rig_worker(const char *at)
{
	pid_t pid = atoi(rig_field(at, "pid"));

	/* kill(0) would be the end of this very program. */
	if (pid <= 1)
		fail_msg("%s has no worker", at);
	return pid;
}

struct state_wish {
	const char *at, *state;
};

static bool in_state(void *arg)
{
	const struct state_wish *w = arg;

	return !strcmp(rig_field(w->at, "state"), w->state);
}

void rig_becomes(const char *at, const char *state)
{
	char mountpoint[PATH_MAX]; /* sandbox_path's would not outlive many looks */
	struct state_wish w = { mountpoint, state };

	snprintf(mountpoint, sizeof(mountpoint), "%s", at);
	if (!sandbox_wait(in_state, &w, 10000))
		fail_msg("%s is %s, not %s", mountpoint, rig_field(mountpoint, "state"), state);
}

/* --- what is left --- */

static bool nothing_left(void *arg)
{
	return sandbox_loops() == 0 && sandbox_mounts() == 0 && sandbox_try("! pgrep -P %d", (int)rig_agent) == 0 &&
	       sandbox_try("test -z \"$(ls run/mounts)\"") == 0;
}

void rig_nothing_left(void)
{
	if (!sandbox_wait(nothing_left, NULL, 10000))
		fail_msg("left: %d loop devices, %d mounts, or processes, or folders", sandbox_loops(),
			 sandbox_mounts());
}

bool rig_stopped(void *arg)
{
	return sandbox_try("grep -qx '%s' stopped", (const char *)arg) == 0;
}

int rig_begin(void **state)
{
	sandbox_try("rm -f stopped");
	rig_start(0, NULL, NULL);
	return 0;
}

int rig_finish(void **state)
{
	if (waitpid(rig_agent, NULL, WNOHANG) == 0)
		rig_end(SIGTERM);
	/* Leaks and the like, of the agent and of what logs there. */
	if (sandbox_try("! grep -e Sanitizer -e 'runtime error' agent.log"))
		return -1;
	return sandbox_loops() || sandbox_mounts() ? -1 : 0;
}

int rig_setup(void **state)
{
	if (sandbox_setup(state) < 0)
		return -1;
	sandbox_need("mkntfs");
	setenv("HPCPACK_LIBEXEC", sandbox_path("programs"), 1);
	sandbox_ext4("d.img", 16);
	sandbox_run("mkdir programs images && ln -s %s programs/hpcpack-drive && "
		    "ln -s %s programs/hpcpack-fusedriver && ln -s %s programs/hpcagentd",
		    sandbox_program("tests/unit/fake-drive"), sandbox_program("hpcpack-fusedriver"),
		    sandbox_program("hpcagentd"));
	sandbox_run("for n in d e f fail-d exit-d slow-d unsaved-d; do cp d.img images/$n.vhd; done; "
		    "truncate -s 8M images/empty.vhd");
	sandbox_run("truncate -s 40M images/gpt.vhd && printf 'label: gpt\\nstart=1MiB,size=8MiB\\n"
		    "size=16MiB\\n' | sfdisk -q images/gpt.vhd && "
		    "dd if=d.img of=images/gpt.vhd bs=1M seek=9 conv=notrunc status=none");
	sandbox_run("truncate -s 320M images/xfs.vhd && mkfs.xfs -q images/xfs.vhd");
	sandbox_run("PATH=$PATH:/usr/sbin:/sbin; truncate -s 16M images/ntfs.vhd && "
		    "mkntfs -q -F -f images/ntfs.vhd");
	sandbox_run("printf '[mount]\\nroot = %s\\n' >hpcpack.conf && chmod 644 hpcpack.conf",
		    sandbox_path("root"));
	return 0;
}

pid_t rig_sleep_in(const char *folder)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(chdir(folder) == 0 && execlp("sleep", "sleep", "300", NULL) ? 1 : 0);
	sandbox_note_pid(pid);
	sandbox_run("until test $(cat /proc/%d/comm) = sleep; do :; done", (int)pid);
	return pid;
}
