/* Page blobs: creation and writing. */
#include <config.h>

#include <string.h>

#include "blob/clock.h"
#include "blob/cursor.h"
#include "blob/op.h"
#include "blob/ops.h"

#define CREATE_TRIES 3

static bool same_meta(const struct blob_meta_list *a, const struct blob_meta_list *b)
{
	size_t i;

	if (a->count != (b ? b->count : 0))
		return false;
	for (i = 0; i < a->count; i++) {
		const char *value = blob_meta_get(b, a->items[i].name);

		if (!value || strcmp(value, a->items[i].value) != 0)
			return false;
	}
	return true;
}

/* After a reply was lost and the next attempt was told that the blob is there: is
 * it the one that we asked for, made since we asked (by the service's clock)? */
static bool created_by_us(struct blob_client *c, const struct blob_ref *ref, uint64_t size,
			  const struct blob_meta_list *meta, const struct blob_doubt *d,
			  uint64_t begun_ms)
{
	time_t began = d->date - (time_t)((clock_ms() - begun_ms) / 1000) - 1, modified;
	struct blob_props props;
	bool ours;

	if (!d->doubt || !d->date || blob_get_props(c, ref, &props, NULL) < 0)
		return false;
	ours = props.type == BLOB_TYPE_PAGE && props.size == size && same_meta(&props.meta, meta) &&
	       http_date_parse(props.last_modified, &modified) == 0 && modified >= began;
	blob_props_free(&props);
	return ours;
}

static int create(struct blob_client *c, const struct blob_ref *ref, uint64_t size,
		  const struct blob_meta_list *meta, const struct blob_guard *guard,
		  const char *lease_id, struct blob_doubt *d, struct err *err)
{
	struct blob_op *op = blob_op_put(c, ref, NULL, 0);

	blob_op_header(op, "x-ms-blob-type", "PageBlob");
	blob_op_header(op, "x-ms-blob-content-length", "%llu", (unsigned long long)size);
	blob_op_header(op, guard->name, "%s", guard->value);
	blob_op_meta(op, meta);
	blob_op_lease(op, lease_id);
	return blob_op_perform(op, blob_look_at_doubt, d, err);
}

int blob_create_page(struct blob_client *c, const struct blob_ref *ref, uint64_t size,
		     const struct blob_meta_list *meta, bool only_if_absent, const char *lease_id,
		     struct err *err)
{
	struct blob_guard guard = { .name = "If-None-Match", .value = "*" };
	struct blob_doubt doubt;
	struct err e;
	int tries;

	if (blob_check_blob_name(ref->blob, err) < 0)
		return -1;
	if (size % BLOB_PAGE)
		return err_set(err, ERR_RANGE, "%s/%s: a page blob can't have %llu bytes: no "
			       "multiple of %u", ref->container, ref->blob,
			       (unsigned long long)size, BLOB_PAGE);
	for (tries = 0; tries < CREATE_TRIES; tries++) {
		uint64_t begun_ms = clock_ms();

		if (!only_if_absent && blob_guard_get(c, ref, 0, &guard, err) < 0)
			return -1;
		if (create(c, ref, size, meta, &guard, lease_id, &doubt, &e) == 0)
			return 0;
		if (e.code != ERR_EXISTS && e.code != ERR_CONDITION)
			break;
		if (created_by_us(c, ref, size, meta, &doubt, begun_ms))
			return 0;
		if (only_if_absent) {
			e.code = ERR_EXISTS;
			break;
		}
	}
	if (err)
		*err = e;
	return -1;
}

/* Put Page and Clear Page. What Azurite lets pass is refused here. */
static struct blob_op *page_op(struct blob_client *c, const struct blob_ref *ref, const char *what,
			       uint64_t offset, uint64_t len, const char *lease_id)
{
	struct blob_op *op = blob_op_put(c, ref, "page", BLOB_OP_FENCED);

	if (!len || offset % BLOB_PAGE || len % BLOB_PAGE || offset > INT64_MAX ||
	    len > INT64_MAX - offset)
		blob_op_fail(op, ERR_RANGE, "%llu bytes at %llu can't be written: not whole pages "
			     "of %u bytes", (unsigned long long)len, (unsigned long long)offset,
			     BLOB_PAGE);
	blob_op_header(op, "x-ms-page-write", "%s", what);
	blob_op_header(op, "x-ms-range", "bytes=%llu-%llu", (unsigned long long)offset,
		       (unsigned long long)(offset + len - 1));
	blob_op_lease(op, lease_id);
	return op;
}

void blob_put_pages_start(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
			  const struct iovec *iov, int count, const char *md5, const char *lease_id,
			  blob_done_fn *done, void *arg)
{
	uint64_t len = iov_length(iov, count);
	struct blob_op *op = page_op(c, ref, "update", offset, len, lease_id);

	if (len > BLOB_MAX_PUT_PAGE)
		blob_op_fail(op, ERR_RANGE, "%llu bytes can't be written at once: %u are the most",
			     (unsigned long long)len, BLOB_MAX_PUT_PAGE);
	blob_op_header(op, "Content-Type", "application/octet-stream");
	if (md5)
		blob_op_header(op, "Content-MD5", "%s", md5);
	blob_op_body(op, iov, count);
	blob_op_submit(op, done, arg);
}

void blob_clear_pages_start(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
			    uint64_t len, const char *lease_id, blob_done_fn *done, void *arg)
{
	blob_op_submit(page_op(c, ref, "clear", offset, len, lease_id), done, arg);
}
