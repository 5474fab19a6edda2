/* Get Page Ranges. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "blob/op.h"
#include "blob/ops.h"
#include "blob/xml.h"

#define REPLY_MAX (64u << 20) /* bytes of XML */

/* One call, which may take several requests: the service cuts long lists and
 * gives a marker to go on with. */
struct ranges_call {
	struct blob_client *client;
	char *container, *blob, *snapshot;
	uint64_t offset, len;
	char *marker;               /* NULL: the first request */
	struct xml_ranges ranges;   /* so far */
	blob_ranges_fn *done;
	void *arg;
};

static void free_call(struct ranges_call *call)
{
	free(call->container);
	free(call->blob);
	free(call->snapshot);
	free(call->marker);
	xml_ranges_free(&call->ranges);
	free(call);
}

static void fail(struct ranges_call *call, const struct err *err)
{
	call->done(call->arg, err, NULL, 0);
	free_call(call);
}

static int by_offset(const void *va, const void *vb)
{
	const struct blob_range *a = va, *b = vb;

	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Ascending, merged where they touch, clipped to the window that was asked for. */
static void tidy(struct ranges_call *call)
{
	struct blob_range *items = call->ranges.items;
	uint64_t end = call->offset + call->len;
	size_t i, n = 0;

	if (call->ranges.count > 1)
		qsort(items, call->ranges.count, sizeof(*items), by_offset);
	for (i = 0; i < call->ranges.count; i++) {
		uint64_t from = items[i].offset, to = from + items[i].len;

		if (from < call->offset)
			from = call->offset;
		if (to > end)
			to = end;
		if (from >= to)
			continue;
		if (n && items[n - 1].offset + items[n - 1].len >= from) {
			if (to > items[n - 1].offset + items[n - 1].len)
				items[n - 1].len = to - items[n - 1].offset;
			continue;
		}
		items[n++] = (struct blob_range){ from, to - from };
	}
	call->ranges.count = n;
}

static void request(struct ranges_call *call);

static void on_reply(void *arg, const struct blob_reply *reply)
{
	struct ranges_call *call = arg;
	cleanup_free char *marker = NULL;
	struct err err;

	if (reply->err.code) {
		fail(call, &reply->err);
		return;
	}
	if (xml_page_list(buf_str(reply->body), reply->body->len, &call->ranges, &marker, &err) < 0) {
		err_prefix(&err, "%s/%s", call->container, call->blob);
		fail(call, &err);
		return;
	}
	if (marker && call->marker && !strcmp(marker, call->marker)) {
		err_set(&err, ERR_PROTOCOL, "%s/%s: the service's list of pages does not end",
			call->container, call->blob);
		fail(call, &err);
		return;
	}
	if (marker) {
		free(call->marker);
		call->marker = steal_ptr(&marker);
		request(call);
		return;
	}
	tidy(call);
	call->done(call->arg, NULL, call->ranges.items, call->ranges.count);
	free_call(call);
}

static void request(struct ranges_call *call)
{
	struct blob_ref ref = { call->container, call->blob, call->snapshot };
	struct blob_op *op = blob_op_new(call->client, "GET", &ref, 0);

	if (!call->len || call->offset > INT64_MAX || call->len > INT64_MAX - call->offset)
		blob_op_fail(op, ERR_RANGE, "%llu bytes at %llu have no pages",
			     (unsigned long long)call->len, (unsigned long long)call->offset);
	blob_op_query(op, "comp", "pagelist");
	if (call->marker)
		blob_op_query(op, "marker", call->marker);
	blob_op_header(op, "x-ms-range", "bytes=%llu-%llu", (unsigned long long)call->offset,
		       (unsigned long long)(call->offset + call->len - 1));
	blob_op_collect(op, REPLY_MAX);
	blob_op_submit(op, on_reply, call);
}

void blob_page_ranges_start(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
			    uint64_t len, blob_ranges_fn *done, void *arg)
{
	struct ranges_call *call = calloc(1, sizeof(*call));
	struct err err;

	if (call) {
		call->client = c;
		call->container = strdup(ref->container);
		call->blob = strdup(ref->blob);
		call->snapshot = ref->snapshot ? strdup(ref->snapshot) : NULL;
		call->offset = offset;
		call->len = len;
		call->done = done;
		call->arg = arg;
	}
	if (!call || !call->container || !call->blob || (ref->snapshot && !call->snapshot)) {
		err_set(&err, ERR_NO_MEMORY, "not enough memory for a request");
		done(arg, &err, NULL, 0);
		if (call)
			free_call(call);
		return;
	}
	request(call);
}
