/* A lease that can't be renewed for a while: what may have happened meanwhile. */
#include <config.h>

#include "tests/unit/unit.h"

#include <string.h>

#include "tests/unit/lease_rig.h"

static void test_doubt_in_time(void **state)
{
	char id[BLOB_LEASE_ID_MAX], again[BLOB_LEASE_ID_MAX];
	uint64_t gen, gen2;
	struct rig r;
	bool judged = false;
	int tries;

	/* Writes stop while the lease still runs. A machine too busy to look in
	 * time proves nothing: look again. */
	for (tries = 0; tries < 20 && !judged; tries++) {
		rig_start(&r);
		current(&r, id, &gen);
		model_outage(r.m, 600000);
		for (;;) {
			int64_t before = model_now();
			bool ok = writable(&r);
			bool leased = model_blob_leased_as(model_blob(r.m), id);

			if (!ok && model_now() - before < 2 * UNIT)
				judged = leased;
			if (!ok)
				break;
			nap();
		}
		wait_for(had(&r, LEASE_DOUBTFUL));
		assert_int_equal(lease_state(r.k), LEASE_DOUBTFUL);
		assert_true(reason(&r)[0]);

		model_outage(r.m, 0);
		current(&r, again, &gen2);
		assert_true(gen2 > gen);
		assert_string_not_equal(id, again);
		wait_for(had(&r, LEASE_HELD));
		rig_end(&r);
	}
	assert_true(judged);
}

static void test_doubt_past_the_end(void **state)
{
	char id[BLOB_LEASE_ID_MAX], again[BLOB_LEASE_ID_MAX];
	uint64_t gen;
	struct rig r;

	rig_start(&r);
	current(&r, id, &gen);
	go_doubtful(&r);
	until_expired(&r, id);
	assert_false(writable(&r));
	model_outage(r.m, 0);
	/* Nobody came in between: it is still ours. */
	current(&r, again, &gen);
	assert_string_not_equal(id, again);
	assert_false(had(&r, LEASE_LOST));
	rig_end(&r);
}

static void test_taken_in_doubt(void **state)
{
	char id[BLOB_LEASE_ID_MAX];
	uint64_t gen;
	struct rig r;

	rig_start(&r);
	current(&r, id, &gen);
	go_doubtful(&r);
	until_expired(&r, id);
	assert_int_equal(model_blob_acquire(model_blob(r.m), OTHER, 60, NULL), 0);
	set_other_record(&r, OTHER);
	model_outage(r.m, 0);
	wait_for(lease_state(r.k) == LEASE_LOST);
	wait_for(strstr(reason(&r), "bob on node9 (pid 77)"));
	assert_false(writable(&r));
	/* For ever, and the other's lease and record stay as they are. */
	model_blob_release(model_blob(r.m), OTHER, NULL);
	assert_int_equal(model_blob_acquire(model_blob(r.m), OTHER, 60, NULL), 0);
	lease_fence(r.k, generation(&r));
	lease_refused(r.k, generation(&r));
	assert_int_equal(lease_state(r.k), LEASE_LOST);
	rig_end(&r);
}

static void test_written_in_doubt(void **state)
{
	char id[BLOB_LEASE_ID_MAX];
	uint64_t gen;
	struct rig r;

	rig_start(&r);
	current(&r, id, &gen);
	go_doubtful(&r);
	until_expired(&r, id);
	write_page(&r, NULL, NULL);
	model_outage(r.m, 0);
	wait_for(lease_state(r.k) == LEASE_LOST);
	rig_end(&r);
}

/* A service that renews an expired lease under any id (Azurite) must not talk us
 * into a blob that others wrote to. */
static void loose(bool with_record, bool unknown)
{
	char id[BLOB_LEASE_ID_MAX];
	int64_t granted;
	uint64_t gen;
	struct rig r;

	rig_start(&r);
	model_blob_loose(model_blob(r.m));
	current(&r, id, &gen);
	granted = model_now();
	if (unknown)
		lease_saw_etag(r.k, NULL);
	go_doubtful(&r);
	until_expired(&r, id);
	assert_int_equal(model_blob_acquire(model_blob(r.m), OTHER, 15, NULL), 0);
	write_page(&r, OTHER, NULL);
	if (with_record)
		set_other_record(&r, OTHER);
	until_expired(&r, OTHER);
	wait_for(model_now() > granted + SETTLED);
	model_outage(r.m, 0);
	wait_for(lease_state(r.k) == LEASE_LOST);
	wait_for(strstr(reason(&r), "somebody else wrote"));
	if (with_record)
		wait_for(strstr(reason(&r), "bob on node9"));
	rig_end(&r);
}

static void test_loose_service(void **state)
{
	loose(true, false);
	loose(true, true);
	loose(false, false);
}

static void test_own_writes_in_doubt(void **state)
{
	char id[BLOB_LEASE_ID_MAX], first[BLOB_ETAG_MAX], second[BLOB_ETAG_MAX];
	uint64_t gen;
	struct rig r;

	/* Replies of parallel writes came in the other order. */
	rig_start(&r);
	current(&r, id, &gen);
	write_page(&r, id, first);
	write_page(&r, id, second);
	lease_saw_etag(r.k, second);
	lease_saw_etag(r.k, first);
	go_doubtful(&r);
	model_outage(r.m, 0);
	wait_for(writable(&r));

	/* One whose outcome is unknown was carried out after all. */
	current(&r, id, &gen);
	write_page(&r, id, NULL);
	lease_saw_etag(r.k, NULL);
	go_doubtful(&r);
	model_outage(r.m, 0);
	wait_for(writable(&r));

	/* One was carried out and its reply comes late. */
	rig_end(&r);
	rig_start(&r);
	current(&r, id, &gen);
	write_page(&r, id, first);
	go_doubtful(&r);
	model_outage(r.m, 0);
	wait_for(strstr(reason(&r), "writes that are under way"));
	assert_false(writable(&r));
	lease_saw_etag(r.k, first);
	wait_for(writable(&r));
	assert_false(had(&r, LEASE_LOST));
	rig_end(&r);
}

/* An unknown outcome that a fence has settled excuses nothing later. */
static void test_unknown_is_settled(void **state)
{
	char id[BLOB_LEASE_ID_MAX];
	int64_t granted;
	uint64_t gen;
	struct rig r;

	rig_start(&r);
	model_blob_loose(model_blob(r.m));
	current(&r, id, &gen);
	write_page(&r, id, NULL);
	lease_saw_etag(r.k, NULL);
	lease_fence(r.k, gen);
	wait_for(generation(&r) > gen);
	wait_for(calls(&r, CALL_PROPS) >= 2);
	current(&r, id, &gen);
	granted = model_now();
	go_doubtful(&r);
	until_expired(&r, id);
	/* Somebody writes and leaves our record in place. */
	model_blob_acquire(model_blob(r.m), OTHER, 15, NULL);
	write_page(&r, OTHER, NULL);
	until_expired(&r, OTHER);
	wait_for(model_now() > granted + SETTLED);
	model_outage(r.m, 0);
	wait_for(lease_state(r.k) == LEASE_LOST);
	rig_end(&r);
}

/* Writes that nobody reported, under our own lease id: the end all the same, and
 * the lease that is still ours is given back. */
static void test_not_our_writes(void **state)
{
	char id[BLOB_LEASE_ID_MAX];
	struct blob_props p;
	int64_t granted;
	uint64_t gen;
	struct rig r;

	rig_start(&r);
	current(&r, id, &gen);
	granted = model_now();
	wait_for(model_now() > granted + SETTLED);
	model_blob_lease_id(model_blob(r.m), id);
	write_page(&r, id, NULL);
	lease_refused(r.k, generation(&r));
	wait_for(lease_state(r.k) == LEASE_LOST);
	model_blob_props(model_blob(r.m), &p, NULL);
	assert_string_equal(p.lease_state, "available");
	blob_props_free(&p);
	rig_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_doubt_in_time),
		cmocka_unit_test(test_doubt_past_the_end),
		cmocka_unit_test(test_taken_in_doubt),
		cmocka_unit_test(test_written_in_doubt),
		cmocka_unit_test(test_loose_service),
		cmocka_unit_test(test_own_writes_in_doubt),
		cmocka_unit_test(test_unknown_is_settled),
		cmocka_unit_test(test_not_our_writes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
