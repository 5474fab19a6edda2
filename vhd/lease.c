#include <config.h>

#include "vhd/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhd/lease_internal.h"

#define MARGIN_S 5

const char *lease_state_name(enum lease_state s)
{
	static const char *const names[] = { "held", "doubtful", "lost", "released" };

	return names[s];
}

int64_t lease_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t lease_units(const struct lease_keeper *k, unsigned seconds)
{
	return (int64_t)seconds * k->o.unit_ms;
}

int64_t lease_safe_until(const struct lease_keeper *k)
{
	return k->ends_at - k->o.margin_ms;
}

void lease_keep_etag(struct lease_keeper *k, const char *etag)
{
	if (*etag)
		snprintf(k->etags[k->etag_count++ % LEASE_ETAGS], BLOB_ETAG_MAX, "%s", etag);
}

void lease_took_next_id(struct lease_keeper *k)
{
	memcpy(k->id, k->next_id, sizeof(k->id));
	k->change_pending = false;
	k->generation++;
}

int lease_current(struct lease_keeper *k, char id[BLOB_LEASE_ID_MAX], uint64_t *generation)
{
	int64_t now = lease_now();
	int rc = -1;

	pthread_mutex_lock(&k->lock);
	/* The clock decides, also while the thread hangs in a renewal. */
	if (k->state == LEASE_HELD && k->want == WANT_NOTHING && now < lease_safe_until(k)) {
		memcpy(id, k->id, BLOB_LEASE_ID_MAX);
		*generation = k->generation;
		k->granted_at = now;
		rc = 0;
	}
	pthread_mutex_unlock(&k->lock);
	return rc;
}

static enum lease_state state_at(const struct lease_keeper *k, int64_t now)
{
	return k->state == LEASE_HELD && now >= lease_safe_until(k) ? LEASE_DOUBTFUL : k->state;
}

enum lease_state lease_state(struct lease_keeper *k)
{
	enum lease_state s;

	pthread_mutex_lock(&k->lock);
	s = state_at(k, lease_now());
	pthread_mutex_unlock(&k->lock);
	return s;
}

static void demand(struct lease_keeper *k, uint64_t generation, enum lease_want want)
{
	pthread_mutex_lock(&k->lock);
	if (generation == k->generation && k->state != LEASE_LOST && k->want < want) {
		k->want = want;
		k->retry_at = 0;
		pthread_cond_signal(&k->wake);
	}
	pthread_mutex_unlock(&k->lock);
}

void lease_fence(struct lease_keeper *k, uint64_t generation)
{
	demand(k, generation, WANT_FENCE);
}

void lease_refused(struct lease_keeper *k, uint64_t generation)
{
	demand(k, generation, WANT_PROOF);
}

void lease_saw_etag(struct lease_keeper *k, const char *etag)
{
	pthread_mutex_lock(&k->lock);
	if (etag && *etag)
		lease_keep_etag(k, etag);
	else
		k->unknowns++;
	pthread_mutex_unlock(&k->lock);
}

void lease_keeper_info(struct lease_keeper *k, struct lease_info *out)
{
	int64_t now = lease_now(), next;

	pthread_mutex_lock(&k->lock);
	next = k->want == WANT_NOTHING && k->renew_at > k->retry_at ? k->renew_at : k->retry_at;
	out->state = state_at(k, now);
	out->held_since = k->held_since;
	out->next_renewal_ms = next > now && k->state != LEASE_LOST ? (unsigned)(next - now) : 0;
	out->left_ms = k->ends_at > now && k->state != LEASE_LOST ? (unsigned)(k->ends_at - now) : 0;
	out->generation = k->generation;
	memcpy(out->reason, k->reason, sizeof(out->reason));
	pthread_mutex_unlock(&k->lock);
}

/* Somebody else has it: say who. */
static void name_holder(struct lease_keeper *k, struct err *err)
{
	static const char advice[] = "unmount it there, take it over with --force, or mount a --snapshot";
	struct blob_props p = { .size = 0 };
	struct lease_holder who;
	const char *text;

	if (k->store.ops->props(k->store.impl, (unsigned)lease_units(k, 10), &p, NULL) < 0)
		return;
	text = blob_meta_get(&p.meta, LEASE_HOLDER_META);
	if (text && lease_holder_parse(text, &who) == 0)
		snprintf(err->msg, sizeof(err->msg), "held by %s on %s (pid %ld) since %s; %s",
			 who.user, who.host, who.pid, who.since, advice);
	else
		snprintf(err->msg, sizeof(err->msg), "held by somebody who left no name; %s", advice);
	blob_props_free(&p);
}

static int acquire(struct lease_keeper *k, struct err *err)
{
	int64_t sent = lease_now();

	if (k->store.ops->lease_acquire(k->store.impl, k->id, k->o.duration_s,
					(unsigned)lease_units(k, k->o.duration_s) / 2, err) < 0) {
		if (err->code == ERR_LEASE_HELD)
			name_holder(k, err);
		else if (err->code == ERR_TIMEOUT || err->code == ERR_NETWORK || err->code == ERR_SERVER)
			/* It may have been carried out: don't keep others waiting. */
			k->store.ops->lease_release(k->store.impl, k->id, (unsigned)lease_units(k, 1), NULL);
		return -1;
	}
	k->ends_at = sent + lease_units(k, k->o.duration_s);
	k->renew_at = sent + lease_units(k, k->o.duration_s) / 3;
	k->held_since = time(NULL);
	return 0;
}

static void keeper_free(struct lease_keeper *k)
{
	pthread_cond_destroy(&k->wake);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

struct lease_keeper *lease_keeper_start(const struct store *store, const struct lease_options *o,
					struct err *err)
{
	struct lease_keeper *k = calloc(1, sizeof(*k));
	pthread_condattr_t attr;
	struct err own;
	int rc;

	if (!k) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	if (!err)
		err = &own;
	k->store = *store;
	k->o = *o;
	if (!k->o.unit_ms)
		k->o.unit_ms = 1000;
	if (!k->o.margin_ms)
		k->o.margin_ms = (unsigned)lease_units(k, MARGIN_S);
	blob_new_guid(k->o.holder.id);
	blob_new_guid(k->id);
	k->granted_at = INT64_MIN / 2;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &attr);
	pthread_condattr_destroy(&attr);

	if (acquire(k, err) < 0) {
		keeper_free(k);
		return NULL;
	}
	if (lease_step_sign(k, err) < 0)
		goto fail;
	rc = pthread_create(&k->thread, NULL, lease_keeper_main, k);
	if (rc) {
		err_set_errno(err, rc, "the lease keeper's thread can't be started");
		goto fail;
	}
	return k;
fail:
	lease_step_release(k, false, NULL);
	keeper_free(k);
	return NULL;
}

int lease_keeper_stop(struct lease_keeper *k, bool release, struct err *err)
{
	int rc = 0;

	pthread_mutex_lock(&k->lock);
	k->stopping = true;
	k->release = release;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);

	if (k->stop_err.code != ERR_NONE) {
		if (err)
			*err = k->stop_err;
		rc = err_prefix(err, "the lease could not be given back and runs out by itself");
	}
	keeper_free(k);
	return rc;
}
