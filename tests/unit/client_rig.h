/*
 * client_rig.h - the one client and the one server of a test, and what servers do in more
 * than one.
 */
#ifndef TESTS_UNIT_CLIENT_RIG_H
#define TESTS_UNIT_CLIENT_RIG_H

#include "tests/unit/client_fixture.h"

extern struct fixture f;
extern struct err err; /* of the last call that failed */

/* The range that was asked for, both included. */
uint64_t first_byte(const struct httpd_request *r);
uint64_t last_byte(const struct httpd_request *r);

/* The part of f.data that was asked for, as a service sends it. */
void send_part(int fd, const struct httpd_request *r, size_t really);

/* Read from the blob, waiting: 0 or -1 and err. Write it, with the outcome in w. */
int get(uint64_t offset, void *data, size_t len);
void put(struct waited *w, size_t len);

/* Handlers of the server: what was asked for; always 503; never an answer. */
enum httpd_then serve_part(int fd, const struct httpd_request *r, void *arg);
enum httpd_then always_busy(int fd, const struct httpd_request *r, void *arg);
enum httpd_then hang(int fd, const struct httpd_request *r, void *arg);

#endif
