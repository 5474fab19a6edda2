/*
 * lease_internal.h - the inside of the lease keeper, shared by its files:
 * lease.c (what others call), lease_thread.c (states and time) and lease_steps.c
 * (what it asks storage).
 *
 * Who writes what: the keeper's thread alone changes state, the ids, the
 * generation and the times, under the lock, so it may read them without. Other
 * threads set `want`, the ETags and `stopping`, and signal. No store call and no
 * callback is made under the lock.
 *
 * The id of the lease while an answer to a change is missing: `id` or `next_id`.
 * `next_id` is then kept and proposed again until storage has confirmed it.
 */
#ifndef HPCPACK_VHD_LEASE_INTERNAL_H
#define HPCPACK_VHD_LEASE_INTERNAL_H

#include <pthread.h>

#include "vhd/lease.h"

/* As many as writes can be in flight, and then some: replies come in any order. */
#define LEASE_ETAGS 64

/* What has to be done before another write may go out. Each includes the ones
 * before it. */
enum lease_want {
	WANT_NOTHING,
	WANT_FENCE,  /* change the id */
	WANT_PROOF,  /* renew, see that nobody wrote, change the id */
};

struct lease_keeper {
	struct store store;
	struct lease_options o;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;      /* on CLOCK_MONOTONIC */

	enum lease_state state;
	enum lease_want want;
	char id[BLOB_LEASE_ID_MAX], next_id[BLOB_LEASE_ID_MAX];
	bool change_pending;      /* next_id was sent and not answered */
	uint64_t generation;
	int64_t ends_at;          /* when the lease may run out (lease_now) */
	int64_t renew_at, retry_at;
	int64_t granted_at;       /* newest lease_current() that said yes */
	time_t held_since;
	char reason[256];

	char etags[LEASE_ETAGS][BLOB_ETAG_MAX]; /* ring of what our writes gave */
	unsigned etag_count;
	uint64_t unknowns;        /* writes of unknown outcome, ever */
	uint64_t unknowns_settled;/* of them, before an ETag that we read since */

	bool stopping, release;
	struct err stop_err;      /* of the release; code ERR_NONE: it worked */
};

/* Milliseconds on a clock that goes on while the machine sleeps: the lease does
 * not wait for us. */
int64_t lease_now(void);
int64_t lease_units(const struct lease_keeper *k, unsigned seconds);
int64_t lease_safe_until(const struct lease_keeper *k);

/* The thread. */
void *lease_keeper_main(void *keeper);

enum lease_answer {
	ANSWER_YES,
	ANSWER_NO,      /* storage says that the lease is not ours */
	ANSWER_GONE,    /* the blob does not exist any more */
	ANSWER_NONE,    /* anything else: ask again; *err says why */
};

/* All without the lock, on the keeper's thread. */
enum lease_answer lease_step_renew(struct lease_keeper *k, struct err *err);
enum lease_answer lease_step_change(struct lease_keeper *k, struct err *err);
/* Did nobody but us write? */
enum lease_answer lease_step_compare(struct lease_keeper *k, struct err *err);
/* After a change: learn the ETag that unknown outcomes have left. */
void lease_step_settle(struct lease_keeper *k);
/* Who has it now, into `reason`. `what` is what happened. */
void lease_step_who(struct lease_keeper *k, const char *what, char *reason, size_t size);
/* Take our holder record out (when `clean`) and release. 0 or -1. */
int lease_step_release(struct lease_keeper *k, bool clean, struct err *err);

/* Write the holder record beside the other metadata. Only before the thread runs. */
int lease_step_sign(struct lease_keeper *k, struct err *err);

/* Under the lock. */
void lease_keep_etag(struct lease_keeper *k, const char *etag);
void lease_took_next_id(struct lease_keeper *k);

#endif
