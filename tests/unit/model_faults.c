/*
 * Chance, the faults that were planned and those by chance, and requests that nobody
 * knows the outcome of.
 */
#include <config.h>

#include "tests/unit/model_store_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t next_random(struct model *m)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random;
}

unsigned model_below(struct model *m, unsigned n)
{
	return n ? (unsigned)((next_random(m) >> 20) % n) : 0;
}

bool model_by_chance(struct model *m, unsigned per_mille)
{
	return per_mille && model_below(m, 1000) < per_mille;
}

int64_t model_usual_delay(struct model *m)
{
	return m->min_ms + model_below(m, m->max_ms - m->min_ms + 1);
}

void model_wait_until(struct model *m, int64_t at)
{
	struct timespec t = { .tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000 };

	pthread_cond_timedwait(&m->wake, &m->lock, &t);
}

bool model_planned(struct model *m, enum model_call kind, struct model_plan *out)
{
	unsigned i;

	for (i = 0; i < m->plan_count; i++) {
		struct model_plan *p = &m->plans[i];

		if (p->call != kind)
			continue;
		if (p->skip) {
			p->skip--;
			continue;
		}
		*out = *p;
		if (--p->times == 0) {
			memmove(p, p + 1, (m->plan_count - i - 1) * sizeof(*p));
			m->plan_count--;
		}
		return true;
	}
	return false;
}

void model_random_fault(struct model *m, enum model_call kind, struct model_plan *out)
{
	const struct model_chances *c = &m->chances;
	bool write = kind == CALL_WRITE || kind == CALL_CLEAR;

	*out = (struct model_plan){ .call = kind, .code = ERR_SERVER, .http_status = 503,
				    .service_code = "ServerBusy" };
	if (model_by_chance(m, write ? c->write_error : c->read_error)) {
		out->fault = FAULT_ERROR;
	} else if (write && model_by_chance(m, c->swallowed)) {
		out->fault = FAULT_SWALLOWED;
	} else if (write && model_by_chance(m, c->reset)) {
		out->fault = FAULT_RESET;
	} else if (write && model_by_chance(m, c->late)) {
		out->fault = FAULT_LATE;
		out->ms = model_below(m, c->late_ms + 1);
	} else if (model_by_chance(m, c->slow)) {
		out->fault = FAULT_DELAY;
		out->ms = model_below(m, c->slow_ms + 1);
	}
}

void model_fault_error(const struct model_plan *p, struct err *err)
{
	if (!err)
		return;
	err_set(err, p->code ? p->code : ERR_SERVER, "model/disk.vhd: %s",
		p->service_code ? p->service_code : "ServerBusy");
	err->http_status = p->http_status;
	snprintf(err->service_code, sizeof(err->service_code), "%s",
		 p->service_code ? p->service_code : "");
}

void model_add_ghost(struct model *m, enum model_call kind, const struct call *c, const char *id,
		     const char *new_id, int64_t at)
{
	struct ghost *g = calloc(1, sizeof(*g));
	size_t n = 0;
	int i;

	g->kind = kind;
	g->at = at;
	snprintf(g->id, sizeof(g->id), "%s", id);
	snprintf(g->new_id, sizeof(g->new_id), "%s", new_id ? new_id : "");
	if (c) {
		g->offset = c->offset;
		g->len = c->len;
	}
	if (kind == CALL_WRITE) {
		g->data = malloc(c->len);
		for (i = 0; i < c->iov_count; i++) {
			memcpy((char *)g->data + n, c->iov[i].iov_base, c->iov[i].iov_len);
			n += c->iov[i].iov_len;
		}
	}
	g->next = m->ghosts;
	m->ghosts = g;
}

void model_free_ghost(struct ghost *g)
{
	free(g->data);
	free(g);
}

void model_run_ghosts(struct model *m)
{
	struct ghost **at = &m->ghosts, *g;
	int64_t now = model_now();

	while ((g = *at)) {
		int rc;

		if (g->at >= 0 && now >= g->at) {
			rc = g->kind == CALL_CHANGE ?
				     model_blob_change(m->blob, g->id, g->new_id, NULL) :
				     model_blob_put(m->blob, g->offset, g->len, g->data, g->id, NULL, NULL);
			if (rc == 0)
				m->seen.late_landed++;
			else
				m->seen.late_refused++;
			if (rc == 0 && m->marked && g->kind != CALL_CHANGE)
				m->seen.landed_after_mark++;
			g->at = -1;
		}
		if (g->at < 0 && (g->kind == CALL_CHANGE || !model_blob_leased_as(m->blob, g->id))) {
			*at = g->next;
			model_free_ghost(g);
		} else {
			at = &g->next;
		}
	}
}
