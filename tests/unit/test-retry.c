#include <config.h>

#include <string.h>

#include "blob/clock.h"
#include "blob/retry.h"
#include "tests/unit/unit.h"

#define NOW 1782517152 /* Fri, 26 Jun 2026 23:39:12 GMT */

static const struct retry_case base = {
	.result = WIRE_OK, .status = 503, .attempt = 1, .elapsed_ms = 10, .left_ms = 120000,
	.now = NOW, .random = 0, .contact = true, .first_contact_ms = 5000,
};

static void statuses(void **state)
{
	static const int again[] = { 408, 429, 500, 502, 503, 504 };
	struct retry_case c = base;
	size_t i;

	for (c.status = 300; c.status < 600; c.status++) {
		bool wanted = false;

		for (i = 0; i < sizeof(again) / sizeof(again[0]); i++)
			wanted = wanted || c.status == again[i];
		assert_int_equal(retry_delay(&c) != RETRY_NEVER, wanted);
	}
}

static void results(void **state)
{
	static const struct {
		enum wire_result result;
		bool again;
	} cases[] = {
		{ WIRE_RESOLVE, true }, { WIRE_CONNECT, true }, { WIRE_TLS, true },
		{ WIRE_BROKEN, true }, { WIRE_SHORT, true }, { WIRE_RESEND, true },
		{ WIRE_STALLED, true }, { WIRE_DEADLINE, false }, { WIRE_CANCELLED, false },
		{ WIRE_TOO_LONG, false }, { WIRE_GARBLED, false }, { WIRE_NO_MEMORY, false },
	};
	struct retry_case c = base;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		c.result = cases[i].result;
		assert_int_equal(retry_delay(&c) != RETRY_NEVER, cases[i].again);
	}
}

static void doubles_up_to_a_bound(void **state)
{
	static const int64_t bounds[] = { 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000 };
	struct retry_case c = base;

	for (c.attempt = 1; c.attempt <= 8; c.attempt++) {
		int64_t bound = bounds[c.attempt - 1];

		c.random = (uint32_t)bound;
		assert_int_equal(retry_delay(&c), bound);
		c.random = (uint32_t)bound + 1; /* comes round to 0: nothing above the bound */
		assert_int_equal(retry_delay(&c), 0);
		c.random = 123;
		assert_int_equal(retry_delay(&c), 123);
	}
	c.attempt = 4000000000u;
	c.random = 30000;
	assert_int_equal(retry_delay(&c), 30000);
}

static void dead_kept_connection(void **state)
{
	struct retry_case c = base;

	c.result = WIRE_RESEND;
	c.random = 400;
	assert_int_equal(retry_delay(&c), 0);
	c.attempt = 2;
	assert_int_equal(retry_delay(&c), 400);
}

static void retry_after(void **state)
{
	struct retry_case c = base;

	c.random = 100;
	c.retry_after = "7";
	assert_int_equal(retry_delay(&c), 7000);
	c.retry_after = "0";
	assert_int_equal(retry_delay(&c), 100);
	c.retry_after = "Fri, 26 Jun 2026 23:39:15 GMT";
	assert_int_equal(retry_delay(&c), 3000);
	c.retry_after = "Fri, 26 Jun 2026 23:00:00 GMT";
	assert_int_equal(retry_delay(&c), 100);
	c.retry_after = "soon";
	assert_int_equal(retry_delay(&c), 100);
	c.retry_after = "-5";
	assert_int_equal(retry_delay(&c), 100);
	c.retry_after = "120";
	assert_int_equal(retry_delay(&c), RETRY_TOO_LATE);
	c.retry_after = "99999999999999999999999";
	assert_int_equal(retry_delay(&c), RETRY_TOO_LATE);
	/* of a reply only */
	c.result = WIRE_BROKEN;
	assert_int_equal(retry_delay(&c), 100);
}

static void deadline(void **state)
{
	struct retry_case c = base;

	/* The pause is cut so that one more attempt fits. */
	c.attempt = 7;
	c.random = 25000;
	c.left_ms = 10000;
	assert_int_equal(retry_delay(&c), 9000);
	c.retry_after = "9";
	assert_int_equal(retry_delay(&c), 9000);
	c.left_ms = 9500; /* and never below what the service asks for */
	assert_int_equal(retry_delay(&c), 9000);
	c.left_ms = 9000;
	assert_int_equal(retry_delay(&c), RETRY_TOO_LATE);
	c.retry_after = NULL;
	c.left_ms = 900;
	c.random = 899;
	assert_int_equal(retry_delay(&c), 899);
	c.random = 900;
	assert_int_equal(retry_delay(&c), RETRY_TOO_LATE);
	c.left_ms = 0;
	c.random = 0;
	assert_int_equal(retry_delay(&c), RETRY_TOO_LATE);
}

static void before_the_first_contact(void **state)
{
	struct retry_case c = base;

	c.contact = false;
	c.random = 1;
	c.result = WIRE_TLS;
	assert_int_equal(retry_delay(&c), RETRY_NEVER);
	c.result = WIRE_RESOLVE;
	c.elapsed_ms = 4999;
	assert_int_equal(retry_delay(&c), 1);
	c.elapsed_ms = 5000;
	assert_int_equal(retry_delay(&c), RETRY_NEVER);
	c.result = WIRE_CONNECT;
	assert_int_equal(retry_delay(&c), RETRY_NEVER);
	c.result = WIRE_BROKEN;
	assert_int_equal(retry_delay(&c), 1);
	c.result = WIRE_CONNECT;
	c.contact = true;
	assert_int_equal(retry_delay(&c), 1);
}

static void dates(void **state)
{
	static const char *const bad[] = {
		"", "Fri", "Fri, 26 Jun 2026 23:39:12", "Fri, 26 Jum 2026 23:39:12 GMT",
		"Fri, 26 Jun 2026 23:39:12 GMT ", "Fri, 26 Jun 2026 25:39:12 GMT",
		"Friday, 26-Jun-26 23:39:12 GMT", "Fri Jun 26 23:39:12 2026",
	};
	char text[HTTP_DATE_MAX];
	time_t t;
	size_t i;

	http_date_format(NOW, text);
	assert_string_equal(text, "Fri, 26 Jun 2026 23:39:12 GMT");
	assert_int_equal(http_date_parse(text, &t), 0);
	assert_int_equal(t, NOW);
	assert_int_equal(http_date_parse("Thu, 01 Jan 1970 00:00:00 GMT", &t), 0);
	assert_int_equal(t, 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(http_date_parse(bad[i], &t), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statuses),
		cmocka_unit_test(results),
		cmocka_unit_test(doubles_up_to_a_bound),
		cmocka_unit_test(dead_kept_connection),
		cmocka_unit_test(retry_after),
		cmocka_unit_test(deadline),
		cmocka_unit_test(before_the_first_contact),
		cmocka_unit_test(dates),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
