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
#include "blob/wire_direct.h"

#define HEAD_MAX 65536u
#define ERROR_BODY_MAX 65536u

/* Idle connections are used again only while the other side certainly keeps
 * them: Azurite closes after 5 s. */
#define IDLE_SECONDS 4

/*
 * free (x NULL, on the free list)  -> busy (x set; easy in multi, or the exchange is the
 * direct connection's)  -> over (a direct one, on the list of those, with its result)
 * busy or over -> free, when wire_finished() has returned it, or when it is stopped.
 */
struct wire_slot {
	struct wire_slot *next; /* free list, or list of those that are over */
	struct wire *wire;
	struct exchange *x;
	CURL *easy;             /* keeps what is the same for every request */
	char *usual_ca;         /* libcurl's own; NULL: none */
	struct curl_slist *headers;
	struct cursor in, out;
	uint64_t header_bytes;
	bool resend, too_long, garbled;
	bool is_direct;         /* the exchange; the connection may outlast it */
	bool over;
	struct wire_direct direct;
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
	struct wire_slot *lent; /* whose direct connection it is; NULL: libcurl's to use */
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
	struct wire_slot *slots, *free, *over;
	unsigned count;
	unsigned connect_ms;
};

/* wire.c: the slot's direct exchange is over, with this outcome; or libcurl's `code` says
 * why not. wire_finished() returns it. */
void wire_done(struct wire_slot *s, enum wire_result result, const char *reason);
void wire_fail(struct wire_slot *s, CURL *easy, CURLcode code);

/* wire_request.c: a handle with what is the same for each connection; NULL: no memory. */
CURL *wire_easy_new(struct wire_slot *s);

/* What is the same for every request; 0 or -1 (no memory). */
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

/* A socket that libcurl has connected and leaves alone from here until it closes it: what
 * comes on it is the slot's. At first it is watched for EPOLLIN. */
void wire_poll_lend(struct wire_poll *p, curl_socket_t fd, struct wire_slot *s);
void wire_poll_watch(struct wire_poll *p, curl_socket_t fd, uint8_t events);

/* Call libcurl for what the last wait has found, and if its time has come. */
void wire_poll_run(struct wire_poll *p);

/* Wait for a socket, wire_poll_wakeup(), libcurl's time, or `timeout_ms`. */
void wire_poll_wait(struct wire_poll *p, int timeout_ms);
void wire_poll_wakeup(struct wire_poll *p); /* any thread */

#endif
