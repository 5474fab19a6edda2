#include <config.h>

#include "tests/unit/lease_rig.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

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

bool had(struct rig *r, enum lease_state state)
{
	unsigned i;
	bool yes = false;

	pthread_mutex_lock(&r->lock);
	for (i = 0; i < r->event_count; i++)
		yes = yes || r->events[i] == state;
	pthread_mutex_unlock(&r->lock);
	return yes;
}

struct lease_options options(struct rig *r)
{
	struct lease_options o = { .duration_s = DURATION, .unit_ms = UNIT, .changed = changed, .arg = r };

	strcpy(o.holder.host, "node7");
	strcpy(o.holder.user, "alice");
	strcpy(o.holder.since, "2026-11-21T03:26:09Z");
	o.holder.pid = 4242;
	return o;
}

void rig_open(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	r->m = model_new(BLOB_SIZE, UNIT, 1);
	r->store = model_store(r->m);
}

void rig_start(struct rig *r)
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

void rig_end(struct rig *r)
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

void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

bool writable(struct rig *r)
{
	char id[BLOB_LEASE_ID_MAX];
	uint64_t gen;

	return lease_current(r->k, id, &gen) == 0;
}

uint64_t generation(struct rig *r)
{
	struct lease_info i;

	lease_keeper_info(r->k, &i);
	return i.generation;
}

const char *reason(struct rig *r)
{
	static struct lease_info i;

	lease_keeper_info(r->k, &i);
	return i.reason;
}

unsigned calls(struct rig *r, enum model_call call)
{
	struct model_seen s;

	model_seen(r->m, &s);
	return s.calls[call];
}

void current(struct rig *r, char id[BLOB_LEASE_ID_MAX], uint64_t *gen)
{
	wait_for(lease_current(r->k, id, gen) == 0);
}

void set_record(struct rig *r, const char *text, const char *lease_id)
{
	struct blob_props p;

	assert_int_equal(model_blob_props(model_blob(r->m), &p, NULL), 0);
	assert_int_equal(blob_meta_set(&p.meta, LEASE_HOLDER_META, text), 0);
	assert_int_equal(model_blob_set_meta(model_blob(r->m), &p.meta, lease_id, NULL, NULL), 0);
	blob_props_free(&p);
}

void set_other_record(struct rig *r, const char *lease_id)
{
	struct lease_holder h = { .host = "node9", .user = "bob", .since = "2026-11-22T00:00:00Z",
				  .id = OTHER, .pid = 77 };
	char *text = lease_holder_format(&h);

	set_record(r, text, lease_id);
	free(text);
}

void write_page(struct rig *r, const char *lease_id, char *etag)
{
	char page[BLOB_PAGE];
	struct err err = { .msg = "" };

	memset(page, 'w', sizeof(page));
	if (model_blob_put(model_blob(r->m), 0, sizeof(page), page, lease_id, etag, &err) < 0)
		fail_msg("write: %s", err.msg);
}

void go_doubtful(struct rig *r)
{
	model_outage(r->m, 600000);
	wait_for(lease_state(r->k) == LEASE_DOUBTFUL && had(r, LEASE_DOUBTFUL));
}

void until_expired(struct rig *r, const char *id)
{
	wait_for(!model_blob_leased_as(model_blob(r->m), id));
}
