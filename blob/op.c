#include <config.h>

#include "blob/op.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/clock.h"
#include "blob/cursor.h"

#define URL_MAX 65536u

static void no_memory(struct blob_op *op)
{
	blob_op_fail(op, ERR_NO_MEMORY, "not enough memory for a request");
}

/* A copy of `s` in *to; NULL stays NULL. */
static int copy_string(char **to, const char *s)
{
	*to = s ? strdup(s) : NULL;
	return s && !*to ? -1 : 0;
}

struct blob_op *blob_op_new(struct blob_client *c, const char *method, const struct blob_ref *ref,
			    unsigned flags)
{
	struct blob_op *op = calloc(1, sizeof(*op));

	if (!op)
		return NULL;
	op->client = c;
	op->flags = flags;
	op->url = (struct buf)BUF_INIT(URL_MAX);
	exchange_init(&op->transfer.x);
	snprintf(op->method, sizeof(op->method), "%s", method);
	if (copy_string(&op->container, ref->container) < 0 ||
	    copy_string(&op->blob, ref->blob) < 0 ||
	    copy_string(&op->snapshot, ref->snapshot) < 0) {
		blob_op_free(op);
		return NULL;
	}
	op->ref = (struct blob_ref){ op->container, op->blob, op->snapshot };
	if (op->snapshot)
		blob_op_query(op, "snapshot", op->snapshot);
	return op;
}

void blob_op_free(struct blob_op *op)
{
	if (!op)
		return;
	exchange_free(&op->transfer.x);
	free(op->container);
	free(op->blob);
	free(op->snapshot);
	free(op->body);
	free(op->sink);
	pairs_free(&op->query);
	pairs_free(&op->headers);
	pairs_free(&op->sent);
	pairs_free(&op->head);
	buf_free(&op->collected);
	buf_wipe(&op->url); /* may hold a SAS */
	free(op);
}

void blob_op_fail(struct blob_op *op, enum err_code code, const char *fmt, ...)
{
	char msg[256];
	va_list ap;

	if (!op || op->failed.code)
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	err_set(&op->failed, code, "%s", msg);
}

void blob_op_query(struct blob_op *op, const char *name, const char *value)
{
	if (op && pairs_add(&op->query, name, value) < 0)
		no_memory(op);
}

void blob_op_header(struct blob_op *op, const char *name, const char *fmt, ...)
{
	char *value;
	const char *p;
	va_list ap;
	int n;

	if (!op)
		return;
	va_start(ap, fmt);
	n = vasprintf(&value, fmt, ap);
	va_end(ap);
	if (n < 0) {
		no_memory(op);
		return;
	}
	for (p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
			blob_op_fail(op, ERR_USAGE, "'%s' can't be the name of a header", name);
	for (p = value; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			blob_op_fail(op, ERR_USAGE,
				     "%s can't be sent: it may hold printable ASCII only", name);
	if (pairs_add(&op->headers, name, value) < 0)
		no_memory(op);
	free(value);
}

static struct iovec *copy_iov(struct blob_op *op, const struct iovec *iov, int count)
{
	struct iovec *copy = calloc((size_t)count + 1, sizeof(*copy));

	if (!copy)
		no_memory(op);
	else if (count)
		memcpy(copy, iov, (size_t)count * sizeof(*copy));
	return copy;
}

void blob_op_body(struct blob_op *op, const struct iovec *iov, int count)
{
	struct exchange *x;

	if (!op)
		return;
	x = &op->transfer.x;
	free(op->body);
	op->body = copy_iov(op, iov, count);
	x->body = op->body;
	x->body_count = count;
	x->body_len = iov_length(iov, count);
}

void blob_op_sink(struct blob_op *op, const struct iovec *iov, int count)
{
	struct exchange *x;

	if (!op)
		return;
	x = &op->transfer.x;
	free(op->sink);
	op->sink = copy_iov(op, iov, count);
	x->sink = op->sink;
	x->sink_count = count;
	x->sink_len = iov_length(iov, count);
}

void blob_op_collect(struct blob_op *op, size_t max)
{
	if (!op)
		return;
	buf_free(&op->collected);
	op->collected.max = max;
	op->transfer.x.collect = &op->collected;
}

void blob_op_deadline(struct blob_op *op, unsigned ms)
{
	if (op)
		op->deadline_ms = ms;
}

void blob_op_delay(struct blob_op *op, unsigned ms)
{
	if (op)
		op->delay_ms = ms;
}

void blob_op_check(struct blob_op *op, blob_check_fn *check)
{
	if (op)
		op->check = check;
}

struct blob_op *blob_op_put(struct blob_client *c, const struct blob_ref *ref, const char *comp,
			    unsigned flags)
{
	struct blob_op *op = blob_op_new(c, "PUT", ref, flags);

	if (ref->snapshot)
		blob_op_fail(op, ERR_READ_ONLY, "a snapshot can't be changed");
	if (comp)
		blob_op_query(op, "comp", comp);
	return op;
}

void blob_op_lease(struct blob_op *op, const char *lease_id)
{
	if (lease_id)
		blob_op_header(op, "x-ms-lease-id", "%s", lease_id);
}

void blob_op_meta(struct blob_op *op, const struct blob_meta_list *meta)
{
	char name[256];
	size_t i;

	for (i = 0; meta && i < meta->count; i++) {
		snprintf(name, sizeof(name), "x-ms-meta-%s", meta->items[i].name);
		blob_op_header(op, name, "%s", meta->items[i].value);
	}
}

unsigned blob_time_left(uint64_t from_ms, unsigned whole_ms)
{
	uint64_t gone = clock_ms() - from_ms;

	return gone < whole_ms ? whole_ms - (unsigned)gone : 1;
}
