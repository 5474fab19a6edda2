#include <config.h>

#include "blob/wire_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/clock.h"

#define BOTH (EPOLLIN | EPOLLOUT)

/* Make room for `fd`; NULL when there is no memory. */
static struct wire_socket *socket_of(struct wire_poll *p, curl_socket_t fd)
{
	if (fd >= p->count) {
		int count = fd < 64 ? 128 : 2 * fd;
		struct wire_socket *more = realloc(p->sockets, (size_t)count * sizeof(*more));

		if (!more)
			return NULL;
		memset(more + p->count, 0, (size_t)(count - p->count) * sizeof(*more));
		p->sockets = more;
		p->count = count;
	}
	return &p->sockets[fd];
}

/* A socket that epoll refuses is not heard; its transfer stalls and is given up. */
static void watch(struct wire_poll *p, curl_socket_t fd, struct wire_socket *s, uint8_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };
	int op = !events ? EPOLL_CTL_DEL : s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (events == s->watched)
		return;
	if (epoll_ctl(p->epoll, op, fd, &ev) == 0 || !events)
		s->watched = events;
}

/* Never fails: libcurl gives up all transfers of a handle whose callback did. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	struct wire_poll *p = arg;
	struct wire_socket *s = socket_of(p, fd);

	if (!s)
		return 0;
	s->wanted = what == CURL_POLL_IN ? EPOLLIN : what == CURL_POLL_OUT ? EPOLLOUT :
		    what == CURL_POLL_INOUT ? BOTH : 0;
	if (s->wanted || !s->connection)
		watch(p, fd, s, s->wanted);
	return 0;
}

/* One more than a whole number of milliseconds: called too early, libcurl would not
 * say again when it wants to be. */
static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct wire_poll *p = arg;

	p->due_ms = timeout_ms < 0 ? UINT64_MAX : clock_ms() + (uint64_t)timeout_ms + (timeout_ms > 0);
	return 0;
}

static int on_open(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct wire_socket *s = socket_of(arg, fd);

	if (s)
		*s = (struct wire_socket){ .connection = true };
	return CURL_SOCKOPT_OK;
}

/* What is closed leaves the epoll set by itself. */
static int on_close(void *arg, curl_socket_t fd)
{
	struct wire_poll *p = arg;

	if (fd < p->count)
		p->sockets[fd] = (struct wire_socket){ 0 };
	return close(fd);
}

int wire_poll_init(struct wire_poll *p, CURLM *multi, struct err *err)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET }; /* each wake-up once, unread */

	p->multi = multi;
	p->due_ms = UINT64_MAX;
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ev.data.fd = p->wake;
	if (p->epoll < 0 || p->wake < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->wake, &ev) < 0)
		return err_set_errno(err, errno, "can't wait for the network");
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, p);
	return 0;
}

void wire_poll_free(struct wire_poll *p)
{
	if (p->epoll >= 0)
		close(p->epoll);
	if (p->wake >= 0)
		close(p->wake);
	free(p->sockets);
}

void wire_poll_watch_easy(struct wire_poll *p, CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_open);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, p);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, p);
}

void wire_poll_watch(struct wire_poll *p, curl_socket_t fd, uint8_t events)
{
	if (fd < p->count)
		watch(p, fd, &p->sockets[fd], events);
}

void wire_poll_lend(struct wire_poll *p, curl_socket_t fd, struct wire_slot *s)
{
	if (fd < p->count)
		p->sockets[fd].lent = s;
	wire_poll_watch(p, fd, EPOLLIN);
}

/* An error or a hang-up is told as what libcurl waits for: it finds out by itself,
 * and reads what came before it. */
static int to_curl(uint32_t events, uint8_t wanted)
{
	if (events & (EPOLLERR | EPOLLHUP))
		events |= wanted;
	return (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
}

static void tell(struct wire_poll *p, const struct epoll_event *ev)
{
	curl_socket_t fd = ev->data.fd;
	struct wire_socket *s;
	int running;

	if (fd == p->wake)
		return;
	s = &p->sockets[fd];
	if (s->lent)
		wire_direct_ready(s->lent, ev->events);
	else if (s->wanted)
		curl_multi_socket_action(p->multi, fd, to_curl(ev->events, s->wanted), &running);
	else if (s->watched)
		watch(p, fd, s, 0);
}

void wire_poll_run(struct wire_poll *p)
{
	int i, running;

	for (i = 0; i < p->ready_count; i++)
		tell(p, &p->ready[i]);
	p->ready_count = 0;
	if (p->due_ms <= clock_ms()) {
		p->due_ms = UINT64_MAX; /* libcurl says when it wants to be called again */
		curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

/* Looks at the sockets even if libcurl's time has come: a transfer that never runs
 * dry is due again and again. */
void wire_poll_wait(struct wire_poll *p, int timeout_ms)
{
	uint64_t now = clock_ms();
	int n;

	if (p->due_ms <= now)
		timeout_ms = 0;
	else if (p->due_ms - now < (uint64_t)timeout_ms)
		timeout_ms = (int)(p->due_ms - now);
	n = epoll_wait(p->epoll, p->ready, ARRAY_LEN(p->ready), timeout_ms);
	p->ready_count = n < 0 ? 0 : n;
}

void wire_poll_wakeup(struct wire_poll *p)
{
	static const uint64_t one = 1;

	(void)!write(p->wake, &one, sizeof(one));
}
