/*
 * explain.h - why a request failed, in words for a person: what, on which blob,
 * why (the service's code and request id where there are any), and what to do.
 */
#ifndef HPCPACK_BLOB_EXPLAIN_H
#define HPCPACK_BLOB_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "blob/client.h"
#include "blob/pairs.h"
#include "blob/wire.h"

/* What it was about. */
struct explain_request {
	const struct blob_account *account;
	const struct blob_ref *ref;
};

/* The reply. */
struct explain_reply {
	int status;                /* not 2xx */
	const struct pairs *head;
	const char *body;          /* its beginning */
	size_t body_len;
	time_t now;                /* our clock, when it came */
};

/* Always -1, as err_set(). */
int explain_reply(struct err *err, const struct explain_request *r, const struct explain_reply *reply);

/* No reply. `waited_ms` is 0, or how long the operation had when its deadline is
 * why it failed in the end (ERR_TIMEOUT). Always -1. */
int explain_wire(struct err *err, const struct explain_request *r, enum wire_result result,
		 const char *reason, uint64_t waited_ms);

/* "container/blob", "container" or "account NAME". */
#define SUBJECT_MAX 400
void explain_subject(const struct explain_request *r, char out[SUBJECT_MAX]);

#endif
