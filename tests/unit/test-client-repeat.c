/* What the client repeats and what not, and for how long. */
#include <config.h>

#include <stdlib.h>

#include "blob/clock.h"
#include "tests/unit/client_rig.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repeated),
		cmocka_unit_test(retry_after),
		cmocka_unit_test(busy_to_the_end),
		cmocka_unit_test(not_repeated),
		cmocka_unit_test(one_attempt),
		cmocka_unit_test(deadline),
		cmocka_unit_test(deadline_in_the_queue),
		cmocka_unit_test(stall),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
