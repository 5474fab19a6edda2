/*
 * sync_record.h - what hpcsync remembers of what it has installed: one small file
 * for each target, ROOT/.hpcsync/state/NUMBER, replaced as a whole. Lines "key
 * value"; what can't be read is left out with a warning, and its package is installed
 * again.
 *
 * PENDING: written before a new target is put in place, so that after a crash in
 * between the target is known to be ours. Its contents are not vouched for.
 *
 * One thread at a time (struct sync has the lock).
 */
#ifndef HPCPACK_PACK_SYNC_RECORD_H
#define HPCPACK_PACK_SYNC_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "blob/ops.h"

struct sync_record {
	unsigned number;
	bool pending;
	char *target;                           /* below the root */
	char *account, *container, *blob;      /* where it came from */
	char etag[BLOB_ETAG_MAX];               /* the version */
	char time[32];                          /* of the installation, UTC */
	uint64_t bytes;                         /* of the tree */
	uint32_t files;
};

struct sync_records {
	struct sync_record **items;             /* each stays where it is */
	size_t count, size;
	unsigned next_number;
};

/* Read all of the folder `dir`. */
int sync_records_load(struct sync_records *out, int dir, struct err *err);
void sync_records_free(struct sync_records *r);

/* The record of this target, or NULL. */
struct sync_record *sync_records_find(const struct sync_records *r, const char *target);

/* A new one, in memory only; NULL: out of memory. */
struct sync_record *sync_records_add(struct sync_records *r, const char *target);

/* Which blob it is of. 0, or -1: out of memory, and it is as it was. */
int sync_record_set_source(struct sync_record *record, const char *account, const char *container,
			   const char *blob);
bool sync_record_is_of(const struct sync_record *record, const char *account, const char *container,
		       const char *blob);

/* Write it beside its place, where it does not count yet; and put it there. Not known
 * to be on the disk before a syncfs(2). */
int sync_record_prepare(const struct sync_record *record, int dir, struct err *err);
int sync_record_commit(const struct sync_record *record, int dir, struct err *err);

/* Forget it, file and all; the pointer is no longer valid. */
void sync_records_drop(struct sync_records *r, struct sync_record *record, int dir);

#endif
