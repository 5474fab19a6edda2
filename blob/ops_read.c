/* Reading bytes. */
#include <config.h>

#include "blob/cursor.h"
#include "blob/op.h"
#include "blob/ops.h"
#include "blob/reply.h"

/* What came must be what was asked for: services and caches on the way answer
 * with less (the blob ends before), or with the whole blob. */
static int check_range(const struct blob_op *op, const struct blob_reply *reply, struct err *err)
{
	uint64_t first, last, total;

	if (reply->http_status == 200 && op->range_offset == 0) {
		/* The whole blob. More than was asked for did not fit. */
		first = 0;
		if (reply_number(reply->header(reply, "Content-Length"), &total) < 0)
			total = reply->received;
		last = total - 1;
	} else if (reply->http_status != 206 ||
	    reply_content_range(reply->header(reply, "Content-Range"), &first, &last, &total) < 0) {
		return err_set(err, ERR_PROTOCOL, "a part was asked for, and the reply doesn't say "
			       "which part it brings");
	}
	if (op->range_offset + op->range_len > total)
		return err_set(err, ERR_RANGE, "bytes %llu to %llu lie outside the blob, which has "
			       "%llu bytes", (unsigned long long)op->range_offset,
			       (unsigned long long)(op->range_offset + op->range_len - 1),
			       (unsigned long long)total);
	if (first != op->range_offset || last - first + 1 != op->range_len)
		return err_set(err, ERR_PROTOCOL, "another part came than was asked for");
	return 0;
}

static struct blob_op *range_op(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
				const struct iovec *iov, int count, const char *if_match)
{
	struct blob_op *op = blob_op_new(c, "GET", ref, 0);
	uint64_t len = iov_length(iov, count);

	if (!op)
		return NULL;
	/* A range that ends before it begins is more than some services survive. */
	if (!len || offset > INT64_MAX || len > INT64_MAX - offset)
		blob_op_fail(op, ERR_RANGE, "%llu bytes at %llu can't be read",
			     (unsigned long long)len, (unsigned long long)offset);
	op->range_offset = offset;
	op->range_len = len;
	/* Not x-ms-range: what stands between us and the service knows this one. */
	blob_op_header(op, "Range", "bytes=%llu-%llu", (unsigned long long)offset,
		       (unsigned long long)(offset + len - 1));
	if (if_match)
		blob_op_header(op, "If-Match", "%s", if_match);
	blob_op_sink(op, iov, count);
	blob_op_check(op, check_range);
	return op;
}

void blob_get_range_start(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
			  const struct iovec *iov, int count, const char *if_match,
			  blob_done_fn *done, void *arg)
{
	blob_op_submit(range_op(c, ref, offset, iov, count, if_match), done, arg);
}

void blob_get_range_sum_start(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
			      const struct iovec *iov, int count, const char *if_match,
			      blob_done_fn *done, void *arg)
{
	struct blob_op *op = range_op(c, ref, offset, iov, count, if_match);

	/* With more the service refuses the request. */
	if (iov_length(iov, count) <= BLOB_MAX_SUM)
		blob_op_header(op, "x-ms-range-get-content-md5", "true");
	blob_op_submit(op, done, arg);
}

int blob_get_range(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
		   void *data, size_t len, const char *if_match, struct err *err)
{
	struct iovec iov = { data, len };

	return blob_op_perform(range_op(c, ref, offset, &iov, 1, if_match), NULL, NULL, err);
}
