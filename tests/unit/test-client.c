/*
 * The client against a server of the test's own: what travels, and that every operation
 * ends exactly once. (What is repeated: test-client-repeat.c; writes, which may not be:
 * test-client-write.c; many at a time: test-client-many.c.)
 */
#include <config.h>

#include <stdlib.h>
#include <unistd.h>

#include "blob/clock.h"
#include "blob/op.h"
#include "tests/unit/client_rig.h"

/* --- what travels --- */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scatter),
		cmocka_unit_test(uploads),
		cmocka_unit_test(refused_at_first),
		cmocka_unit_test(refused_later),
		cmocka_unit_test(no_such_host),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(collected_too_much),
		cmocka_unit_test(read_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
