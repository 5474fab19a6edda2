/* The client against a server of the test's own: what travels, what is repeated,
 * what is not, and that every operation ends exactly once. */
#include <config.h>

#include <stdlib.h>
#include <unistd.h>

#include "blob/clock.h"
#include "blob/op.h"
#include "tests/unit/client_fixture.h"

static struct fixture f;
static struct err err;

static uint64_t first_byte(const struct httpd_request *r)
{
	char range[64];

	return httpd_header(r, "Range", range, sizeof(range)) ? strtoull(range + 6, NULL, 10) : 0;
}

static uint64_t last_byte(const struct httpd_request *r)
{
	char range[64];

	return httpd_header(r, "Range", range, sizeof(range)) ?
	       strtoull(strchr(range, '-') + 1, NULL, 10) : 0;
}

/* The part of f.data that was asked for, as a service sends it. */
static void send_part(int fd, const struct httpd_request *r, size_t really)
{
	uint64_t first = first_byte(r), len = last_byte(r) - first + 1;
	char head[256];

	snprintf(head, sizeof(head), "HTTP/1.1 206 x\r\nETag: \"1\"\r\nContent-Length: %llu\r\n"
		 "Content-Range: bytes %llu-%llu/%zu\r\n\r\n", (unsigned long long)len,
		 (unsigned long long)first, (unsigned long long)(first + len - 1), sizeof(f.data));
	httpd_text(fd, head);
	httpd_send(fd, f.data + first, really < len ? really : len);
}

static int get(uint64_t offset, void *data, size_t len)
{
	return blob_get_range(f.client, &the_blob, offset, data, len, NULL, &err);
}

static void put(struct waited *w, size_t len)
{
	blob_put_pages_start(f.client, &the_blob, 0, &(struct iovec){ f.data, len }, 1, NULL, "lease",
			     fixture_remember, w);
}

/* --- what travels --- */

static enum httpd_then serve_part(int fd, const struct httpd_request *r, void *arg)
{
	send_part(fd, r, SIZE_MAX);
	return HTTPD_KEEP;
}

static void scatter(void **state)
{
	unsigned char a[100], b[1], c[5000], untouched = 0xee;
	struct iovec iov[] = { { a, 100 }, { NULL, 0 }, { b, 1 }, { &untouched, 0 }, { c, 5000 } };
	struct waited w = WAITED_INIT;

	fixture_start(&f, serve_part, NULL);
	blob_get_range_start(f.client, &the_blob, 777, iov, 5, NULL, fixture_remember, &w);
	waited_wait(&w);
	assert_code(&w.err, ERR_NONE);
	assert_memory_equal(a, f.data + 777, 100);
	assert_memory_equal(b, f.data + 877, 1);
	assert_memory_equal(c, f.data + 878, 5000);
	assert_int_equal(untouched, 0xee);
	assert_string_equal(w.etag, "\"1\"");
	fixture_stop(&f);
}

static enum httpd_then check_put(int fd, const struct httpd_request *r, void *arg)
{
	char value[256];
	bool fine = !strcmp(r->method, "PUT") && !httpd_header(r, "Transfer-Encoding", value, 256) &&
		    !httpd_header(r, "Expect", value, 256) &&
		    httpd_header(r, "Content-Length", value, 256) &&
		    strtoul(value, NULL, 10) == r->body_len;

	if (strstr(r->target, "comp=page") && fine) {
		httpd_header(r, "x-ms-page-write", value, sizeof(value));
		fine = !strcmp(value, r->body_len ? "update" : "clear") &&
		       httpd_header(r, "x-ms-lease-id", value, sizeof(value)) &&
		       !strcmp(value, "lease");
	}
	if (r->body_len > 10)
		fine = fine && !memcmp(r->body, f.data, 30000) &&
		       !memcmp(r->body + r->body_len - 1000, f.data + 17, 1000);
	httpd_reply(fd, fine ? 201 : 400, "", "", 0);
	return HTTPD_KEEP;
}

static void uploads(void **state)
{
	struct iovec iov[200];
	struct waited w[3] = { WAITED_INIT, WAITED_INIT, WAITED_INIT };
	size_t i, len = 0;

	fixture_start(&f, check_put, NULL);
	iov[0] = (struct iovec){ f.data, 60000 };
	for (i = 1; i < 199; i++)
		iov[i] = (struct iovec){ f.data + i, 20000 + i };
	iov[199] = (struct iovec){ f.data + 17, 1000 };
	for (i = 0; i < 200; i++)
		len += iov[i].iov_len;
	iov[5].iov_len -= len % 512;
	blob_put_pages_start(f.client, &the_blob, 512, iov, 200, NULL, "lease", fixture_remember, &w[0]);
	blob_clear_pages_start(f.client, &the_blob, 512, 1 << 30, "lease", fixture_remember, &w[1]);
	waited_wait(&w[0]);
	waited_wait(&w[1]);
	assert_code(&w[0].err, ERR_NONE);
	assert_code(&w[1].err, ERR_NONE);
	if (blob_lease_break(f.client, &the_blob, 0, &err) < 0)
		fail_msg("%s", err.msg);
	fixture_stop(&f);
}

/* --- what is repeated --- */

static enum httpd_then first_is_cut(int fd, const struct httpd_request *r, void *arg)
{
	send_part(fd, r, r->number == 1 ? 500 : SIZE_MAX);
	return r->number == 1 ? HTTPD_CLOSE : HTTPD_KEEP;
}

static enum httpd_then first_is_reset(int fd, const struct httpd_request *r, void *arg)
{
	if (r->number == 1)
		return HTTPD_RESET;
	return serve_part(fd, r, arg);
}

static enum httpd_then first_is_short(int fd, const struct httpd_request *r, void *arg)
{
	if (r->number > 1)
		return serve_part(fd, r, arg);
	httpd_reply(fd, 206, "Content-Range: bytes 0-1999/65536\r\n", f.data, 500);
	return HTTPD_KEEP;
}

static enum httpd_then first_is_garbled(int fd, const struct httpd_request *r, void *arg)
{
	if (r->number > 1)
		return serve_part(fd, r, arg);
	httpd_reply(fd, 500, "", "<Error>", 7);
	return HTTPD_KEEP;
}

static void repeated(void **state)
{
	httpd_handler *const handlers[] = { first_is_cut, first_is_reset, first_is_short,
					    first_is_garbled };
	unsigned char data[2000];
	struct blob_client_stats stats;
	size_t i;

	for (i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		memset(data, 0, sizeof(data));
		fixture_start(&f, handlers[i], NULL);
		if (get(0, data, sizeof(data)) < 0)
			fail_msg("%zu: %s", i, err.msg);
		assert_memory_equal(data, f.data, sizeof(data));
		assert_int_equal(httpd_requests(&f.server), 2);
		blob_client_stats(f.client, &stats);
		assert_int_equal(stats.requests, 2);
		assert_int_equal(stats.retries, 1);
		assert_false(stats.troubled);
		assert_int_not_equal(stats.last_error, ERR_NONE);
		fixture_stop(&f);
	}
}

static enum httpd_then busy_once(int fd, const struct httpd_request *r, void *arg)
{
	if (r->number > 1)
		return serve_part(fd, r, arg);
	httpd_reply(fd, 503, "Retry-After: 2\r\nx-ms-error-code: ServerBusy\r\n", "", 0);
	return HTTPD_KEEP;
}

static void retry_after(void **state)
{
	uint64_t begun = clock_ms();
	char data[512];

	fixture_start(&f, busy_once, NULL);
	assert_int_equal(get(0, data, 512), 0);
	assert_true(clock_ms() - begun >= 2000);
	assert_int_equal(httpd_requests(&f.server), 2);
	fixture_stop(&f);
}

static enum httpd_then always_busy(int fd, const struct httpd_request *r, void *arg)
{
	httpd_reply(fd, 503, "Retry-After: 1\r\nx-ms-error-code: ServerBusy\r\nx-ms-request-id: id-1\r\n", "", 0);
	return HTTPD_KEEP;
}

static void busy_to_the_end(void **state)
{
	char data[512];

	/* Two or three attempts, and none that would be cut short by the deadline. */
	fixture_start(&f, always_busy, &(struct blob_client_options){ .deadline_ms = 2900 });
	assert_int_equal(get(0, data, 512), -1);
	assert_code(&err, ERR_SERVER);
	assert_says(&err, "c/dir/b.vhd: ");
	assert_says(&err, "ServerBusy, request id-1");
	assert_int_equal(err.http_status, 503);
	assert_true(httpd_requests(&f.server) > 1);
	fixture_stop(&f);
}

static enum httpd_then refuse(int fd, const struct httpd_request *r, void *arg)
{
	char status[16];

	httpd_header(r, "x-ms-meta-status", status, sizeof(status));
	httpd_reply(fd, atoi(status), "", "<Error><Code>X</Code></Error>", 29);
	return HTTPD_KEEP;
}

static void not_repeated(void **state)
{
	static const struct {
		int status;
		enum err_code code;
	} cases[] = {
		{ 400, ERR_USAGE }, { 404, ERR_NOT_FOUND }, { 409, ERR_BUSY }, { 412, ERR_CONDITION },
		{ 304, ERR_CONDITION }, { 416, ERR_RANGE }, { 501, ERR_SERVER }, { 302, ERR_PROTOCOL },
		{ 403, ERR_AUTH }, { 401, ERR_AUTH },
	};
	size_t i;

	fixture_start(&f, refuse, NULL);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct blob_op *op = blob_op_new(f.client, "GET", &the_blob, 0);

		blob_op_header(op, "x-ms-meta-status", "%d", cases[i].status);
		assert_int_equal(blob_op_perform(op, NULL, NULL, &err), -1);
		assert_code(&err, cases[i].code);
		assert_int_equal(err.http_status, cases[i].status);
		assert_int_equal(httpd_requests(&f.server), i + 1);
	}
	fixture_stop(&f);
}

static void one_attempt(void **state)
{
	struct blob_op *op;

	fixture_start(&f, always_busy, NULL);
	op = blob_op_new(f.client, "GET", &the_blob, BLOB_OP_NO_RETRY);
	assert_int_equal(blob_op_perform(op, NULL, NULL, &err), -1);
	assert_code(&err, ERR_SERVER);
	assert_int_equal(httpd_requests(&f.server), 1);
	fixture_stop(&f);
}

/* --- time --- */

static enum httpd_then hang(int fd, const struct httpd_request *r, void *arg)
{
	httpd_hang(&f.server);
	return HTTPD_CLOSE;
}

static void deadline(void **state)
{
	uint64_t begun = clock_ms(), took;
	char data[512];

	fixture_start(&f, hang, &(struct blob_client_options){ .deadline_ms = 1500 });
	assert_int_equal(get(0, data, 512), -1);
	took = clock_ms() - begun;
	assert_code(&err, ERR_TIMEOUT);
	assert_says(&err, "c/dir/b.vhd: no answer from 127.0.0.1:");
	assert_says(&err, "within 1.5 s: no reply to the request");
	assert_true(took >= 1500 && took < 60000);
	assert_int_equal(httpd_requests(&f.server), 1);
	fixture_stop(&f);
}

/* The only connection is taken, for long: whoever waits for it gives up in time. */
static void deadline_in_the_queue(void **state)
{
	struct waited first = WAITED_INIT, second = WAITED_INIT;
	struct blob_op *op;
	char data[512];

	fixture_start(&f, hang, &(struct blob_client_options){ .connections = 1 });
	blob_get_range_start(f.client, &the_blob, 0, &(struct iovec){ data, 512 }, 1, NULL,
			     fixture_remember, &first);
	while (httpd_requests(&f.server) < 1)
		sched_yield();
	op = blob_op_new(f.client, "GET", &the_blob, 0);
	blob_op_deadline(op, 500);
	blob_op_submit(op, fixture_remember, &second);
	waited_wait(&second);
	assert_code(&second.err, ERR_TIMEOUT);
	assert_says(&second.err, "no connection was free");
	assert_int_equal(httpd_requests(&f.server), 1);
	assert_int_equal(first.calls, 0);
	fixture_stop(&f);
}

static enum httpd_then first_stalls(int fd, const struct httpd_request *r, void *arg)
{
	send_part(fd, r, r->number == 1 ? 500 : SIZE_MAX);
	if (r->number == 1)
		httpd_hang(&f.server);
	return HTTPD_KEEP;
}

static void stall(void **state)
{
	char data[2000];

	fixture_start(&f, first_stalls, &(struct blob_client_options){ .stall_ms = 1500 });
	assert_int_equal(get(0, data, sizeof(data)), 0);
	assert_memory_equal(data, f.data, sizeof(data));
	assert_int_equal(httpd_requests(&f.server), 2);
	fixture_stop(&f);
}

/* --- no service --- */

static void refused_at_first(void **state)
{
	struct fixture closed = { 0 };
	uint64_t begun = clock_ms();
	char data[512];

	/* A port that is free now: the server's own, after it has gone. */
	fixture_start(&f, serve_part, NULL);
	fixture_client(&closed, f.server.endpoint,
		       &(struct blob_client_options){ .first_contact_ms = 400 });
	fixture_stop(&f);
	assert_int_equal(blob_get_range(closed.client, &the_blob, 0, data, 512, NULL, &err), -1);
	assert_code(&err, ERR_NETWORK);
	assert_says(&err, "c/dir/b.vhd: can't connect to 127.0.0.1:");
	assert_says(&err, "Connection refused");
	assert_true(clock_ms() - begun < 30000);
	blob_client_free(closed.client);
}

static void refused_later(void **state)
{
	char data[512];
	struct blob_client_stats stats;

	fixture_start(&f, serve_part, &(struct blob_client_options){ .deadline_ms = 1500,
								     .first_contact_ms = 1 });
	assert_int_equal(get(0, data, 512), 0);
	httpd_stop(&f.server);
	assert_int_equal(get(0, data, 512), -1);
	assert_code(&err, ERR_TIMEOUT);
	assert_says(&err, "no answer from 127.0.0.1:");
	assert_says(&err, "within 1.5 s: Connection refused");
	blob_client_stats(f.client, &stats);
	assert_true(stats.troubled);
	blob_client_free(f.client);
}

static void no_such_host(void **state)
{
	/* A label of 64 letters is no name, so that nobody is asked. */
	static const char endpoint[] = "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				       "aaaaaaaa.invalid/acc";
	char data[512];

	memset(&f, 0, sizeof(f));
	fixture_client(&f, endpoint, &(struct blob_client_options){ .first_contact_ms = 1 });
	assert_int_equal(get(0, data, 512), -1);
	assert_code(&err, ERR_NETWORK);
	assert_says(&err, "can't be resolved");
	assert_says(&err, ".invalid");
	blob_client_free(f.client);
}

/* --- replies that make no sense --- */

static enum httpd_then too_long(int fd, const struct httpd_request *r, void *arg)
{
	httpd_reply(fd, 200, "", f.data, sizeof(f.data));
	return HTTPD_KEEP;
}

static enum httpd_then wrong_part(int fd, const struct httpd_request *r, void *arg)
{
	httpd_reply(fd, 206, "Content-Range: bytes 512-1023/65536\r\n", f.data, 512);
	return HTTPD_KEEP;
}

static enum httpd_then no_part(int fd, const struct httpd_request *r, void *arg)
{
	httpd_reply(fd, 206, "", f.data, 512);
	return HTTPD_KEEP;
}

static enum httpd_then no_http(int fd, const struct httpd_request *r, void *arg)
{
	httpd_text(fd, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
	return HTTPD_CLOSE;
}

static enum httpd_then endless_head(int fd, const struct httpd_request *r, void *arg)
{
	char line[1024];
	int i;

	memset(line, 'x', sizeof(line));
	memcpy(line, "X: ", 3);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	httpd_text(fd, "HTTP/1.1 200 OK\r\n");
	for (i = 0; i < 1000; i++)
		httpd_send(fd, line, sizeof(line));
	return HTTPD_CLOSE;
}

static void nonsense(void **state)
{
	httpd_handler *const handlers[] = { too_long, wrong_part, no_part, no_http, endless_head };
	char data[512];
	size_t i;

	for (i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		fixture_start(&f, handlers[i], NULL);
		assert_int_equal(get(i == 0 ? 0 : 1024, data, 512), -1);
		assert_code(&err, ERR_PROTOCOL);
		assert_says(&err, "c/dir/b.vhd: ");
		assert_int_equal(httpd_requests(&f.server), 1);
		fixture_stop(&f);
	}
}

static void collected_too_much(void **state)
{
	struct blob_op *op;

	fixture_start(&f, too_long, NULL);
	op = blob_op_new(f.client, "GET", &the_blob, 0);
	blob_op_collect(op, 1000);
	assert_int_equal(blob_op_perform(op, NULL, NULL, &err), -1);
	assert_code(&err, ERR_PROTOCOL);
	fixture_stop(&f);
}

/* --- credentials --- */

static int rereads;
static const char *reread_key;

static int reread(struct blob_account *out, const struct blob_account *old, struct err *e)
{
	rereads++;
	if (account_copy(out, old, e) < 0)
		return -1;
	free(out->key);
	out->key = strdup(reread_key);
	return 0;
}

static enum httpd_then new_key_only(int fd, const struct httpd_request *r, void *arg)
{
	bool old = r->number == 1;

	if (old || f.seen)
		httpd_reply(fd, old ? 401 : 403, "x-ms-error-code: AuthenticationFailed\r\n", "", 0);
	else
		send_part(fd, r, SIZE_MAX);
	return HTTPD_KEEP;
}

static void read_again(void **state)
{
	char data[512];

	/* another key, and it is right */
	fixture_start(&f, new_key_only, NULL);
	blob_client_set_reread(f.client, reread);
	rereads = 0;
	reread_key = "bmV3";
	assert_int_equal(get(0, data, 512), 0);
	assert_int_equal(httpd_requests(&f.server), 2);
	assert_int_equal(rereads, 1);
	assert_string_equal(blob_client_account(f.client)->key, "bmV3");
	fixture_stop(&f);

	/* another key, and it is wrong too: once is enough */
	fixture_start(&f, new_key_only, NULL);
	f.seen = 1;
	blob_client_set_reread(f.client, reread);
	rereads = 0;
	assert_int_equal(get(0, data, 512), -1);
	assert_code(&err, ERR_AUTH);
	assert_int_equal(httpd_requests(&f.server), 2);
	assert_int_equal(rereads, 1);
	fixture_stop(&f);

	/* the same key as before */
	fixture_start(&f, new_key_only, NULL);
	blob_client_set_reread(f.client, reread);
	rereads = 0;
	reread_key = "b2xk";
	assert_int_equal(get(0, data, 512), -1);
	assert_code(&err, ERR_AUTH);
	assert_says(&err, "refuses the key of account acc (AuthenticationFailed)");
	assert_says(&err, "check --key");
	assert_int_equal(httpd_requests(&f.server), 1);
	assert_int_equal(rereads, 1);
	fixture_stop(&f);
}

/* --- writes that must not be repeated --- */

static enum httpd_then swallow(int fd, const struct httpd_request *r, void *arg)
{
	return HTTPD_CLOSE;
}

static enum httpd_then swallow_by_reset(int fd, const struct httpd_request *r, void *arg)
{
	return HTTPD_RESET;
}

static enum httpd_then half_a_reply(int fd, const struct httpd_request *r, void *arg)
{
	httpd_text(fd, "HTTP/1.1 201 Created\r\nETag: \"");
	return HTTPD_CLOSE;
}

static enum httpd_then always_500(int fd, const struct httpd_request *r, void *arg)
{
	httpd_reply(fd, 500, "x-ms-error-code: OperationTimedOut\r\n", "", 0);
	return HTTPD_KEEP;
}

static void unknown_outcome(void **state)
{
	httpd_handler *const handlers[] = { swallow, swallow_by_reset, half_a_reply, always_500,
					    hang };
	struct blob_client_options options = { .stall_ms = 1500 };
	size_t i;

	for (i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		struct waited w = WAITED_INIT;

		fixture_start(&f, handlers[i], &options);
		put(&w, 4096);
		waited_wait(&w);
		assert_int_not_equal(w.err.code, ERR_NONE);
		assert_true(w.unknown);
		assert_int_equal(httpd_requests(&f.server), 1);
		fixture_stop(&f);
	}
}

static enum httpd_then refuse_write(int fd, const struct httpd_request *r, void *arg)
{
	httpd_reply(fd, 412, "x-ms-error-code: LeaseIdMismatchWithBlobOperation\r\n", "", 0);
	return HTTPD_KEEP;
}

static enum httpd_then busy_then_written(int fd, const struct httpd_request *r, void *arg)
{
	httpd_reply(fd, r->number == 1 ? 503 : 201, "", "", 0);
	return HTTPD_KEEP;
}

static void known_outcome(void **state)
{
	struct waited w = WAITED_INIT, v = WAITED_INIT, u = WAITED_INIT;

	fixture_start(&f, refuse_write, NULL);
	put(&w, 4096);
	waited_wait(&w);
	assert_code(&w.err, ERR_LEASE_LOST);
	assert_false(w.unknown);
	assert_int_equal(httpd_requests(&f.server), 1);
	fixture_stop(&f);

	fixture_start(&f, busy_then_written, NULL);
	put(&v, 4096);
	waited_wait(&v);
	assert_code(&v.err, ERR_NONE);
	assert_false(v.unknown);
	assert_int_equal(httpd_requests(&f.server), 2);
	/* and one that is never sent */
	httpd_stop(&f.server);
	blob_client_free(f.client);
	fixture_client(&f, f.server.endpoint, &(struct blob_client_options){ .first_contact_ms = 1 });
	put(&u, 4096);
	waited_wait(&u);
	assert_code(&u.err, ERR_NETWORK);
	assert_false(u.unknown);
	blob_client_free(f.client);
}

/* A kept connection that dies when the second request has been read. */
static enum httpd_then die_on_second(int fd, const struct httpd_request *r, void *arg)
{
	if (r->on_connection == 2)
		return r->number % 2 ? HTTPD_CLOSE : HTTPD_RESET;
	if (!strcmp(r->method, "PUT"))
		httpd_reply(fd, 201, "", "", 0);
	else
		send_part(fd, r, SIZE_MAX);
	return HTTPD_KEEP;
}

static void dead_kept_connection(void **state)
{
	struct waited first = WAITED_INIT, second = WAITED_INIT, third = WAITED_INIT;
	unsigned char data[4096];

	fixture_start(&f, die_on_second, NULL);
	put(&first, 4096);
	waited_wait(&first);
	assert_code(&first.err, ERR_NONE);
	put(&second, 4096);
	waited_wait(&second);
	assert_int_not_equal(second.err.code, ERR_NONE);
	assert_true(second.unknown);
	assert_int_equal(httpd_requests(&f.server), 2); /* never sent again */
	/* Clear Page has no body that libcurl would have to rewind. */
	put(&first, 512);
	waited_wait_for(&first, 2);
	assert_code(&first.err, ERR_NONE);
	blob_clear_pages_start(f.client, &the_blob, 0, 512, NULL, fixture_remember, &third);
	waited_wait(&third);
	assert_true(third.unknown);
	assert_int_equal(httpd_requests(&f.server), 4);
	/* A read is sent again: by us, at once, and it counts. */
	assert_int_equal(get(0, data, sizeof(data)), 0);
	assert_int_equal(get(0, data, sizeof(data)), 0);
	assert_memory_equal(data, f.data, sizeof(data));
	assert_int_equal(httpd_requests(&f.server), 7);
	fixture_stop(&f);
}

/* The server closes after each reply without a word: the next request goes out on
 * a new connection, or is told apart as a failed attempt; never twice. */
static enum httpd_then close_after(int fd, const struct httpd_request *r, void *arg)
{
	httpd_reply(fd, 201, "", "", 0);
	return HTTPD_CLOSE;
}

static void closed_when_idle(void **state)
{
	struct waited w = WAITED_INIT;
	struct blob_client_stats stats;
	unsigned i, good = 0;

	fixture_start(&f, close_after, NULL);
	for (i = 1; i <= 50; i++) {
		put(&w, 512);
		waited_wait_for(&w, (int)i);
		if (w.err.code == ERR_NONE)
			good++;
		else
			assert_true(w.unknown);
	}
	blob_client_stats(f.client, &stats);
	/* Every request that the server saw was answered to somebody. */
	assert_int_equal(httpd_requests(&f.server), good);
	assert_int_equal(stats.requests, 50);
	fixture_stop(&f);
}

/* --- many, and the end of all --- */

#define MANY 1000

struct many {
	struct waited all;
	unsigned char data[MANY][512];
	int calls[MANY], failures[MANY];
	struct one {
		struct many *many;
		int i;
	} ones[MANY];
};

static struct many many;

static void one_done(void *arg, const struct blob_reply *reply)
{
	struct one *one = arg;

	one->many->calls[one->i]++;
	one->many->failures[one->i] = (int)reply->err.code;
	waited_signal(&one->many->all);
}

static void start_many(void)
{
	int i;

	memset(&many, 0, sizeof(many));
	many.all = (struct waited)WAITED_INIT;
	for (i = 0; i < MANY; i++) {
		many.ones[i] = (struct one){ &many, i };
		blob_get_range_start(f.client, &the_blob, (uint64_t)(i % 100) * 512,
				     &(struct iovec){ many.data[i], 512 }, 1, NULL, one_done,
				     &many.ones[i]);
	}
}

static void a_thousand_at_once(void **state)
{
	int i;

	fixture_start(&f, serve_part, &(struct blob_client_options){ .io_threads = 4,
								     .connections = 16 });
	start_many();
	waited_wait_for(&many.all, MANY);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(many.calls[i], 1);
		assert_int_equal(many.failures[i], ERR_NONE);
		assert_memory_equal(many.data[i], f.data + (i % 100) * 512, 512);
	}
	assert_int_equal(httpd_requests(&f.server), MANY);
	assert_true(f.server.most_open <= 16);
	assert_true(f.server.connections <= 16);
	fixture_stop(&f);
}

static void aborted(void **state)
{
	char data[512];
	int i;

	fixture_start(&f, hang, &(struct blob_client_options){ .io_threads = 3 });
	start_many();
	while (httpd_requests(&f.server) < 16)
		sched_yield();
	blob_client_abort(f.client);
	waited_wait_for(&many.all, MANY);
	assert_int_equal(get(0, data, 512), -1);
	assert_code(&err, ERR_CANCELLED);
	fixture_stop(&f);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(many.calls[i], 1);
		assert_int_equal(many.failures[i], ERR_CANCELLED);
	}
}

static void aborted_while_waiting_to_retry(void **state)
{
	uint64_t begun = clock_ms();

	fixture_start(&f, always_busy, &(struct blob_client_options){ .io_threads = 2 });
	start_many();
	while (httpd_requests(&f.server) < MANY / 2)
		sched_yield();
	blob_client_free(f.client); /* returns when all callbacks have */
	assert_true(clock_ms() - begun < 60000);
	assert_int_equal(many.all.calls, MANY);
	httpd_stop(&f.server);
}

/* Each callback submits the next, until the client says no. */
static void chain(void *arg, const struct blob_reply *reply)
{
	struct one *one = arg;

	one->many->calls[one->i]++;
	if (reply->err.code == ERR_NONE)
		blob_get_range_start(f.client, &the_blob, 0,
				     &(struct iovec){ one->many->data[one->i], 512 }, 1, NULL, chain,
				     one);
	else
		waited_signal(&one->many->all);
}

static void callbacks_that_submit(void **state)
{
	int i;

	fixture_start(&f, serve_part, &(struct blob_client_options){ .io_threads = 4 });
	memset(&many, 0, sizeof(many));
	many.all = (struct waited)WAITED_INIT;
	for (i = 0; i < 64; i++) {
		many.ones[i] = (struct one){ &many, i };
		blob_get_range_start(f.client, &the_blob, 0, &(struct iovec){ many.data[i], 512 }, 1,
				     NULL, chain, &many.ones[i]);
	}
	while (httpd_requests(&f.server) < 1000)
		sched_yield();
	fixture_stop(&f);
	assert_int_equal(many.all.calls, 64);
}

static void bad_arguments_call_back_too(void **state)
{
	struct waited w = WAITED_INIT;

	fixture_start(&f, serve_part, NULL);
	put(&w, 100);
	waited_wait(&w);
	assert_code(&w.err, ERR_RANGE);
	assert_says(&w.err, "c/dir/b.vhd: ");
	blob_op_submit(NULL, fixture_remember, &w);
	waited_wait_for(&w, 2);
	assert_code(&w.err, ERR_NO_MEMORY);
	assert_int_equal(httpd_requests(&f.server), 0);
	fixture_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scatter),
		cmocka_unit_test(uploads),
		cmocka_unit_test(repeated),
		cmocka_unit_test(retry_after),
		cmocka_unit_test(busy_to_the_end),
		cmocka_unit_test(not_repeated),
		cmocka_unit_test(one_attempt),
		cmocka_unit_test(deadline),
		cmocka_unit_test(deadline_in_the_queue),
		cmocka_unit_test(stall),
		cmocka_unit_test(refused_at_first),
		cmocka_unit_test(refused_later),
		cmocka_unit_test(no_such_host),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(collected_too_much),
		cmocka_unit_test(read_again),
		cmocka_unit_test(unknown_outcome),
		cmocka_unit_test(known_outcome),
		cmocka_unit_test(dead_kept_connection),
		cmocka_unit_test(closed_when_idle),
		cmocka_unit_test(a_thousand_at_once),
		cmocka_unit_test(aborted),
		cmocka_unit_test(aborted_while_waiting_to_retry),
		cmocka_unit_test(callbacks_that_submit),
		cmocka_unit_test(bad_arguments_call_back_too),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
