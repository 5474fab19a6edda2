#include <config.h>

#include "blob/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "blob/clock.h"
#include "blob/url.h"
#include "blob/xml.h"

/* The service refuses requests that are more than 15 minutes old. */
#define SKEW_MAX_S (15 * 60)

/* What is known of a reply while its message is put together. */
struct details {
	const struct explain_request *r;
	int status;
	char subject[SUBJECT_MAX];
	char code[XML_CODE_MAX];
	char text[XML_MESSAGE_MAX];     /* the service's own words, may be "" */
	char id[64];
	char because[160];              /* "(CODE, request ID)" */
	const char *date;               /* the service's, or NULL */
	time_t now;
};

void explain_subject(const struct explain_request *r, char out[SUBJECT_MAX])
{
	const struct blob_ref *ref = r->ref;

	if (!ref->container)
		snprintf(out, SUBJECT_MAX, "account %s", r->account->name);
	else if (!ref->blob)
		snprintf(out, SUBJECT_MAX, "%s", ref->container);
	else
		snprintf(out, SUBJECT_MAX, "%s/%s", ref->container, ref->blob);
}

/* Every code that has words of its own. `advice` may be "". */
static const struct meaning {
	const char *service_code;
	enum err_code code;
	const char *words, *advice;
} meanings[] = {
	{ "BlobNotFound", ERR_NOT_FOUND, "no such blob", "check the name (upper and lower case count) and --container" },
	{ "ContainerNotFound", ERR_NOT_FOUND, "no such container",
	  "check --container and the account" },
	{ "ContainerAlreadyExists", ERR_EXISTS, "the container exists already", "" },
	{ "BlobAlreadyExists", ERR_EXISTS, "the blob exists already", "" },
	{ "ContainerBeingDeleted", ERR_BUSY, "the container is being deleted",
	  "try again in a minute" },
	{ "SnapshotsPresent", ERR_BUSY, "the blob has snapshots", "delete them first" },
	{ "PendingCopyOperation", ERR_BUSY, "a copy to this blob is under way",
	  "wait for its end" },
	{ "InvalidBlobType", ERR_UNSUPPORTED, "the blob is of another type than this needs", "" },
	{ "SnapshotCountExceeded", ERR_UNSUPPORTED, "the blob has as many snapshots as it may",
	  "delete some" },
	{ "Md5Mismatch", ERR_NETWORK, "what was sent was damaged on the way",
	  "check the network" },
	{ "LeaseAlreadyPresent", ERR_LEASE_HELD, "somebody else holds the lease", "" },
	{ "LeaseIdMismatchWithLeaseOperation", ERR_LEASE_HELD, "somebody else holds the lease",
	  "" },
	{ "LeaseIsBreakingAndCannotBeAcquired", ERR_LEASE_HELD,
	  "the lease is being broken and not free yet", "" },
	{ "LeaseIsBreakingAndCannotBeChanged", ERR_LEASE_HELD, "the lease is being broken", "" },
	{ "LeaseIsBrokenAndCannotBeRenewed", ERR_LEASE_HELD, "the lease was broken", "" },
	{ "LeaseNotPresentWithLeaseOperation", ERR_LEASE_HELD, "the lease is not held any more",
	  "" },
	{ "LeaseIdMissing", ERR_LEASE_LOST, "it is leased, and only the holder may change it", "" },
	{ "LeaseIdMismatchWithBlobOperation", ERR_LEASE_LOST, "somebody else holds the lease", "" },
	{ "LeaseNotPresentWithBlobOperation", ERR_LEASE_LOST, "the lease is not held any more", "" },
	{ "LeaseLost", ERR_LEASE_LOST, "the lease ran out", "" },
};

/* The code for a status that brings no better one. */
static const struct meaning *by_status(int status)
{
	static const struct meaning table[] = {
		{ NULL, ERR_CONDITION, "it has changed in the meantime", "" },      /* 304, 412 */
		{ NULL, ERR_NOT_FOUND, "no such thing", "check its name" },         /* 404 */
		{ NULL, ERR_BUSY, "the service refuses it now", "" },               /* 409 */
		{ NULL, ERR_RANGE, "what was asked for lies outside the blob", "" }, /* 416 */
		{ NULL, ERR_USAGE, "the service refuses the request", "" },         /* other 4xx */
		{ NULL, ERR_SERVER, "the service can't do it now", "try again later" }, /* 5xx */
		{ NULL, ERR_PROTOCOL, "a reply that makes no sense",
		  "check that the endpoint is a Blob service" },
	};

	switch (status) {
	case 304:
	case 412:
		return &table[0];
	case 404:
		return &table[1];
	case 409:
		return &table[2];
	case 416:
		return &table[3];
	case 408:
	case 429:
		return &table[5];
	default:
		return &table[status >= 500 ? 5 : status >= 400 ? 4 : 6];
	}
}

static const struct meaning *meaning_of(const struct details *d)
{
	static const struct meaning gone = { NULL, ERR_NOT_FOUND, "no such snapshot",
					     "it was deleted, or never there" };
	size_t i;

	/* A HEAD has no body, and not every service sends the code as a header. */
	if (d->status == 404 && d->r->ref->blob && strcmp(d->code, "ContainerNotFound") != 0)
		return d->r->ref->snapshot ? &gone : &meanings[0];
	if (d->status == 404 && d->r->ref->container && !d->code[0])
		return &meanings[1];
	for (i = 0; i < ARRAY_LEN(meanings); i++)
		if (!strcmp(meanings[i].service_code, d->code))
			return &meanings[i];
	return by_status(d->status);
}

static void collect(struct details *d, const struct explain_request *r,
		    const struct explain_reply *reply)
{
	const char *code = pairs_get(reply->head, "x-ms-error-code");
	const char *id = pairs_get(reply->head, "x-ms-request-id");

	memset(d, 0, sizeof(*d));
	d->r = r;
	d->status = reply->status;
	d->now = reply->now;
	d->date = pairs_get(reply->head, "Date");
	explain_subject(r, d->subject);
	xml_error(reply->body, reply->body_len, d->code, d->text);
	if (code)
		snprintf(d->code, sizeof(d->code), "%s", code);
	snprintf(d->id, sizeof(d->id), "%s", id ? id : "");
	if (d->code[0] && d->id[0])
		snprintf(d->because, sizeof(d->because), "%s, request %s", d->code, d->id);
	else if (d->code[0])
		snprintf(d->because, sizeof(d->because), "%s", d->code);
	else if (d->id[0])
		snprintf(d->because, sizeof(d->because), "status %d, request %s", d->status, d->id);
	else
		snprintf(d->because, sizeof(d->because), "status %d", d->status);
}

/* Says so if our clock is why the service refuses us. */
static bool explain_skew(struct err *err, const struct details *d)
{
	char ours[HTTP_DATE_MAX];
	time_t theirs;

	if (!d->date || http_date_parse(d->date, &theirs) < 0 ||
	    llabs((long long)theirs - (long long)d->now) <= SKEW_MAX_S)
		return false;
	http_date_format(d->now, ours);
	err_set(err, ERR_AUTH,
		"%s: the service refuses the request because the clocks differ by more than 15 "
		"minutes (%s): it is %s there and %s here; set this machine's clock",
		d->subject, d->because, d->date, ours);
	return true;
}

static void explain_refusal(struct err *err, const struct details *d)
{
	const struct blob_account *a = d->r->account;
	const char *what = a->kind == ACCOUNT_SHARED_KEY ? "the key of" :
			   a->kind == ACCOUNT_SAS ? "the SAS token of" : "anonymous requests to";

	if (a->kind == ACCOUNT_SHARED_KEY && explain_skew(err, d))
		return;
	err_set(err, ERR_AUTH, "%s: the service refuses %s account %s (%s)", d->subject, what,
		a->name, d->because);
	if (d->text[0])
		err_append(err, ": %s", d->text);
	if (a->kind == ACCOUNT_ANONYMOUS)
		err_append(err, "; give a key or a SAS token, see hpcpack(1)");
	else if (a->kind == ACCOUNT_SAS)
		err_append(err, "; check %s: its permissions and when it expires",
			   a->source ? a->source : "the token");
	else
		err_append(err, "; check %s", a->source ? a->source : "the key");
}

int explain_reply(struct err *err, const struct explain_request *r, const struct explain_reply *reply)
{
	const struct meaning *m;
	struct details d;

	collect(&d, r, reply);
	if (d.status == 401 || d.status == 403) {
		explain_refusal(err, &d);
	} else {
		m = meaning_of(&d);
		/* Without a blob, or of the container: the name in front is its name. */
		if (m->service_code && !strncmp(m->service_code, "Container", 9) && r->ref->container)
			snprintf(d.subject, sizeof(d.subject), "%s", r->ref->container);
		err_set(err, m->code, "%s: %s (%s)", d.subject, m->words, d.because);
		if (d.text[0] && !m->service_code)
			err_append(err, ": %s", d.text);
		if (*m->advice)
			err_append(err, "; %s", m->advice);
	}
	if (err) {
		err->http_status = d.status;
		snprintf(err->service_code, sizeof(err->service_code), "%s", d.code);
		snprintf(err->request_id, sizeof(err->request_id), "%s", d.id);
	}
	return -1;
}

int explain_wire(struct err *err, const struct explain_request *r, enum wire_result result,
		 const char *reason, uint64_t waited_ms)
{
	char subject[SUBJECT_MAX], host[URL_HOST_MAX];

	explain_subject(r, subject);
	url_host(r->account->endpoint, host);
	if (waited_ms)
		return err_set(err, ERR_TIMEOUT,
			       "%s: no answer from %s within %g s: %s; check the network, and that "
			       "the service runs", subject, host, (double)waited_ms / 1000, reason);
	switch (result) {
	case WIRE_RESOLVE:
		return err_set(err, ERR_NETWORK,
			       "%s: the host name %s can't be resolved: %s; check the name of the "
			       "account or endpoint, and DNS", subject, host, reason);
	case WIRE_CONNECT:
		return err_set(err, ERR_NETWORK,
			       "%s: can't connect to %s: %s; check the endpoint, and that the "
			       "service runs", subject, host, reason);
	case WIRE_TLS:
		return err_set(err, ERR_NETWORK,
			       "%s: can't trust the TLS certificate of %s: %s; if a private authority "
			       "has signed it, name that one's certificate with ca_file in "
			       "hpcpack.conf(5)", subject, host, reason);
	case WIRE_CANCELLED:
		return err_set(err, ERR_CANCELLED, "%s: given up, as the program is stopping",
			       subject);
	case WIRE_TOO_LONG:
	case WIRE_GARBLED:
		return err_set(err, ERR_PROTOCOL,
			       "%s: the reply of %s makes no sense: %s; check that the endpoint is a "
			       "Blob service", subject, host, reason);
	case WIRE_NO_MEMORY:
		return err_set(err, ERR_NO_MEMORY, "%s: %s", subject, reason);
	default:
		return err_set(err, ERR_NETWORK, "%s: the connection to %s failed: %s", subject,
			       host, reason);
	}
}
