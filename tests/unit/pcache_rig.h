/*
 * pcache_rig.h - persistent caches in real directories, filled with bytes that say where
 * and what they are. What goes wrong in here fails the test.
 *
 *   HPCPACK_SEED=N   what random_next() gives
 */
#ifndef TESTS_UNIT_PCACHE_RIG_H
#define TESTS_UNIT_PCACHE_RIG_H

#include <pthread.h>
#include <stdbool.h>

#include "vhd/pcache.h"

#define MIB (1u << 20)
#define DISK (UINT64_C(32) * MIB + 1536)   /* its end is no whole granule */
#define CHUNK 65536u

/* The first thing in main(): seed, log, a mount namespace, TAP. */
void pcache_rig_start(const char *program);

extern uint64_t seed;
uint64_t random_next(void);

/* The bytes of a place in version `what`. */
void content(uint8_t *out, uint64_t offset, size_t len, unsigned what);
bool is_content(const uint8_t *data, uint64_t offset, size_t len, unsigned what);

struct call {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int calls;
	uint64_t from, end;
};
#define CALL_INIT { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER }

/* For callbacks of other kinds; wait until there was one. */
void called(struct call *c);
void wait_call(struct call *c);

/* A pcache_fill_fn; the argument is a struct call. */
void on_fill(void *arg);

/* The pieces are chunks, as the disk's are. */
int pieces(uint8_t *memory, uint64_t offset, size_t len, struct iovec *iov);

/* Aligned as the cache wants it. */
uint8_t *memory_for(size_t len);

/* Have it kept, and wait until it is; false: it was refused. */
bool fill(struct pcache *pc, uint64_t offset, size_t len, unsigned what);

/* How much of it is still to be read from storage; the rest is right, or it fails. */
uint64_t missing(struct pcache *pc, uint64_t offset, size_t len, unsigned what);

/* Of a snapshot; the directory is all tests', or (fresh) this test's own. */
struct pcache_options options(void);
struct pcache *open_it(const struct pcache_options *o);

/* A directory of its own for each test. */
int fresh(void **state);
struct pcache_options fresh_options(void);

/* Each extent's file. Returns how many there are. */
int each_file(const char *dir, void (*fn)(const char *path, void *arg), void *arg);

/* Bytes of all extents. */
uint64_t used(const char *dir);

#endif
