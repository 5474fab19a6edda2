/*
 * upload_rig.h - a storage service in memory that fails as told, and how many
 * processors there are: for the upload engine. It takes the place of the client's
 * functions that send; link with $(upload_wrap).
 */
#ifndef HPCPACK_TESTS_UNIT_UPLOAD_RIG_H
#define HPCPACK_TESTS_UNIT_UPLOAD_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "blob/md5.h"
#include "blob/ops.h"

enum { P = BLOB_PAGE, BLOCK = 64 << 10, SIZE = 3 << 20 };

enum fault { FAULT_NONE, FAULT_UNKNOWN, FAULT_ERROR, FAULT_LEASE, FAULT_DAMAGE };

extern struct service {
	pthread_mutex_t lock;
	char *bytes;
	uint64_t received, requests;
	unsigned in_flight, most_in_flight;
	enum fault fault;
	unsigned fault_from, fault_count;   /* requests that fail: from this one, so many */
	char lease[BLOB_LEASE_ID_MAX];
	uint64_t generation;
	uint64_t last_offset;
	unsigned char writes[2 * SIZE / P];  /* of each page that succeeded */
	const char *file;
	bool grow_on_request;               /* the file */
	/* blocks */
	char ids[512][64];
	uint64_t block_offsets[512], block_lens[512];
	unsigned blocks;
	char *committed;
	uint64_t committed_size;
	char md5[MD5_TEXT_MAX];
} service;

/* Nothing stored, no faults, lease-1, four processors. `file` is borrowed. */
void service_reset(const char *file);
void service_free(void);

/* How many processors this process may use from now on; 0: nobody knows. */
void rig_set_processors(unsigned count);

/* The keeper of its lease: with `arg` a bool that is true, the next generation once a
 * request has been refused. */
int service_lease(void *arg, char id[BLOB_LEASE_ID_MAX], uint64_t *generation);

#endif
