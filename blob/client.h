/*
 * client.h - requests to the Blob service: signed, sent, retried, answered.
 *
 * A client owns I/O threads (blob/transport.c), each with one libcurl multi handle
 * and its kept connections (blob/wire.c is the only file that knows libcurl). An
 * operation is built with blob_op_new() and the setters, then either submitted
 * (the callback comes later, on an I/O thread) or performed (the calling thread
 * waits). The functions of blob/ops.h wrap this for each REST operation; use
 * those first.
 *
 * Threads: every function here may be called from any thread, but one op only
 * from one at a time. A callback runs on an I/O thread with no lock held; it
 * may submit further ops, must not block and must not perform one.
 *
 * Retry (DESIGN.md section 6): connect errors, resets, timeouts, short bodies,
 * 408, 429, 500, 502, 503, 504 are tried again with full-jitter exponential
 * back-off (0.5 s doubling, at most 30 s; Retry-After is a minimum) until the
 * op's deadline; never other 4xx. 401/403 are tried once more after the
 * credential was read again, if it came from a file and has changed. Every
 * attempt is signed anew. libcurl's own silent resend on a dead kept
 * connection is turned off (CURLOPT_PREREQFUNCTION refuses a second send): it
 * is an attempt like any other and must be seen here.
 *
 * BLOB_OP_FENCED: a write whose blind repetition could land on top of newer
 * data (Put Page, Clear). When the outcome of an attempt is unknown (sent at
 * least in part, and no status 1xx-4xx or 503 came back) it is not repeated:
 * the op ends with reply.outcome_unknown set, and the caller fences first.
 */
#ifndef HPCPACK_BLOB_CLIENT_H
#define HPCPACK_BLOB_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "blob/account.h"
#include "blob/base/buf.h"
#include "blob/base/err.h"

struct blob_client;
struct blob_op;

struct blob_client_options {
	unsigned io_threads;       /* 0: 1 */
	unsigned connections;      /* in all; 0: 16 */
	unsigned deadline_ms;      /* for each op from submit to reply; 0: 120000 */
	unsigned connect_ms;       /* for each attempt to connect; 0: 10000 */
	unsigned stall_ms;         /* an attempt that moves no byte for so long is
	                            * given up; 0: 30000 */
	unsigned first_contact_ms; /* until the service has answered once, a host that
	                            * can't be found or reached is given up after so
	                            * long (ERR_NETWORK): it is a misspelt name more
	                            * often than an outage; 0: 5000 */
};

/* `account` is copied. NULL and *err on failure. */
struct blob_client *blob_client_new(const struct blob_account *account,
				    const struct blob_client_options *options, struct err *err);

/* End every op that is under way or waiting for its retry with ERR_CANCELLED,
 * soon; new ops end so at once. Does not wait. */
void blob_client_abort(struct blob_client *c);

/* How to read the account again when it is refused (401/403) and has a `reread`
 * file: credentials_reread() is such a function. Called on an I/O thread. Before
 * the first op. Without it nothing is read again. */
typedef int blob_reread_fn(struct blob_account *out, const struct blob_account *old,
			   struct err *err);
void blob_client_set_reread(struct blob_client *c, blob_reread_fn *reread);

/* Abort, wait for the I/O threads (all callbacks have run), free. Not from a
 * callback. */
void blob_client_free(struct blob_client *c);

/* As it is now; stays as it is until the client is freed. */
const struct blob_account *blob_client_account(const struct blob_client *c);

struct blob_client_stats {
	uint64_t requests;     /* attempts that were sent */
	uint64_t retries;      /* of them, repetitions */
	uint64_t bytes_in;     /* body bytes received */
	uint64_t bytes_out;    /* body bytes sent */
	int last_error;        /* enum err_code of the newest failed attempt */
	bool troubled;         /* the newest attempt failed: "degraded" */
};
void blob_client_stats(struct blob_client *c, struct blob_client_stats *out);

/* Which blob. Borrowed strings, copied where needed. `blob` NULL: the container;
 * both NULL: the account. `snapshot` NULL: the base blob. Plain text, encoded
 * by the client; '/' in a blob name stays. */
struct blob_ref {
	const char *container, *blob, *snapshot;
};

#define BLOB_ETAG_MAX 80
#define BLOB_TIME_MAX 48

/* One metadata pair; names keep the case the service gave them. */
struct blob_meta {
	char *name, *value;
};
struct blob_meta_list {
	struct blob_meta *items;
	size_t count;
};

struct blob_reply {
	struct err err;           /* err.code ERR_NONE: it worked */
	bool outcome_unknown;     /* BLOB_OP_FENCED only: it may still land */
	int http_status;          /* of the last attempt; 0 if none came back */
	char etag[BLOB_ETAG_MAX]; /* quotes included; "" if not sent */
	uint64_t received;        /* body bytes put into the sink */
	struct buf *body;         /* collected body (blob_op_collect), else NULL;
	                           * valid only during the callback */
	/* Any other response header, NULL if absent; valid during the callback. */
	const char *(*header)(const struct blob_reply *reply, const char *name);
	const void *priv;
	struct blob_meta_list meta; /* x-ms-meta-*; valid during the callback */
};

typedef void blob_done_fn(void *arg, const struct blob_reply *reply);

enum blob_op_flags {
	BLOB_OP_FENCED = 1,
	BLOB_OP_NO_RETRY = 2,    /* one attempt */
};

/* NULL only when out of memory: the functions below take that, too, and it is
 * reported at submit. */
struct blob_op *blob_op_new(struct blob_client *c, const char *method, const struct blob_ref *ref,
			    unsigned flags);

/* Query parameter (value encoded here) and request header. Everything that
 * starts with x-ms- is signed. Failures are remembered and reported at submit. */
void blob_op_query(struct blob_op *op, const char *name, const char *value);
void blob_op_header(struct blob_op *op, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Send these bytes as the body. The vector is copied, the bytes are borrowed
 * until the callback and must not change. */
void blob_op_body(struct blob_op *op, const struct iovec *iov, int count);

/* Receive the body into exactly these bytes (vector copied, bytes borrowed until
 * the callback): fewer is a short body (retried, from the start), more is
 * ERR_PROTOCOL. Only a 2xx body goes there. */
void blob_op_sink(struct blob_op *op, const struct iovec *iov, int count);

/* Receive the body into a buffer of at most `max` bytes (reply->body). */
void blob_op_collect(struct blob_op *op, size_t max);

/* This op's own deadline in milliseconds, from submit. */
void blob_op_deadline(struct blob_op *op, unsigned ms);

/* Send it; the op belongs to the client from now on and is freed after `done`,
 * which is called exactly once, always. */
void blob_op_submit(struct blob_op *op, blob_done_fn *done, void *arg);

/* Send it and wait. 0 when it worked, else -1 and *err. `look` (may be NULL) is
 * called with the reply in either case, before this returns; for taking headers
 * and the body out of it. */
int blob_op_perform(struct blob_op *op, blob_done_fn *look, void *arg, struct err *err);

/* Free an op that was not submitted. */
void blob_op_free(struct blob_op *op);

#endif
