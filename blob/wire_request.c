#include <config.h>

#include "blob/wire_priv.h"

#include <stdio.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "blob/url.h"

/* Bytes that libcurl moves between socket and callback at once: enough to keep
 * the number of system calls small at line rate. libcurl takes and frees the buffer
 * with every transfer, so a small reply gets a small one. */
#define RECEIVE_BUFFER (256L << 10)
#define RECEIVE_BUFFER_MIN (16L << 10)
#define SEND_BUFFER (512L << 10)

static int on_prerequest(void *arg, char *to, char *from, int to_port, int from_port)
{
	struct wire_slot *s = arg;

	if (s->x->sent) {
		s->resend = true;
		return CURL_PREREQFUNC_ABORT;
	}
	s->x->sent = true;
	return CURL_PREREQFUNC_OK;
}

static size_t on_header(char *line, size_t one, size_t len, void *arg)
{
	struct wire_slot *s = arg;
	struct exchange *x = s->x;
	long status;

	s->header_bytes += len;
	if (len > 5 && !strncmp(line, "HTTP/", 5))
		buf_reset(&x->head); /* what came before was a 1xx */
	if (buf_add(&x->head, line, len) < 0) {
		s->garbled = true;
		return 0;
	}
	if (len <= 2 && (*line == '\r' || *line == '\n')) {
		curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
		if (status >= 200)
			x->status = (int)status;
	}
	return len;
}

static size_t on_receive(char *data, size_t one, size_t len, void *arg)
{
	struct wire_slot *s = arg;
	struct exchange *x = s->x;
	size_t n = len;

	if (x->status < 200 || x->status > 299) {
		size_t room = x->error_body.max - x->error_body.len;

		buf_add(&x->error_body, data, len < room ? len : room);
		return len;
	}
	if (x->sink)
		n = cursor_put(&s->in, data, len);
	else if (x->collect && buf_add(x->collect, data, len) < 0)
		n = 0;
	x->received += n;
	s->too_long = n < len;
	return n;
}

static size_t on_send(char *data, size_t one, size_t len, void *arg)
{
	struct wire_slot *s = arg;

	return cursor_get(&s->out, data, one * len);
}

/* To every request libcurl may only add Host, User-Agent, Accept and
 * Content-Length; none of them is signed but the last. */
static int make_headers(struct wire_slot *s)
{
	cleanup_buf struct buf line = BUF_INIT(HEAD_MAX);
	struct curl_slist *list, *longer;
	const struct pairs *headers = s->x->headers;
	size_t i;

	list = curl_slist_append(NULL, "Expect:");
	for (i = 0; list && i < headers->count; i++) {
		const struct pair *h = &headers->items[i];

		buf_reset(&line);
		/* "Name;" is libcurl's spelling of a header without a value. */
		if (buf_addf(&line, *h->value ? "%s: %s" : "%s;", h->name, h->value) < 0)
			break;
		longer = curl_slist_append(list, line.data);
		if (!longer)
			break;
		list = longer;
	}
	s->headers = list;
	return list && i == headers->count ? 0 : -1;
}

/* The slot's last request may have had any other method. */
static void set_method(CURL *e, const struct exchange *x)
{
	curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, NULL);
	if (!strcmp(x->method, "HEAD")) {
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	} else if (!strcmp(x->method, "PUT")) {
		curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->body_len);
	} else if (strcmp(x->method, "GET") != 0) {
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, x->method);
	}
}

static long receive_buffer(const struct exchange *x)
{
	if (!x->sink || x->sink_len <= (uint64_t)RECEIVE_BUFFER_MIN)
		return RECEIVE_BUFFER_MIN;
	return x->sink_len < (uint64_t)RECEIVE_BUFFER ? (long)x->sink_len : RECEIVE_BUFFER;
}

CURL *wire_easy_new(struct wire_slot *s)
{
	CURL *e = curl_easy_init();

	if (!e)
		return NULL;
	wire_poll_watch_easy(&s->wire->poll, e);
	curl_easy_setopt(e, CURLOPT_PRIVATE, s);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, s->error);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)s->wire->connect_ms);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	/* Stopping an exchange must not wait for a resolver that hangs. */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	return e;
}

int wire_slot_init(struct wire_slot *s, struct wire *w)
{
	CURL *e;

	s->wire = w;
	s->direct.head = (struct buf)BUF_INIT(HEAD_MAX);
	s->easy = e = wire_easy_new(s);
	if (!e)
		return -1;
	curl_easy_getinfo(e, CURLINFO_CAINFO, &s->usual_ca);
	curl_easy_setopt(e, CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L); /* it is signed as it stands */
	curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)IDLE_SECONDS);
	curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_prerequest);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, s);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, s);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_receive);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, s);
	curl_easy_setopt(e, CURLOPT_READFUNCTION, on_send);
	curl_easy_setopt(e, CURLOPT_READDATA, s);
	return 0;
}

int wire_slot_prepare(struct wire_slot *s)
{
	CURL *e = s->easy;
	const struct exchange *x = s->x;

	if (make_headers(s) < 0)
		return -1;
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, s->headers);
	/* loopback: not even the environment's proxy */
	curl_easy_setopt(e, CURLOPT_PROXY, url_is_loopback(x->url) ? "" : NULL);
	curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, x->fresh ? 1L : 0L);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, receive_buffer(x));
	set_method(e, x);
	if (curl_easy_setopt(e, CURLOPT_CAINFO, x->ca_file ? x->ca_file : s->usual_ca) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_URL, x->url) != CURLE_OK)
		return -1;
	return 0;
}

void wire_slot_clear(struct wire_slot *s)
{
	curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(s->headers);
	s->headers = NULL;
}
