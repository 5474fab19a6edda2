#include <config.h>

#include "blob/wire.h"

#include <curl/curl.h>

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "blob/cursor.h"
#include "blob/url.h"
#include "blob/wire_error.h"

#define HEAD_MAX 65536u
#define ERROR_BODY_MAX 65536u

/* Bytes that libcurl moves between socket and callback at once: enough to keep
 * the number of system calls small at line rate. */
#define RECEIVE_BUFFER (256L << 10)
#define SEND_BUFFER (512L << 10)

/* Idle connections are used again only while the other side certainly keeps
 * them: Azurite closes after 5 s. */
#define IDLE_SECONDS 4L

/*
 * free (x NULL, on the free list)  -> busy (x set, easy in multi)
 * busy -> free, when finished or stopped.
 */
struct wire_slot {
	struct wire_slot *next; /* free list */
	struct wire *wire;
	struct exchange *x;
	CURL *easy;
	struct curl_slist *headers;
	struct cursor in, out;
	uint64_t header_bytes;
	bool resend, too_long, garbled;
	char error[CURL_ERROR_SIZE];
};

struct wire {
	CURLM *multi;
	struct wire_slot *slots, *free;
	unsigned count;
	unsigned connect_ms;
};

void exchange_init(struct exchange *x)
{
	memset(x, 0, sizeof(*x));
	x->head = (struct buf)BUF_INIT(HEAD_MAX);
	x->error_body = (struct buf)BUF_INIT(ERROR_BODY_MAX);
}

void exchange_free(struct exchange *x)
{
	buf_free(&x->head);
	buf_free(&x->error_body);
}

static void reset_result(struct exchange *x)
{
	x->result = WIRE_OK;
	x->reason[0] = '\0';
	x->sent = false;
	x->status = 0;
	x->received = 0;
	x->uploaded = 0;
	buf_reset(&x->head);
	buf_reset(&x->error_body);
	if (x->collect)
		buf_reset(x->collect);
}

void exchange_fail(struct exchange *x, enum wire_result why, const char *reason)
{
	reset_result(x);
	x->result = why;
	snprintf(x->reason, sizeof(x->reason), "%s", reason);
}

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
static int set_headers(struct wire_slot *s)
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

static void set_method(CURL *e, const struct exchange *x)
{
	if (!strcmp(x->method, "HEAD")) {
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	} else if (!strcmp(x->method, "PUT")) {
		curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->body_len);
		curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER);
	} else {
		curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
		if (strcmp(x->method, "GET") != 0)
			curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, x->method);
	}
}

static void set_options(struct wire_slot *s)
{
	CURL *e = s->easy;
	const struct exchange *x = s->x;

	curl_easy_setopt(e, CURLOPT_PRIVATE, s);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, s->error);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION);
	curl_easy_setopt(e, CURLOPT_URL, x->url);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L); /* it is signed as it stands */
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, s->headers);
	if (url_is_loopback(x->url))
		curl_easy_setopt(e, CURLOPT_PROXY, ""); /* not even the environment's */
	if (x->fresh)
		curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	if (x->ca_file)
		curl_easy_setopt(e, CURLOPT_CAINFO, x->ca_file);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)s->wire->connect_ms);
	curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, IDLE_SECONDS);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	/* Stopping an exchange must not wait for a resolver that hangs. */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_prerequest);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, s);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, s);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_receive);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, s);
	curl_easy_setopt(e, CURLOPT_READFUNCTION, on_send);
	curl_easy_setopt(e, CURLOPT_READDATA, s);
	set_method(e, x);
}

/* libcurl takes and frees its buffers with every transfer: they are to come out of
 * the heap and stay there, not to be mapped and faulted in each time. */
static void global_init(void)
{
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_TRIM_THRESHOLD, 8 << 20);
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct wire *wire_new(unsigned slots, unsigned connect_ms, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct wire *w = calloc(1, sizeof(*w));
	unsigned i;

	pthread_once(&once, global_init);
	if (w) {
		w->connect_ms = connect_ms;
		w->multi = curl_multi_init();
		w->slots = calloc(slots, sizeof(*w->slots));
	}
	for (i = 0; w && w->multi && w->slots && i < slots; i++) {
		struct wire_slot *s = &w->slots[i];

		s->easy = curl_easy_init();
		if (!s->easy)
			break;
		s->wire = w;
		s->next = w->free;
		w->free = s;
		w->count++;
	}
	if (!w || w->count < slots) {
		wire_free(w);
		err_set(err, ERR_NO_MEMORY, "not enough memory for %u connections", slots);
		return NULL;
	}
	curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, (long)slots);
	curl_multi_setopt(w->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	return w;
}

void wire_free(struct wire *w)
{
	unsigned i;

	if (!w)
		return;
	for (i = 0; i < w->count; i++)
		curl_easy_cleanup(w->slots[i].easy);
	curl_multi_cleanup(w->multi);
	free(w->slots);
	free(w);
}

bool wire_full(const struct wire *w)
{
	return !w->free;
}

static void release(struct wire_slot *s)
{
	s->x->slot = NULL;
	s->x = NULL;
	curl_easy_reset(s->easy);
	curl_slist_free_all(s->headers);
	s->headers = NULL;
	s->next = s->wire->free;
	s->wire->free = s;
}

int wire_start(struct wire *w, struct exchange *x)
{
	struct wire_slot *s = w->free;

	reset_result(x);
	w->free = s->next;
	s->x = x;
	x->slot = s;
	s->in = (struct cursor){ x->sink, x->sink ? x->sink_count : 0, 0 };
	s->out = (struct cursor){ x->body, x->body ? x->body_count : 0, 0 };
	s->header_bytes = 0;
	s->resend = s->too_long = s->garbled = false;
	s->error[0] = '\0';
	if (set_headers(s) == 0) {
		set_options(s);
		if (curl_multi_add_handle(w->multi, s->easy) == CURLM_OK)
			return 0;
	}
	release(s);
	exchange_fail(x, WIRE_NO_MEMORY, "not enough memory");
	return -1;
}

static uint64_t uploaded(const struct wire_slot *s)
{
	curl_off_t n = 0;

	curl_easy_getinfo(s->easy, CURLINFO_SIZE_UPLOAD_T, &n);
	return (uint64_t)n;
}

uint64_t wire_progress(const struct exchange *x)
{
	return x->received + x->error_body.len + x->slot->header_bytes + uploaded(x->slot) +
	       (x->sent ? 1 : 0);
}

void wire_stop(struct wire *w, struct exchange *x, enum wire_result why)
{
	struct wire_slot *s = x->slot;

	x->uploaded = uploaded(s);
	curl_multi_remove_handle(w->multi, s->easy);
	x->result = why;
	if (!x->sent)
		snprintf(x->reason, sizeof(x->reason), "no connection was made");
	else if (x->received)
		snprintf(x->reason, sizeof(x->reason), "only %llu bytes of the reply came",
			 (unsigned long long)x->received);
	else if (x->uploaded < x->body_len)
		snprintf(x->reason, sizeof(x->reason), "only %llu of %llu bytes could be sent",
			 (unsigned long long)x->uploaded, (unsigned long long)x->body_len);
	else
		snprintf(x->reason, sizeof(x->reason), "no reply to the request");
	release(s);
}

static enum wire_result classify(const struct wire_slot *s, CURLcode code)
{
	if (s->resend)
		return WIRE_RESEND;
	if (s->too_long)
		return WIRE_TOO_LONG;
	if (s->garbled || (code == CURLE_OK && !s->x->status))
		return WIRE_GARBLED;
	return wire_result_of(code, s->x->sent);
}

static void describe(struct wire_slot *s, CURLcode code)
{
	struct exchange *x = s->x;
	long sys = 0;
	char text[128];

	curl_easy_getinfo(s->easy, CURLINFO_OS_ERRNO, &sys);
	if (x->result == WIRE_CONNECT && sys)
		snprintf(x->reason, sizeof(x->reason), "%s",
			 strerror_r((int)sys, text, sizeof(text)));
	else if (x->result == WIRE_CONNECT && code == CURLE_OPERATION_TIMEDOUT)
		snprintf(x->reason, sizeof(x->reason), "no answer within %u ms",
			 s->wire->connect_ms);
	else if (x->result == WIRE_SHORT)
		snprintf(x->reason, sizeof(x->reason), "the body ended after %llu bytes",
			 (unsigned long long)x->received);
	else if (x->result == WIRE_TOO_LONG)
		snprintf(x->reason, sizeof(x->reason), "the body is longer than what was asked for");
	else if (x->result == WIRE_RESEND)
		snprintf(x->reason, sizeof(x->reason), "the kept connection had been closed");
	else
		snprintf(x->reason, sizeof(x->reason), "%s",
			 s->error[0] ? s->error : curl_easy_strerror(code));
}

void wire_run(struct wire *w)
{
	int running;

	curl_multi_perform(w->multi, &running);
}

struct exchange *wire_finished(struct wire *w)
{
	struct wire_slot *s;
	struct exchange *x;
	CURLMsg *msg;
	CURLcode code;
	int left;

	do {
		msg = curl_multi_info_read(w->multi, &left);
		if (!msg)
			return NULL;
	} while (msg->msg != CURLMSG_DONE);
	code = msg->data.result;
	curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&s);
	x = s->x;
	x->uploaded = uploaded(s);
	x->result = classify(s, code);
	if (x->result != WIRE_OK)
		describe(s, code);
	curl_multi_remove_handle(w->multi, s->easy);
	release(s);
	return x;
}

void wire_wait(struct wire *w, int timeout_ms)
{
	curl_multi_poll(w->multi, NULL, 0, timeout_ms, NULL);
}

void wire_wakeup(struct wire *w)
{
	curl_multi_wakeup(w->multi);
}
