/* Many operations at a time, and the end of all. */
#include <config.h>

#include <stdlib.h>

#include "blob/clock.h"
#include "blob/op.h"
#include "tests/unit/client_rig.h"

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
		cmocka_unit_test(a_thousand_at_once),
		cmocka_unit_test(aborted),
		cmocka_unit_test(aborted_while_waiting_to_retry),
		cmocka_unit_test(callbacks_that_submit),
		cmocka_unit_test(bad_arguments_call_back_too),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
