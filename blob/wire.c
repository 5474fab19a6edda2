#include <config.h>

#include "blob/wire_priv.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/wire_error.h"

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

/* libcurl takes and frees its buffers with every transfer: they are to come out of
 * the heap and stay there, not to be mapped and faulted in each time. */
static void global_init(void)
{
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_TRIM_THRESHOLD, 8 << 20);
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int init(struct wire *w, unsigned slots, struct err *err)
{
	w->poll.epoll = w->poll.wake = -1;
	w->multi = curl_multi_init();
	w->slots = calloc(slots, sizeof(*w->slots));
	if (w->multi && w->slots) {
		if (wire_poll_init(&w->poll, w->multi, err) < 0)
			return -1;
		while (w->count < slots && wire_slot_init(&w->slots[w->count], w) == 0) {
			w->slots[w->count].next = w->free;
			w->free = &w->slots[w->count++];
		}
	}
	if (w->count < slots)
		return err_set(err, ERR_NO_MEMORY, "not enough memory for %u connections", slots);
	curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, 2 * (long)slots);
	curl_multi_setopt(w->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	return 0;
}

struct wire *wire_new(unsigned slots, unsigned connect_ms, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct wire *w = calloc(1, sizeof(*w));

	pthread_once(&once, global_init);
	if (!w) {
		err_set(err, ERR_NO_MEMORY, "not enough memory for %u connections", slots);
		return NULL;
	}
	w->connect_ms = connect_ms;
	if (init(w, slots, err) < 0) {
		wire_free(w);
		return NULL;
	}
	return w;
}

void wire_free(struct wire *w)
{
	unsigned i;

	if (!w)
		return;
	for (i = 0; i < w->count; i++) {
		wire_direct_free(&w->slots[i]);
		curl_easy_cleanup(w->slots[i].easy);
	}
	curl_multi_cleanup(w->multi); /* closes the connections: needs the poll still */
	wire_poll_free(&w->poll);
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
	if (s->headers)
		wire_slot_clear(s);
	s->next = s->wire->free;
	s->wire->free = s;
}

/* A free slot, for a direct exchange one that has its connection already; others leave
 * those alone while they can. */
static struct wire_slot *take_slot(struct wire *w, const struct exchange *x, bool direct)
{
	struct wire_slot **p, **best = &w->free, *s;

	for (p = &w->free; *p; p = &(*p)->next) {
		if (direct ? wire_direct_has(*p, x) : (*p)->direct.state == DIRECT_NONE) {
			best = p;
			break;
		}
	}
	s = *best;
	*best = s->next;
	return s;
}

static int start(struct wire_slot *s)
{
	if (s->is_direct)
		return wire_direct_start(s);
	return wire_slot_prepare(s) == 0 && curl_multi_add_handle(s->wire->multi, s->easy) == CURLM_OK ? 0 : -1;
}

int wire_start(struct wire *w, struct exchange *x)
{
	bool direct = wire_direct_fits(x);
	struct wire_slot *s = take_slot(w, x, direct);

	reset_result(x);
	s->x = x;
	x->slot = s;
	s->in = (struct cursor){ x->sink, x->sink ? x->sink_count : 0, 0 };
	s->out = (struct cursor){ x->body, x->body ? x->body_count : 0, 0 };
	s->header_bytes = 0;
	s->resend = s->too_long = s->garbled = s->over = false;
	s->is_direct = direct;
	s->error[0] = '\0';
	if (start(s) == 0)
		return 0;
	wire_direct_close(s);
	release(s);
	exchange_fail(x, WIRE_NO_MEMORY, "not enough memory");
	return -1;
}

static uint64_t uploaded(const struct wire_slot *s)
{
	curl_off_t n = 0;

	if (s->is_direct)
		return s->direct.body_sent;
	curl_easy_getinfo(s->easy, CURLINFO_SIZE_UPLOAD_T, &n);
	return (uint64_t)n;
}

uint64_t wire_progress(const struct exchange *x)
{
	const struct wire_slot *s = x->slot;

	return x->received + x->error_body.len + uploaded(s) + (x->sent ? 1 : 0) +
	       (s->is_direct ? s->direct.reply.header_bytes : s->header_bytes);
}

static void forget_over(struct wire_slot *s)
{
	struct wire_slot **p = &s->wire->over;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
}

void wire_stop(struct wire *w, struct exchange *x, enum wire_result why)
{
	struct wire_slot *s = x->slot;

	x->uploaded = uploaded(s);
	if (s->over)
		forget_over(s);
	else if (s->is_direct)
		wire_direct_close(s);
	else
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

static void describe(struct wire_slot *s, CURL *easy, CURLcode code)
{
	struct exchange *x = s->x;
	long sys = 0;
	char text[128];

	curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &sys);
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
	wire_poll_run(&w->poll);
}

static void add_over(struct wire_slot *s)
{
	s->x->uploaded = uploaded(s);
	s->over = true;
	s->next = s->wire->over;
	s->wire->over = s;
}

void wire_done(struct wire_slot *s, enum wire_result result, const char *reason)
{
	s->x->result = result;
	snprintf(s->x->reason, sizeof(s->x->reason), "%s", reason);
	add_over(s);
}

void wire_fail(struct wire_slot *s, CURL *easy, CURLcode code)
{
	s->x->result = wire_result_of(code, false);
	describe(s, easy, code);
	add_over(s);
}

static struct exchange *take_over(struct wire *w)
{
	struct wire_slot *s = w->over;
	struct exchange *x = s->x;

	w->over = s->next;
	release(s);
	return x;
}

/* One of libcurl's transfers has ended; NULL if that was only a connection being made. */
static struct exchange *take_transfer(struct wire *w, CURL *easy, CURLcode code)
{
	struct wire_slot *s;
	struct exchange *x;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&s);
	if (easy == s->direct.easy) {
		wire_direct_connected(s, code);
		return NULL;
	}
	x = s->x;
	x->uploaded = uploaded(s);
	x->result = classify(s, code);
	if (x->result != WIRE_OK)
		describe(s, easy, code);
	curl_multi_remove_handle(w->multi, easy);
	release(s);
	return x;
}

struct exchange *wire_finished(struct wire *w)
{
	struct exchange *x = NULL;
	CURLMsg *msg;
	int left;

	while (!x && !w->over) {
		msg = curl_multi_info_read(w->multi, &left);
		if (!msg)
			return NULL;
		if (msg->msg == CURLMSG_DONE)
			x = take_transfer(w, msg->easy_handle, msg->data.result);
	}
	return x ? x : take_over(w);
}

void wire_wait(struct wire *w, int timeout_ms)
{
	wire_poll_wait(&w->poll, timeout_ms);
}

void wire_wakeup(struct wire *w)
{
	wire_poll_wakeup(&w->poll);
}
