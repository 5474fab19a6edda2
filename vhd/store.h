/*
 * store.h - the page blob as the disk sees it: one ops struct between the
 * virtual disk and storage, so that the disk can be tested against a model.
 *
 * vhd/store_blob.c is the real one, over blob/ops.h; tests/unit/ has a model in
 * memory with injected faults. Asynchronous calls return at once and call `done`
 * exactly once, from another thread or from within the call; `done` does not
 * block and may start further calls. Retry of what can be repeated blindly
 * happens below; an unknown outcome of a write comes up (store_result).
 * Blocking calls are made by the lease keeper's thread and at open and close.
 * Offsets and lengths are bytes, multiples of 512; the store is as large as the
 * whole blob, the disk keeps the footer out of reach.
 */
#ifndef HPCPACK_VHD_STORE_H
#define HPCPACK_VHD_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "blob/base/err.h"
#include "blob/ops.h"

struct store_result {
	const struct err *err;    /* NULL: done */
	bool outcome_unknown;     /* write and clear: it may still land later */
	const char *etag;         /* after a write or clear; "" if unknown */
};
typedef void store_done_fn(void *arg, const struct store_result *result);
typedef void store_ranges_fn(void *arg, const struct err *err, const struct blob_range *ranges,
			     size_t count);

struct store_ops {
	void (*read)(void *store, uint64_t offset, const struct iovec *iov, int count,
		     store_done_fn *done, void *arg);
	void (*write)(void *store, uint64_t offset, const struct iovec *iov, int count,
		      const char *lease_id, store_done_fn *done, void *arg);
	void (*clear)(void *store, uint64_t offset, uint64_t len, const char *lease_id,
		      store_done_fn *done, void *arg);
	void (*ranges)(void *store, uint64_t offset, uint64_t len, store_ranges_fn *done, void *arg);

	/* End what is under way soon, with ERR_CANCELLED; nothing is started after
	 * it but what ends so at once. For closing when storage does not answer.
	 * NULL: there is no way, what is under way ends by its own deadline. */
	void (*abort)(void *store);

	/* Blocking; deadline_ms bounds each, retries included. */
	int (*lease_acquire)(void *store, const char *id, unsigned duration_s, unsigned deadline_ms,
			     struct err *err);
	int (*lease_renew)(void *store, const char *id, unsigned deadline_ms, struct err *err);
	int (*lease_change)(void *store, const char *id, const char *new_id, unsigned deadline_ms,
			    struct err *err);
	int (*lease_release)(void *store, const char *id, unsigned deadline_ms, struct err *err);
	int (*props)(void *store, unsigned deadline_ms, struct blob_props *out, struct err *err);
	int (*set_meta)(void *store, const struct blob_meta_list *meta, const char *lease_id,
			char *etag_out, struct err *err);
};

struct store {
	const struct store_ops *ops;
	void *impl;
};

/* The real one. `data` carries reads and writes; `control` (a client of its own,
 * so that renewals never queue behind data) leases and metadata. All borrowed
 * for as long as the store lives; ref strings are copied. A store of a snapshot
 * (ref->snapshot) reads only. */
int store_blob_new(struct store *out, struct blob_client *data, struct blob_client *control,
		   const struct blob_ref *ref, struct err *err);
void store_blob_free(struct store *s);

#endif
