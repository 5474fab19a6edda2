/* Listing. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "blob/op.h"
#include "blob/ops.h"
#include "blob/xml.h"

#define REPLY_MAX (64u << 20) /* bytes of XML */

unsigned blob_list_page; /* 0: as many as the service gives at once */

struct list_look {
	struct blob_list *list;
	char *marker;
	struct err err;
};

static void look_at_page(void *arg, const struct blob_reply *reply)
{
	struct list_look *look = arg;

	if (!reply->err.code)
		xml_blob_list(buf_str(reply->body), reply->body->len, look->list, &look->marker,
			      &look->err);
}

static const char *const includes[] = { NULL, "snapshots", "metadata", "snapshots,metadata" };

/* One page from `marker` on; *marker becomes that of the next, or NULL. */
static int list_page(struct blob_client *c, const struct blob_ref *ref, const char *prefix,
		     unsigned include, char **marker, struct blob_list *out, struct err *err)
{
	struct blob_op *op = blob_op_new(c, "GET", ref, 0);
	struct list_look look = { .list = out };
	char number[16];

	blob_op_query(op, "restype", "container");
	blob_op_query(op, "comp", "list");
	if (prefix && *prefix)
		blob_op_query(op, "prefix", prefix);
	if (includes[include & 3])
		blob_op_query(op, "include", includes[include & 3]);
	if (*marker)
		blob_op_query(op, "marker", *marker);
	if (blob_list_page) {
		snprintf(number, sizeof(number), "%u", blob_list_page);
		blob_op_query(op, "maxresults", number);
	}
	blob_op_collect(op, REPLY_MAX);
	if (blob_op_perform(op, look_at_page, &look, err) < 0)
		return -1;
	if (look.err.code == ERR_NONE && look.marker && *marker && !strcmp(look.marker, *marker)) {
		free(look.marker);
		err_set(&look.err, ERR_PROTOCOL, "the service's list of blobs does not end");
	}
	if (look.err.code) {
		if (err)
			*err = look.err;
		return err_prefix(err, "%s", ref->container);
	}
	free(*marker);
	*marker = look.marker;
	return 0;
}

/* By name; of one name, snapshots by their time and then the blob itself. Snapshot
 * times have a fixed width but for the digits of a second, of which Azurite has
 * fewer: compared as text they are in order anyway. */
static int by_name_and_time(const void *va, const void *vb)
{
	const struct blob_item *a = va, *b = vb;
	int rc = strcmp(a->name, b->name);

	if (rc)
		return rc;
	if (!a->snapshot || !b->snapshot)
		return !a->snapshot - !b->snapshot;
	return strcmp(a->snapshot, b->snapshot);
}

int blob_list(struct blob_client *c, const char *container, const char *prefix, unsigned include,
	      struct blob_list *out, struct err *err)
{
	struct blob_ref ref = { .container = container };
	cleanup_free char *marker = NULL;

	memset(out, 0, sizeof(*out));
	do {
		if (list_page(c, &ref, prefix, include, &marker, out, err) < 0) {
			blob_list_free(out);
			return -1;
		}
	} while (marker);
	if (out->count > 1)
		qsort(out->items, out->count, sizeof(*out->items), by_name_and_time);
	return 0;
}

void blob_list_free(struct blob_list *l)
{
	size_t i;

	for (i = 0; i < l->count; i++) {
		free(l->items[i].name);
		free(l->items[i].snapshot);
		blob_props_free(&l->items[i].props);
	}
	free(l->items);
	memset(l, 0, sizeof(*l));
}
