/*
 * httpd.h - a small HTTP/1.1 server inside the test, written from RFC 9112: it
 * does as the test's handler says, misbehaviour included. One thread for each
 * connection, on 127.0.0.1 and a free port.
 */
#ifndef HPCPACK_TESTS_HTTPD_H
#define HPCPACK_TESTS_HTTPD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTPD_CONNECTIONS_MAX 4096

struct httpd_request {
	char method[16], target[4096];
	char head[32768];       /* header lines, NUL-terminated */
	char *body;
	size_t body_len;        /* as Content-Length said; 0 without one */
	unsigned number;        /* 1: the first that this server got */
	unsigned on_connection; /* 1: the first of its connection */
};

enum httpd_then { HTTPD_KEEP, HTTPD_CLOSE, HTTPD_RESET };

/* Answer on `fd`, and say what becomes of the connection. Any thread. */
typedef enum httpd_then httpd_handler(int fd, const struct httpd_request *r, void *arg);

struct httpd {
	int port;
	char endpoint[64];      /* http://127.0.0.1:PORT/acc */
	httpd_handler *handler;
	void *arg;
	int fd;
	pthread_t acceptor;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stopping;
	unsigned requests, connections, open, most_open;
	int fds[HTTPD_CONNECTIONS_MAX];
	pthread_t threads[HTTPD_CONNECTIONS_MAX];
};

void httpd_start(struct httpd *h, httpd_handler *handler, void *arg);
void httpd_stop(struct httpd *h);   /* ends all connections, waits for the threads */
unsigned httpd_requests(struct httpd *h);

/* Block the handler's thread until the server stops: a service that hangs. */
void httpd_hang(struct httpd *h);

/* The value of a request header, or NULL; `out` is filled with it. */
const char *httpd_header(const struct httpd_request *r, const char *name, char *out, size_t size);

/* "HTTP/1.1 STATUS x" with header lines ("A: b\r\n", may be "") and a body, with
 * its Content-Length; or a head only. */
void httpd_reply(int fd, int status, const char *headers, const void *body, size_t len);
void httpd_send(int fd, const void *data, size_t len);
void httpd_text(int fd, const char *text);

#endif
