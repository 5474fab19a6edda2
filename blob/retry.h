/*
 * retry.h - whether a failed attempt is worth another one, and when: a pure
 * function, so that it can be tested without network or clock.
 *
 * Worth repeating: no connection, broken connection, stall, short body, 408, 429,
 * 500, 502, 503, 504. Not worth it: any other status, a reply that makes no sense,
 * a deadline that has passed. The pause is random within 0 and a bound that
 * doubles from 0.5 s to 30 s (full jitter), Retry-After at least.
 */
#ifndef HPCPACK_BLOB_RETRY_H
#define HPCPACK_BLOB_RETRY_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "blob/wire.h"

struct retry_case {
	enum wire_result result;
	int status;               /* for WIRE_OK */
	unsigned attempt;         /* 1: the first one has failed */
	uint64_t elapsed_ms;      /* since the operation began */
	uint64_t left_ms;         /* until its deadline */
	const char *retry_after;  /* header: seconds or an HTTP date; or NULL */
	time_t now;               /* for the date */
	uint32_t random;
	bool contact;             /* the service has answered us before */
	uint64_t first_contact_ms; /* how long to try for when it has not */
};

#define RETRY_NEVER    (-1) /* another attempt would not help */
#define RETRY_TOO_LATE (-2) /* it might, but not before the deadline */

/* Milliseconds until the next attempt, or one of these. */
int64_t retry_delay(const struct retry_case *c);

/* Does this status (of a complete reply) mean "try again"? */
bool retry_status(int status);

#endif
