/* A lease whose id is changed, and one that is lost. */
#include <config.h>

#include "tests/unit/unit.h"

#include <string.h>

#include "tests/unit/lease_rig.h"

/* --- fence --- */

static void test_fence(void **state)
{
	char id[BLOB_LEASE_ID_MAX], again[BLOB_LEASE_ID_MAX];
	uint64_t gen, gen2;
	struct rig r;
	struct err err;

	rig_start(&r);
	current(&r, id, &gen);
	model_plan(r.m, &(struct model_plan){ .call = CALL_CHANGE, .fault = FAULT_DELAY, .ms = UNIT });
	lease_saw_etag(r.k, NULL);
	lease_fence(r.k, gen);
	/* Refused from the moment of the call, not of the change. */
	assert_int_equal(lease_current(r.k, again, &gen2), -1);
	current(&r, again, &gen2);
	assert_true(gen2 > gen);
	assert_string_not_equal(id, again);
	wait_for(had(&r, LEASE_HELD));
	assert_int_equal(model_blob_put(model_blob(r.m), 0, BLOB_PAGE, NULL, id, NULL, &err), -1);
	assert_int_equal(err.code, ERR_LEASE_LOST);
	assert_int_equal(model_blob_put(model_blob(r.m), 0, BLOB_PAGE, NULL, again, NULL, NULL), 0);
	/* An old generation is nobody's business. */
	lease_fence(r.k, gen);
	lease_refused(r.k, gen);
	assert_true(writable(&r) || had(&r, LEASE_DOUBTFUL));
	rig_end(&r);
}

/* Whatever becomes of the change and its reply, storage and keeper end with the
 * same id, and the old one is dead. */
static void fence_with(enum model_fault fault, unsigned times, unsigned ms)
{
	char id[BLOB_LEASE_ID_MAX], again[BLOB_LEASE_ID_MAX];
	uint64_t gen, gen2;
	struct rig r;

	rig_start(&r);
	current(&r, id, &gen);
	model_plan(r.m, &(struct model_plan){ .call = CALL_CHANGE, .fault = fault, .times = times, .ms = ms });
	lease_fence(r.k, gen);
	do {
		current(&r, again, &gen2);
	} while (!model_blob_leased_as(model_blob(r.m), again) && lease_state(r.k) != LEASE_LOST);
	assert_string_not_equal(id, again);
	assert_true(gen2 > gen);
	assert_false(had(&r, LEASE_LOST));
	/* A late change would show by now, as a lease that is not ours. */
	wait_for(calls(&r, CALL_RENEW) >= 3);
	wait_for(writable(&r));
	assert_false(had(&r, LEASE_LOST));
	rig_end(&r);
}

static void test_fence_replies(void **state)
{
	fence_with(FAULT_SWALLOWED, 1, 0);
	fence_with(FAULT_SWALLOWED, 5, 0);
	fence_with(FAULT_RESET, 3, 0);
	fence_with(FAULT_LATE, 1, 3 * UNIT);
	fence_with(FAULT_LATE, 2, UNIT);
	fence_with(FAULT_ERROR, 2, 0);
}

/* The change was carried out, its reply lost, and then the lease ran out. */
static void test_fence_in_outage(void **state)
{
	char id[BLOB_LEASE_ID_MAX], at_storage[BLOB_LEASE_ID_MAX], again[BLOB_LEASE_ID_MAX];
	uint64_t gen;
	struct rig r;

	rig_start(&r);
	current(&r, id, &gen);
	model_plan(r.m, &(struct model_plan){ .call = CALL_CHANGE, .fault = FAULT_SWALLOWED });
	lease_fence(r.k, gen);
	wait_for(calls(&r, CALL_CHANGE) >= 1);
	wait_for((model_blob_lease_id(model_blob(r.m), at_storage), strcmp(at_storage, id)));
	model_outage(r.m, 600000);
	wait_for(lease_state(r.k) == LEASE_DOUBTFUL || writable(&r));
	until_expired(&r, at_storage);
	wait_for(lease_state(r.k) == LEASE_DOUBTFUL);
	model_outage(r.m, 0);
	current(&r, again, &gen);
	assert_true(model_blob_leased_as(model_blob(r.m), again));
	assert_false(had(&r, LEASE_LOST));
	rig_end(&r);
}

/* --- lost --- */

static void test_broken(void **state)
{
	char id[BLOB_LEASE_ID_MAX];
	uint64_t gen;
	struct blob_props p;
	struct rig r;

	rig_start(&r);
	current(&r, id, &gen);
	model_blob_break(model_blob(r.m), 0, NULL);
	wait_for(lease_state(r.k) == LEASE_LOST);
	wait_for(strstr(reason(&r), "nobody holds it now"));
	assert_false(writable(&r));
	wait_for(had(&r, LEASE_LOST));
	assert_int_equal(lease_keeper_stop(r.k, true, NULL), 0);
	r.k = NULL;
	/* What is not ours is left alone. */
	model_blob_props(model_blob(r.m), &p, NULL);
	assert_string_equal(p.lease_state, "broken");
	assert_non_null(blob_meta_get(&p.meta, LEASE_HOLDER_META));
	blob_props_free(&p);
	rig_end(&r);
}

/* Taken over by force: a refused write finds out at once who has it. */
static void test_refused_and_taken(void **state)
{
	char id[BLOB_LEASE_ID_MAX];
	unsigned renewals;
	uint64_t gen;
	struct rig r;

	rig_start(&r);
	current(&r, id, &gen);
	model_blob_break(model_blob(r.m), 0, NULL);
	assert_int_equal(model_blob_acquire(model_blob(r.m), OTHER, 60, NULL), 0);
	set_other_record(&r, OTHER);
	renewals = calls(&r, CALL_RENEW);
	lease_refused(r.k, gen);
	assert_false(writable(&r));
	wait_for(lease_state(r.k) == LEASE_LOST);
	wait_for(strstr(reason(&r), "taken by bob on node9 (pid 77)"));
	assert_true(calls(&r, CALL_RENEW) <= renewals + 1);
	rig_end(&r);
}

static void test_refused_and_held(void **state)
{
	uint64_t gen, gen2;
	char id[BLOB_LEASE_ID_MAX];
	struct rig r;

	rig_start(&r);
	current(&r, id, &gen);
	/* The write that was refused was granted just now: its reply is here. */
	lease_refused(r.k, gen);
	current(&r, id, &gen2);
	assert_true(gen2 > gen);
	assert_false(had(&r, LEASE_LOST));
	rig_end(&r);
}

static void test_fence_of_a_broken_lease(void **state)
{
	char id[BLOB_LEASE_ID_MAX];
	uint64_t gen;
	struct rig r;

	rig_start(&r);
	current(&r, id, &gen);
	model_blob_break(model_blob(r.m), 0, NULL);
	lease_fence(r.k, gen);
	wait_for(lease_state(r.k) == LEASE_LOST);
	rig_end(&r);
}

/* The ETags between which nobody but the holder can have written. */
static void test_etags(void **state)
{
	struct lease_etags etags = { .left = "" };
	struct lease_options o;
	struct blob_props before = { .size = 0 }, now = { .size = 0 };
	struct err err = { .msg = "" };
	struct rig r;

	rig_open(&r);
	o = options(&r);
	o.etags = &etags;
	assert_int_equal(model_blob_props(model_blob(r.m), &before, NULL), 0);
	r.k = lease_keeper_start(&r.store, &o, &err);
	assert_non_null(r.k);
	assert_string_equal(etags.taken, before.etag);
	assert_int_equal(model_blob_props(model_blob(r.m), &now, NULL), 0);
	assert_string_equal(etags.recorded, now.etag);
	assert_string_not_equal(etags.recorded, etags.taken);
	assert_string_equal(etags.left, "");
	blob_props_free(&now);
	assert_int_equal(lease_keeper_stop(r.k, true, &err), 0);
	assert_int_equal(model_blob_props(model_blob(r.m), &now, NULL), 0);
	assert_string_equal(etags.left, now.etag);
	blob_props_free(&now);

	/* Not in order: nobody knows. */
	etags.left[0] = '\0';
	r.k = lease_keeper_start(&r.store, &o, &err);
	assert_non_null(r.k);
	assert_int_equal(lease_keeper_stop(r.k, false, NULL), 0);
	assert_string_equal(etags.left, "");
	blob_props_free(&before);
	r.k = NULL;
	rig_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_etags),
		cmocka_unit_test(test_fence),
		cmocka_unit_test(test_fence_replies),
		cmocka_unit_test(test_fence_in_outage),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_refused_and_taken),
		cmocka_unit_test(test_refused_and_held),
		cmocka_unit_test(test_fence_of_a_broken_lease),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
