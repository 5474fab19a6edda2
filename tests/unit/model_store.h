/*
 * model_store.h - a network with faults between a `struct store` and the blob of
 * model_blob.h. Worker threads carry requests out and deliver their replies in
 * any order; blocking calls wait like real ones. It watches what its user does
 * and counts what no user may do (struct model_seen).
 */
#ifndef TESTS_UNIT_MODEL_STORE_H
#define TESTS_UNIT_MODEL_STORE_H

#include "tests/unit/model_blob.h"
#include "vhd/store.h"

enum model_call {
	CALL_READ, CALL_WRITE, CALL_CLEAR, CALL_RANGES,
	CALL_ACQUIRE, CALL_RENEW, CALL_CHANGE, CALL_RELEASE, CALL_PROPS, CALL_SET_META,
	CALL_COUNT
};

enum model_fault {
	FAULT_NONE,
	FAULT_DELAY,      /* carried out, `ms` later than usual */
	FAULT_ERROR,      /* refused with `code` (and service_code), not carried out */
	FAULT_SWALLOWED,  /* carried out; the outcome is unknown to the caller */
	FAULT_RESET,      /* not carried out; the outcome is unknown to the caller */
	FAULT_LATE,       /* the outcome is unknown; the request arrives after `ms` */
	FAULT_COUNT
};

struct model_plan {
	enum model_call call;
	enum model_fault fault;
	unsigned ms;
	enum err_code code;
	int http_status;
	const char *service_code;
	unsigned skip, times; /* not the next `skip` calls, then `times` of them */
};

/* Faults by chance, each in a thousand of the asynchronous calls. */
struct model_chances {
	unsigned read_error, write_error;
	unsigned swallowed, reset, late, slow;
	unsigned late_ms, slow_ms;    /* at most */
	unsigned lease;               /* of renew, change and props: any fault */
};

/* What the user of the store did. All but `calls` and the late ones must be 0. */
struct model_seen {
	unsigned calls[CALL_COUNT];
	unsigned in_flight;          /* now, asynchronous */
	unsigned answering;          /* callbacks that have not returned */
	unsigned most_in_flight;
	uint64_t bytes_read, bytes_written;
	unsigned overlaps;           /* a page was written twice at a time */
	unsigned unfenced;           /* a page of unknown outcome was written again
	                              * under the same lease id */
	unsigned changed_bodies;     /* bytes changed while they were being sent */
	unsigned without_lease;      /* writes that carried no lease id */
	unsigned bad_calls;          /* not aligned, too long, outside the blob */
	unsigned after_mark;         /* writes sent after model_mark() */
	unsigned landed_after_mark;  /* writes that took effect after it */
	unsigned late_landed, late_refused;
};

struct model;

struct model *model_new(uint64_t blob_size, unsigned unit_ms, uint64_t seed);
/* Waits for what is under way. */
void model_free(struct model *m);

struct store model_store(struct model *m);
struct model_blob *model_blob(struct model *m);

void model_plan(struct model *m, const struct model_plan *plan);
void model_set_chances(struct model *m, const struct model_chances *c);
/* Every reply comes so late; for tests that want several calls in flight. */
void model_set_latency(struct model *m, unsigned min_ms, unsigned max_ms);

/* Nothing gets through for `ms`, or until model_outage(m, 0). Asynchronous calls
 * give up after `give_up_ms` (model_new: 2000). */
void model_outage(struct model *m, unsigned ms);
void model_set_give_up(struct model *m, unsigned ms);

/* Hold asynchronous calls of one kind back (not carried out) until let go. */
void model_hold(struct model *m, enum model_call call, bool hold);

void model_mark(struct model *m);
void model_seen(struct model *m, struct model_seen *out);

#endif
