/*
 * The asynchronous calls: threads carry them out and deliver the replies.
 */
#include <config.h>

#include "tests/unit/model_store_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void scribble(const struct call *c)
{
	int i;

	for (i = 0; i < c->iov_count; i++)
		memset(c->iov[i].iov_base, 0xEE, c->iov[i].iov_len);
}

static void send_call(struct model *m, struct call *c, const struct iovec *iov, int count)
{
	int i;

	if (count) {
		c->iov = malloc((size_t)count * sizeof(*iov));
		memcpy(c->iov, iov, (size_t)count * sizeof(*iov));
		c->iov_count = count;
		for (i = 0; i < count; i++)
			c->len += iov[i].iov_len;
	}
	if (c->kind == CALL_WRITE)
		c->sum = model_sum_of(c);
	else if (c->kind == CALL_READ)
		scribble(c);

	pthread_mutex_lock(&m->lock);
	model_run_ghosts(m);
	m->seen.calls[c->kind]++;
	if (c->offset % BLOB_PAGE || c->len % BLOB_PAGE || !c->len ||
	    c->offset + c->len > model_blob_size(m->blob))
		m->seen.bad_calls++;
	if (model_is_write(c))
		model_watch_write(m, c);
	if (!model_planned(m, c->kind, &c->plan))
		model_random_fault(m, c->kind, &c->plan);
	c->fault = c->plan.fault;
	c->due = model_now() + model_usual_delay(m) + (c->fault == FAULT_DELAY ? c->plan.ms : 0);
	c->give_up = model_now() + m->give_up_ms;
	c->next = m->calls;
	m->calls = c;
	m->seen.in_flight++;
	if (m->seen.in_flight > m->seen.most_in_flight)
		m->seen.most_in_flight = m->seen.in_flight;
	pthread_cond_broadcast(&m->wake);
	pthread_mutex_unlock(&m->lock);
}

static int put_all(struct model *m, struct call *c)
{
	char *flat = malloc(c->len);
	size_t n = 0;
	int i, rc;

	for (i = 0; i < c->iov_count; i++) {
		memcpy(flat + n, c->iov[i].iov_base, c->iov[i].iov_len);
		n += c->iov[i].iov_len;
	}
	rc = model_blob_put(m->blob, c->offset, c->len, flat, c->has_lease ? c->lease_id : NULL,
			    c->etag, &c->err);
	free(flat);
	return rc;
}

static int get_all(struct model *m, struct call *c)
{
	char *flat = malloc(c->len);
	size_t n = 0;
	int i, rc = model_blob_get(m->blob, c->offset, c->len, flat, &c->err);

	for (i = 0; rc == 0 && i < c->iov_count; i++) {
		memcpy(c->iov[i].iov_base, flat + n, c->iov[i].iov_len);
		n += c->iov[i].iov_len;
	}
	free(flat);
	return rc;
}

static int apply(struct model *m, struct call *c)
{
	int rc = -1;

	switch (c->kind) {
	case CALL_READ:
		return get_all(m, c);
	case CALL_RANGES:
		return model_blob_list(m->blob, c->offset, c->len, &c->ranges, &c->range_count, &c->err);
	case CALL_WRITE:
		rc = put_all(m, c);
		break;
	default:
		rc = model_blob_put(m->blob, c->offset, c->len, NULL,
				    c->has_lease ? c->lease_id : NULL, c->etag, &c->err);
		break;
	}
	if (rc == 0 && m->marked)
		m->seen.landed_after_mark++;
	return rc;
}

static void lost_reply(struct call *c, enum err_code code)
{
	err_set(&c->err, code, "model/disk.vhd: the connection broke");
	c->failed = true;
	c->unknown = model_is_write(c);
	c->etag[0] = '\0';
}

/* It arrives at the service, or not. */
static void carry_out(struct model *m, struct call *c)
{
	int64_t now = model_now();

	c->carried_out = true;
	c->due = now + model_usual_delay(m);
	switch (c->fault) {
	case FAULT_ERROR:
		model_fault_error(&c->plan, &c->err);
		c->failed = true;
		break;
	case FAULT_RESET:
		lost_reply(c, ERR_NETWORK);
		if (model_is_write(c))
			model_add_ghost(m, c->kind, c, c->lease_id, NULL, -1);
		break;
	case FAULT_LATE:
		lost_reply(c, ERR_NETWORK);
		if (model_is_write(c))
			model_add_ghost(m, c->kind, c, c->lease_id, NULL, now + c->plan.ms);
		break;
	case FAULT_SWALLOWED:
		apply(m, c);
		lost_reply(c, ERR_NETWORK);
		if (model_is_write(c))
			model_add_ghost(m, c->kind, c, c->lease_id, NULL, -1);
		break;
	default:
		c->failed = apply(m, c) < 0;
		break;
	}
}

/* One that is due, at random; NULL and when to look again. */
static struct call *pick(struct model *m, int64_t *next)
{
	int64_t now = model_now();
	struct call *c, *found = NULL;
	unsigned n = 0;

	*next = now + 1000;
	for (c = m->calls; c; c = c->next) {
		int64_t due = now < m->outage_until ? c->give_up : c->due;

		if (m->held[c->kind] && !c->carried_out)
			continue;
		if (due > now) {
			if (due < *next)
				*next = due;
			if (m->outage_until > now && m->outage_until < *next)
				*next = m->outage_until;
			continue;
		}
		if (model_below(m, ++n) == 0)
			found = c;
	}
	return found;
}

static void unlink_call(struct model *m, struct call *c)
{
	struct call **at = &m->calls;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	m->seen.in_flight--;
}

static void give_up(struct model *m, struct call *c)
{
	/* Before anything was sent the outcome is known; a broken connection on
	 * the way leaves it open. */
	if (model_is_write(c) && (c->carried_out || model_below(m, 2))) {
		lost_reply(c, ERR_TIMEOUT);
		model_add_ghost(m, c->kind, c, c->lease_id, NULL, -1);
		return;
	}
	lost_reply(c, ERR_TIMEOUT);
	c->unknown = false;
}

static void answer(struct model *m, struct call *c)
{
	struct store_result r = {
		.err = c->failed ? &c->err : NULL, .outcome_unknown = c->unknown, .etag = c->etag,
	};

	if (c->kind == CALL_WRITE && model_sum_of(c) != c->sum)
		m->seen.changed_bodies++;
	if (c->kind == CALL_READ && c->failed)
		scribble(c);
	if (!c->failed && c->kind == CALL_READ)
		m->seen.bytes_read += c->len;
	if (!c->failed && c->kind == CALL_WRITE)
		m->seen.bytes_written += c->len;
	unlink_call(m, c);
	m->seen.answering++;
	pthread_mutex_unlock(&m->lock);
	if (c->kind == CALL_RANGES)
		c->ranges_done(c->arg, r.err, c->ranges, c->failed ? 0 : c->range_count);
	else
		c->done(c->arg, &r);
	free(c->ranges);
	free(c->iov);
	free(c);
	pthread_mutex_lock(&m->lock);
	m->seen.answering--;
	pthread_cond_broadcast(&m->wake);
}

void *model_network_main(void *arg)
{
	struct model *m = arg;

	pthread_mutex_lock(&m->lock);
	for (;;) {
		int64_t next;
		struct call *c = pick(m, &next);
		const struct ghost *g;

		model_run_ghosts(m);
		for (g = m->ghosts; g; g = g->next)
			if (g->at >= 0 && g->at < next)
				next = g->at;
		if (!c && m->stopping && !m->calls)
			break;
		if (!c) {
			model_wait_until(m, next);
			continue;
		}
		if (model_now() < m->outage_until) {
			give_up(m, c);
			answer(m, c);
		} else if (!c->carried_out) {
			carry_out(m, c);
		} else {
			answer(m, c);
		}
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

static struct call *call_new(enum model_call kind, uint64_t offset, store_done_fn *done, void *arg)
{
	struct call *c = calloc(1, sizeof(*c));

	c->kind = kind;
	c->offset = offset;
	c->done = done;
	c->arg = arg;
	return c;
}

static void set_lease(struct call *c, const char *lease_id)
{
	c->has_lease = lease_id != NULL;
	snprintf(c->lease_id, sizeof(c->lease_id), "%s", lease_id ? lease_id : "");
}

static void op_read(void *store, uint64_t offset, const struct iovec *iov, int count,
		    store_done_fn *done, void *arg)
{
	send_call(store, call_new(CALL_READ, offset, done, arg), iov, count);
}

static void op_write(void *store, uint64_t offset, const struct iovec *iov, int count,
		     const char *lease_id, store_done_fn *done, void *arg)
{
	struct call *c = call_new(CALL_WRITE, offset, done, arg);

	set_lease(c, lease_id);
	send_call(store, c, iov, count);
}

static void op_clear(void *store, uint64_t offset, uint64_t len, const char *lease_id,
		     store_done_fn *done, void *arg)
{
	struct call *c = call_new(CALL_CLEAR, offset, done, arg);

	c->len = len;
	set_lease(c, lease_id);
	send_call(store, c, NULL, 0);
}

static void op_ranges(void *store, uint64_t offset, uint64_t len, store_ranges_fn *done, void *arg)
{
	struct call *c = call_new(CALL_RANGES, offset, NULL, arg);

	c->len = len;
	c->ranges_done = done;
	send_call(store, c, NULL, 0);
}

void model_network_ops(struct store_ops *ops)
{
	ops->read = op_read;
	ops->write = op_write;
	ops->clear = op_clear;
	ops->ranges = op_ranges;
}
