/*
 * wire_direct.h - exchanges whose bytes go straight between the socket and the memory
 * that they are for.
 *
 * libcurl receives into a buffer of its own, from which a callback copies, and sends out
 * of one. At line rate that copy is a fifth of all the work. So for the bulk (a GET into a
 * sink, a PUT with a body) libcurl only makes the connection: addresses, TLS,
 * certificates (CURLOPT_CONNECT_ONLY). The request is written here, the reply is
 * wire_reply.h's. Everything else stays with libcurl: small requests, and all of them
 * where the environment names a proxy.
 *
 * Each slot of a wire has at most one such connection; it stays with the slot when an
 * exchange is over, for the next one that goes to the same place.
 */
#ifndef HPCPACK_BLOB_WIRE_DIRECT_H
#define HPCPACK_BLOB_WIRE_DIRECT_H

#include <curl/curl.h>

#include "blob/url.h"
#include "blob/wire_reply.h"

/*
 *   NONE        no connection; its handle is not in the multi
 *   CONNECTING  libcurl is at it
 *   IDLE        connected, no exchange
 *   SENDING     the request is on its way; the reply may come early
 *   RECEIVING   the request has left
 *
 * NONE -> CONNECTING -> SENDING -> RECEIVING -> IDLE -> SENDING; any -> NONE.
 */
enum direct_state { DIRECT_NONE, DIRECT_CONNECTING, DIRECT_IDLE, DIRECT_SENDING, DIRECT_RECEIVING };

struct wire_slot;

struct wire_direct {
	enum direct_state state;
	CURL *easy;              /* made when first needed */
	curl_socket_t fd;        /* from SENDING to IDLE */
	bool tls;
	bool used;               /* a reply has come on it */
	char origin[URL_HOST_MAX + 8]; /* "https://host:port" */
	char *ca_file;           /* that it was checked with; own, or NULL */
	uint64_t idle_since_ms;
	struct buf head;         /* of the request */
	size_t head_sent;
	uint64_t body_sent;
	struct wire_reply reply;
};

/* Can this exchange go that way? */
bool wire_direct_fits(const struct exchange *x);

/* Is there an idle connection to where it goes? */
bool wire_direct_has(const struct wire_slot *s, const struct exchange *x);

/* Begin the slot's exchange. 0 or -1 (no memory). It may be over at once. */
int wire_direct_start(struct wire_slot *s);

/* libcurl has connected it, or not. */
void wire_direct_connected(struct wire_slot *s, CURLcode code);

/* Something happened on its socket (epoll's events). */
void wire_direct_ready(struct wire_slot *s, uint32_t events);

/* wire_direct_io.c: move what can be moved, and finish the exchange when that was all, or
 * when the connection is gone. */
void wire_direct_send(struct wire_slot *s);
void wire_direct_receive(struct wire_slot *s);

/* On an idle connection nothing comes but its end; and TLS's own messages, which are
 * read here. False: it can't be used again. */
bool wire_direct_silent(struct wire_slot *s);

/* End the connection, whatever it is doing. */
void wire_direct_close(struct wire_slot *s);

void wire_direct_free(struct wire_slot *s);

#endif
