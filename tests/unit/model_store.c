#include <config.h>

#include "tests/unit/model_store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS 4
#define PLANS 64

/* An asynchronous call: sent, later carried out, later answered. */
struct call {
	struct call *next;
	enum model_call kind;
	uint64_t offset, len;
	struct iovec *iov;
	int iov_count;
	char lease_id[BLOB_LEASE_ID_MAX];
	bool has_lease;
	uint64_t sum;              /* of the body, when it was sent */
	store_done_fn *done;
	store_ranges_fn *ranges_done;
	void *arg;

	enum model_fault fault;
	struct model_plan plan;
	int64_t due, give_up;
	bool carried_out;
	/* the answer */
	struct err err;
	bool failed, unknown;
	char etag[BLOB_ETAG_MAX];
	struct blob_range *ranges;
	size_t range_count;
};

/* A request whose caller does not know what became of it. `at` < 0: it never
 * arrives (or has arrived), but its caller can't know that. */
struct ghost {
	struct ghost *next;
	enum model_call kind;      /* WRITE, CLEAR or CHANGE */
	uint64_t offset, len;
	void *data;
	char id[BLOB_LEASE_ID_MAX], new_id[BLOB_LEASE_ID_MAX];
	int64_t at;
};

struct model {
	struct model_blob *blob;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t threads[THREADS];
	bool stopping, marked;
	uint64_t random;
	struct call *calls;
	struct ghost *ghosts;
	struct model_plan plans[PLANS];
	unsigned plan_count;
	struct model_chances chances;
	unsigned min_ms, max_ms, give_up_ms;
	int64_t outage_until;
	bool held[CALL_COUNT];
	struct model_seen seen;
};

static uint64_t next_random(struct model *m)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random;
}

static unsigned below(struct model *m, unsigned n)
{
	return n ? (unsigned)((next_random(m) >> 20) % n) : 0;
}

static bool by_chance(struct model *m, unsigned per_mille)
{
	return per_mille && below(m, 1000) < per_mille;
}

static int64_t usual_delay(struct model *m)
{
	return m->min_ms + below(m, m->max_ms - m->min_ms + 1);
}

static void wait_until(struct model *m, int64_t at)
{
	struct timespec t = { .tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000 };

	pthread_cond_timedwait(&m->wake, &m->lock, &t);
}

/* --- faults ------------------------------------------------------------- */

/* The planned fault for this call, if it is its turn. */
static bool planned(struct model *m, enum model_call kind, struct model_plan *out)
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

static void random_fault(struct model *m, enum model_call kind, struct model_plan *out)
{
	const struct model_chances *c = &m->chances;
	bool write = kind == CALL_WRITE || kind == CALL_CLEAR;

	*out = (struct model_plan){ .call = kind, .code = ERR_SERVER, .http_status = 503,
				    .service_code = "ServerBusy" };
	if (by_chance(m, write ? c->write_error : c->read_error)) {
		out->fault = FAULT_ERROR;
	} else if (write && by_chance(m, c->swallowed)) {
		out->fault = FAULT_SWALLOWED;
	} else if (write && by_chance(m, c->reset)) {
		out->fault = FAULT_RESET;
	} else if (write && by_chance(m, c->late)) {
		out->fault = FAULT_LATE;
		out->ms = below(m, c->late_ms + 1);
	} else if (by_chance(m, c->slow)) {
		out->fault = FAULT_DELAY;
		out->ms = below(m, c->slow_ms + 1);
	}
}

static void fault_error(const struct model_plan *p, struct err *err)
{
	if (!err)
		return;
	err_set(err, p->code ? p->code : ERR_SERVER, "model/disk.vhd: %s",
		p->service_code ? p->service_code : "ServerBusy");
	err->http_status = p->http_status;
	snprintf(err->service_code, sizeof(err->service_code), "%s",
		 p->service_code ? p->service_code : "");
}

static void add_ghost(struct model *m, enum model_call kind, const struct call *c, const char *id,
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

static void free_ghost(struct ghost *g)
{
	free(g->data);
	free(g);
}

/* Late requests arrive; those of an older lease id can do nothing any more. */
static void run_ghosts(struct model *m)
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
			free_ghost(g);
		} else {
			at = &g->next;
		}
	}
}

/* --- watching ----------------------------------------------------------- */

static uint64_t sum_of(const struct call *c)
{
	uint64_t sum = c->len, word;
	int i;

	for (i = 0; i < c->iov_count; i++) {
		const char *p = c->iov[i].iov_base;
		size_t left = c->iov[i].iov_len;

		for (; left >= 8; left -= 8, p += 8) {
			memcpy(&word, p, 8);
			sum = (sum ^ word) * UINT64_C(0x100000001B3);
			sum ^= sum >> 29;
		}
	}
	return sum;
}

static bool overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

static bool is_write(const struct call *c)
{
	return c->kind == CALL_WRITE || c->kind == CALL_CLEAR;
}

static void watch_write(struct model *m, const struct call *c)
{
	const struct call *o;
	const struct ghost *g;

	for (o = m->calls; o; o = o->next)
		if (is_write(o) && overlap(c->offset, c->len, o->offset, o->len))
			m->seen.overlaps++;
	for (g = m->ghosts; g; g = g->next)
		if (g->kind != CALL_CHANGE && c->has_lease && !strcmp(g->id, c->lease_id) &&
		    overlap(c->offset, c->len, g->offset, g->len))
			m->seen.unfenced++;
	if (!c->has_lease)
		m->seen.without_lease++;
	if (m->marked)
		m->seen.after_mark++;
	if (c->kind == CALL_WRITE && c->len > BLOB_MAX_PUT_PAGE)
		m->seen.bad_calls++;
}

/* --- asynchronous calls --------------------------------------------------- */

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
		c->sum = sum_of(c);
	else if (c->kind == CALL_READ)
		scribble(c);

	pthread_mutex_lock(&m->lock);
	run_ghosts(m);
	m->seen.calls[c->kind]++;
	if (c->offset % BLOB_PAGE || c->len % BLOB_PAGE || !c->len ||
	    c->offset + c->len > model_blob_size(m->blob))
		m->seen.bad_calls++;
	if (is_write(c))
		watch_write(m, c);
	if (!planned(m, c->kind, &c->plan))
		random_fault(m, c->kind, &c->plan);
	c->fault = c->plan.fault;
	c->due = model_now() + usual_delay(m) + (c->fault == FAULT_DELAY ? c->plan.ms : 0);
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
	c->unknown = is_write(c);
	c->etag[0] = '\0';
}

/* It arrives at the service, or not. */
static void carry_out(struct model *m, struct call *c)
{
	int64_t now = model_now();

	c->carried_out = true;
	c->due = now + usual_delay(m);
	switch (c->fault) {
	case FAULT_ERROR:
		fault_error(&c->plan, &c->err);
		c->failed = true;
		break;
	case FAULT_RESET:
		lost_reply(c, ERR_NETWORK);
		if (is_write(c))
			add_ghost(m, c->kind, c, c->lease_id, NULL, -1);
		break;
	case FAULT_LATE:
		lost_reply(c, ERR_NETWORK);
		if (is_write(c))
			add_ghost(m, c->kind, c, c->lease_id, NULL, now + c->plan.ms);
		break;
	case FAULT_SWALLOWED:
		apply(m, c);
		lost_reply(c, ERR_NETWORK);
		if (is_write(c))
			add_ghost(m, c->kind, c, c->lease_id, NULL, -1);
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
		if (below(m, ++n) == 0)
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
	if (is_write(c) && (c->carried_out || below(m, 2))) {
		lost_reply(c, ERR_TIMEOUT);
		add_ghost(m, c->kind, c, c->lease_id, NULL, -1);
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

	if (c->kind == CALL_WRITE && sum_of(c) != c->sum)
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

static void *network_main(void *arg)
{
	struct model *m = arg;

	pthread_mutex_lock(&m->lock);
	for (;;) {
		int64_t next;
		struct call *c = pick(m, &next);
		const struct ghost *g;

		run_ghosts(m);
		for (g = m->ghosts; g; g = g->next)
			if (g->at >= 0 && g->at < next)
				next = g->at;
		if (!c && m->stopping && !m->calls)
			break;
		if (!c) {
			wait_until(m, next);
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

/* --- blocking calls --------------------------------------------------------- */

/* The way there: 0 when it arrives within the deadline. */
static int travel(struct model *m, enum model_call kind, unsigned deadline_ms, struct model_plan *p,
		  struct err *err)
{
	int64_t end = model_now() + deadline_ms, at, now;
	bool arrived;

	pthread_mutex_lock(&m->lock);
	m->seen.calls[kind]++;
	*p = (struct model_plan){ .call = kind };
	if (!planned(m, kind, p) && by_chance(m, m->chances.lease)) {
		p->fault = (enum model_fault)(1 + below(m, FAULT_COUNT - 1));
		p->ms = below(m, m->chances.late_ms + 1);
	}
	at = model_now() + usual_delay(m) + (p->fault == FAULT_DELAY ? p->ms : 0);
	while ((now = model_now()) < at || now < m->outage_until) {
		int64_t until = at > m->outage_until ? at : m->outage_until;

		if (now >= end)
			break;
		wait_until(m, until < end ? until : end);
	}
	arrived = now >= at && now >= m->outage_until;
	run_ghosts(m);
	pthread_mutex_unlock(&m->lock);
	if (!arrived) {
		p->fault = FAULT_RESET;
		return err_set(err, ERR_TIMEOUT, "model/disk.vhd: no reply in %u ms", deadline_ms);
	}
	if (p->fault == FAULT_ERROR) {
		fault_error(p, err);
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
			add_ghost(m, CALL_CHANGE, NULL, id, new_id, model_now() + p.ms);
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

static const struct store_ops ops = {
	.read = op_read,
	.write = op_write,
	.clear = op_clear,
	.ranges = op_ranges,
	.lease_acquire = op_acquire,
	.lease_renew = op_renew,
	.lease_change = op_change,
	.lease_release = op_release,
	.props = op_props,
	.set_meta = op_set_meta,
};

/* --- the test's side ---------------------------------------------------------- */

struct model *model_new(uint64_t blob_size, unsigned unit_ms, uint64_t seed)
{
	struct model *m = calloc(1, sizeof(*m));
	pthread_condattr_t attr;
	int i;

	m->blob = model_blob_new(blob_size, unit_ms);
	m->random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
	m->give_up_ms = 2000;
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->wake, &attr);
	pthread_condattr_destroy(&attr);
	for (i = 0; i < THREADS; i++)
		pthread_create(&m->threads[i], NULL, network_main, m);
	return m;
}

void model_free(struct model *m)
{
	struct ghost *g;
	int i;

	pthread_mutex_lock(&m->lock);
	m->stopping = true;
	memset(m->held, 0, sizeof(m->held));
	pthread_cond_broadcast(&m->wake);
	pthread_mutex_unlock(&m->lock);
	for (i = 0; i < THREADS; i++)
		pthread_join(m->threads[i], NULL);
	while ((g = m->ghosts)) {
		m->ghosts = g->next;
		free_ghost(g);
	}
	pthread_cond_destroy(&m->wake);
	pthread_mutex_destroy(&m->lock);
	model_blob_free(m->blob);
	free(m);
}

struct store model_store(struct model *m)
{
	return (struct store){ .ops = &ops, .impl = m };
}

struct model_blob *model_blob(struct model *m)
{
	return m->blob;
}

void model_plan(struct model *m, const struct model_plan *plan)
{
	pthread_mutex_lock(&m->lock);
	if (m->plan_count == PLANS)
		abort();
	m->plans[m->plan_count] = *plan;
	if (!m->plans[m->plan_count].times)
		m->plans[m->plan_count].times = 1;
	m->plan_count++;
	pthread_mutex_unlock(&m->lock);
}

void model_set_chances(struct model *m, const struct model_chances *c)
{
	pthread_mutex_lock(&m->lock);
	m->chances = *c;
	pthread_mutex_unlock(&m->lock);
}

void model_set_latency(struct model *m, unsigned min_ms, unsigned max_ms)
{
	pthread_mutex_lock(&m->lock);
	m->min_ms = min_ms;
	m->max_ms = max_ms;
	pthread_mutex_unlock(&m->lock);
}

void model_outage(struct model *m, unsigned ms)
{
	pthread_mutex_lock(&m->lock);
	m->outage_until = ms ? model_now() + ms : 0;
	pthread_cond_broadcast(&m->wake);
	pthread_mutex_unlock(&m->lock);
}

void model_set_give_up(struct model *m, unsigned ms)
{
	pthread_mutex_lock(&m->lock);
	m->give_up_ms = ms;
	pthread_mutex_unlock(&m->lock);
}

void model_hold(struct model *m, enum model_call call, bool hold)
{
	pthread_mutex_lock(&m->lock);
	m->held[call] = hold;
	pthread_cond_broadcast(&m->wake);
	pthread_mutex_unlock(&m->lock);
}

void model_mark(struct model *m)
{
	pthread_mutex_lock(&m->lock);
	m->marked = true;
	pthread_mutex_unlock(&m->lock);
}

void model_seen(struct model *m, struct model_seen *out)
{
	pthread_mutex_lock(&m->lock);
	*out = m->seen;
	pthread_mutex_unlock(&m->lock);
}
