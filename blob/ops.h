/*
 * ops.h - one function for each REST operation that we use.
 *
 * Two shapes. `blob_*_start` submits and returns; `done` is called exactly once
 * on an I/O thread (blob/client.h). The others block the caller, return 0 or -1
 * and *err, and must not be called from a callback or a FUSE handler.
 *
 * Errors name the blob: "container/blob: no such blob (BlobNotFound, request
 * ID)". Mapping: 404 ERR_NOT_FOUND (code ContainerNotFound or BlobNotFound in
 * err.service_code), 401/403 ERR_AUTH (with the service's message; when our
 * clock and the Date header differ by more than 15 minutes the message says so,
 * with both times), 409 lease codes ERR_LEASE_HELD, 409 BlobAlreadyExists
 * ERR_EXISTS, 412 lease codes (LeaseIdMismatch..., LeaseNotPresent...,
 * LeaseLost, LeaseIdMissing) ERR_LEASE_LOST, other 412 ERR_CONDITION, 416
 * ERR_RANGE, 5xx ERR_SERVER, transport ERR_NETWORK or ERR_TIMEOUT.
 */
#ifndef HPCPACK_BLOB_OPS_H
#define HPCPACK_BLOB_OPS_H

#include "blob/client.h"

#define BLOB_PAGE 512u                    /* page blob alignment, bytes */
#define BLOB_MAX_PUT_PAGE (4u << 20)      /* Put Page body, bytes */
#define BLOB_LEASE_ID_MAX 37              /* GUID text and NUL */

enum blob_type { BLOB_TYPE_NONE, BLOB_TYPE_BLOCK, BLOB_TYPE_PAGE, BLOB_TYPE_APPEND };

struct blob_props {
	enum blob_type type;
	uint64_t size;                    /* bytes */
	char etag[BLOB_ETAG_MAX];
	char last_modified[BLOB_TIME_MAX];   /* RFC 1123, as sent */
	char lease_state[16];             /* available leased expired breaking broken */
	char copy_id[64], copy_status[16];
	char content_md5[28];             /* of the whole, by whoever wrote it (blob/md5.h);
	                                   * "" if unknown, and in listings */
	struct blob_meta_list meta;       /* owned: blob_props_free() */
};
void blob_props_free(struct blob_props *p);
const char *blob_meta_get(const struct blob_meta_list *meta, const char *name); /* any case */
/* Set (value not NULL) or remove; 0 or -1 when out of memory. */
int blob_meta_set(struct blob_meta_list *meta, const char *name, const char *value);
void blob_meta_free(struct blob_meta_list *meta);
int blob_meta_copy(struct blob_meta_list *to, const struct blob_meta_list *from);

/* --- containers --- */
int blob_container_create(struct blob_client *c, const char *container, struct err *err); /* ERR_EXISTS */
int blob_container_delete(struct blob_client *c, const char *container, struct err *err);

/* --- whole blobs --- */
int blob_get_props(struct blob_client *c, const struct blob_ref *ref, struct blob_props *out, struct err *err);
int blob_delete(struct blob_client *c, const struct blob_ref *ref, const char *lease_id, struct err *err);
/* Replace all metadata. New ETag in etag_out if not NULL (BLOB_ETAG_MAX bytes). */
int blob_set_meta(struct blob_client *c, const struct blob_ref *ref, const struct blob_meta_list *meta,
		  const char *lease_id, char *etag_out, struct err *err);

/* Server-side copy within the account, waiting for its end (`deadline_ms` in
 * all). With `meta` NULL the source's metadata is kept. The source is `from`,
 * with our SAS appended when we have one; lease_id is the destination's. */
int blob_copy(struct blob_client *c, const struct blob_ref *from, const struct blob_ref *to,
	      const struct blob_meta_list *meta, const char *lease_id, unsigned deadline_ms, struct err *err);

/* --- reading --- */
/* Get bytes [offset, offset + sum of iov) into iov. `if_match` may be NULL.
 * ERR_RANGE when that lies outside the blob, ERR_CONDITION when it changed. */
void blob_get_range_start(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
			  const struct iovec *iov, int count, const char *if_match,
			  blob_done_fn *done, void *arg);
/* The same; the reply has the MD5 of just these bytes in its Content-MD5, if the service
 * sends one and they are no more than BLOB_MAX_SUM. */
#define BLOB_MAX_SUM (4u << 20)
void blob_get_range_sum_start(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
			      const struct iovec *iov, int count, const char *if_match,
			      blob_done_fn *done, void *arg);
int blob_get_range(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
		   void *data, size_t len, const char *if_match, struct err *err);

/* --- page blobs: offsets and lengths in bytes, multiples of BLOB_PAGE --- */
int blob_create_page(struct blob_client *c, const struct blob_ref *ref, uint64_t size,
		     const struct blob_meta_list *meta, bool only_if_absent, const char *lease_id,
		     struct err *err);

/* BLOB_OP_FENCED: see client.h. lease_id NULL: none sent. `md5` (blob/md5.h) goes
 * along, and the service refuses bytes that it does not fit: blob_is_damaged(). NULL:
 * none. */
void blob_put_pages_start(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
			  const struct iovec *iov, int count, const char *md5, const char *lease_id,
			  blob_done_fn *done, void *arg);
void blob_clear_pages_start(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
			    uint64_t len, const char *lease_id, blob_done_fn *done, void *arg);

/* Allocated ranges within [offset, offset + len), ascending, merged where they
 * touch, clipped to that window; `ranges` is valid during the callback. */
struct blob_range {
	uint64_t offset, len; /* bytes */
};
typedef void blob_ranges_fn(void *arg, const struct err *err, const struct blob_range *ranges, size_t count);
void blob_page_ranges_start(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
			    uint64_t len, blob_ranges_fn *done, void *arg);

/* --- block blobs --- */
/* `id` is plain text of equal length for all blocks of a blob, base64'd here; `md5` as
 * above. */
void blob_put_block_start(struct blob_client *c, const struct blob_ref *ref, const char *id,
			  const struct iovec *iov, int count, const char *md5, const char *lease_id,
			  blob_done_fn *done, void *arg);
/* `md5` is of the whole content and kept with the blob, for its readers: the service
 * does not look at it. */
int blob_put_block_list(struct blob_client *c, const struct blob_ref *ref, const char *const *ids,
			size_t count, const struct blob_meta_list *meta, const char *content_type,
			const char *md5, const char *lease_id, struct err *err);

/* The service got other bytes than their MD5 fits: they were damaged on the way. */
bool blob_is_damaged(const struct err *err);

/* --- leases: ids are lower-case GUIDs that the caller proposes --- */
/* `deadline_ms` bounds the whole call, retries included; 0: the client's. */
int blob_lease_acquire(struct blob_client *c, const struct blob_ref *ref, const char *id,
		       unsigned duration_s /* 15..60 */, unsigned deadline_ms, struct err *err);
int blob_lease_renew(struct blob_client *c, const struct blob_ref *ref, const char *id,
		     unsigned deadline_ms, struct err *err);
int blob_lease_change(struct blob_client *c, const struct blob_ref *ref, const char *id,
		      const char *new_id, unsigned deadline_ms, struct err *err);
int blob_lease_release(struct blob_client *c, const struct blob_ref *ref, const char *id,
		       unsigned deadline_ms, struct err *err); /* already released: 0 */
int blob_lease_break(struct blob_client *c, const struct blob_ref *ref, unsigned deadline_ms,
		     struct err *err); /* at once (period 0); not leased: 0 */

/* --- snapshots --- */
/* `out` BLOB_TIME_MAX bytes: the opaque x-ms-snapshot. `tag` is put into the
 * metadata of the snapshot beside what the blob has, so that after a lost reply
 * it is found again rather than taken twice. */
int blob_snapshot(struct blob_client *c, const struct blob_ref *ref, const char *tag_name,
		  const char *tag_value, char *out, struct err *err);

/* --- listing --- */
struct blob_item {
	char *name, *snapshot /* or NULL */;
	struct blob_props props;
};
struct blob_list {
	struct blob_item *items; /* by name, snapshots of a name oldest first, base last */
	size_t count;
};
enum blob_list_include { BLOB_LIST_SNAPSHOTS = 1, BLOB_LIST_META = 2 };
/* All pages (NextMarker) of it. Free with blob_list_free(). */
int blob_list(struct blob_client *c, const char *container, const char *prefix, unsigned include,
	      struct blob_list *out, struct err *err);
void blob_list_free(struct blob_list *l);

/* A new random lease id, lower-case GUID. `out` has BLOB_LEASE_ID_MAX bytes. */
void blob_new_guid(char *out);

/* Names by the service's rules (BLOB-REST.md section 2, limits). ERR_USAGE. */
int blob_check_container_name(const char *name, struct err *err);
int blob_check_blob_name(const char *name, struct err *err);

#endif
