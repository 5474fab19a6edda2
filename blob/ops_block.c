/* Block blobs. */
#include <config.h>

#include <string.h>

#include "blob/op.h"
#include "blob/ops.h"
#include "blob/sign.h"

#define BLOCK_LIST_MAX (16u << 20) /* bytes of XML; 50000 blocks fit */

void blob_put_block_start(struct blob_client *c, const struct blob_ref *ref, const char *id,
			  const struct iovec *iov, int count, const char *md5, const char *lease_id,
			  blob_done_fn *done, void *arg)
{
	cleanup_buf struct buf encoded = BUF_INIT(1024);
	struct blob_op *op = blob_op_put(c, ref, "block", 0);

	if (sign_base64(&encoded, id, strlen(id)) < 0)
		blob_op_fail(op, ERR_USAGE, "a block id of %zu bytes is too long", strlen(id));
	blob_op_query(op, "blockid", buf_str(&encoded));
	blob_op_header(op, "Content-Type", "application/octet-stream");
	if (md5)
		blob_op_header(op, "Content-MD5", "%s", md5);
	blob_op_lease(op, lease_id);
	blob_op_body(op, iov, count);
	blob_op_submit(op, done, arg);
}

/* Base64 needs no escaping in XML. */
static int block_list(struct buf *xml, const char *const *ids, size_t count)
{
	size_t i;

	buf_addstr(xml, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
	for (i = 0; i < count; i++) {
		buf_addstr(xml, "<Latest>");
		sign_base64(xml, ids[i], strlen(ids[i]));
		buf_addstr(xml, "</Latest>");
	}
	return buf_addstr(xml, "</BlockList>");
}

int blob_put_block_list(struct blob_client *c, const struct blob_ref *ref, const char *const *ids,
			size_t count, const struct blob_meta_list *meta, const char *content_type,
			const char *md5, const char *lease_id, struct err *err)
{
	cleanup_buf struct buf xml = BUF_INIT(BLOCK_LIST_MAX);
	struct blob_op *op;
	struct iovec body;

	if (blob_check_blob_name(ref->blob, err) < 0)
		return -1;
	if (block_list(&xml, ids, count) < 0)
		return err_set(err, ERR_RANGE, "%s/%s: too many blocks", ref->container, ref->blob);
	op = blob_op_put(c, ref, "blocklist", 0);
	body = (struct iovec){ xml.data, xml.len };
	blob_op_header(op, "Content-Type", "application/xml");
	if (content_type)
		blob_op_header(op, "x-ms-blob-content-type", "%s", content_type);
	if (md5)
		blob_op_header(op, "x-ms-blob-content-md5", "%s", md5);
	blob_op_meta(op, meta);
	blob_op_lease(op, lease_id);
	blob_op_body(op, &body, 1);
	return blob_op_perform(op, NULL, NULL, err);
}
