/* Server-side copy. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "blob/clock.h"
#include "blob/op.h"
#include "blob/ops.h"
#include "blob/url.h"

#define SOURCE_MAX 65536u
#define POLL_FIRST_MS 50u
#define POLL_LAST_MS 2000u

struct copy {
	struct blob_client *client;
	const struct blob_ref *from, *to;
	struct buf source;           /* its URL, SAS included */
	char id[64], status[16];     /* x-ms-copy-id, x-ms-copy-status */
	bool doubt;
	uint64_t begun_ms;
	unsigned whole_ms;
};

static int source_url(struct copy *copy, struct err *err)
{
	const struct blob_account *a = blob_client_account(copy->client);
	struct pairs query = { 0 };
	int rc = 0;

	if (copy->from->snapshot)
		rc = pairs_add(&query, "snapshot", copy->from->snapshot);
	if (rc == 0)
		rc = url_add_address(&copy->source, a->endpoint, copy->from, NULL);
	if (rc == 0)
		rc = url_add_query(&copy->source, &query, a->kind == ACCOUNT_SAS ? a->sas : NULL);
	pairs_free(&query);
	if (rc < 0)
		return err_set(err, ERR_NO_MEMORY, "not enough memory for the address of %s/%s",
			       copy->from->container, copy->from->blob);
	return 0;
}

static void look_at_copy(void *arg, const struct blob_reply *reply)
{
	struct copy *copy = arg;
	const char *id = reply->header(reply, "x-ms-copy-id");
	const char *status = reply->header(reply, "x-ms-copy-status");

	copy->doubt = blob_reply_doubt(reply);
	if (reply->err.code)
		return;
	snprintf(copy->id, sizeof(copy->id), "%s", id ? id : "");
	snprintf(copy->status, sizeof(copy->status), "%s", status ? status : "success");
}

static int start(struct copy *copy, const struct blob_meta_list *meta, const char *lease_id,
		 struct err *err)
{
	struct blob_guard guard;
	struct blob_op *op;

	if (blob_guard_get(copy->client, copy->to, copy->whole_ms, &guard, err) < 0)
		return -1;
	op = blob_op_put(copy->client, copy->to, NULL, 0);
	blob_op_header(op, "x-ms-copy-source", "%s", copy->source.data);
	blob_op_header(op, guard.name, "%s", guard.value);
	blob_op_meta(op, meta);
	blob_op_lease(op, lease_id);
	blob_op_deadline(op, blob_time_left(copy->begun_ms, copy->whole_ms));
	return blob_op_perform(op, look_at_copy, copy, err);
}

/* What the destination says of its newest copy. */
struct copy_state {
	char id[64], status[16], source[1024];
};

static void look_at_state(void *arg, const struct blob_reply *reply)
{
	struct copy_state *s = arg;
	const char *id = reply->header(reply, "x-ms-copy-id");
	const char *status = reply->header(reply, "x-ms-copy-status");
	const char *source = reply->header(reply, "x-ms-copy-source");

	snprintf(s->id, sizeof(s->id), "%s", id ? id : "");
	snprintf(s->status, sizeof(s->status), "%s", status ? status : "");
	snprintf(s->source, sizeof(s->source), "%s", source ? source : "");
}

static int get_state(struct copy *copy, unsigned delay_ms, struct copy_state *state, struct err *err)
{
	struct blob_op *op = blob_op_new(copy->client, "HEAD", copy->to, 0);

	blob_op_delay(op, delay_ms);
	blob_op_deadline(op, blob_time_left(copy->begun_ms, copy->whole_ms));
	return blob_op_perform(op, look_at_state, state, err);
}

/* Sources without their queries: the service hides signatures in them. */
static bool same_source(const char *a, const char *b)
{
	size_t len = strcspn(a, "?");

	return len == strcspn(b, "?") && !strncmp(a, b, len);
}

/* The reply to the start was lost, and starting again was refused because of the
 * copy that we had started. */
static bool started_before(struct copy *copy, const struct err *e)
{
	struct copy_state state;

	if (!copy->doubt || (e->code != ERR_CONDITION && e->code != ERR_EXISTS &&
			     strcmp(e->service_code, "PendingCopyOperation") != 0))
		return false;
	if (get_state(copy, 0, &state, NULL) < 0 || !state.id[0] ||
	    !same_source(state.source, copy->source.data))
		return false;
	memcpy(copy->id, state.id, sizeof(copy->id));
	memcpy(copy->status, state.status, sizeof(copy->status));
	return true;
}

static int wait_for_end(struct copy *copy, struct err *err)
{
	unsigned delay_ms = POLL_FIRST_MS;
	struct copy_state state;

	while (!strcmp(copy->status, "pending")) {
		if (clock_ms() - copy->begun_ms + delay_ms > copy->whole_ms)
			return err_set(err, ERR_TIMEOUT, "%s/%s: the service is still copying to it "
				       "after %g s (copy %s)", copy->to->container, copy->to->blob,
				       (double)copy->whole_ms / 1000, copy->id);
		if (get_state(copy, delay_ms, &state, err) < 0)
			return -1;
		if (strcmp(state.id, copy->id) != 0)
			return err_set(err, ERR_CONDITION, "%s/%s: somebody else has written to it "
				       "in the meantime", copy->to->container, copy->to->blob);
		memcpy(copy->status, state.status, sizeof(copy->status));
		delay_ms = delay_ms < POLL_LAST_MS / 2 ? delay_ms * 2 : POLL_LAST_MS;
	}
	if (!strcmp(copy->status, "success"))
		return 0;
	return err_set(err, ERR_SERVER, "%s/%s: the service could not copy to it from %s/%s: the copy "
		       "%s has ended as '%s'", copy->to->container, copy->to->blob,
		       copy->from->container, copy->from->blob, copy->id, copy->status);
}

int blob_copy(struct blob_client *c, const struct blob_ref *from, const struct blob_ref *to,
	      const struct blob_meta_list *meta, const char *lease_id, unsigned deadline_ms,
	      struct err *err)
{
	struct copy copy = {
		.client = c, .from = from, .to = to, .source = BUF_INIT(SOURCE_MAX),
		.begun_ms = clock_ms(), .whole_ms = deadline_ms ? deadline_ms : c->options.deadline_ms,
	};
	struct err e;
	int rc;

	if (blob_check_blob_name(to->blob, err) < 0)
		return -1;
	rc = source_url(&copy, &e);
	if (rc == 0) {
		rc = start(&copy, meta, lease_id, &e);
		if (rc == 0 || started_before(&copy, &e))
			rc = wait_for_end(&copy, &e);
	}
	buf_wipe(&copy.source);
	if (rc < 0 && err)
		*err = e;
	return rc;
}
