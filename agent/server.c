/*
 * The socket: who may ask, one thread and one request for each connection.
 */
#include <config.h>

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/proto.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "fs/channel.h"

#define CONNECTIONS_MAX 512
/* For a client to say what it wants, or to take its answer. */
#define CLIENT_MS 10000

static void socket_path(const struct agent *a, char *out, size_t size)
{
	snprintf(out, size, "%s/%s", a->settings.runtime_dir, AGENT_SOCKET_NAME);
}

static int group_id(const char *name, gid_t *gid, struct err *err)
{
	struct group gr, *found = NULL;
	char space[16384];

	getgrnam_r(name, &gr, space, sizeof(space), &found);
	if (!found)
		return err_set(err, ERR_USAGE, "[agent] socket_group: there is no group %s", name);
	*gid = gr.gr_gid;
	return 0;
}

int server_listen(struct agent *a, struct err *err)
{
	cleanup_close int fd = -1;
	char path[4200];
	gid_t gid = 0;

	socket_path(a, path, sizeof(path));
	fd = channel_listen(path, err);
	if (fd < 0)
		return -1;
	if (a->settings.socket_group && geteuid() == 0) {
		if (group_id(a->settings.socket_group, &gid, err) < 0)
			return -1;
		if (chown(path, 0, gid) < 0 || chmod(path, 0660) < 0)
			return err_set_errno(err, errno, "%s", path);
	}
	return steal_fd(&fd);
}

static bool in_socket_group(const struct agent *a, int fd, gid_t gid)
{
	gid_t groups[1024], wanted = 0;
	socklen_t len = sizeof(groups);

	if (!a->settings.socket_group || group_id(a->settings.socket_group, &wanted, NULL) < 0)
		return false;
	if (gid == wanted)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(*groups); i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

static void name_user(uid_t uid, char *out, size_t size)
{
	struct passwd pw, *found = NULL;
	char space[4096];

	getpwuid_r(uid, &pw, space, sizeof(space), &found);
	if (found)
		snprintf(out, size, "%s", pw.pw_name);
	else
		snprintf(out, size, "%u", (unsigned)uid);
}

/* The kernel's word on who is at the other end; the socket's mode should have
 * kept others away already. */
static int identify(const struct agent *a, struct caller *c, struct err *err)
{
	unsigned uid, gid;
	int pid;

	if (channel_peer(c->fd, &uid, &gid, &pid) < 0)
		return err_set_errno(err, errno, "could not learn who is asking");
	c->pid = pid;
	c->uid = uid;
	c->gid = gid;
	name_user(uid, c->user, sizeof(c->user));
	if (uid == 0 && geteuid() != 0) {
		/* An agent can't do more than its own user, also for root. */
		c->uid = geteuid();
		c->gid = getegid();
		name_user(c->uid, c->user, sizeof(c->user));
	}
	if (c->uid == geteuid() || (geteuid() == 0 && in_socket_group(a, c->fd, gid)))
		return 0;
	log_warn("user %s (pid %d) was refused", c->user, pid);
	return err_set(err, ERR_PERMISSION, "this agent does not serve user %s; start one of your own, or "
		       "ask for the socket_group to be set in hpcpack.conf", c->user);
}

static json_t *dispatch(struct agent *a, const struct caller *c, const json_t *request,
			struct err *err)
{
	static const struct {
		const char *name;
		json_t *(*op)(struct agent *a, const struct caller *c, const json_t *request,
			      struct err *err);
	} ops[] = {
		{ "mount", mount_op },	 { "unmount", unmount_op }, { "list", list_op },
		{ "status", status_op }, { "stop", stop_op },
	};
	const char *name = json_string_value(json_object_get(request, "op"));

	for (size_t i = 0; name && i < ARRAY_LEN(ops); i++)
		if (!strcmp(name, ops[i].name))
			return ops[i].op(a, c, request, err);
	err_set(err, ERR_PROTOCOL, "this agent (version %s) knows no operation \"%s\"", PACKAGE_VERSION,
		name ? name : "");
	return NULL;
}

static json_t *refusal(const struct err *err)
{
	return json_pack("{s:b, s:o}", "ok", false, "error", channel_err_to_json(err));
}

static void serve(struct agent *a, struct caller *c)
{
	json_t *request, *reply = NULL;
	struct err err;
	const char *op;
	bool known = identify(a, c, &err) == 0;

	/* Also of a stranger: a connection that is closed with something unread in
	 * it is reset, and the refusal lost. */
	request = channel_receive(c->fd, CLIENT_MS, known ? &err : NULL);
	if (request && known)
		reply = dispatch(a, c, request, &err);
	op = json_string_value(json_object_get(request, "op"));
	if (reply) {
		if (channel_send(c->fd, reply, &err) < 0 && op && !strcmp(op, "mount"))
			mount_op_undo(a, reply);
	} else {
		reply = refusal(&err);
		if (reply)
			channel_send(c->fd, reply, NULL);
	}
	json_decref(reply);
	json_decref(request);
}

struct connection {
	struct agent *agent;
	struct caller caller;
};

static void count_connection(struct agent *a, int by)
{
	pthread_mutex_lock(&a->lock);
	a->connections += (unsigned)by;
	a->idle_since_ms = monotonic_ms();
	pthread_cond_broadcast(&a->quiet);
	pthread_mutex_unlock(&a->lock);
}

static void *connection_thread(void *arg)
{
	struct connection *conn = arg;
	struct agent *a = conn->agent;

	serve(a, &conn->caller);
	close(conn->caller.fd);
	free(conn);
	count_connection(a, -1);
	agent_wake(a);
	return NULL;
}

static void accept_one(struct agent *a, int listener)
{
	struct timeval patience = { .tv_sec = CLIENT_MS / 1000 };
	struct connection *conn;
	pthread_attr_t attr;
	pthread_t thread;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int rc = EAGAIN;

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	conn = calloc(1, sizeof(*conn));
	if (conn && a->connections < CONNECTIONS_MAX) {
		conn->agent = a;
		conn->caller.fd = fd;
		count_connection(a, 1);
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		rc = pthread_create(&thread, &attr, connection_thread, conn);
		pthread_attr_destroy(&attr);
		if (rc)
			count_connection(a, -1);
	}
	if (rc) {
		log_warn("too many requests at a time: one was dropped");
		close(fd);
		free(conn);
	}
}

static void take_signal(struct agent *a, int signals)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) != sizeof(info) || info.ssi_signo == SIGHUP)
		return;
	log_info("signal %u from pid %u: ending", info.ssi_signo, info.ssi_pid);
	agent_end(a, info.ssi_signo == SIGUSR1 || a->settings.stop_leaves_mounts ? AGENT_LEAVES_MOUNTS
										  : AGENT_UNMOUNTS);
}

/* How long poll may sleep; ends an agent that has nothing to do any more. What
 * ends the business wakes us. */
static int idle_timeout(struct agent *a)
{
	int64_t left = 1;
	bool busy;

	if (!a->settings.idle_exit_s)
		return -1;
	pthread_mutex_lock(&a->mounts.lock);
	busy = a->mounts.count > 0;
	pthread_mutex_unlock(&a->mounts.lock);
	pthread_mutex_lock(&a->lock);
	busy = busy || a->connections;
	if (busy)
		a->idle_since_ms = monotonic_ms();
	else
		left = a->idle_since_ms + a->settings.idle_exit_s * INT64_C(1000) - monotonic_ms();
	pthread_mutex_unlock(&a->lock);
	if (busy)
		return -1;
	if (left > 0)
		return (int)left;
	log_info("no mount for %u s: ending", a->settings.idle_exit_s);
	agent_end(a, AGENT_UNMOUNTS);
	return 0;
}

static bool goes_on(struct agent *a)
{
	bool on;

	pthread_mutex_lock(&a->lock);
	on = a->end == AGENT_GOES_ON;
	pthread_mutex_unlock(&a->lock);
	return on;
}

void server_run(struct agent *a, int listener, int signals)
{
	struct pollfd p[3] = { { .fd = listener, .events = POLLIN },
			       { .fd = signals, .events = POLLIN },
			       { .fd = a->wake_fd, .events = POLLIN } };
	char path[4200];
	uint64_t count;

	while (goes_on(a)) {
		if (poll(p, 3, idle_timeout(a)) <= 0)
			continue;
		if (p[0].revents)
			accept_one(a, listener);
		if (p[1].revents)
			take_signal(a, signals);
		if (p[2].revents && read(a->wake_fd, &count, sizeof(count)) < 0)
			log_debug("woken for nothing");
	}
	socket_path(a, path, sizeof(path));
	unlink(path);
}
