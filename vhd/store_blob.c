#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "vhd/store.h"

struct store_blob {
	struct blob_client *data, *control;
	struct blob_ref ref; /* strings are ours */
};

/* One read or write under way. */
struct call {
	store_done_fn *done;
	void *arg;
};

static struct call *call_new(store_done_fn *done, void *arg)
{
	struct call *c = malloc(sizeof(*c));
	struct err err;

	if (c) {
		*c = (struct call){ done, arg };
		return c;
	}
	err_set(&err, ERR_NO_MEMORY, "out of memory");
	done(arg, &(struct store_result){ .err = &err, .etag = "" });
	return NULL;
}

static void call_done(void *arg, const struct blob_reply *reply)
{
	struct call *c = arg;
	struct store_result r = {
		.err = reply->err.code == ERR_NONE ? NULL : &reply->err,
		.outcome_unknown = reply->outcome_unknown,
		.etag = reply->etag,
	};

	c->done(c->arg, &r);
	free(c);
}

static void blob_read(void *store, uint64_t offset, const struct iovec *iov, int count,
		      store_done_fn *done, void *arg)
{
	struct store_blob *b = store;
	struct call *c = call_new(done, arg);

	if (c)
		blob_get_range_start(b->data, &b->ref, offset, iov, count, NULL, call_done, c);
}

static void blob_write(void *store, uint64_t offset, const struct iovec *iov, int count,
		       const char *lease_id, store_done_fn *done, void *arg)
{
	struct store_blob *b = store;
	struct call *c = call_new(done, arg);

	if (c)
		blob_put_pages_start(b->data, &b->ref, offset, iov, count, NULL, lease_id, call_done, c);
}

static void blob_clear(void *store, uint64_t offset, uint64_t len, const char *lease_id,
		       store_done_fn *done, void *arg)
{
	struct store_blob *b = store;
	struct call *c = call_new(done, arg);

	if (c)
		blob_clear_pages_start(b->data, &b->ref, offset, len, lease_id, call_done, c);
}

static void blob_ranges(void *store, uint64_t offset, uint64_t len, store_ranges_fn *done, void *arg)
{
	struct store_blob *b = store;

	blob_page_ranges_start(b->data, &b->ref, offset, len, done, arg);
}

static int lease_acquire(void *store, const char *id, unsigned duration_s, unsigned deadline_ms,
			 struct err *err)
{
	struct store_blob *b = store;

	return blob_lease_acquire(b->control, &b->ref, id, duration_s, deadline_ms, err);
}

static int lease_renew(void *store, const char *id, unsigned deadline_ms, struct err *err)
{
	struct store_blob *b = store;

	return blob_lease_renew(b->control, &b->ref, id, deadline_ms, err);
}

static int lease_change(void *store, const char *id, const char *new_id, unsigned deadline_ms,
			struct err *err)
{
	struct store_blob *b = store;

	return blob_lease_change(b->control, &b->ref, id, new_id, deadline_ms, err);
}

static int lease_release(void *store, const char *id, unsigned deadline_ms, struct err *err)
{
	struct store_blob *b = store;

	return blob_lease_release(b->control, &b->ref, id, deadline_ms, err);
}

/* blob_get_props() and blob_set_meta() take no deadline: the control client's
 * own bounds them. */
static int props(void *store, unsigned deadline_ms, struct blob_props *out, struct err *err)
{
	struct store_blob *b = store;

	return blob_get_props(b->control, &b->ref, out, err);
}

static int set_meta(void *store, const struct blob_meta_list *meta, const char *lease_id,
		    char *etag_out, struct err *err)
{
	struct store_blob *b = store;

	return blob_set_meta(b->control, &b->ref, meta, lease_id, etag_out, err);
}

static void blob_abort(void *store)
{
	struct store_blob *b = store;

	blob_client_abort(b->data);
}

static const struct store_ops ops = {
	.read = blob_read,
	.write = blob_write,
	.clear = blob_clear,
	.ranges = blob_ranges,
	.abort = blob_abort,
	.lease_acquire = lease_acquire,
	.lease_renew = lease_renew,
	.lease_change = lease_change,
	.lease_release = lease_release,
	.props = props,
	.set_meta = set_meta,
};

static void free_impl(struct store_blob *b)
{
	free((char *)b->ref.container);
	free((char *)b->ref.blob);
	free((char *)b->ref.snapshot);
	free(b);
}

int store_blob_new(struct store *out, struct blob_client *data, struct blob_client *control,
		   const struct blob_ref *ref, struct err *err)
{
	struct store_blob *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	b->data = data;
	b->control = control;
	b->ref.container = strdup(ref->container);
	b->ref.blob = strdup(ref->blob);
	b->ref.snapshot = ref->snapshot ? strdup(ref->snapshot) : NULL;
	if (!b->ref.container || !b->ref.blob || (ref->snapshot && !b->ref.snapshot)) {
		free_impl(b);
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	out->ops = &ops;
	out->impl = b;
	return 0;
}

void store_blob_free(struct store *s)
{
	if (s->impl)
		free_impl(s->impl);
	s->ops = NULL;
	s->impl = NULL;
}
