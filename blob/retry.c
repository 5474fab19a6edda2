#include <config.h>

#include "blob/retry.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "blob/clock.h"

#define FIRST_BOUND_MS 500u
#define LAST_BOUND_MS 30000u

/* A pause that would pass the deadline is cut, to leave so much for one last
 * attempt. */
#define LAST_ATTEMPT_MS 1000u

bool retry_status(int status)
{
	return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
	       status == 504;
}

/* Before the service has ever answered, a wrong name or a service that is not
 * there is more likely than one that comes back, and somebody is waiting. */
static bool hopeless(const struct retry_case *c)
{
	switch (c->result) {
	case WIRE_OK:
		return !retry_status(c->status);
	case WIRE_TLS:
		return !c->contact;
	case WIRE_RESOLVE:
	case WIRE_CONNECT:
		return !c->contact && c->elapsed_ms >= c->first_contact_ms;
	case WIRE_BROKEN:
	case WIRE_SHORT:
	case WIRE_RESEND:
	case WIRE_STALLED:
		return false;
	default:
		return true;
	}
}

static uint64_t backoff_bound(unsigned attempt)
{
	uint64_t bound = FIRST_BOUND_MS;

	while (attempt-- > 1 && bound < LAST_BOUND_MS)
		bound *= 2;
	return bound < LAST_BOUND_MS ? bound : LAST_BOUND_MS;
}

/* What Retry-After asks for in milliseconds; 0 when it says nothing. */
static uint64_t asked_for(const char *text, time_t now)
{
	unsigned long long seconds;
	time_t when;
	char *end;

	if (!text)
		return 0;
	if (http_date_parse(text, &when) == 0)
		return when > now ? (uint64_t)(when - now) * 1000 : 0;
	if (!isdigit((unsigned char)*text))
		return 0;
	errno = 0;
	seconds = strtoull(text, &end, 10);
	if (*end)
		return 0;
	return errno || seconds > UINT32_MAX ? UINT32_MAX : seconds * 1000;
}

int64_t retry_delay(const struct retry_case *c)
{
	uint64_t least = c->result == WIRE_OK ? asked_for(c->retry_after, c->now) : 0;
	uint64_t delay;

	if (hopeless(c))
		return RETRY_NEVER;
	if (least >= c->left_ms)
		return RETRY_TOO_LATE;
	/* Nothing is wrong with the service when a kept connection was closed. */
	if (c->result == WIRE_RESEND && c->attempt == 1)
		return 0;
	delay = c->random % (backoff_bound(c->attempt) + 1);
	if (delay < least)
		delay = least;
	if (delay >= c->left_ms) {
		if (c->left_ms <= LAST_ATTEMPT_MS)
			return RETRY_TOO_LATE;
		delay = c->left_ms - LAST_ATTEMPT_MS;
		if (delay < least)
			delay = least;
	}
	return (int64_t)delay;
}
