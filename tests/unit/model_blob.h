/*
 * model_blob.h - one page blob as the service keeps it: bytes, leases, metadata,
 * ETag. Written from the REST reference (BLOB-REST.md sections 2 and 3), with
 * nothing of the client in it. No network: each call is carried out at once.
 *
 * Lease time runs in real time, `unit_ms` milliseconds for each second of it.
 * Any thread.
 */
#ifndef TESTS_UNIT_MODEL_BLOB_H
#define TESTS_UNIT_MODEL_BLOB_H

#include <stdbool.h>
#include <stdint.h>

#include "blob/ops.h"

struct model_blob;

struct model_blob *model_blob_new(uint64_t size, unsigned unit_ms);
void model_blob_free(struct model_blob *b);

/* As Azurite 3.35 does it: an expired lease is renewed under any id. */
void model_blob_loose(struct model_blob *b);
/* The blob is deleted: everything is 404 from now on. */
void model_blob_delete(struct model_blob *b);
uint64_t model_blob_size(const struct model_blob *b);

/* Put Page (data) or Clear Pages (NULL). The new ETag in `etag` if not NULL. */
int model_blob_put(struct model_blob *b, uint64_t offset, uint64_t len, const void *data,
		   const char *lease_id, char *etag, struct err *err);
int model_blob_get(struct model_blob *b, uint64_t offset, uint64_t len, void *data, struct err *err);
/* Written and not cleared since; ascending, merged, clipped. Caller frees. */
int model_blob_list(struct model_blob *b, uint64_t offset, uint64_t len, struct blob_range **ranges,
		    size_t *count, struct err *err);

int model_blob_acquire(struct model_blob *b, const char *id, unsigned duration_s, struct err *err);
int model_blob_renew(struct model_blob *b, const char *id, struct err *err);
int model_blob_change(struct model_blob *b, const char *id, const char *new_id, struct err *err);
int model_blob_release(struct model_blob *b, const char *id, struct err *err);
int model_blob_break(struct model_blob *b, unsigned period_s, struct err *err);

int model_blob_props(struct model_blob *b, struct blob_props *out, struct err *err);
int model_blob_set_meta(struct model_blob *b, const struct blob_meta_list *meta, const char *lease_id,
			char *etag, struct err *err);

/* Is `id` the lease's id just now, and does it run? */
bool model_blob_leased_as(struct model_blob *b, const char *id);
/* The id of the newest lease. */
void model_blob_lease_id(struct model_blob *b, char out[BLOB_LEASE_ID_MAX]);

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t model_now(void);

#endif
