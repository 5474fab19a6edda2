/*
 * wire_priv.h - what the files of the wire share: its slots, and the sockets
 * that libcurl waits for.
 */
#ifndef HPCPACK_BLOB_WIRE_PRIV_H
#define HPCPACK_BLOB_WIRE_PRIV_H

#include <curl/curl.h>
#include <sys/epoll.h>

#include "blob/cursor.h"
#include "blob/wire.h"

#define HEAD_MAX 65536u
#define ERROR_BODY_MAX 65536u

/*
 * free (x NULL, on the free list)  -> busy (x set, easy in multi)
 * busy -> free, when finished or stopped.
 */
struct wire_slot {
	struct wire_slot *next; /* free list */
	struct wire *wire;
	struct exchange *x;
	CURL *easy;             /* keeps what is the same for every request */
	char *usual_ca;         /* libcurl's own; NULL: none */
	struct curl_slist *headers;
	struct cursor in, out;
	uint64_t header_bytes;
	bool resend, too_long, garbled;
	char error[CURL_ERROR_SIZE];
};

/*
 * A socket of libcurl's. What epoll watches is what libcurl wants, unless epoll
 * refused it, with one exception: an idle connection stays watched, since the
 * next request on it will want the same. Should something come on it before
 * that (its end), it is not watched any more.
 */
struct wire_socket {
	uint8_t watched;  /* EPOLLIN, EPOLLOUT; 0: not in the epoll set */
	uint8_t wanted;   /* the same; 0: idle */
	bool connection;  /* on_close() will say when it goes */
};

struct wire_poll {
	CURLM *multi;
	int epoll, wake;
	struct wire_socket *sockets; /* by descriptor */
	int count;
	uint64_t due_ms;             /* clock_ms() at which libcurl wants to be called; UINT64_MAX: never */
	struct epoll_event ready[64];
	int ready_count;
};

struct wire {
	CURLM *multi;
	struct wire_poll poll;
	struct wire_slot *slots, *free;
	unsigned count;
	unsigned connect_ms;
};

/* wire_request.c: what is the same for every request; 0 or -1 (no memory). */
int wire_slot_init(struct wire_slot *s, struct wire *w);

/* What differs, from s->x; 0 or -1 (no memory). */
int wire_slot_prepare(struct wire_slot *s);

/* Give back what wire_slot_prepare() took. */
void wire_slot_clear(struct wire_slot *s);

/* wire_poll.c: have `multi` driven by epoll. */
int wire_poll_init(struct wire_poll *p, CURLM *multi, struct err *err);
void wire_poll_free(struct wire_poll *p); /* after the multi handle */

/* Tell when the sockets of this handle's connections come and go. */
void wire_poll_watch_easy(struct wire_poll *p, CURL *easy);

/* Call libcurl for what the last wait has found, and if its time has come. */
void wire_poll_run(struct wire_poll *p);

/* Wait for a socket, wire_poll_wakeup(), libcurl's time, or `timeout_ms`. */
void wire_poll_wait(struct wire_poll *p, int timeout_ms);
void wire_poll_wakeup(struct wire_poll *p); /* any thread */

#endif
