/*
 * range_server.h - blobs that are read by ranges over HTTP: what the REST reference
 * says of Get Blob (Range, If-Match, ETag, 206, 404, 412), and storage that is slow,
 * fails, or replaces what somebody reads. On httpd.h; in the container "c".
 *
 * Threads: any. What goes wrong here ends the test program.
 */
#ifndef HPCPACK_TESTS_RANGE_SERVER_H
#define HPCPACK_TESTS_RANGE_SERVER_H

#include "blob/client.h"
#include "tests/unit/httpd.h"

#define RANGE_BLOBS_MAX 64
#define RANGE_FAULTS_MAX 16

struct range_blob {
	char name[32];
	const uint8_t *data;       /* borrowed; NULL: range_byte() of its version */
	uint64_t size;
	uint32_t version;          /* the ETag is "v" and this */
	bool gone;
	uint64_t requests, bytes;  /* of good replies, bodies that were cut included */
	uint64_t furthest;         /* the end of what was asked for furthest */
};

enum range_what { RANGE_HOLD, RANGE_STATUS, RANGE_CUT };

struct range_fault {
	struct range_blob *blob;
	uint64_t from, to;         /* requests that overlap this */
	enum range_what what;
	int status;
	unsigned times;
};

struct range_server {
	struct httpd httpd;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct range_blob blobs[RANGE_BLOBS_MAX];
	unsigned nblobs, nfaults, held;
	struct range_fault faults[RANGE_FAULTS_MAX];
};

void range_server_start(struct range_server *s);
/* Ends what is held, and all connections. */
void range_server_stop(struct range_server *s);

/* A client with a key that means nothing; `options` may be NULL. */
struct blob_client *range_client(struct range_server *s, const struct blob_client_options *options);

/* Version 1 of a blob; stays where it is. */
struct range_blob *range_server_add(struct range_server *s, const char *name, const uint8_t *data,
				    uint64_t size);
/* The content that a blob without data of its own has. */
uint8_t range_byte(uint32_t version, uint64_t offset);
/* The next version, with content of its own; or none any more. */
void range_server_replace(struct range_server *s, struct range_blob *b);
void range_server_remove(struct range_server *s, struct range_blob *b);
void range_etag(uint32_t version, char *out, size_t size);

/* What happens to the next `times` (0: all) requests that overlap [from, to) of the
 * blob: they are held until range_server_clear(), answered with this status, or their
 * bodies end in the middle. */
void range_server_hold(struct range_server *s, struct range_blob *b, uint64_t from, uint64_t to);
void range_server_status(struct range_server *s, struct range_blob *b, uint64_t from, uint64_t to,
			 int status, unsigned times);
void range_server_cut(struct range_server *s, struct range_blob *b, uint64_t from, uint64_t to,
		      unsigned times);
/* All is well again. */
void range_server_clear(struct range_server *s);
/* Until so many requests are held. */
void range_server_wait_held(struct range_server *s, unsigned count);

/* A copy of how it stands. */
struct range_blob range_server_look(struct range_server *s, const struct range_blob *b);

#endif
