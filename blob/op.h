/*
 * op.h - the inside of an operation; for blob/ only.
 *
 * An op belongs to one thread at a time: its maker's until submit, then the I/O
 * thread's that runs it.
 */
#ifndef HPCPACK_BLOB_OP_H
#define HPCPACK_BLOB_OP_H

#include <pthread.h>
#include <stdatomic.h>

#include "blob/client.h"
#include "blob/ops.h"
#include "blob/pairs.h"
#include "blob/transport.h"

#define BLOB_API_VERSION "2021-12-02" /* x-ms-version */

struct blob_client {
	struct transport *transport;
	struct blob_client_options options;    /* none of them 0 */
	char id[BLOB_LEASE_ID_MAX];                /* in x-ms-client-request-id */
	atomic_uint next_request;

	_Atomic(struct account_box *) account; /* the newest; read without a lock */
	pthread_mutex_t reread_lock;           /* held while it is read again */
	blob_reread_fn *reread;

	atomic_bool contact;                   /* the service has answered once */
	atomic_ullong requests, retries, bytes_in, bytes_out;
	atomic_int last_error;
	atomic_bool troubled;
};

/* One state of the account; older ones stay, as their users may still read them. */
struct account_box {
	struct blob_account account;
	struct account_box *older;
};

/* A look at a 2xx reply before it counts: 0, or -1 and *err, which the op then
 * ends with. */
typedef int blob_check_fn(const struct blob_op *op, const struct blob_reply *reply,
			  struct err *err);

struct blob_op {
	struct transfer transfer;
	struct blob_client *client;
	char method[8];
	char *container, *blob, *snapshot;
	struct blob_ref ref;             /* of these */
	unsigned flags;
	struct pairs query, headers;
	struct iovec *body, *sink;
	struct buf collected;
	unsigned deadline_ms, delay_ms;
	blob_check_fn *check;
	uint64_t range_offset, range_len; /* for the check of a ranged read, bytes */
	struct err failed;               /* what a setter has to say at submit */
	blob_done_fn *done;
	void *arg;

	/* The attempts so far. */
	uint64_t begun_ms;
	unsigned attempts;
	bool doubt;                      /* an earlier one may have been carried out */
	bool reread;                     /* the credential was read again for it */
	struct err err;                  /* of the newest that failed */
	char reason[256];                /* of the newest that the network failed */

	/* The attempt under way. */
	struct account_box *box;         /* whose signature it has */
	struct buf url;
	struct pairs sent;               /* its headers */
	struct pairs head;               /* the reply's */
};

/* Report this at submit, unless something else is reported already. */
void blob_op_fail(struct blob_op *op, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Start it only so many milliseconds after submit; the deadline counts from then. */
void blob_op_delay(struct blob_op *op, unsigned ms);

void blob_op_check(struct blob_op *op, blob_check_fn *check);

/* The two ends of an attempt, called by the transport (blob/attempt.c). */
int attempt_prepare(struct transfer *f);
void attempt_done(struct transfer *f);

/* The credential that `used` signed with was refused: is there another one by
 * now? Reads it again if need be. */
bool client_credential_changed(struct blob_client *c, const struct account_box *used);

/* A PUT of what `comp` names (NULL: the blob itself) to a blob; of a snapshot it is
 * refused at submit (Azurite would write to the base). */
struct blob_op *blob_op_put(struct blob_client *c, const struct blob_ref *ref, const char *comp,
			    unsigned flags);

/* x-ms-lease-id and x-ms-meta-*, if there are any. */
void blob_op_lease(struct blob_op *op, const char *lease_id);
void blob_op_meta(struct blob_op *op, const struct blob_meta_list *meta);

/* Was there an attempt before the last one that may have been carried out? */
bool blob_reply_doubt(const struct blob_reply *reply);

/* blob_get_props() by an op (a HEAD) that the caller made. */
int blob_get_props_op(struct blob_op *op, struct blob_props *out, struct err *err);

/*
 * Writing a whole blob blindly twice is not safe: the first request may come late
 * and wipe what came after. So the blob's state goes along as a condition, which
 * only the first of the copies to arrive can meet.
 */
struct blob_guard {
	const char *name;          /* header: If-Match or If-None-Match */
	char value[BLOB_ETAG_MAX]; /* its value */
};
int blob_guard_get(struct blob_client *c, const struct blob_ref *ref, unsigned deadline_ms,
		   struct blob_guard *out, struct err *err);

/* For look functions: what they need to tell an own earlier success. */
struct blob_doubt {
	bool doubt;                /* an earlier attempt may have been carried out */
	time_t date;               /* the service's clock at the last reply; 0: unknown */
};
void blob_look_at_doubt(void *arg, const struct blob_reply *reply);

/* How long the blocking call that has had `from_ms` (clock_ms()) on still has of
 * `whole_ms`; at least 1. */
unsigned blob_time_left(uint64_t from_ms, unsigned whole_ms);

#endif
