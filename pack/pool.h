/*
 * pool.h - a fixed number of buffers for what is on its way from storage; see
 * pack/extract.h. Whoever holds a buffer can do its work with it and then gives it
 * back, without waiting for a second one: so nobody waits for ever.
 */
#ifndef HPCPACK_PACK_POOL_H
#define HPCPACK_PACK_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "pack/extract.h"

/* Threads that work at a time: as many as CPUs, and not too many. */
unsigned pack_pool_threads(void);

/* Bytes of each. */
size_t pack_pool_size(const struct pack_pool *pool);
unsigned pack_pool_count(const struct pack_pool *pool);

/* A buffer; NULL when none is free. */
uint8_t *pack_pool_try(struct pack_pool *pool);

/* Wait for one. Only for who holds none. */
uint8_t *pack_pool_take(struct pack_pool *pool);

void pack_pool_give(struct pack_pool *pool, uint8_t *buffer);

#endif
