/*
 * random_user.h - users of a disk who know what it must give back.
 *
 * Each user owns a byte range (its ends are not aligned: neighbours share
 * sectors), does random batches of reads, writes, discards and flushes there,
 * several at a time, and keeps for each byte which values are allowed. A user
 * without a range of its own only reads, everywhere. Reads mostly follow each other.
 */
#ifndef TESTS_UNIT_RANDOM_USER_H
#define TESTS_UNIT_RANDOM_USER_H

#include <stdatomic.h>

#include "tests/unit/disk_rig.h"

#define USERS 4

struct random_state {
	uint64_t x;
};
void random_seed(struct random_state *s, uint64_t seed);
uint64_t random_next(struct random_state *s);
/* [0, n) */
uint64_t random_below(struct random_state *s, uint64_t n);

/* How sure we are of a byte. */
enum surety {
	SURE,       /* it is cur */
	EITHER,     /* cur or alt: a write was under way, or failed */
	ANYTHING,   /* several of them */
};

struct world;

struct user {
	struct world *world;
	pthread_t thread;
	struct random_state random;
	uint64_t start, len;       /* its range */
	uint64_t next;             /* where its last read ended */
	/* For each byte of it; protected by the lock, as other users look. */
	pthread_mutex_t lock;
	unsigned char *cur, *alt, *sure;
	uint32_t *changed;         /* batch of the last change */
	uint32_t *version;         /* of each VERSION_BLOCK bytes: odd while a change is under way */
	uint32_t batch, flushed;   /* of the last good flush */
};
#define VERSION_BLOCK 4096u

struct world {
	struct rig rig;
	struct user users[USERS];
	struct user reader;
	bool sync_writes, overlay, discards;
	bool errors_allowed;       /* faults are injected: calls may fail */
	atomic_bool stop;          /* users end after their batch */
	atomic_bool taken;         /* the lease was taken away: LEASE_LOST is right */
	atomic_uint ops, failed_ops;
	uint64_t seed;
	int64_t until;
	unsigned max_ops;          /* 0: by time */
};

void users_start(struct world *w);
void users_join(struct world *w);
void users_free(struct world *w);

/* What storage holds, against what users know: after a good flush with nobody at
 * work (`all`), or what was flushed in time. */
void users_check_stored(struct world *w, bool all);

/* Says what is wrong, with the seed that shows it again, and aborts. */
void random_fail(const struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
