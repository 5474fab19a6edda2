/*
 * wire.h - one HTTP exchange: a request goes out, a reply comes back, or it is
 * known why not. Only wire*.c know libcurl.
 *
 * A wire is one libcurl multi handle with its kept connections and a fixed
 * number of slots, each for one exchange at a time. It belongs to one thread;
 * only wire_wakeup() may be called from another.
 *
 * Nothing is repeated here: when libcurl wants to send a request a second time
 * because a kept connection turned out to be dead, that is WIRE_RESEND.
 */
#ifndef HPCPACK_BLOB_WIRE_H
#define HPCPACK_BLOB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "blob/base/buf.h"
#include "blob/base/err.h"
#include "blob/pairs.h"

enum wire_result {
	WIRE_OK,         /* a whole reply came: see status */
	WIRE_RESOLVE,    /* the host's name has no address */
	WIRE_CONNECT,    /* no connection: refused, unreachable, timed out */
	WIRE_TLS,        /* the certificate can't be verified, or no TLS at all */
	WIRE_BROKEN,     /* the connection ended before the reply did */
	WIRE_SHORT,      /* the body ended before its announced length */
	WIRE_RESEND,     /* the kept connection was dead */
	WIRE_STALLED,    /* no byte moved for too long */
	WIRE_DEADLINE,   /* the time that the exchange had is over */
	WIRE_CANCELLED,
	WIRE_TOO_LONG,   /* more body than there is room for */
	WIRE_GARBLED,    /* no HTTP reply, or one with absurd headers */
	WIRE_NO_MEMORY,
};

struct exchange {
	/* The request; borrowed until the exchange is over. PUT always has a
	 * Content-Length, never chunks, never "Expect: 100-continue". */
	const char *method;           /* GET, HEAD, PUT or DELETE */
	const char *url;
	const struct pairs *headers;
	const char *ca_file;          /* or NULL */
	bool fresh;                   /* on a new connection */
	const struct iovec *body;
	int body_count;
	uint64_t body_len;            /* bytes */

	/* Where the body of a 2xx reply goes: into exactly these bytes, or into
	 * a buffer up to its maximum, or (both NULL) nowhere. */
	const struct iovec *sink;
	int sink_count;
	uint64_t sink_len;            /* bytes */
	struct buf *collect;

	/* What came of it; wire_start() resets these. */
	enum wire_result result;
	char reason[256];             /* in words, for any result but WIRE_OK */
	bool sent;                    /* part of the request may have left */
	int status;                   /* once the reply's headers are complete, else 0 */
	uint64_t received, uploaded;  /* body bytes */
	struct buf head;              /* header lines of the reply, CRLF and all */
	struct buf error_body;        /* the beginning of the body of any other reply */

	struct wire_slot *slot;       /* the wire's; NULL: not under way */
};

void exchange_init(struct exchange *x);
void exchange_free(struct exchange *x); /* what came of it */

/* It came to nothing before it was started. */
void exchange_fail(struct exchange *x, enum wire_result why, const char *reason);

struct wire;

struct wire *wire_new(unsigned slots, unsigned connect_ms, struct err *err);

/* No exchange may be under way. */
void wire_free(struct wire *w);

bool wire_full(const struct wire *w);

/* Begin; the wire is not full. 0, or -1 with x->result and x->reason. */
int wire_start(struct wire *w, struct exchange *x);

/* Break it off; `why` becomes its result. */
void wire_stop(struct wire *w, struct exchange *x, enum wire_result why);

/* A number that changes as long as bytes move, either way, on the network. */
uint64_t wire_progress(const struct exchange *x);

/* Move what can be moved; then, called until it returns NULL, the exchanges
 * that are over. */
void wire_run(struct wire *w);
struct exchange *wire_finished(struct wire *w);

/* Wait for the network, wire_wakeup() or the time (milliseconds). */
void wire_wait(struct wire *w, int timeout_ms);
void wire_wakeup(struct wire *w);

#endif
