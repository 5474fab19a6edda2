/*
 * cache.h - the chunk cache: a fixed arena of 64 KiB chunks, found by (object,
 * chunk number), evicted in least-recently-used order.
 *
 * No lock of its own: the owner's mutex protects everything here but the bytes
 * (`data`), for which the rules are below. A drive uses one object; a worker
 * that serves several blobs numbers them.
 *
 * Sector sets of a chunk, and who may touch the bytes of a sector:
 *
 *   have      the bytes are current. Readers with a pin read them unlocked.
 *   fetching  somebody is filling them in: a fetch from storage, or a writer
 *             that is copying in. Only that one touches the bytes.
 *   dirty     newer than storage.
 *   writing   on their way to storage. The bytes must not change: writers wait.
 *
 *   have ∩ fetching = ∅    dirty ⊆ have    writing ⊆ have    dirty ∩ writing = ∅
 *
 *   (none) -> fetching -> have -> dirty -> writing -> have (clean), or back to
 *   dirty when the store failed.
 *
 * A chunk is idle when it has no pin and nothing fetching, dirty or writing. Idle
 * chunks, and no others, are on the LRU list and may be taken for another place.
 * What a reader in sequence has had the whole of (`spent`) is the first to go, even
 * before chunks that never were used: the kernel has those bytes in its page cache,
 * and the memory is warm.
 *
 * `copying` counts writers that copy into `have` sectors without the lock; no
 * store may start on the chunk meanwhile.
 */
#ifndef HPCPACK_VHD_CACHE_H
#define HPCPACK_VHD_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "blob/base/err.h"
#include "vhd/sectors.h"

struct chunk {
	uint64_t index;            /* chunk number within its object */
	uint32_t object;
	uint32_t pins;
	uint32_t copying;
	bool used;                 /* taken from the arena: it has a place */
	bool prefetched;           /* brought by read-ahead, not yet asked for */
	bool spent;                /* see above */
	uint8_t *data;             /* CHUNK_BYTES */
	sector_set have, fetching, dirty, writing;
	sector_set seen;           /* by readers in sequence; with all of `have`: spent */
	uint64_t epoch;            /* of the oldest dirty data, and since when it */
	uint64_t dirty_since_ms;   /* is dirty (the disk's business) */
	struct chunk *hash_next;
	struct chunk *lru_prev, *lru_next;     /* both NULL when not on the list */
	struct chunk *dirty_prev, *dirty_next; /* disk's list of dirty chunks */
	bool on_lru, on_dirty;
};

struct cache;

/* `bytes` is rounded down to whole chunks (at least 4). The arena is allocated
 * and touched here. NULL and *err when memory is short. */
struct cache *cache_new(uint64_t bytes, struct err *err);
/* The same, but memory is taken as it is used: for who is not in the kernel's way of
 * writing pages back. */
struct cache *cache_new_untouched(uint64_t bytes, struct err *err);
void cache_free(struct cache *c);

/* The chunk at this place, or NULL. No pin is taken. */
struct chunk *cache_find(struct cache *c, uint32_t object, uint64_t index);

/* The chunk at this place with a pin, taking a free or the least recently used
 * one for it if need be; NULL when all are in use. */
struct chunk *cache_get(struct cache *c, uint32_t object, uint64_t index);

/* Chunks that cache_get() could take for new places now. */
size_t cache_spare(const struct cache *c);
size_t cache_chunks(const struct cache *c);

void cache_pin(struct cache *c, struct chunk *ch);

/* Give a pin back; an idle chunk becomes the most recently used. */
void cache_unpin(struct cache *c, struct chunk *ch);

/* Somebody has had these sectors of a pinned chunk: a reader in sequence, or one who
 * may come back for them. */
void cache_seen(struct chunk *ch, sector_set sectors, bool in_sequence);

/* The sector sets of a chunk without a pin have changed: put it where it belongs. */
void cache_settle(struct cache *c, struct chunk *ch);

/* Add one more chunk beyond the budget (snapshot overlays). 0 or -1. */
int cache_grow(struct cache *c);

/* Call fn for each chunk that has a place within [first, last] of the object.
 * fn may change its sector sets, and settles it. */
void cache_each(struct cache *c, uint32_t object, uint64_t first, uint64_t last,
		void (*fn)(void *arg, struct chunk *ch), void *arg);

/* Bytes of the chunks that have a place (whether or not each sector is there). */
uint64_t cache_used_bytes(const struct cache *c);

/* Prefetched chunks that were evicted before anybody asked for them, since the
 * last call. */
unsigned cache_take_wasted(struct cache *c);

/* Every invariant above; aborts with a message. For DEBUG_CHECKS and tests. */
void cache_check(const struct cache *c);

#endif
