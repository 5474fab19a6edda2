/* The control thread: signals, the control socket, changes of state, deadlines. It
 * never blocks. */
#include <config.h>

#include "fs/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "blob/base/log.h"
#include "fs/channel.h"
#include "fs/worker_conn.h"

#define TICK_MS 500

struct control {
	struct worker *w;
	char *path;
	int listener, kick, signals;
	pthread_t thread;
	struct conns conns;
	atomic_bool committed;       /* the agent's end is not ours any more */
	atomic_bool ready;           /* the agent knows; told of changes from now on */
	atomic_bool quit;            /* all three set by the main thread */
	struct worker_report told;    /* the agent was last told this */
};

static void wake(struct control *c)
{
	uint64_t one = 1;

	if (write(c->kick, &one, sizeof(one)) < 0)
		log_debug("waking the control thread: %s", strerror(errno));
}

/* --- state --- */

static void push_state(struct control *c)
{
	struct worker_report now;
	json_t *event;

	if (!c->ready || worker_stopping(c->w))
		return;
	worker_report(c->w, &now);
	if (now.state == c->told.state && !strcmp(now.reason, c->told.reason))
		return;
	log_info("%s: %s%s%s", c->w->name, worker_state_name(now.state), *now.reason ? ": " : "", now.reason);
	c->told = now;
	event = json_pack("{ss ss so}", "event", "state", "state", worker_state_name(now.state),
			  "reason", channel_text(now.reason));
	if (event)
		channel_send(c->w->channel, event, NULL); /* an agent that is gone asks when it is back */
	json_decref(event);
}

/* --- the thread --- */

enum { POLL_SIGNALS, POLL_KICK, POLL_CHANNEL, POLL_LISTENER, POLL_CONNS };

static void fill_polls(struct control *c, struct pollfd *p)
{
	p[POLL_SIGNALS] = (struct pollfd) { .fd = c->signals, .events = POLLIN };
	p[POLL_KICK] = (struct pollfd) { .fd = c->kick, .events = POLLIN };
	/* Nothing but that it hangs up, which counts only before the mount is ready. */
	p[POLL_CHANNEL] = (struct pollfd) { .fd = c->committed ? -1 : c->w->channel };
	p[POLL_LISTENER] = (struct pollfd) { .events = POLLIN };
	p[POLL_LISTENER].fd = conns_poll(&c->conns, p + POLL_CONNS) ? c->listener : -1;
}

static void handle_events(struct control *c, const struct pollfd *p)
{
	struct signalfd_siginfo info;
	uint64_t count;

	if (p[POLL_SIGNALS].revents && read(c->signals, &info, sizeof(info)) == sizeof(info))
		worker_ask_stop(c->w, strsignal((int)info.ssi_signo));
	if (p[POLL_KICK].revents && read(c->kick, &count, sizeof(count)) < 0)
		log_debug("reading the kick: %s", strerror(errno));
	if (p[POLL_CHANNEL].revents && !c->committed && !worker_stopping(c->w))
		worker_ask_stop(c->w, "the agent is gone before the mount was ready");
	conns_handle(&c->conns, p + POLL_CONNS);
	if (p[POLL_LISTENER].revents)
		conns_accept(&c->conns, c->listener);
}

static void *control_thread(void *arg)
{
	struct control *c = arg;
	struct pollfd p[POLL_CONNS + CONNS_MAX];

	while (!c->quit) {
		fill_polls(c, p);
		if (poll(p, POLL_CONNS + CONNS_MAX, TICK_MS) > 0)
			handle_events(c, p);
		push_state(c);
		worker_enforce_deadline(c->w);
	}
	return NULL;
}

/* --- from the main thread, and kicks from any --- */

static void free_control(struct control *c)
{
	if (c->listener >= 0) {
		close(c->listener);
		unlink(c->path);
	}
	if (c->kick >= 0)
		close(c->kick);
	if (c->signals >= 0)
		close(c->signals);
	free(c->path);
	free(c);
}

static int open_all(struct control *c, struct err *err)
{
	sigset_t signals;

	if (asprintf(&c->path, "%s/control", c->w->job.dir) < 0) {
		c->path = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory for the control socket");
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	c->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	c->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->signals < 0 || c->kick < 0)
		return err_set_errno(err, errno, "can't make the control thread's descriptors");
	c->listener = channel_listen(c->path, err);
	return c->listener < 0 ? -1 : 0;
}

int control_start(struct worker *w, struct err *err)
{
	struct control *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(err, ERR_NO_MEMORY, "out of memory for the control thread");
	c->w = w;
	c->conns.w = w;
	c->listener = c->kick = c->signals = -1;
	if (open_all(c, err) < 0) {
		free_control(c);
		return -1;
	}
	w->control = c;
	rc = pthread_create(&c->thread, NULL, control_thread, c);
	if (!rc)
		return 0;
	w->control = NULL;
	free_control(c);
	return err_set_errno(err, rc, "can't start the control thread");
}

void control_commit(struct worker *w)
{
	w->control->committed = true;
}

void control_ready(struct worker *w)
{
	w->control->told.state = WORKER_READY;
	w->control->ready = true;
	wake(w->control);
}

void control_kick(struct worker *w)
{
	wake(w->control);
}

void control_finish(struct worker *w, const json_t *reply)
{
	struct control *c = w->control;

	c->quit = true;
	wake(c);
	pthread_join(c->thread, NULL);
	conns_finish(&c->conns, reply);
	w->control = NULL;
	free_control(c);
}
