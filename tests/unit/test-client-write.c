/* Writes of which the client does not know whether they were carried out. */
#include <config.h>

#include "tests/unit/client_rig.h"

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
	/* Clear Page has no body: it goes by libcurl, which would like to send it again. */
	blob_clear_pages_start(f.client, &the_blob, 0, 512, NULL, fixture_remember, &first);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_outcome),
		cmocka_unit_test(known_outcome),
		cmocka_unit_test(dead_kept_connection),
		cmocka_unit_test(closed_when_idle),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
