/*
 * The calls that wait for their reply: leases and metadata.
 */
#include <config.h>

#include "tests/unit/model_store_priv.h"

#include <string.h>

/* The way there: 0 when it arrives within the deadline. */
static int travel(struct model *m, enum model_call kind, unsigned deadline_ms, struct model_plan *p,
		  struct err *err)
{
	int64_t end = model_now() + deadline_ms, at, now;
	bool arrived;

	pthread_mutex_lock(&m->lock);
	m->seen.calls[kind]++;
	*p = (struct model_plan){ .call = kind };
	if (!model_planned(m, kind, p) && model_by_chance(m, m->chances.lease)) {
		p->fault = (enum model_fault)(1 + model_below(m, FAULT_COUNT - 1));
		p->ms = model_below(m, m->chances.late_ms + 1);
	}
	at = model_now() + model_usual_delay(m) + (p->fault == FAULT_DELAY ? p->ms : 0);
	while ((now = model_now()) < at || now < m->outage_until) {
		int64_t until = at > m->outage_until ? at : m->outage_until;

		if (now >= end)
			break;
		model_wait_until(m, until < end ? until : end);
	}
	arrived = now >= at && now >= m->outage_until;
	model_run_ghosts(m);
	pthread_mutex_unlock(&m->lock);
	if (!arrived) {
		p->fault = FAULT_RESET;
		return err_set(err, ERR_TIMEOUT, "model/disk.vhd: no reply in %u ms", deadline_ms);
	}
	if (p->fault == FAULT_ERROR) {
		model_fault_error(p, err);
		return -1;
	}
	if (p->fault == FAULT_RESET || p->fault == FAULT_LATE)
		return err_set(err, ERR_NETWORK, "model/disk.vhd: the connection broke");
	return 0;
}

/* The way back. */
static int reply(const struct model_plan *p, int rc, struct err *err)
{
	if (p->fault == FAULT_SWALLOWED)
		return err_set(err, ERR_NETWORK, "model/disk.vhd: the connection broke");
	return rc;
}

static int op_acquire(void *store, const char *id, unsigned duration_s, unsigned deadline_ms,
		      struct err *err)
{
	struct model *m = store;
	struct model_plan p;

	if (travel(m, CALL_ACQUIRE, deadline_ms, &p, err) < 0)
		return -1;
	return reply(&p, model_blob_acquire(m->blob, id, duration_s, err), err);
}

static int op_renew(void *store, const char *id, unsigned deadline_ms, struct err *err)
{
	struct model *m = store;
	struct model_plan p;

	if (travel(m, CALL_RENEW, deadline_ms, &p, err) < 0)
		return -1;
	return reply(&p, model_blob_renew(m->blob, id, err), err);
}

static int op_change(void *store, const char *id, const char *new_id, unsigned deadline_ms,
		     struct err *err)
{
	struct model *m = store;
	struct model_plan p;

	if (travel(m, CALL_CHANGE, deadline_ms, &p, err) < 0) {
		pthread_mutex_lock(&m->lock);
		if (p.fault == FAULT_LATE)
			model_add_ghost(m, CALL_CHANGE, NULL, id, new_id, model_now() + p.ms);
		pthread_mutex_unlock(&m->lock);
		return -1;
	}
	return reply(&p, model_blob_change(m->blob, id, new_id, err), err);
}

static int op_release(void *store, const char *id, unsigned deadline_ms, struct err *err)
{
	struct model *m = store;
	struct model_plan p;
	int rc;

	if (travel(m, CALL_RELEASE, deadline_ms, &p, err) < 0)
		return -1;
	rc = model_blob_release(m->blob, id, err);
	/* blob/ops.h: already released is well. */
	if (rc < 0 && err && !strcmp(err->service_code, "LeaseIdMismatchWithLeaseOperation"))
		rc = 0;
	return reply(&p, rc, err);
}

static int op_props(void *store, unsigned deadline_ms, struct blob_props *out, struct err *err)
{
	struct model *m = store;
	struct model_plan p;

	if (travel(m, CALL_PROPS, deadline_ms, &p, err) < 0)
		return -1;
	if (p.fault == FAULT_SWALLOWED)
		return reply(&p, -1, err);
	return model_blob_props(m->blob, out, err);
}

static int op_set_meta(void *store, const struct blob_meta_list *meta, const char *lease_id,
		       char *etag_out, struct err *err)
{
	struct model *m = store;
	struct model_plan p;

	if (travel(m, CALL_SET_META, m->give_up_ms, &p, err) < 0)
		return -1;
	return reply(&p, model_blob_set_meta(m->blob, meta, lease_id, etag_out, err), err);
}

void model_blocking_ops(struct store_ops *ops)
{
	ops->lease_acquire = op_acquire;
	ops->lease_renew = op_renew;
	ops->lease_change = op_change;
	ops->lease_release = op_release;
	ops->props = op_props;
	ops->set_meta = op_set_meta;
}
