/*
 * sync_run.h - one pack_sync() while it goes on; for sync*.c.
 */
#ifndef HPCPACK_PACK_SYNC_RUN_H
#define HPCPACK_PACK_SYNC_RUN_H

#include <pthread.h>

#include "pack/extract.h"
#include "pack/sync.h"
#include "pack/sync_record.h"
#include "pack/sync_root.h"

/* A blob that the filter lets through. One thread has it at a time. */
struct sync_item {
	struct blob_props props;
	struct sync_package *package;  /* in the report */
	uint64_t shown;                /* of its bytes, in struct sync's `fetched` */
	struct sync_run *run;
};

struct sync_run {
	struct blob_client *client;
	const char *account, *container;
	const struct sync_options *options;
	struct sync_root root;
	struct pack_pool *pool;
	struct blob_list list;         /* all of the container */
	struct sync_report *report;
	struct sync_item *items;       /* one for each of the report's packages */
	_Atomic size_t next;           /* the next one to install */

	pthread_mutex_t lock;          /* for the records: who has which target */
	struct sync_records records;

	pthread_mutex_t telling;       /* one callback at a time */
	uint64_t fetched, to_fetch;
};

bool sync_cancelled(const struct sync_run *run);

/* The state of a package is known now. SYNC_FAILED and SYNC_SKIPPED take what `err`
 * says. */
void sync_settle(struct sync_item *item, enum sync_state state, const struct err *err);

/* Open it and read its index. 0; or -1, and its state is settled: it is no OPC
 * package, or can't be read. */
int sync_open_package(struct sync_item *item, struct pack_blob *blob, struct pack_index *index);

/* Install it, or settle why not. */
void sync_install(struct sync_item *item);

/* Settle those whose targets get into each other's way. */
int sync_refuse_conflicts(struct sync_run *run, struct err *err);

/* Is the target free for this package? ERR_EXISTS says who has it. Under the lock. */
int sync_check_target(const struct sync_item *item, struct err *err);

#endif
