#include <config.h>

#include "fs/worker_conn.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blob/base/log.h"
#include "fs/channel.h"

static void hang_up(struct conn *conn)
{
	close(conn->fd);
	conn->state = CONN_FREE;
}

/* Whoever does not read his answers gets none: the socket does not block. */
static void answer(struct conn *conn, json_t *reply)
{
	struct err err;

	if (!reply || channel_send(conn->fd, reply, &err) < 0)
		hang_up(conn);
	json_decref(reply);
}

static void refuse(struct conn *conn, const struct err *err)
{
	answer(conn, json_pack("{sb so}", "ok", 0, "error", channel_err_to_json(err)));
}

static void synced(void *arg, const struct err *err)
{
	struct conn *conn = arg;
	struct worker *w = conn->w;

	conn->failed = err != NULL;
	if (err)
		conn->err = *err;
	conn->state = CONN_SYNCED; /* from here on it is the control thread's again */
	control_kick(w);
}

static void start_sync(struct worker *w, struct conn *conn)
{
	struct err err;
	bool there;

	conn->state = CONN_SYNCING;
	pthread_mutex_lock(&w->lock);
	there = w->ops->sync(w, synced, conn);
	pthread_mutex_unlock(&w->lock);
	if (there)
		return;
	conn->state = CONN_IDLE;
	err_set(&err, ERR_CANCELLED, "%s: is not mounted, or no longer", w->name);
	refuse(conn, &err);
}

/* What only this kind of worker knows. */
static void ask_ops(struct worker *w, struct conn *conn, const char *op, const json_t *msg)
{
	struct err err;
	int rc = op && w->ops->request ? w->ops->request(w, op, msg, &err) : 0;

	if (rc > 0) {
		answer(conn, json_pack("{sb}", "ok", 1));
		return;
	}
	if (rc == 0)
		err_set(&err, ERR_USAGE, "the worker knows the requests %s", w->ops->requests);
	refuse(conn, &err);
}

static void handle(struct worker *w, struct conn *conn)
{
	struct err err;
	json_t *msg = channel_receive(conn->fd, 0, &err);
	const char *op = json_string_value(json_object_get(msg, "op"));

	if (!msg) {
		if (err.code != ERR_CANCELLED)
			refuse(conn, &err);
		if (conn->state != CONN_FREE)
			hang_up(conn);
	} else if (op && !strcmp(op, "status")) {
		answer(conn, worker_status(w));
	} else if (op && !strcmp(op, "sync")) {
		start_sync(w, conn);
	} else if (op && !strcmp(op, "stop")) {
		conn->state = CONN_STOPPING;
		worker_ask_stop(w, "asked to stop");
	} else {
		ask_ops(w, conn, op, msg);
	}
	json_decref(msg);
}

void conns_accept(struct conns *c, int listener)
{
	struct conn conn = { .w = c->w, .state = CONN_IDLE };
	unsigned uid, gid, i;
	struct err err;
	int pid;

	conn.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (conn.fd < 0)
		return;
	if (channel_peer(conn.fd, &uid, &gid, &pid) < 0 || (uid != 0 && uid != geteuid())) {
		err_set(&err, ERR_PERMISSION, "only root and uid %u may control this mount", (unsigned)geteuid());
		refuse(&conn, &err);
		if (conn.state != CONN_FREE)
			hang_up(&conn);
		return;
	}
	for (i = 0; c->list[i].state != CONN_FREE;)
		i++;
	c->list[i] = conn;
}

bool conns_poll(const struct conns *c, struct pollfd *p)
{
	bool room = false;
	unsigned i;

	for (i = 0; i < CONNS_MAX; i++) {
		const struct conn *conn = &c->list[i];

		p[i] = (struct pollfd) { .fd = conn->state == CONN_IDLE ? conn->fd : -1, .events = POLLIN };
		room |= conn->state == CONN_FREE;
	}
	return room;
}

static void answer_synced(struct conn *conn)
{
	conn->state = CONN_IDLE;
	if (conn->failed)
		refuse(conn, &conn->err);
	else
		answer(conn, json_pack("{sb}", "ok", 1));
}

void conns_handle(struct conns *c, const struct pollfd *p)
{
	unsigned i;

	for (i = 0; i < CONNS_MAX; i++) {
		struct conn *conn = &c->list[i];

		if (conn->state == CONN_SYNCED)
			answer_synced(conn);
		else if (conn->state == CONN_IDLE && p[i].revents)
			handle(c->w, conn);
	}
}

void conns_finish(struct conns *c, const json_t *reply)
{
	unsigned i;

	for (i = 0; i < CONNS_MAX; i++) {
		struct conn *conn = &c->list[i];

		if (conn->state == CONN_SYNCED)
			answer_synced(conn);
		if (conn->state == CONN_STOPPING && channel_send(conn->fd, reply, NULL) < 0)
			log_debug("whoever asked to stop did not wait for the answer");
		if (conn->state != CONN_FREE)
			hang_up(conn);
	}
}
