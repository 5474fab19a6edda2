/*
 * The lease keeper against the model of the service: every state and move of
 * vhd/lease.h. A second of lease time is UNIT milliseconds.
 */
#include <config.h>

#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/model_store.h"
#include "vhd/lease.h"

#define UNIT 20
#define DURATION 15
#define BLOB_SIZE (64 * 1024)
#define WAIT_MS 20000
/* So long after the last grant, no reply to a write can be under way. */
#define SETTLED (121 * UNIT)
#define OTHER "11111111-2222-3333-4444-555555555555"

struct rig {
	struct model *m;
	struct store store;
	struct lease_keeper *k;
	pthread_mutex_t lock;
	enum lease_state events[256];
	unsigned event_count;
	bool stopped;
};

/* The keeper may be asked anything from within its callback. */
static void changed(void *arg, enum lease_state state)
{
	struct rig *r = arg;
	char id[BLOB_LEASE_ID_MAX];
	struct lease_info info;
	uint64_t gen;

	pthread_mutex_lock(&r->lock);
	assert_false(r->stopped);
	if (r->event_count < 256)
		r->events[r->event_count++] = state;
	if (r->k) {
		lease_keeper_info(r->k, &info);
		lease_current(r->k, id, &gen);
	}
	pthread_mutex_unlock(&r->lock);
}

static bool had(struct rig *r, enum lease_state state)
{
	unsigned i;
	bool yes = false;

	pthread_mutex_lock(&r->lock);
	for (i = 0; i < r->event_count; i++)
		yes = yes || r->events[i] == state;
	pthread_mutex_unlock(&r->lock);
	return yes;
}

static struct lease_options options(struct rig *r)
{
	struct lease_options o = { .duration_s = DURATION, .unit_ms = UNIT, .changed = changed, .arg = r };

	strcpy(o.holder.host, "node7");
	strcpy(o.holder.user, "alice");
	strcpy(o.holder.since, "2026-11-21T03:26:09Z");
	o.holder.pid = 4242;
	return o;
}

static void rig_open(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	r->m = model_new(BLOB_SIZE, UNIT, 1);
	r->store = model_store(r->m);
}

static void rig_start(struct rig *r)
{
	struct lease_options o;
	struct lease_keeper *k;
	struct err err = { .msg = "" };

	rig_open(r);
	o = options(r);
	k = lease_keeper_start(&r->store, &o, &err);
	if (!k)
		fail_msg("start: %s", err.msg);
	pthread_mutex_lock(&r->lock);
	r->k = k;
	pthread_mutex_unlock(&r->lock);
}

static void rig_end(struct rig *r)
{
	struct lease_keeper *k = r->k;

	pthread_mutex_lock(&r->lock);
	r->k = NULL;
	pthread_mutex_unlock(&r->lock);
	if (k)
		lease_keeper_stop(k, true, NULL);
	pthread_mutex_lock(&r->lock);
	r->stopped = true;
	pthread_mutex_unlock(&r->lock);
	model_free(r->m);
	pthread_mutex_destroy(&r->lock);
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* Wait for a condition; the test fails when it does not come true in time. */
#define wait_for(cond) \
	do { \
		int64_t end_ = model_now() + WAIT_MS; \
		while (!(cond)) { \
			if (model_now() > end_) \
				fail_msg("waited in vain for %s", #cond); \
			nap(); \
		} \
	} while (0)

static bool writable(struct rig *r)
{
	char id[BLOB_LEASE_ID_MAX];
	uint64_t gen;

	return lease_current(r->k, id, &gen) == 0;
}

static uint64_t generation(struct rig *r)
{
	struct lease_info i;

	lease_keeper_info(r->k, &i);
	return i.generation;
}

static const char *reason(struct rig *r)
{
	static struct lease_info i;

	lease_keeper_info(r->k, &i);
	return i.reason;
}

static unsigned calls(struct rig *r, enum model_call call)
{
	struct model_seen s;

	model_seen(r->m, &s);
	return s.calls[call];
}

/* A lease that was in doubt for the machine's slowness is held again soon. */
static void current(struct rig *r, char id[BLOB_LEASE_ID_MAX], uint64_t *gen)
{
	wait_for(lease_current(r->k, id, gen) == 0);
}

static void set_record(struct rig *r, const char *text, const char *lease_id)
{
	struct blob_props p;

	assert_int_equal(model_blob_props(model_blob(r->m), &p, NULL), 0);
	assert_int_equal(blob_meta_set(&p.meta, LEASE_HOLDER_META, text), 0);
	assert_int_equal(model_blob_set_meta(model_blob(r->m), &p.meta, lease_id, NULL, NULL), 0);
	blob_props_free(&p);
}

static void set_other_record(struct rig *r, const char *lease_id)
{
	struct lease_holder h = { .host = "node9", .user = "bob", .since = "2026-11-22T00:00:00Z",
				  .id = OTHER, .pid = 77 };
	char *text = lease_holder_format(&h);

	set_record(r, text, lease_id);
	free(text);
}

/* Write one page as the keeper's drive would, and give back the ETag. */
static void write_page(struct rig *r, const char *lease_id, char *etag)
{
	char page[BLOB_PAGE];
	struct err err = { .msg = "" };

	memset(page, 'w', sizeof(page));
	if (model_blob_put(model_blob(r->m), 0, sizeof(page), page, lease_id, etag, &err) < 0)
		fail_msg("write: %s", err.msg);
}

static void go_doubtful(struct rig *r)
{
	model_outage(r->m, 600000);
	wait_for(lease_state(r->k) == LEASE_DOUBTFUL && had(r, LEASE_DOUBTFUL));
}

static void until_expired(struct rig *r, const char *id)
{
	wait_for(!model_blob_leased_as(model_blob(r->m), id));
}

/* --- the record -------------------------------------------------------------- */

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

/* --- start and stop ------------------------------------------------------------ */

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

/* --- held ------------------------------------------------------------------------ */

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

/* --- doubtful ---------------------------------------------------------------------- */

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

/* --- fence ------------------------------------------------------------------------ */

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

/* --- lost ------------------------------------------------------------------------- */

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
		cmocka_unit_test(test_record_text),
		cmocka_unit_test(test_record_hostile),
		cmocka_unit_test(test_start_stop),
		cmocka_unit_test(test_etags),
		cmocka_unit_test(test_start_refused),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_stop_without_release),
		cmocka_unit_test(test_stop_in_outage),
		cmocka_unit_test(test_renews),
		cmocka_unit_test(test_renewal_fails_for_a_while),
		cmocka_unit_test(test_blob_deleted),
		cmocka_unit_test(test_doubt_in_time),
		cmocka_unit_test(test_doubt_past_the_end),
		cmocka_unit_test(test_taken_in_doubt),
		cmocka_unit_test(test_written_in_doubt),
		cmocka_unit_test(test_loose_service),
		cmocka_unit_test(test_own_writes_in_doubt),
		cmocka_unit_test(test_unknown_is_settled),
		cmocka_unit_test(test_not_our_writes),
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
