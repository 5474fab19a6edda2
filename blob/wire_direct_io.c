#include <config.h>

#include "blob/wire_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "blob/clock.h"

#define PIECES 32                 /* of memory in one call: 2 MiB of chunks */
#define LOOK_BYTES 16384          /* a head and what comes with it */

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

/* The connection is gone, by this error or (NULL) because the other side has ended it. */
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

void wire_direct_receive(struct wire_slot *s)
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

void wire_direct_send(struct wire_slot *s)
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
		wire_direct_receive(s);
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

bool wire_direct_silent(struct wire_slot *s)
{
	char byte, text[128];
	const char *why;
	size_t len;

	return receive(&s->direct, &(struct iovec){ &byte, 1 }, 1, &len, &why, text) == WOULD_BLOCK;
}
