/*
 * transport.h - the I/O threads: transfers wait here for their time and for a
 * free connection, run, and end by their deadline. Bytes are moved by wire.h.
 *
 * A transfer is owned by the transport from transport_submit() until `done`,
 * which is called exactly once per submit, on an I/O thread with no lock held,
 * and may submit it again or free it. It must not block.
 */
#ifndef HPCPACK_BLOB_TRANSPORT_H
#define HPCPACK_BLOB_TRANSPORT_H

#include "blob/timers.h"
#include "blob/wire.h"

struct transfer {
	/* Filled in before submit. */
	uint64_t start_ms;     /* not before (clock_ms()); 0: at once */
	uint64_t deadline_ms;  /* then it is WIRE_DEADLINE */
	/* Called on the I/O thread right before the exchange starts, to make its
	 * request: 0, or -1 with x.result and x.reason (then `done` follows). */
	int (*prepare)(struct transfer *f);
	void (*done)(struct transfer *f);

	struct exchange x;

	/* The transport's own. */
	struct transfer *next, *prev;
	struct timer timer;
	int state;
	uint64_t progress, progress_ms; /* last seen, and when */
};

struct transport;

struct transport_options {
	unsigned threads;
	unsigned connections;  /* in all */
	unsigned connect_ms, stall_ms;
};

struct transport *transport_new(const struct transport_options *o, struct err *err);

/* Any thread. After transport_abort() it ends with WIRE_CANCELLED, soon. */
void transport_submit(struct transport *t, struct transfer *f);

/* End whatever is here or comes with WIRE_CANCELLED. Any thread; does not wait. */
void transport_abort(struct transport *t);

/* Abort, wait until every `done` has returned, free. Not on an I/O thread. */
void transport_free(struct transport *t);

#endif
