/* Snapshots. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "blob/clock.h"
#include "blob/op.h"
#include "blob/ops.h"

struct snapshot_look {
	char *out;        /* BLOB_TIME_MAX bytes */
	bool unknown;     /* the reply was lost: it may have been taken */
	bool unnamed;     /* taken, and the reply doesn't say its time */
};

static void look_at_snapshot(void *arg, const struct blob_reply *reply)
{
	struct snapshot_look *look = arg;
	const char *time = reply->header(reply, "x-ms-snapshot");

	look->unknown = reply->outcome_unknown;
	look->unnamed = !reply->err.code && (!time || strlen(time) >= BLOB_TIME_MAX);
	if (!reply->err.code && !look->unnamed)
		snprintf(look->out, BLOB_TIME_MAX, "%s", time);
}

/* The snapshot with our tag: 1 and its time, 0 when there is none, -1. */
static int find_tagged(struct blob_client *c, const struct blob_ref *ref, const char *name,
		       const char *value, char *out, struct err *err)
{
	struct blob_list list;
	int found = 0;
	size_t i;

	if (blob_list(c, ref->container, ref->blob, BLOB_LIST_SNAPSHOTS | BLOB_LIST_META, &list,
		      err) < 0)
		return -1;
	for (i = 0; i < list.count && !found; i++) {
		const struct blob_item *item = &list.items[i];
		const char *tag = blob_meta_get(&item->props.meta, name);

		if (item->snapshot && !strcmp(item->name, ref->blob) && tag && !strcmp(tag, value)) {
			snprintf(out, BLOB_TIME_MAX, "%s", item->snapshot);
			found = 1;
		}
	}
	blob_list_free(&list);
	return found;
}

static int take(struct blob_client *c, const struct blob_ref *ref, const struct blob_meta_list *meta,
		unsigned deadline_ms, struct snapshot_look *look, struct err *err)
{
	/* FENCED: not repeated blindly, as each one that arrives makes another. */
	struct blob_op *op = blob_op_put(c, ref, "snapshot", BLOB_OP_FENCED);

	blob_op_meta(op, meta);
	blob_op_deadline(op, deadline_ms);
	if (blob_op_perform(op, look_at_snapshot, look, err) < 0)
		return -1;
	if (look->unnamed)
		return err_set(err, ERR_PROTOCOL, "%s/%s: the service has taken a snapshot and "
			       "doesn't say which", ref->container, ref->blob);
	return 0;
}

int blob_snapshot(struct blob_client *c, const struct blob_ref *ref, const char *tag_name,
		  const char *tag_value, char *out, struct err *err)
{
	unsigned whole_ms = c->options.deadline_ms;
	uint64_t begun_ms = clock_ms();
	struct snapshot_look look = { .out = out };
	struct blob_props props;
	struct err e;
	int rc, found;

	/* Metadata that is sent replaces what the snapshot would get from the blob. */
	if (blob_get_props(c, ref, &props, err) < 0)
		return -1;
	if (blob_meta_set(&props.meta, tag_name, tag_value) < 0) {
		blob_props_free(&props);
		return err_set(err, ERR_NO_MEMORY, "not enough memory for a blob's metadata");
	}
	do {
		rc = take(c, ref, &props.meta, blob_time_left(begun_ms, whole_ms), &look, &e);
		if (rc == 0 || !look.unknown)
			break;
		found = find_tagged(c, ref, tag_name, tag_value, out, &e);
		rc = found == 1 ? 0 : -1;
	} while (found == 0 && clock_ms() - begun_ms < whole_ms);
	blob_props_free(&props);
	if (rc < 0 && err)
		*err = e;
	return rc;
}
