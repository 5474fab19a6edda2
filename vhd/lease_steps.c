#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "vhd/lease_internal.h"

/* A busy disk may have writes that are in the blob already and whose replies are
 * still under way: give them as long as a request may take (seconds). */
#define SETTLE_S 120

/* Deadline of one call: short, so that a call on a dead connection leaves time
 * for another try; within what is left; but not so short that it can't work. */
static unsigned deadline(const struct lease_keeper *k)
{
	int64_t ms = lease_units(k, k->o.duration_s) / 6;
	int64_t left = lease_safe_until(k) - lease_now();

	if (k->state == LEASE_HELD && ms > left)
		ms = left;
	if (ms < lease_units(k, 1))
		ms = lease_units(k, 1);
	return (unsigned)ms;
}

static enum lease_answer answer_of(int rc, const struct err *err)
{
	if (rc == 0)
		return ANSWER_YES;
	if (err->code == ERR_LEASE_HELD || err->code == ERR_LEASE_LOST)
		return ANSWER_NO;
	if (err->code == ERR_NOT_FOUND && !strcmp(err->service_code, "BlobNotFound"))
		return ANSWER_GONE;
	return ANSWER_NONE;
}

static enum lease_answer renew_as(struct lease_keeper *k, const char *id, struct err *err)
{
	int64_t sent = lease_now();
	enum lease_answer a;

	a = answer_of(k->store.ops->lease_renew(k->store.impl, id, deadline(k), err), err);
	if (a == ANSWER_YES) {
		pthread_mutex_lock(&k->lock);
		k->ends_at = sent + lease_units(k, k->o.duration_s);
		k->renew_at = sent + lease_units(k, k->o.duration_s) / 3;
		pthread_mutex_unlock(&k->lock);
	}
	return a;
}

enum lease_answer lease_step_renew(struct lease_keeper *k, struct err *err)
{
	enum lease_answer a = renew_as(k, k->id, err);

	if (a != ANSWER_NO || !k->change_pending)
		return a;
	/* The change whose answer we miss may have been carried out. */
	a = renew_as(k, k->next_id, err);
	if (a == ANSWER_YES) {
		pthread_mutex_lock(&k->lock);
		lease_took_next_id(k);
		pthread_mutex_unlock(&k->lock);
	}
	return a;
}

enum lease_answer lease_step_change(struct lease_keeper *k, struct err *err)
{
	enum lease_answer a;

	pthread_mutex_lock(&k->lock);
	if (!k->change_pending)
		blob_new_guid(k->next_id);
	k->change_pending = true;
	pthread_mutex_unlock(&k->lock);

	a = answer_of(k->store.ops->lease_change(k->store.impl, k->id, k->next_id, deadline(k), err),
		      err);
	if (a == ANSWER_YES) {
		pthread_mutex_lock(&k->lock);
		lease_took_next_id(k);
		pthread_mutex_unlock(&k->lock);
	}
	return a;
}

/* Whose record is in the metadata: 1 and *who filled in, or 0 if there is none
 * that can be read. */
static int read_record(const struct blob_props *p, struct lease_holder *who)
{
	const char *text = blob_meta_get(&p->meta, LEASE_HOLDER_META);

	return text && lease_holder_parse(text, who) == 0;
}

static bool known_etag(struct lease_keeper *k, const char *etag)
{
	unsigned i, n = k->etag_count < LEASE_ETAGS ? k->etag_count : LEASE_ETAGS;

	for (i = 0; i < n; i++)
		if (!strcmp(k->etags[i], etag))
			return true;
	return false;
}

enum lease_answer lease_step_compare(struct lease_keeper *k, struct err *err)
{
	struct blob_props p = { .size = 0 };
	struct lease_holder who;
	bool known, unknowns, in_flight, ours;
	int rc = k->store.ops->props(k->store.impl, deadline(k), &p, err);

	if (rc < 0)
		return answer_of(rc, err);
	ours = read_record(&p, &who) && !strcmp(who.id, k->o.holder.id);

	pthread_mutex_lock(&k->lock);
	known = known_etag(k, p.etag);
	unknowns = k->unknowns > k->unknowns_settled;
	in_flight = lease_now() - k->granted_at < lease_units(k, SETTLE_S);
	if (ours && unknowns)
		lease_keep_etag(k, p.etag);
	pthread_mutex_unlock(&k->lock);
	blob_props_free(&p);

	if (known || (ours && unknowns))
		return ANSWER_YES;
	if (ours && in_flight) {
		err_set(err, ERR_CONDITION, "waiting for the replies of writes that are under way");
		return ANSWER_NONE;
	}
	return ANSWER_NO;
}

void lease_step_settle(struct lease_keeper *k)
{
	struct blob_props p = { .size = 0 };
	uint64_t unknowns;

	/* The change has shut out whatever was under way; what is there now is the
	 * last that the old id has done, or newer writes of ours. */
	pthread_mutex_lock(&k->lock);
	unknowns = k->unknowns;
	pthread_mutex_unlock(&k->lock);
	if (k->store.ops->props(k->store.impl, deadline(k), &p, NULL) < 0)
		return;
	pthread_mutex_lock(&k->lock);
	lease_keep_etag(k, p.etag);
	k->unknowns_settled = unknowns;
	pthread_mutex_unlock(&k->lock);
	blob_props_free(&p);
}

void lease_step_who(struct lease_keeper *k, const char *what, char *reason, size_t size)
{
	struct blob_props p = { .size = 0 };
	struct lease_holder who;

	if (k->store.ops->props(k->store.impl, deadline(k), &p, NULL) < 0) {
		snprintf(reason, size, "%s; who has it now can't be found out", what);
		return;
	}
	if (read_record(&p, &who) && strcmp(who.id, k->o.holder.id))
		snprintf(reason, size, "%s; taken by %.40s on %.80s (pid %ld) since %s", what,
			 who.user, who.host, who.pid, who.since);
	else if (!strcmp(p.lease_state, "leased"))
		snprintf(reason, size, "%s; now held by somebody who left no name", what);
	else
		snprintf(reason, size, "%s; nobody holds it now", what);
	blob_props_free(&p);
}

/* Set our record, or with NULL take it out; what else is there stays. `before`: the
 * ETag that it is put on top of. */
static int write_record(struct lease_keeper *k, const char *text, char *before, char *etag, struct err *err)
{
	struct blob_props p = { .size = 0 };
	int rc;

	if (k->store.ops->props(k->store.impl, deadline(k), &p, err) < 0)
		return -1;
	snprintf(before, BLOB_ETAG_MAX, "%s", p.etag);
	if (blob_meta_set(&p.meta, LEASE_HOLDER_META, text) < 0)
		rc = err_set(err, ERR_NO_MEMORY, "out of memory");
	else
		rc = k->store.ops->set_meta(k->store.impl, &p.meta, k->id, etag, err);
	blob_props_free(&p);
	return rc;
}

int lease_step_sign(struct lease_keeper *k, struct err *err)
{
	cleanup_free char *text = lease_holder_format(&k->o.holder);
	char before[BLOB_ETAG_MAX], etag[BLOB_ETAG_MAX] = "";

	if (!text)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (write_record(k, text, before, etag, err) < 0)
		return err_prefix(err, "the lease is ours but its holder can't be recorded");
	lease_keep_etag(k, etag);
	if (k->o.etags) {
		memcpy(k->o.etags->taken, before, sizeof(before));
		memcpy(k->o.etags->recorded, etag, sizeof(etag));
	}
	return 0;
}

int lease_step_release(struct lease_keeper *k, bool clean, struct err *err)
{
	const struct store_ops *ops = k->store.ops;
	char before[BLOB_ETAG_MAX], etag[BLOB_ETAG_MAX] = "";

	/* A record that stays says too much, but nothing false: whoever reads it
	 * looks at the lease first. */
	if (clean && write_record(k, NULL, before, etag, NULL) == 0 && k->o.etags)
		memcpy(k->o.etags->left, etag, sizeof(etag));
	if (k->change_pending && ops->lease_release(k->store.impl, k->next_id, deadline(k), err) < 0)
		return -1;
	return ops->lease_release(k->store.impl, k->id, deadline(k), err);
}
