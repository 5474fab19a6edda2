/*
 * wire_reply.h - the replies of a direct connection, read by http-parser (RFC 9112: lengths,
 * chunks, bodies that end with the connection, interim replies).
 *
 * What came is given to wire_reply_feed(), whose callbacks sort it into the exchange. The
 * bytes of a body whose length is known need not pass through a buffer: wire_reply_room()
 * says where they are to go, and feed() is told where they are.
 */
#ifndef HPCPACK_BLOB_WIRE_REPLY_H
#define HPCPACK_BLOB_WIRE_REPLY_H

#include <http_parser.h>

#include "blob/cursor.h"
#include "blob/wire.h"

struct wire_reply {
	http_parser parser;
	struct exchange *x;    /* borrowed */
	struct cursor in;      /* its sink, behind what it has */
	uint64_t header_bytes; /* whatever came that is not body: it shows that bytes move */
	bool begun;            /* a byte of it has come */
	bool in_value;         /* of the header line that comes */
	bool in_body;          /* the head is complete */
	bool in_place;         /* what is fed now lies in the sink already */
	bool complete;
	bool keep;             /* if complete: the connection can be used again */
	bool too_long;         /* more body than there is room for */
	bool no_room;          /* an absurd head */
};

void wire_reply_init(struct wire_reply *r, struct exchange *x);

/* The memory for what comes next of a 2xx body, at most `max` pieces; 0 of them if what
 * comes must be looked at first. */
int wire_reply_room(const struct wire_reply *r, struct iovec *iov, int max);

/* `len` bytes came: in order, into the first pieces of wire_reply_room(), or into any
 * other memory. How many of them belong to this reply; those of a reply that is wrong
 * (wire_reply_wrong()) don't count. */
size_t wire_reply_feed_room(struct wire_reply *r, size_t len);
size_t wire_reply_feed(struct wire_reply *r, const char *data, size_t len);

/* The connection has ended: so may a reply without a length, which is complete then. */
void wire_reply_end(struct wire_reply *r);

/* What is wrong with it, in words, and `result`; NULL: nothing so far. */
const char *wire_reply_wrong(const struct wire_reply *r, enum wire_result *result);

#endif
