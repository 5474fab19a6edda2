/*
 * The lease keeper against the model of the service: every state and move of
 * vhd/lease.h. (Leases in doubt: test-lease-doubt.c; fences and losses:
 * test-lease-fence.c.)
 */
#include <config.h>

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/lease_rig.h"

/* --- the record --- */

static void test_record_text(void **state)
{
	struct lease_holder h = { .host = "n;o%de=1\n", .user = "j\xc3\xb6rg", .since = "2026-11-21T03:26:09Z",
				  .id = OTHER, .pid = 12 }, back;
	char *text = lease_holder_format(&h);

	assert_string_equal(text, "host=n%3Bo%25de=1%0A;user=j%C3%B6rg;pid=12;"
				  "since=2026-11-21T03:26:09Z;id=" OTHER);
	assert_int_equal(lease_holder_parse(text, &back), 0);
	assert_string_equal(back.host, "n;o%de=1?");
	assert_string_equal(back.user, h.user);
	assert_string_equal(back.since, h.since);
	assert_string_equal(back.id, h.id);
	assert_int_equal(back.pid, 12);
	free(text);
}

static void test_record_hostile(void **state)
{
	static const char *const bad[] = {
		"", "x", "host=a", "host=a;pid=1", "host=a;id=b;pid=", "host=a;id=b;pid=1x",
		"host=a;id=b;pid=-1", "host=%;id=b;pid=1", "host=%4;id=b;pid=1", "host=%zz;id=b;pid=1",
		"host=a%00b;id=b;pid=1", "host=a;id=b;pid=1;user",
		"host=a;pid=1;id=0123456789012345678901234567890123456789",
		"host=a;pid=111111111111111111111111111111;id=b",
	};
	struct lease_holder h;
	char longest[400];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (lease_holder_parse(bad[i], &h) == 0)
			fail_msg("accepted: %s", bad[i]);
	memset(longest, 'h', sizeof(longest));
	memcpy(longest, "id=b;pid=1;host=", 16);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(lease_holder_parse(longest, &h), -1);
	/* What a later version adds is no reason to call the holder nameless. */
	assert_int_equal(lease_holder_parse("v=2;host=a;id=b;pid=1;", &h), 0);
}

/* --- start and stop --- */

static void test_start_stop(void **state)
{
	struct blob_meta_list before = { NULL, 0 };
	struct lease_options o;
	struct lease_holder h;
	struct lease_info info;
	struct blob_props p;
	char id[BLOB_LEASE_ID_MAX];
	uint64_t gen;
	struct rig r;
	struct err err;

	rig_open(&r);
	o = options(&r);
	blob_meta_set(&before, "description", "weather data");
	model_blob_set_meta(model_blob(r.m), &before, NULL, NULL, NULL);
	blob_meta_free(&before);
	r.k = lease_keeper_start(&r.store, &o, NULL);
	assert_non_null(r.k);

	current(&r, id, &gen);
	assert_true(model_blob_leased_as(model_blob(r.m), id) || had(&r, LEASE_DOUBTFUL));
	model_blob_props(model_blob(r.m), &p, NULL);
	assert_string_equal(blob_meta_get(&p.meta, "description"), "weather data");
	assert_int_equal(lease_holder_parse(blob_meta_get(&p.meta, LEASE_HOLDER_META), &h), 0);
	assert_string_equal(h.host, "node7");
	assert_string_equal(h.user, "alice");
	assert_int_equal(h.pid, 4242);
	assert_int_equal(strlen(h.id), BLOB_LEASE_ID_MAX - 1);
	assert_string_not_equal(h.id, id);
	blob_props_free(&p);
	lease_keeper_info(r.k, &info);
	assert_true(info.left_ms <= DURATION * UNIT);
	assert_true(info.held_since > 0);

	assert_int_equal(lease_keeper_stop(r.k, true, &err), 0);
	r.k = NULL;
	model_blob_props(model_blob(r.m), &p, NULL);
	assert_string_equal(p.lease_state, "available");
	assert_null(blob_meta_get(&p.meta, LEASE_HOLDER_META));
	assert_string_equal(blob_meta_get(&p.meta, "description"), "weather data");
	blob_props_free(&p);
	rig_end(&r);
}

static void test_start_refused(void **state)
{
	struct lease_options o;
	struct rig r;
	struct err err;

	rig_open(&r);
	o = options(&r);
	model_blob_acquire(model_blob(r.m), OTHER, 60, NULL);
	assert_null(lease_keeper_start(&r.store, &o, &err));
	assert_int_equal(err.code, ERR_LEASE_HELD);
	assert_non_null(strstr(err.msg, "held by somebody who left no name"));

	model_blob_acquire(model_blob(r.m), OTHER, 60, NULL);
	set_other_record(&r, OTHER);
	assert_null(lease_keeper_start(&r.store, &o, &err));
	assert_int_equal(err.code, ERR_LEASE_HELD);
	assert_non_null(strstr(err.msg, "held by bob on node9 (pid 77) since 2026-11-22T00:00:00Z"));
	rig_end(&r);
}

/* An acquisition that was carried out and not answered must not keep others out. */
static void test_start_fails(void **state)
{
	struct lease_options o;
	struct blob_props p;
	struct rig r;
	struct err err;

	rig_open(&r);
	o = options(&r);
	model_plan(r.m, &(struct model_plan){ .call = CALL_ACQUIRE, .fault = FAULT_SWALLOWED });
	assert_null(lease_keeper_start(&r.store, &o, &err));
	assert_int_equal(err.code, ERR_NETWORK);
	model_blob_props(model_blob(r.m), &p, NULL);
	assert_string_equal(p.lease_state, "available");
	blob_props_free(&p);

	model_plan(r.m, &(struct model_plan){ .call = CALL_SET_META, .fault = FAULT_ERROR, .code = ERR_AUTH });
	assert_null(lease_keeper_start(&r.store, &o, &err));
	assert_int_equal(err.code, ERR_AUTH);
	model_blob_props(model_blob(r.m), &p, NULL);
	assert_string_equal(p.lease_state, "available");
	blob_props_free(&p);
	rig_end(&r);
}

static void test_stop_without_release(void **state)
{
	char id[BLOB_LEASE_ID_MAX];
	struct blob_props p;
	uint64_t gen;
	struct rig r;

	rig_start(&r);
	current(&r, id, &gen);
	assert_int_equal(lease_keeper_stop(r.k, false, NULL), 0);
	r.k = NULL;
	assert_int_equal(calls(&r, CALL_RELEASE), 0);
	model_blob_props(model_blob(r.m), &p, NULL);
	assert_non_null(blob_meta_get(&p.meta, LEASE_HOLDER_META));
	blob_props_free(&p);
	/* A dead node's lease runs out. */
	wait_for(model_blob_acquire(model_blob(r.m), OTHER, 15, NULL) == 0);
	rig_end(&r);
}

static void test_stop_in_outage(void **state)
{
	int64_t start;
	struct rig r;
	struct err err;

	rig_start(&r);
	model_set_give_up(r.m, 100);
	model_outage(r.m, 600000);
	start = model_now();
	assert_int_equal(lease_keeper_stop(r.k, true, &err), -1);
	r.k = NULL;
	assert_int_equal(err.code, ERR_TIMEOUT);
	assert_non_null(strstr(err.msg, "runs out by itself"));
	assert_true(model_now() - start < 10000);
	rig_end(&r);
}

/* --- held --- */

static void test_renews(void **state)
{
	struct rig r;
	int64_t end;

	rig_start(&r);
	end = model_now() + 3 * DURATION * UNIT;
	while (model_now() < end) {
		char id[BLOB_LEASE_ID_MAX];
		uint64_t gen;
		int64_t before = model_now();
		bool ok = lease_current(r.k, id, &gen) == 0;
		bool leased = ok && model_blob_leased_as(model_blob(r.m), id);

		/* Whoever is told yes has the margin to rely on it. */
		if (ok && !leased && model_now() - before < 2 * UNIT)
			fail_msg("a write was allowed without a lease");
		nap();
	}
	wait_for(calls(&r, CALL_RENEW) >= 3);
	assert_false(had(&r, LEASE_LOST));
	if (!had(&r, LEASE_DOUBTFUL))
		assert_int_equal(generation(&r), 0);
	rig_end(&r);
}

static void test_renewal_fails_for_a_while(void **state)
{
	static const struct {
		enum err_code code;
		int status;
		const char *service_code;
	} refusals[] = {
		{ ERR_AUTH, 403, "AuthenticationFailed" },
		{ ERR_NOT_FOUND, 404, "ContainerNotFound" },
		{ ERR_SERVER, 503, "ServerBusy" },
	};
	struct rig r;
	size_t i;

	rig_start(&r);
	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		model_plan(r.m, &(struct model_plan){ .call = CALL_RENEW, .fault = FAULT_ERROR, .times = 3,
						      .code = refusals[i].code,
						      .http_status = refusals[i].status,
						      .service_code = refusals[i].service_code });
		wait_for(strstr(reason(&r), refusals[i].service_code));
		wait_for(!reason(&r)[0] && writable(&r));
		assert_false(had(&r, LEASE_LOST));
	}
	rig_end(&r);
}

static void test_blob_deleted(void **state)
{
	struct rig r;

	rig_start(&r);
	model_blob_delete(model_blob(r.m));
	wait_for(lease_state(r.k) == LEASE_LOST);
	assert_false(writable(&r));
	assert_string_equal(reason(&r), "the blob was deleted");
	rig_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_text),
		cmocka_unit_test(test_record_hostile),
		cmocka_unit_test(test_start_stop),
		cmocka_unit_test(test_start_refused),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_stop_without_release),
		cmocka_unit_test(test_stop_in_outage),
		cmocka_unit_test(test_renews),
		cmocka_unit_test(test_renewal_fails_for_a_while),
		cmocka_unit_test(test_blob_deleted),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
