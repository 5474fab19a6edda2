#include <config.h>

#include "blob/wire_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "blob/base/cleanup.h"
#include "blob/clock.h"
#include "blob/wire_error.h"

#define REQUEST_HEAD_MAX 65536u
#define PIECES 32                 /* of memory in one call: 2 MiB of chunks */
#define LOOK_BYTES 16384          /* a head and what comes with it */

/* --- what goes this way --- */

/* What libcurl would look at, too. */
static bool proxies(void)
{
	static const char *const names[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return true;
	}
	return false;
}

/* The length of "scheme://host:port"; 0 if there is more in it, or too much. */
static size_t origin_length(const char *url)
{
	const char *host = strstr(url, "://");
	size_t len;

	if (!host)
		return 0;
	host += 3;
	len = strcspn(host, "/?#");
	if (!len || memchr(host, '@', len) || memchr(host, '%', len))
		return 0;
	len += (size_t)(host - url);
	return len < sizeof(((struct wire_direct *)0)->origin) ? len : 0;
}

bool wire_direct_fits(const struct exchange *x)
{
	bool bulk = (!strcmp(x->method, "GET") && x->sink) || (!strcmp(x->method, "PUT") && x->body_len);

	return bulk && !x->collect && origin_length(x->url) && (url_is_loopback(x->url) || !proxies());
}

bool wire_direct_has(const struct wire_slot *s, const struct exchange *x)
{
	const struct wire_direct *d = &s->direct;
	size_t len = strlen(d->origin);

	return d->state == DIRECT_IDLE && origin_length(x->url) == len && !strncmp(x->url, d->origin, len) &&
	       (x->ca_file && d->ca_file ? !strcmp(x->ca_file, d->ca_file) : x->ca_file == d->ca_file);
}

/* --- the request --- */

static int make_head(struct wire_direct *d, const struct exchange *x)
{
	const char *path = x->url + strlen(d->origin);
	size_t i;

	buf_reset(&d->head);
	buf_addf(&d->head, "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: " PACKAGE_NAME "/" PACKAGE_VERSION
		 "\r\nAccept: */*\r\n", x->method, *path == '/' ? "" : "/", path, strstr(d->origin, "://") + 3);
	for (i = 0; i < x->headers->count; i++) {
		buf_addstr(&d->head, x->headers->items[i].name);
		buf_addstr(&d->head, ": ");
		buf_addstr(&d->head, x->headers->items[i].value);
		buf_addstr(&d->head, "\r\n");
	}
	if (x->body_len)
		buf_addf(&d->head, "Content-Length: %llu\r\n", (unsigned long long)x->body_len);
	return buf_addstr(&d->head, "\r\n");
}

static int set_up(struct wire_slot *s)
{
	struct wire_direct *d = &s->direct;
	const struct exchange *x = s->x;
	size_t len = origin_length(x->url);

	if (!d->easy && !(d->easy = wire_easy_new(s)))
		return -1;
	memcpy(d->origin, x->url, len);
	d->origin[len] = '\0';
	d->tls = !strncasecmp(d->origin, "https:", 6);
	free(d->ca_file);
	d->ca_file = x->ca_file ? strdup(x->ca_file) : NULL;
	curl_easy_setopt(d->easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(d->easy, CURLOPT_PROXY, "");
	if ((x->ca_file && !d->ca_file) ||
	    curl_easy_setopt(d->easy, CURLOPT_CAINFO, d->ca_file ? d->ca_file : s->usual_ca) != CURLE_OK ||
	    curl_easy_setopt(d->easy, CURLOPT_URL, d->origin) != CURLE_OK)
		return -1;
	return 0;
}

/* --- the end of an exchange --- */

static void finish(struct wire_slot *s, enum wire_result result, const char *reason)
{
	struct wire_direct *d = &s->direct;

	if (result == WIRE_OK && d->reply.keep && d->state == DIRECT_RECEIVING) {
		d->state = DIRECT_IDLE;
		d->used = true;
		d->idle_since_ms = clock_ms();
	} else {
		wire_direct_close(s);
	}
	wire_done(s, result, reason);
}

/* The connection is gone, by the other side's doing or by an error (0: an end). */
static void lost(struct wire_slot *s, const char *why)
{
	struct wire_direct *d = &s->direct;
	struct wire_reply *r = &d->reply;
	char text[80];

	if (!r->begun && d->used) {
		finish(s, WIRE_RESEND, "the kept connection had been closed");
		return;
	}
	if (!why)
		wire_reply_end(r);
	if (r->complete) {
		finish(s, WIRE_OK, "");
	} else if (!why && r->in_body) {
		snprintf(text, sizeof(text), "the body ended after %llu bytes", (unsigned long long)s->x->received);
		finish(s, WIRE_SHORT, text);
	} else {
		finish(s, WIRE_BROKEN, why ? why : r->begun ? "the connection was closed within the reply" :
		       "the connection was closed without a reply");
	}
}

/* --- moving bytes --- */

enum moved { MOVED, MOVED_ALL, WOULD_BLOCK, LOST };

static enum moved of_curl(CURLcode code, const char **why)
{
	*why = code == CURLE_OK || code == CURLE_AGAIN ? NULL : curl_easy_strerror(code);
	return code == CURLE_OK ? MOVED : code == CURLE_AGAIN ? WOULD_BLOCK : LOST;
}

static enum moved of_errno(char text[128], const char **why)
{
	if (errno == EAGAIN || errno == EINTR)
		return WOULD_BLOCK;
	*why = strerror_r(errno, text, 128);
	return LOST;
}

/* Receive into these pieces; *len is how much came, *why why it is LOST (NULL: the other
 * side has ended it). MOVED_ALL: they are full, there may be more. */
static enum moved receive(struct wire_direct *d, const struct iovec *iov, int count, size_t *len, const char **why,
			  char text[128])
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	enum moved m;
	ssize_t n;

	*len = 0;
	*why = NULL;
	if (d->tls) {
		m = of_curl(curl_easy_recv(d->easy, iov[0].iov_base, iov[0].iov_len, len), why);
		/* There may be more in OpenSSL, of which epoll knows nothing. */
		return m == MOVED ? *len ? MOVED_ALL : LOST : m;
	}
	n = recvmsg(d->fd, &msg, MSG_DONTWAIT);
	if (n < 0)
		return of_errno(text, why);
	*len = (size_t)n;
	return !n ? LOST : *len == iov_length(iov, count) ? MOVED_ALL : MOVED;
}

static void receive_reply(struct wire_slot *s)
{
	struct wire_direct *d = &s->direct;
	struct wire_reply *r = &d->reply;
	enum wire_result result;
	enum moved m = MOVED_ALL;

	while (m == MOVED_ALL) {
		char look[LOOK_BYTES], text[128];
		struct iovec iov[PIECES];
		int count = wire_reply_room(r, iov, PIECES);
		const char *why, *wrong;
		size_t len;

		if (count) {
			m = receive(d, iov, count, &len, &why, text);
			wire_reply_feed_room(r, len);
		} else {
			m = receive(d, &(struct iovec){ look, sizeof(look) }, 1, &len, &why, text);
			r->keep = len && wire_reply_feed(r, look, len) == len && r->keep;
		}
		wrong = wire_reply_wrong(r, &result);
		if (wrong || r->complete) {
			finish(s, result, wrong ? wrong : "");
			return;
		}
		if (m == LOST) {
			lost(s, why);
			return;
		}
	}
}

/* The head's rest and the body's. */
static int pieces_to_send(const struct wire_slot *s, struct iovec iov[PIECES])
{
	const struct wire_direct *d = &s->direct;
	int count = 0;

	if (d->head_sent < d->head.len)
		iov[count++] = (struct iovec){ d->head.data + d->head_sent, d->head.len - d->head_sent };
	return count + cursor_pieces(&s->out, UINT64_MAX, iov + count, PIECES - count);
}

static void sent(struct wire_slot *s, size_t len)
{
	struct wire_direct *d = &s->direct;
	size_t head = d->head.len - d->head_sent;

	if (head > len)
		head = len;
	d->head_sent += head;
	cursor_skip(&s->out, len - head);
	d->body_sent += len - head;
}

static enum moved send_some(struct wire_direct *d, const struct iovec *iov, int count, size_t *len, const char **why,
			    char text[128])
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	ssize_t n;

	*len = 0;
	if (d->tls)
		return of_curl(curl_easy_send(d->easy, iov[0].iov_base, iov[0].iov_len, len), why);
	n = sendmsg(d->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return of_errno(text, why);
	*len = (size_t)n;
	return MOVED;
}

static void send_request(struct wire_slot *s)
{
	struct wire_direct *d = &s->direct;
	struct iovec iov[PIECES];
	const char *why = NULL;
	enum moved m = MOVED;
	char text[128];
	size_t len;
	int count;

	while (m == MOVED && (count = pieces_to_send(s, iov)) > 0) {
		m = send_some(d, iov, count, &len, &why, text);
		sent(s, len);
	}
	switch (m) {
	case LOST:
		/* Its reply to what it has got may have come all the same. */
		receive_reply(s);
		if (d->state == DIRECT_SENDING)
			lost(s, why);
		break;
	case WOULD_BLOCK:
		wire_poll_watch(&s->wire->poll, d->fd, EPOLLIN | EPOLLOUT);
		break;
	default:
		d->state = DIRECT_RECEIVING;
		wire_poll_watch(&s->wire->poll, d->fd, EPOLLIN);
	}
}

static void begin(struct wire_slot *s)
{
	struct wire_direct *d = &s->direct;

	d->state = DIRECT_SENDING;
	s->x->sent = true;
	send_request(s);
}

/* --- the connection --- */

int wire_direct_start(struct wire_slot *s)
{
	struct wire_direct *d = &s->direct;
	struct exchange *x = s->x;
	bool kept = !x->fresh && wire_direct_has(s, x) && clock_ms() - d->idle_since_ms < IDLE_SECONDS * 1000;

	if (!kept) {
		wire_direct_close(s);
		if (set_up(s) < 0)
			return -1;
	}
	d->head_sent = 0;
	d->body_sent = 0;
	wire_reply_init(&d->reply, x);
	if (make_head(d, x) < 0)
		return -1;
	if (kept) {
		begin(s);
		return 0;
	}
	if (curl_multi_add_handle(s->wire->multi, d->easy) != CURLM_OK)
		return -1;
	d->state = DIRECT_CONNECTING;
	d->used = false;
	return 0;
}

void wire_direct_connected(struct wire_slot *s, CURLcode code)
{
	struct wire_direct *d = &s->direct;

	if (code == CURLE_OK)
		code = curl_easy_getinfo(d->easy, CURLINFO_ACTIVESOCKET, &d->fd);
	if (code != CURLE_OK) {
		wire_fail(s, d->easy, code);
		wire_direct_close(s);
		return;
	}
	wire_poll_lend(&s->wire->poll, d->fd, s);
	begin(s);
}

/* On an idle connection nothing comes but its end; and TLS's own messages. */
static void look_at_idle(struct wire_slot *s)
{
	char byte, text[128];
	const char *why;
	size_t len;

	if (receive(&s->direct, &(struct iovec){ &byte, 1 }, 1, &len, &why, text) != WOULD_BLOCK)
		wire_direct_close(s);
}

void wire_direct_ready(struct wire_slot *s, uint32_t events)
{
	struct wire_direct *d = &s->direct;

	if (d->state == DIRECT_IDLE) {
		look_at_idle(s);
		return;
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		receive_reply(s);
	if (d->state == DIRECT_SENDING && events & EPOLLOUT)
		send_request(s);
}

void wire_direct_close(struct wire_slot *s)
{
	struct wire_direct *d = &s->direct;

	if (d->state != DIRECT_NONE)
		curl_multi_remove_handle(s->wire->multi, d->easy); /* closes the connection */
	d->state = DIRECT_NONE;
}

void wire_direct_free(struct wire_slot *s)
{
	struct wire_direct *d = &s->direct;

	wire_direct_close(s);
	curl_easy_cleanup(d->easy);
	free(d->ca_file);
	buf_wipe(&d->head);
}
