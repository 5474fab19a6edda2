#include <config.h>

#include "tests/unit/httpd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

struct connection {
	struct httpd *server;
	unsigned index;
	int fd;
	char buffer[65536];
	size_t have;
};

void httpd_send(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len && (n = send(fd, p, len, MSG_NOSIGNAL)) > 0) {
		p += n;
		len -= (size_t)n;
	}
}

void httpd_text(int fd, const char *text)
{
	httpd_send(fd, text, strlen(text));
}

void httpd_reply(int fd, int status, const char *headers, const void *body, size_t len)
{
	char head[4096];

	/* These replies have no body (RFC 9110 section 6.4.1): one that was sent would
	 * be taken for the head of the next reply. */
	if (status == 204 || status == 304)
		len = 0;
	snprintf(head, sizeof(head), "HTTP/1.1 %d x\r\n%sContent-Length: %zu\r\n\r\n", status, headers,
		 len);
	httpd_text(fd, head);
	httpd_send(fd, body, len);
}

const char *httpd_header(const struct httpd_request *r, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);
	const char *line;

	for (line = r->head; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		line += len + 1;
		line += strspn(line, " \t");
		snprintf(out, size, "%.*s", (int)strcspn(line, "\r\n"), line);
		return out;
	}
	return NULL;
}

/* The next request on the connection; false at its end. */
static bool read_request(struct connection *c, struct httpd_request *r)
{
	char number[32];
	char *end;
	size_t head, body, n;
	ssize_t got;

	while (!(end = memmem(c->buffer, c->have, "\r\n\r\n", 4))) {
		if (c->have == sizeof(c->buffer))
			return false;
		got = recv(c->fd, c->buffer + c->have, sizeof(c->buffer) - c->have, 0);
		if (got <= 0)
			return false;
		c->have += (size_t)got;
	}
	head = (size_t)(end - c->buffer) + 4;
	snprintf(r->head, sizeof(r->head), "%.*s", (int)head, c->buffer);
	if (sscanf(r->head, "%15s %4095s", r->method, r->target) != 2)
		return false;
	r->body_len = httpd_header(r, "Content-Length", number, sizeof(number)) ?
		      strtoul(number, NULL, 10) : 0;
	r->body = malloc(r->body_len + 1);
	body = c->have - head < r->body_len ? c->have - head : r->body_len;
	memcpy(r->body, c->buffer + head, body);
	c->have -= head + body;
	memmove(c->buffer, c->buffer + head + body, c->have);
	for (n = body; n < r->body_len; n += (size_t)got) {
		got = recv(c->fd, r->body + n, r->body_len - n, 0);
		if (got <= 0) {
			free(r->body);
			return false;
		}
	}
	return true;
}

static void reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void *serve(void *arg)
{
	struct connection *c = arg;
	struct httpd *h = c->server;
	struct httpd_request *r = calloc(1, sizeof(*r));
	enum httpd_then then = HTTPD_KEEP;

	while (then == HTTPD_KEEP && read_request(c, r)) {
		pthread_mutex_lock(&h->lock);
		r->number = ++h->requests;
		r->on_connection++;
		pthread_mutex_unlock(&h->lock);
		then = h->handler(c->fd, r, h->arg);
		free(r->body);
	}
	free(r);
	pthread_mutex_lock(&h->lock);
	if (then == HTTPD_RESET)
		reset(c->fd);
	close(c->fd);
	h->fds[c->index] = -1;
	h->open--;
	pthread_mutex_unlock(&h->lock);
	free(c);
	return NULL;
}

static void *accept_all(void *arg)
{
	struct httpd *h = arg;
	struct connection *c;
	int fd, one = 1;

	while ((fd = accept(h->fd, NULL, NULL)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c = calloc(1, sizeof(*c));
		c->server = h;
		c->fd = fd;
		pthread_mutex_lock(&h->lock);
		if (h->stopping || h->connections == HTTPD_CONNECTIONS_MAX) {
			pthread_mutex_unlock(&h->lock);
			close(fd);
			free(c);
			continue;
		}
		c->index = h->connections++;
		h->fds[c->index] = fd;
		if (++h->open > h->most_open)
			h->most_open = h->open;
		pthread_create(&h->threads[c->index], NULL, serve, c);
		pthread_mutex_unlock(&h->lock);
	}
	return NULL;
}

void httpd_start(struct httpd *h, httpd_handler *handler, void *arg)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);

	memset(h, 0, sizeof(*h));
	h->handler = handler;
	h->arg = arg;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(h->fd >= 0);
	assert_int_equal(bind(h->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(h->fd, 1024), 0);
	assert_int_equal(getsockname(h->fd, (struct sockaddr *)&addr, &len), 0);
	h->port = ntohs(addr.sin_port);
	snprintf(h->endpoint, sizeof(h->endpoint), "http://127.0.0.1:%d/acc", h->port);
	assert_int_equal(pthread_create(&h->acceptor, NULL, accept_all, h), 0);
}

void httpd_stop(struct httpd *h)
{
	unsigned i, count;

	pthread_mutex_lock(&h->lock);
	h->stopping = true;
	count = h->connections;
	for (i = 0; i < count; i++)
		if (h->fds[i] >= 0)
			shutdown(h->fds[i], SHUT_RDWR);
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
	shutdown(h->fd, SHUT_RDWR);
	pthread_join(h->acceptor, NULL);
	close(h->fd);
	for (i = 0; i < count; i++)
		pthread_join(h->threads[i], NULL);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->changed);
}

unsigned httpd_requests(struct httpd *h)
{
	unsigned n;

	pthread_mutex_lock(&h->lock);
	n = h->requests;
	pthread_mutex_unlock(&h->lock);
	return n;
}

void httpd_hang(struct httpd *h)
{
	pthread_mutex_lock(&h->lock);
	while (!h->stopping)
		pthread_cond_wait(&h->changed, &h->lock);
	pthread_mutex_unlock(&h->lock);
}
