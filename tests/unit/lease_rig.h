/*
 * lease_rig.h - a lease keeper on the model of the service. A second of lease time is
 * UNIT milliseconds. What goes wrong in here fails the test.
 */
#ifndef TESTS_UNIT_LEASE_RIG_H
#define TESTS_UNIT_LEASE_RIG_H

#include <pthread.h>

#include "tests/unit/model_store.h"
#include "vhd/lease.h"

#define UNIT 20
#define DURATION 15
#define BLOB_SIZE (64 * 1024)
#define WAIT_MS 20000
/* So long after the last grant, no reply to a write can be under way. */
#define SETTLED (121 * UNIT)
#define OTHER "11111111-2222-3333-4444-555555555555"

struct rig {
	struct model *m;
	struct store store;
	struct lease_keeper *k;
	pthread_mutex_t lock;
	enum lease_state events[256];
	unsigned event_count;
	bool stopped;
};

/* Was the drive told of this state? */
bool had(struct rig *r, enum lease_state state);

/* A holder with a name, and the rig hears of changes. */
struct lease_options options(struct rig *r);

/* The service alone; with a keeper that holds the lease; the end of both. */
void rig_open(struct rig *r);
void rig_start(struct rig *r);
void rig_end(struct rig *r);

/* A millisecond. */
void nap(void);

/* What the keeper says. */
bool writable(struct rig *r);
uint64_t generation(struct rig *r);
const char *reason(struct rig *r);

/* So many calls of this kind have reached the service. */
unsigned calls(struct rig *r, enum model_call call);

/* A lease that was in doubt for the machine's slowness is held again soon. */
void current(struct rig *r, char id[BLOB_LEASE_ID_MAX], uint64_t *gen);

/* The record of the holder in the metadata; the same of bob on node9. */
void set_record(struct rig *r, const char *text, const char *lease_id);
void set_other_record(struct rig *r, const char *lease_id);

/* Write one page as the keeper's drive would, and give back the ETag. */
void write_page(struct rig *r, const char *lease_id, char *etag);

/* No network from now on, until the lease is in doubt. */
void go_doubtful(struct rig *r);

/* Until the service has the lease no more. */
void until_expired(struct rig *r, const char *id);

/* Wait for a condition; the test fails when it does not come true in time. */
#define wait_for(cond) \
	do { \
		int64_t end_ = model_now() + WAIT_MS; \
		while (!(cond)) { \
			if (model_now() > end_) \
				fail_msg("waited in vain for %s", #cond); \
			nap(); \
		} \
	} while (0)

#endif
