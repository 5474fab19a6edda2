/* Whole blobs: properties, metadata, deletion. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "blob/op.h"
#include "blob/ops.h"
#include "blob/reply.h"

struct props_look {
	struct blob_props *props;
	bool no_memory;
};

static void take(const struct blob_reply *reply, const char *name, char *out, size_t size)
{
	const char *value = reply->header(reply, name);

	snprintf(out, size, "%s", value ? value : "");
}

static enum blob_type type_of(const char *text)
{
	if (!text)
		return BLOB_TYPE_NONE;
	if (!strcmp(text, "PageBlob"))
		return BLOB_TYPE_PAGE;
	if (!strcmp(text, "BlockBlob"))
		return BLOB_TYPE_BLOCK;
	return strcmp(text, "AppendBlob") ? BLOB_TYPE_NONE : BLOB_TYPE_APPEND;
}

static void look_at_props(void *arg, const struct blob_reply *reply)
{
	struct props_look *look = arg;
	struct blob_props *p = look->props;

	if (reply->err.code)
		return;
	p->type = type_of(reply->header(reply, "x-ms-blob-type"));
	if (reply_number(reply->header(reply, "Content-Length"), &p->size) < 0)
		p->size = 0;
	memcpy(p->etag, reply->etag, sizeof(p->etag));
	take(reply, "Last-Modified", p->last_modified, sizeof(p->last_modified));
	take(reply, "x-ms-lease-state", p->lease_state, sizeof(p->lease_state));
	take(reply, "Content-MD5", p->content_md5, sizeof(p->content_md5));
	take(reply, "x-ms-copy-id", p->copy_id, sizeof(p->copy_id));
	take(reply, "x-ms-copy-status", p->copy_status, sizeof(p->copy_status));
	look->no_memory = blob_meta_copy(&p->meta, &reply->meta) < 0;
}

int blob_get_props_op(struct blob_op *op, struct blob_props *out, struct err *err)
{
	struct props_look look = { .props = out };

	memset(out, 0, sizeof(*out));
	if (blob_op_perform(op, look_at_props, &look, err) < 0)
		return -1;
	if (look.no_memory)
		return err_set(err, ERR_NO_MEMORY, "not enough memory for a blob's metadata");
	return 0;
}

int blob_get_props(struct blob_client *c, const struct blob_ref *ref, struct blob_props *out,
		   struct err *err)
{
	return blob_get_props_op(blob_op_new(c, "HEAD", ref, 0), out, err);
}

static void look_for_doubt(void *arg, const struct blob_reply *reply)
{
	*(bool *)arg = reply->err.code == ERR_NOT_FOUND && blob_reply_doubt(reply);
}

int blob_delete(struct blob_client *c, const struct blob_ref *ref, const char *lease_id,
		struct err *err)
{
	struct blob_op *op = blob_op_new(c, "DELETE", ref, 0);
	bool done_before = false;
	struct err e;

	blob_op_lease(op, lease_id);
	if (blob_op_perform(op, look_for_doubt, &done_before, &e) == 0 || done_before)
		return 0;
	if (err)
		*err = e;
	return -1;
}

static void look_at_etag(void *arg, const struct blob_reply *reply)
{
	if (arg && !reply->err.code)
		memcpy(arg, reply->etag, sizeof(reply->etag));
}

int blob_set_meta(struct blob_client *c, const struct blob_ref *ref, const struct blob_meta_list *meta,
		  const char *lease_id, char *etag_out, struct err *err)
{
	struct blob_op *op = blob_op_put(c, ref, "metadata", 0);

	blob_op_meta(op, meta);
	blob_op_lease(op, lease_id);
	return blob_op_perform(op, look_at_etag, etag_out, err);
}

/* Azurite has no code of its own for it. */
bool blob_is_damaged(const struct err *err)
{
	return err->http_status == 400 && (!strcmp(err->service_code, "Md5Mismatch") ||
					   !strcmp(err->service_code, "InvalidOperation"));
}
