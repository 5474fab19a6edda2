/*
 * lease.h - the lease keeper: holds the blob's lease, proves it on every write,
 * and knows at each moment whether a write may go out.
 *
 * One keeper and one thread per drive. States:
 *
 *   HELD      renewed every third of its duration. Writes go out.
 *   DOUBTFUL  renewals fail for a network reason and less than 5 s are left,
 *             counted from the sending of the last good renewal: no write
 *             starts (EIO) until it is held again and nobody wrote in between.
 *   LOST      broken, taken, or written to by somebody else. For ever: dirty
 *             data is dropped, writes are refused. Never re-acquired.
 *   RELEASED  given back by lease_keeper_stop().
 *
 *   HELD <-> DOUBTFUL, both -> LOST, both -> RELEASED; LOST stays.
 *
 * Back from DOUBTFUL: renewal succeeded with our id, then the ETag is one that
 * our own writes gave (so the last change was ours), or (when writes of unknown
 * outcome may have changed it) the holder record in the blob's metadata is still
 * ours; then the id is changed, which fences whatever is still under way under
 * the old one.
 *
 * Generation: a number that grows with each change of the lease id. A write is
 * sent under one generation; a refusal (412) under an old generation says
 * nothing about the lease now, the write is just sent again.
 */
#ifndef HPCPACK_VHD_LEASE_H
#define HPCPACK_VHD_LEASE_H

#include <time.h>

#include "vhd/store.h"

enum lease_state { LEASE_HELD, LEASE_DOUBTFUL, LEASE_LOST, LEASE_RELEASED };
const char *lease_state_name(enum lease_state s); /* "held", "doubtful", ... */

struct lease_keeper;

/* Who holds it, for the message that others get: kept in blob metadata under
 * "hpcpackholder" as "host=H;user=U;pid=P;since=2026-11-21T03:26:09Z;id=GUID",
 * values percent-encoded to printable ASCII without ';'. */
#define LEASE_HOLDER_META "hpcpackholder"
struct lease_holder {
	char host[256], user[64], since[32], id[BLOB_LEASE_ID_MAX];
	long pid;
};
/* `out` is a fresh string or NULL. */
char *lease_holder_format(const struct lease_holder *h);
int lease_holder_parse(const char *text, struct lease_holder *out);

/* The blob's ETag at the moments at which nobody but us could have changed it. "":
 * not known. */
struct lease_etags {
	char taken[BLOB_ETAG_MAX];    /* the lease is ours, nothing is written yet */
	char recorded[BLOB_ETAG_MAX]; /* with the holder record: the same contents */
	char left[BLOB_ETAG_MAX];     /* after our last request under the lease */
};

struct lease_options {
	unsigned duration_s;        /* 15..60 */
	unsigned margin_ms;         /* 0: 5 s; how long before the end writes stop */
	unsigned unit_ms;           /* for tests: milliseconds in a second of lease
	                             * time; 0: 1000 */
	struct lease_holder holder; /* id is filled in: constant for this mount */
	struct lease_etags *etags;  /* filled in, `left` by lease_keeper_stop(); NULL: not
	                             * wanted */
	/* Called on the keeper's thread, no lock held, after each change of state
	 * or generation; not for RELEASED. Once lease_keeper_stop() has returned,
	 * never again. */
	void (*changed)(void *arg, enum lease_state state);
	void *arg;
};

/*
 * Acquire, write the holder record (other metadata is kept), start the thread.
 * ERR_LEASE_HELD: the message names the holder: "held by USER on HOST (pid P)
 * since T"; or says that the holder left no name. Blocking.
 * `force` is the caller's business: break the lease first.
 */
struct lease_keeper *lease_keeper_start(const struct store *store, const struct lease_options *o,
					struct err *err);

/* The id to write under now. 0 with id and generation filled in; -1 when no write
 * may go out (DOUBTFUL, LOST, RELEASED, or a fence is under way). Cheap, any
 * thread. */
int lease_current(struct lease_keeper *k, char id[BLOB_LEASE_ID_MAX], uint64_t *generation);

enum lease_state lease_state(struct lease_keeper *k);

/* A write sent under `generation` has an unknown outcome: change the id before
 * anything is sent again. No effect if the generation is old already. `changed`
 * is called when it is done. Any thread, returns at once. */
void lease_fence(struct lease_keeper *k, uint64_t generation);

/* A write sent under `generation` was refused with a lease error: find out now
 * (renew) whether it is lost. Any thread, returns at once. */
void lease_refused(struct lease_keeper *k, uint64_t generation);

/* A write succeeded and gave the blob this ETag (of parallel writes in any
 * order); or (NULL) an outcome is unknown, so that the ETag may change without
 * our knowing. */
void lease_saw_etag(struct lease_keeper *k, const char *etag);

struct lease_info {
	enum lease_state state;
	time_t held_since;          /* wall clock */
	unsigned next_renewal_ms;   /* from now */
	unsigned left_ms;           /* until it would run out */
	uint64_t generation;
	char reason[256];           /* why it is doubtful or lost */
};
void lease_keeper_info(struct lease_keeper *k, struct lease_info *out);

/* Take our holder record out, release (unless LOST), end the thread, free; -1
 * when storage did not confirm the release (the lease runs out by itself).
 * `release` false: just stop (tests of a dead node). Blocking, bounded by the
 * deadline of one call under way and a few seconds more. */
int lease_keeper_stop(struct lease_keeper *k, bool release, struct err *err);

#endif
