/*
 * model_store_priv.h - the inside of the model store, shared by these files:
 *
 *   model_store.c      what tests ask of it
 *   model_network.c    asynchronous calls: sent, carried out, answered
 *   model_blocking.c   calls that wait
 *   model_faults.c     what goes wrong
 *   model_watch.c      what the caller does wrong
 *
 * The lock of the model protects all of it, but in the callbacks.
 */
#ifndef TESTS_UNIT_MODEL_STORE_PRIV_H
#define TESTS_UNIT_MODEL_STORE_PRIV_H

#include <pthread.h>

#include "tests/unit/model_store.h"

#define MODEL_THREADS 4
#define MODEL_PLANS 64

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
	struct store_ops ops;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t threads[MODEL_THREADS];
	bool stopping, marked;
	uint64_t random;
	struct call *calls;
	struct ghost *ghosts;
	struct model_plan plans[MODEL_PLANS];
	unsigned plan_count;
	struct model_chances chances;
	unsigned min_ms, max_ms, give_up_ms;
	int64_t outage_until;
	bool held[CALL_COUNT];
	struct model_seen seen;
};

/* model_network.c */
void *model_network_main(void *model); /* each thread */
void model_network_ops(struct store_ops *ops); /* fill in its part */

/* model_blocking.c: likewise. */
void model_blocking_ops(struct store_ops *ops);

/* --- model_faults.c, lock held --- */

/* A random number below n; true so often in a thousand; what a reply takes. */
unsigned model_below(struct model *m, unsigned n);
bool model_by_chance(struct model *m, unsigned per_mille);
int64_t model_usual_delay(struct model *m);

/* Let go of the lock until then (model_now()), or until something happens. */
void model_wait_until(struct model *m, int64_t at);

/* The planned fault for this call, if it is its turn. */
bool model_planned(struct model *m, enum model_call kind, struct model_plan *out);

/* One by chance, perhaps none. */
void model_random_fault(struct model *m, enum model_call kind, struct model_plan *out);

/* The error of FAULT_ERROR; err may be NULL. */
void model_fault_error(const struct model_plan *p, struct err *err);

/* From now on a request that the caller lost sight of may arrive at `at`: this call, or
 * (c NULL) the change of a lease's id. */
void model_add_ghost(struct model *m, enum model_call kind, const struct call *c, const char *id,
		     const char *new_id, int64_t at);
void model_free_ghost(struct ghost *g);

/* Late requests arrive; those of an older lease id can do nothing any more. */
void model_run_ghosts(struct model *m);

/* --- model_watch.c --- */

/* Of the body. */
uint64_t model_sum_of(const struct call *c);
bool model_is_write(const struct call *c);

/* A write or clear sets out, lock held: count what is wrong with it. */
void model_watch_write(struct model *m, const struct call *c);

#endif
