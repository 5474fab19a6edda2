#include <config.h>

#include "agent/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/fusermount.h"
#include "agent/guard.h"
#include "agent/mountinfo.h"
#include "agent/spawn.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "blob/base/process.h"
#include "fs/channel.h"

/* To store what is dirty can take long; a worker keeps its own deadlines. */
#define STOP_TIMEOUT_MS 900000
/* To end after it has said its last word, or was told to by a signal. */
#define END_TIMEOUT_MS 20000

int worker_start(struct mount *m, const char *programs, const json_t *job, struct err *err)
{
	cleanup_free char *program = NULL;
	cleanup_close int ours = -1;
	cleanup_close int theirs = -1;
	char *argv[] = { NULL, NULL };
	struct spawn s = { .argv = argv, .uid = m->uid, .gid = m->gid, .stdout_fd = -1, .stderr_fd = -1 };
	int pair[2];

	if (asprintf(&program, "%s/hpcpack-%s", programs, m->kind == MOUNT_DRIVE ? "drive" : "package") < 0) {
		program = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set_errno(err, errno, "could not make a channel to the worker");
	ours = pair[0];
	theirs = pair[1];
	argv[0] = program;
	s.fd3 = theirs;
	m->worker = spawn(&s, err);
	if (m->worker < 0) {
		m->worker = 0;
		return -1;
	}
	m->worker_start = process_start(m->worker);
	m->pidfd = (int)syscall(SYS_pidfd_open, m->worker, 0);
	m->channel = steal_fd(&ours);
	if (m->pidfd < 0)
		return err_set_errno(err, errno, "could not watch the worker");
	if (channel_send(m->channel, job, err) < 0)
		return err_prefix(err, "could not tell the worker its job");
	return 0;
}

/* By its descriptor: the pid of one that was reaped may be another's now. */
static bool get_end(const struct mount *m, siginfo_t *info, int flags)
{
	memset(info, 0, sizeof(*info));
	return waitid(P_PIDFD, (id_t)m->pidfd, info, WEXITED | WNOHANG | flags) == 0 && info->si_pid;
}

void worker_describe_end(const struct mount *m, char *out, size_t size)
{
	siginfo_t info;

	if (!get_end(m, &info, 0))
		snprintf(out, size, "its worker (pid %d) ended", (int)m->worker);
	else if (info.si_code == CLD_EXITED)
		snprintf(out, size, "its worker (pid %d) ended with status %d", (int)m->worker,
			 info.si_status);
	else
		snprintf(out, size, "its worker (pid %d) was killed by signal %d (%s)", (int)m->worker,
			 info.si_status, strsignal(info.si_status));
}

/* 1: the worker has something to say; 0: given up; -1: poll failed. */
static int wait_for_word(const struct mount *m, const int *cancel, int count)
{
	struct pollfd p[8] = { { .fd = m->channel, .events = POLLIN } };
	int rc;

	for (int i = 0; i < count; i++) {
		p[1 + i].fd = cancel[i];
		p[1 + i].events = POLLIN | POLLRDHUP;
	}
	do
		rc = poll(p, (nfds_t)count + 1, -1);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return -1;
	for (int i = 0; i < count; i++)
		if (p[1 + i].revents)
			return 0;
	return 1;
}

json_t *worker_wait_ready(struct mount *m, const int *cancel, int count,
			  void (*progress)(void *arg, const char *text), void *arg, bool *other,
			  struct err *err)
{
	*other = false;

	for (;;) {
		const char *event, *text;
		json_t *msg;
		int rc = wait_for_word(m, cancel, count);

		if (rc <= 0) {
			err_set(err, ERR_CANCELLED, "the mount was cancelled");
			return NULL;
		}
		msg = channel_receive(m->channel, -1, err);
		if (!msg && err->code == ERR_CANCELLED) {
			char how[200];

			poll(&(struct pollfd){ .fd = m->pidfd, .events = POLLIN }, 1, END_TIMEOUT_MS);
			worker_describe_end(m, how, sizeof(how));
			err_set(err, ERR_SYSTEM, "%s before the %s was ready; see the agent's log",
				how, mount_kind_name(m->kind));
		}
		if (!msg)
			return NULL;
		event = json_string_value(json_object_get(msg, "event"));
		if (event && !strcmp(event, "ready"))
			return msg;
		if (event && !strcmp(event, "failed")) {
			channel_err_from_json(json_object_get(msg, "error"), err);
			*other = json_is_true(json_object_get(msg, "other"));
			json_decref(msg);
			return NULL;
		}
		text = json_string_value(json_object_get(msg, "text"));
		if (event && !strcmp(event, "progress") && text)
			progress(arg, text);
		json_decref(msg);
	}
}

json_t *worker_call(const struct mount *m, const json_t *request, int timeout_ms, struct err *err)
{
	cleanup_free char *path = NULL;

	if (asprintf(&path, "%s/control", m->dir) < 0) {
		path = NULL;
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	return channel_call_path(path, request, timeout_ms, err);
}

static bool wait_end(const struct mount *m, int timeout_ms)
{
	struct pollfd p = { .fd = m->pidfd, .events = POLLIN };
	int rc;

	do
		rc = poll(&p, 1, timeout_ms);
	while (rc < 0 && errno == EINTR);
	return rc > 0;
}

static void send_signal(const struct mount *m, int sig)
{
	syscall(SYS_pidfd_send_signal, m->pidfd, sig, NULL, 0);
}

/* Whatever state it is in: gone when this returns, if the kernel can do that. */
static void make_end(const struct mount *m)
{
	if (wait_end(m, 0))
		return;
	send_signal(m, SIGTERM);
	if (wait_end(m, END_TIMEOUT_MS))
		return;
	log_warn("worker %d does not end; killing it", (int)m->worker);
	send_signal(m, SIGKILL);
	wait_end(m, END_TIMEOUT_MS);
}

/* Like channel_call, but a refusal has a receipt too, and a worker that dies in
 * between is a hang-up. */
static json_t *ask_to_stop(const struct mount *m, struct err *err)
{
	cleanup_free char *path = NULL;
	cleanup_close int fd = -1;
	json_t *request = json_pack("{s:s}", "op", "stop");
	json_t *reply = NULL;

	if (asprintf(&path, "%s/control", m->dir) < 0)
		path = NULL;
	fd = path ? channel_connect(path, err) : -1;
	if (fd >= 0 && request && channel_send(fd, request, err) == 0)
		reply = channel_receive(fd, STOP_TIMEOUT_MS, err);
	json_decref(request);
	return reply;
}

int worker_stop(struct mount *m, json_t **receipt, struct err *err)
{
	siginfo_t info;
	json_t *reply;
	int rc = 0;

	if (receipt)
		*receipt = NULL;
	if (m->pidfd < 0)
		return 0;
	reply = ask_to_stop(m, err);
	if (reply && receipt)
		*receipt = json_incref(json_object_get(reply, "receipt"));
	if (!reply && wait_end(m, 0) && get_end(m, &info, WNOWAIT) && info.si_code == CLD_EXITED &&
	    info.si_status == 0) {
		/* It went by itself, as it does when its FUSE mount is taken away. */
		rc = 0;
	} else if (!reply) {
		rc = err_prefix(err, "the worker (pid %d) could not be asked to stop",
				(int)m->worker);
	} else if (!json_is_true(json_object_get(reply, "ok"))) {
		channel_err_from_json(json_object_get(reply, "error"), err);
		rc = -1;
	}
	if (reply && !wait_end(m, END_TIMEOUT_MS))
		log_warn("worker %d has stopped and does not end", (int)m->worker);
	json_decref(reply);
	make_end(m);
	get_end(m, &info, 0);
	return rc;
}

void worker_abort(struct mount *m)
{
	siginfo_t info;

	if (m->pidfd < 0)
		return;
	make_end(m);
	get_end(m, &info, 0);
}

void worker_drop(struct mount *m)
{
	worker_abort(m);
	if (m->pidfd >= 0)
		close(steal_fd(&m->pidfd));
	if (m->channel >= 0)
		close(steal_fd(&m->channel));
	m->worker = 0;
}

static void take_away(const char *path)
{
	struct mountinfo info;

	while (mountinfo_at(path, &info) && !guard_is(&info)) {
		struct err err = { .code = ERR_NONE };

		if (geteuid() == 0 ? umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0
				   : fusermount_unmount(path, true, &err) < 0) {
			log_warn("could not unmount %s: %s", path, err.code ? err.msg : strerror(errno));
			return;
		}
	}
}

void worker_unmount(const struct mount *m)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/fs", m->dir);
	take_away(path);
	rmdir(path);
	/* One that mounted itself in the user's sight; once it has failed, what is
	 * there now is another's. */
	if (mount_is_bare(m) && m->uid != 0 && m->state != MOUNT_FAILED)
		take_away(m->mountpoint);
}

void worker_clean_up(const struct mount *m)
{
	static const char *const files[] = { "control", "driver.log", "mount.json.new", "mount.json" };

	worker_unmount(m);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char file[4200];

		snprintf(file, sizeof(file), "%s/%s", m->dir, files[i]);
		unlink(file);
	}
	if (rmdir(m->dir) < 0 && errno != ENOENT)
		log_warn("could not remove %s: %s", m->dir, strerror(errno));
}
