/*
 * Leases. Every action here may be repeated after a lost reply: acquire, renew and
 * change say yes again to the id that they made the holder, a break changes
 * nothing more, and a release that comes too late finds the lease gone.
 */
#include <config.h>

#include <string.h>
#include <strings.h>

#include "blob/op.h"
#include "blob/ops.h"

static struct blob_op *lease_op(struct blob_client *c, const struct blob_ref *ref,
				const char *action, const char *id, unsigned deadline_ms)
{
	struct blob_op *op = blob_op_put(c, ref, "lease", 0);

	blob_op_header(op, "x-ms-lease-action", "%s", action);
	blob_op_lease(op, id);
	blob_op_deadline(op, deadline_ms);
	return op;
}

static bool says(const struct err *e, const char *code)
{
	return !strcmp(e->service_code, code);
}

static int pass_on(struct err *err, const struct err *e)
{
	if (err)
		*err = *e;
	return -1;
}

int blob_lease_acquire(struct blob_client *c, const struct blob_ref *ref, const char *id,
		       unsigned duration_s, unsigned deadline_ms, struct err *err)
{
	struct blob_op *op = lease_op(c, ref, "acquire", NULL, deadline_ms);

	/* Azurite takes a lease without a duration, and then fails for ever. */
	if (duration_s < 15 || duration_s > 60)
		blob_op_fail(op, ERR_USAGE, "a lease can't last %u s: 15 to 60 s", duration_s);
	blob_op_header(op, "x-ms-lease-duration", "%u", duration_s);
	blob_op_header(op, "x-ms-proposed-lease-id", "%s", id);
	return blob_op_perform(op, NULL, NULL, err);
}

/* The id that the service says holds the lease. */
struct holder {
	const char *id;
	bool other;
};

static void look_at_holder(void *arg, const struct blob_reply *reply)
{
	struct holder *h = arg;
	const char *id = reply->header(reply, "x-ms-lease-id");

	h->other = !reply->err.code && id && strcasecmp(id, h->id) != 0;
}

int blob_lease_renew(struct blob_client *c, const struct blob_ref *ref, const char *id,
		     unsigned deadline_ms, struct err *err)
{
	struct holder h = { .id = id };

	if (blob_op_perform(lease_op(c, ref, "renew", id, deadline_ms), look_at_holder, &h, err) < 0)
		return -1;
	/* Azurite renews an expired lease for anybody. */
	if (h.other)
		return err_set(err, ERR_LEASE_LOST, "%s/%s: somebody else holds the lease",
			       ref->container, ref->blob);
	return 0;
}

int blob_lease_change(struct blob_client *c, const struct blob_ref *ref, const char *id,
		      const char *new_id, unsigned deadline_ms, struct err *err)
{
	struct blob_op *op = lease_op(c, ref, "change", id, deadline_ms);

	blob_op_header(op, "x-ms-proposed-lease-id", "%s", new_id);
	return blob_op_perform(op, NULL, NULL, err);
}

int blob_lease_release(struct blob_client *c, const struct blob_ref *ref, const char *id,
		       unsigned deadline_ms, struct err *err)
{
	struct err e;

	if (blob_op_perform(lease_op(c, ref, "release", id, deadline_ms), NULL, NULL, &e) == 0 ||
	    says(&e, "LeaseIdMismatchWithLeaseOperation") ||
	    says(&e, "LeaseNotPresentWithLeaseOperation"))
		return 0;
	return pass_on(err, &e);
}

int blob_lease_break(struct blob_client *c, const struct blob_ref *ref, unsigned deadline_ms,
		     struct err *err)
{
	struct blob_op *op = lease_op(c, ref, "break", NULL, deadline_ms);
	struct err e;

	blob_op_header(op, "x-ms-lease-break-period", "0");
	if (blob_op_perform(op, NULL, NULL, &e) == 0 ||
	    says(&e, "LeaseNotPresentWithLeaseOperation"))
		return 0;
	return pass_on(err, &e);
}
