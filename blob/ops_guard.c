/* Conditions that keep a repeated write of a whole blob from doing harm. */
#include <config.h>

#include <stdio.h>

#include "blob/clock.h"
#include "blob/op.h"
#include "blob/ops.h"

int blob_guard_get(struct blob_client *c, const struct blob_ref *ref, unsigned deadline_ms,
		   struct blob_guard *out, struct err *err)
{
	struct blob_op *op = blob_op_new(c, "HEAD", ref, 0);
	struct blob_props props;
	struct err e;

	blob_op_deadline(op, deadline_ms);
	if (blob_get_props_op(op, &props, &e) == 0) {
		out->name = "If-Match";
		snprintf(out->value, sizeof(out->value), "%s", props.etag);
		blob_props_free(&props);
		return 0;
	}
	if (e.code != ERR_NOT_FOUND) {
		if (err)
			*err = e;
		return -1;
	}
	out->name = "If-None-Match";
	snprintf(out->value, sizeof(out->value), "*");
	return 0;
}

void blob_look_at_doubt(void *arg, const struct blob_reply *reply)
{
	struct blob_doubt *d = arg;
	const char *date = reply->header(reply, "Date");

	d->doubt = blob_reply_doubt(reply);
	if (!date || http_date_parse(date, &d->date) < 0)
		d->date = 0;
}
