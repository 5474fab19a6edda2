/*
 * One attempt of an operation: signed and made right before it is sent, judged
 * when it is over; then the operation ends or another attempt is submitted.
 * Everything here runs on an I/O thread.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blob/clock.h"
#include "blob/explain.h"
#include "blob/op.h"
#include "blob/reply.h"
#include "blob/retry.h"
#include "blob/sign.h"
#include "blob/url.h"

static struct blob_op *of_transfer(struct transfer *f)
{
	return (struct blob_op *)((char *)f - offsetof(struct blob_op, transfer));
}

static int sign(struct blob_op *op, const char *path)
{
	const struct blob_account *a = &op->box->account;
	cleanup_buf struct buf authorization = BUF_INIT(1024);
	struct sign_request request = {
		.method = op->method, .account = a->name, .path = path, .query = &op->query,
		.headers = &op->sent, .content_length = op->transfer.x.body_len,
	};

	if (sign_authorization(&request, a->key, &authorization, &op->failed) < 0)
		return -1;
	return pairs_add(&op->sent, "Authorization", authorization.data);
}

static int add_headers(struct blob_op *op)
{
	struct blob_client *c = op->client;
	char date[HTTP_DATE_MAX], id[64];

	http_date_format(time(NULL), date);
	snprintf(id, sizeof(id), "%s-%u", c->id, atomic_fetch_add(&c->next_request, 1));
	pairs_clear(&op->sent);
	if (pairs_add_all(&op->sent, &op->headers) < 0 ||
	    pairs_add(&op->sent, "x-ms-date", date) < 0 ||
	    pairs_add(&op->sent, "x-ms-version", BLOB_API_VERSION) < 0 ||
	    pairs_add(&op->sent, "x-ms-client-request-id", id) < 0)
		return -1;
	return 0;
}

/* The URL is signed up to its query, which is signed decoded. */
static int make_request(struct blob_op *op)
{
	const struct blob_account *a = &op->box->account;
	size_t path = 0;

	buf_reset(&op->url);
	if (add_headers(op) < 0 || url_add_address(&op->url, a->endpoint, &op->ref, &path) < 0)
		return -1;
	if (a->kind == ACCOUNT_SHARED_KEY && sign(op, op->url.data + path) < 0)
		return -1;
	return url_add_query(&op->url, &op->query, a->kind == ACCOUNT_SAS ? a->sas : NULL);
}

int attempt_prepare(struct transfer *f)
{
	struct blob_op *op = of_transfer(f);
	struct exchange *x = &f->x;

	op->box = atomic_load(&op->client->account);
	if (!op->failed.code && make_request(op) < 0)
		blob_op_fail(op, ERR_NO_MEMORY, "not enough memory for a request");
	if (op->failed.code) {
		exchange_fail(x, WIRE_NO_MEMORY, op->failed.msg);
		return -1;
	}
	op->attempts++;
	x->method = op->method;
	x->url = buf_str(&op->url);
	x->headers = &op->sent;
	x->ca_file = op->box->account.ca_file;
	return 0;
}

/* --- judging --- */

static bool succeeded(const struct exchange *x)
{
	return x->result == WIRE_OK && x->status >= 200 && x->status <= 299;
}

/* May the request have been carried out, now or later, though it failed? Only
 * 1xx to 4xx and 503 say that it was not and will not be. */
static bool in_doubt(const struct exchange *x)
{
	bool refused = (x->status >= 300 && x->status <= 499) || x->status == 503;

	return x->sent && !refused && !succeeded(x);
}

static const char *get_header(const struct blob_reply *reply, const char *name)
{
	const struct blob_op *op = reply->priv;

	return pairs_get(&op->head, name);
}

bool blob_reply_doubt(const struct blob_reply *reply)
{
	return ((const struct blob_op *)reply->priv)->doubt;
}

/* Look closer at a 2xx reply; what is wrong with it goes into its result or into
 * op->failed. */
static void examine(struct blob_op *op, const struct blob_reply *reply)
{
	struct exchange *x = &op->transfer.x;

	if (op->check && op->check(op, reply, &op->failed) < 0)
		return;
	if (x->sink && x->received < x->sink_len) {
		x->result = WIRE_SHORT;
		snprintf(x->reason, sizeof(x->reason), "only %llu of %llu bytes came",
			 (unsigned long long)x->received, (unsigned long long)x->sink_len);
	}
}

/* Put into words, in op->err, why this attempt failed. */
static void explain(struct blob_op *op)
{
	struct explain_request request = { &op->box->account, &op->ref };
	const struct exchange *x = &op->transfer.x;

	if (x->result == WIRE_OK)
		explain_reply(&op->err, &request, &(struct explain_reply){
			.status = x->status, .head = &op->head, .body = buf_str(&x->error_body),
			.body_len = x->error_body.len, .now = time(NULL),
		});
	else
		explain_wire(&op->err, &request, x->result, x->reason, 0);
}

/* The deadline has passed, or comes before another attempt could: what was being
 * waited for? */
static void explain_lateness(struct blob_op *op)
{
	const struct exchange *x = &op->transfer.x;
	struct explain_request request = { &op->box->account, &op->ref };
	const char *reason = x->reason;

	/* The service's own last word is better than ours. */
	if (op->err.code == ERR_SERVER && (x->result == WIRE_OK || !x->sent))
		return;
	if (x->result == WIRE_DEADLINE && !x->sent && op->reason[0])
		reason = op->reason;
	explain_wire(&op->err, &request, x->result, reason,
		     op->transfer.deadline_ms - op->begun_ms);
}

static void count(struct blob_op *op, bool failed)
{
	struct blob_client *c = op->client;
	const struct exchange *x = &op->transfer.x;

	if (op->failed.code && !x->sent)
		return; /* the caller's mistake */
	if (x->sent)
		atomic_fetch_add(&c->requests, 1);
	if (x->sent && op->attempts > 1)
		atomic_fetch_add(&c->retries, 1);
	atomic_fetch_add(&c->bytes_in, x->received);
	atomic_fetch_add(&c->bytes_out, x->uploaded);
	if (x->status)
		atomic_store(&c->contact, true);
	if (x->result == WIRE_CANCELLED)
		return;
	if (failed)
		atomic_store(&c->last_error, (int)op->err.code);
	atomic_store(&c->troubled,
		     failed && (x->result != WIRE_OK || retry_status(x->status) ||
				x->status == 401 || x->status == 403));
}

static void finish(struct blob_op *op, struct blob_reply *reply)
{
	if (reply_meta(&reply->meta, &op->head) < 0 && !reply->err.code)
		err_set(&reply->err, ERR_NO_MEMORY, "not enough memory for a reply");
	op->done(op->arg, reply);
	blob_meta_free(&reply->meta);
	blob_op_free(op);
}

static void again(struct blob_op *op, uint64_t start_ms)
{
	struct exchange *x = &op->transfer.x;

	op->doubt = op->doubt || in_doubt(x);
	/* A kept connection that was closed is likely not the only one. */
	x->fresh = x->result == WIRE_RESEND || x->result == WIRE_BROKEN;
	if (x->result != WIRE_OK)
		memcpy(op->reason, x->reason, sizeof(op->reason));
	op->transfer.start_ms = start_ms;
	transport_submit(op->client->transport, &op->transfer);
}

/* Another attempt, if there is any use in one: true when it is under way. */
static bool retry(struct blob_op *op)
{
	struct blob_client *c = op->client;
	const struct exchange *x = &op->transfer.x;
	uint64_t now = clock_ms(), deadline = op->transfer.deadline_ms;
	int64_t delay;

	if (x->result == WIRE_OK && (x->status == 401 || x->status == 403) && !op->reread) {
		op->reread = true;
		if (!client_credential_changed(c, op->box))
			return false;
		again(op, 0);
		return true;
	}
	if ((op->flags & BLOB_OP_NO_RETRY) || ((op->flags & BLOB_OP_FENCED) && in_doubt(x)))
		return false;
	delay = retry_delay(&(struct retry_case){
		.result = x->result, .status = x->status, .attempt = op->attempts,
		.elapsed_ms = now - op->begun_ms, .left_ms = deadline > now ? deadline - now : 0,
		.retry_after = pairs_get(&op->head, "Retry-After"), .now = time(NULL),
		.random = arc4random(), .contact = atomic_load(&c->contact),
		.first_contact_ms = c->options.first_contact_ms,
	});
	if (delay < 0) {
		if (delay == RETRY_TOO_LATE)
			explain_lateness(op);
		return false;
	}
	again(op, now + (uint64_t)delay);
	return true;
}

/* Fill in op->err; true if the attempt failed. */
static bool judge(struct blob_op *op, const struct blob_reply *reply)
{
	const struct exchange *x = &op->transfer.x;
	char subject[SUBJECT_MAX];

	if (succeeded(x) && !op->failed.code)
		examine(op, reply);
	if (op->failed.code) {
		explain_subject(&(struct explain_request){ &op->box->account, &op->ref }, subject);
		op->err = op->failed;
		err_prefix(&op->err, "%s", subject);
	} else if (x->result == WIRE_DEADLINE) {
		explain_lateness(op);
	} else if (!succeeded(x)) {
		explain(op);
	} else {
		return false;
	}
	return true;
}

void attempt_done(struct transfer *f)
{
	struct blob_op *op = of_transfer(f);
	struct exchange *x = &f->x;
	struct blob_reply reply = {
		.http_status = x->status, .received = x->received, .header = get_header,
		.priv = op, .body = x->collect,
	};
	const char *etag;
	bool failed;

	if (!op->box) /* it was never prepared */
		op->box = atomic_load(&op->client->account);
	pairs_clear(&op->head);
	if (reply_parse_head(&op->head, buf_str(&x->head)) < 0) {
		x->result = WIRE_NO_MEMORY;
		snprintf(x->reason, sizeof(x->reason), "not enough memory for a reply");
	}
	failed = judge(op, &reply);
	count(op, failed);
	if (failed && !op->failed.code && retry(op))
		return;
	etag = pairs_get(&op->head, "ETag");
	snprintf(reply.etag, sizeof(reply.etag), "%s", etag ? etag : "");
	if (failed)
		reply.err = op->err;
	reply.outcome_unknown = failed && (op->flags & BLOB_OP_FENCED) && in_doubt(x);
	finish(op, &reply);
}
