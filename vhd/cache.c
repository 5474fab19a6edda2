#include <config.h>

#include "vhd/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define MIN_CHUNKS 4
#define HUGE_PAGE ((size_t)2 << 20)
#define SMALL_PAGE 4096

/* Chunks beyond the arena come one by one and are kept until the end. */
struct extra {
	struct extra *next;
	struct chunk chunk;
};

struct cache {
	uint8_t *arena;
	size_t arena_bytes;
	void *map;                 /* the arena is in it, at a whole huge page */
	struct chunk *chunks;      /* of the arena */
	size_t nchunks;            /* of the arena */
	struct extra *extras;
	size_t nextras;
	struct chunk *free_list;   /* through hash_next; never had a place */
	size_t nfree;
	struct chunk lru;          /* ring; lru.lru_next is the next to go */
	size_t nlru;
	struct chunk **buckets;
	size_t mask;
	unsigned wasted;
};

static size_t bucket_of(const struct cache *c, uint32_t object, uint64_t index)
{
	uint64_t h = (index ^ ((uint64_t)object << 40)) * 0x9e3779b97f4a7c15u;

	return (size_t)(h >> 20) & c->mask;
}

static bool is_idle(const struct chunk *ch)
{
	return !ch->pins && !(ch->fetching | ch->dirty | ch->writing);
}

static void lru_remove(struct cache *c, struct chunk *ch)
{
	ch->lru_prev->lru_next = ch->lru_next;
	ch->lru_next->lru_prev = ch->lru_prev;
	ch->lru_prev = ch->lru_next = NULL;
	ch->on_lru = false;
	c->nlru--;
}

/* An empty or spent chunk is the next to go, any other the last. */
static void lru_insert(struct cache *c, struct chunk *ch)
{
	struct chunk *before = ch->have && !ch->spent ? &c->lru : c->lru.lru_next;

	ch->lru_next = before;
	ch->lru_prev = before->lru_prev;
	before->lru_prev->lru_next = ch;
	before->lru_prev = ch;
	ch->on_lru = true;
	c->nlru++;
}

static void unhash(struct cache *c, struct chunk *ch)
{
	struct chunk **p = &c->buckets[bucket_of(c, ch->object, ch->index)];

	while (*p != ch)
		p = &(*p)->hash_next;
	*p = ch->hash_next;
	ch->hash_next = NULL;
}

static struct chunk *take(struct cache *c)
{
	struct chunk *ch;

	if (c->free_list && !(c->nlru && c->lru.lru_next->spent)) {
		ch = c->free_list;
		c->free_list = ch->hash_next;
		c->nfree--;
		return ch;
	}
	if (!c->nlru)
		return NULL;
	ch = c->lru.lru_next;
	lru_remove(c, ch);
	unhash(c, ch);
	if (ch->prefetched)
		c->wasted++;
	return ch;
}

/* In huge pages, where there are: touching them takes less than half of the time. */
static int make_arena(struct cache *c, bool touch)
{
	void *map = mmap(NULL, c->arena_bytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	if (map == MAP_FAILED)
		return -1;
	c->map = map;
	c->arena = (uint8_t *)(((uintptr_t)map + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
	if (!touch)
		return 0;
	madvise(c->arena, c->arena_bytes, MADV_HUGEPAGE);
	if (madvise(c->arena, c->arena_bytes, MADV_POPULATE_WRITE) < 0)
		for (i = 0; i < c->arena_bytes; i += SMALL_PAGE)
			c->arena[i] = 0;
	return 0;
}

static struct cache *make_cache(uint64_t bytes, bool touch, struct err *err)
{
	struct cache *c = calloc(1, sizeof(*c));
	size_t i, nbuckets = 1;

	if (!c)
		goto no_memory;
	c->lru.lru_next = c->lru.lru_prev = &c->lru;
	c->nchunks = (size_t)(bytes >> CHUNK_SHIFT);
	if (c->nchunks < MIN_CHUNKS)
		c->nchunks = MIN_CHUNKS;
	while (nbuckets < c->nchunks * 2)
		nbuckets *= 2;
	c->mask = nbuckets - 1;
	c->buckets = calloc(nbuckets, sizeof(*c->buckets));
	c->chunks = calloc(c->nchunks, sizeof(*c->chunks));
	if (!c->buckets || !c->chunks)
		goto no_memory;
	c->arena_bytes = c->nchunks << CHUNK_SHIFT;
	if (make_arena(c, touch) < 0)
		goto no_memory;
	for (i = c->nchunks; i-- > 0;) {
		c->chunks[i].data = c->arena + (i << CHUNK_SHIFT);
		c->chunks[i].hash_next = c->free_list;
		c->free_list = &c->chunks[i];
	}
	c->nfree = c->nchunks;
	return c;

no_memory:
	cache_free(c);
	err_set(err, ERR_NO_MEMORY, "no memory for a cache of %llu MiB; choose a smaller one with -o cache=",
		(unsigned long long)(bytes >> 20));
	return NULL;
}

/* Touched now: the write path must not wait for memory later. */
struct cache *cache_new(uint64_t bytes, struct err *err)
{
	return make_cache(bytes, true, err);
}

struct cache *cache_new_untouched(uint64_t bytes, struct err *err)
{
	return make_cache(bytes, false, err);
}

void cache_free(struct cache *c)
{
	struct extra *e;

	if (!c)
		return;
	while ((e = c->extras)) {
		c->extras = e->next;
		free(e->chunk.data);
		free(e);
	}
	if (c->map)
		munmap(c->map, c->arena_bytes + HUGE_PAGE);
	free(c->chunks);
	free(c->buckets);
	free(c);
}

struct chunk *cache_find(struct cache *c, uint32_t object, uint64_t index)
{
	struct chunk *ch = c->buckets[bucket_of(c, object, index)];

	while (ch && (ch->index != index || ch->object != object))
		ch = ch->hash_next;
	return ch;
}

struct chunk *cache_get(struct cache *c, uint32_t object, uint64_t index)
{
	struct chunk *ch = cache_find(c, object, index);
	size_t b;

	if (!ch) {
		ch = take(c);
		if (!ch)
			return NULL;
		b = bucket_of(c, object, index);
		ch->index = index;
		ch->object = object;
		ch->have = ch->seen = 0;
		ch->prefetched = ch->spent = false;
		ch->used = true;
		ch->hash_next = c->buckets[b];
		c->buckets[b] = ch;
	}
	cache_pin(c, ch);
	return ch;
}

size_t cache_spare(const struct cache *c)
{
	return c->nfree + c->nlru;
}

size_t cache_chunks(const struct cache *c)
{
	return c->nchunks + c->nextras;
}

void cache_pin(struct cache *c, struct chunk *ch)
{
	if (ch->on_lru)
		lru_remove(c, ch);
	ch->pins++;
}

void cache_seen(struct chunk *ch, sector_set sectors, bool in_sequence)
{
	ch->seen = in_sequence ? ch->seen | sectors : 0;
	ch->spent = ch->have && !(ch->have & ~ch->seen);
}

void cache_unpin(struct cache *c, struct chunk *ch)
{
	ch->pins--;
	cache_settle(c, ch);
}

void cache_settle(struct cache *c, struct chunk *ch)
{
	if (is_idle(ch) && !ch->on_lru)
		lru_insert(c, ch);
	else if (!is_idle(ch) && ch->on_lru)
		lru_remove(c, ch);
}

int cache_grow(struct cache *c)
{
	struct extra *e = calloc(1, sizeof(*e));

	if (!e)
		return -1;
	e->chunk.data = aligned_alloc(4096, CHUNK_BYTES); /* for O_DIRECT */
	if (!e->chunk.data) {
		free(e);
		return -1;
	}
	e->next = c->extras;
	c->extras = e;
	c->nextras++;
	e->chunk.hash_next = c->free_list;
	c->free_list = &e->chunk;
	c->nfree++;
	return 0;
}

static void call_if_within(struct chunk *ch, uint32_t object, uint64_t first, uint64_t last,
			   void (*fn)(void *arg, struct chunk *ch), void *arg)
{
	if (ch->used && ch->object == object && ch->index >= first && ch->index <= last)
		fn(arg, ch);
}

void cache_each(struct cache *c, uint32_t object, uint64_t first, uint64_t last,
		void (*fn)(void *arg, struct chunk *ch), void *arg)
{
	struct extra *e;
	size_t i;

	if (last - first < c->nchunks) {
		for (; first <= last; first++) {
			struct chunk *ch = cache_find(c, object, first);

			if (ch)
				fn(arg, ch);
		}
		return;
	}
	for (i = 0; i < c->nchunks; i++)
		call_if_within(&c->chunks[i], object, first, last, fn, arg);
	for (e = c->extras; e; e = e->next)
		call_if_within(&e->chunk, object, first, last, fn, arg);
}

uint64_t cache_used_bytes(const struct cache *c)
{
	return (uint64_t)(c->nchunks + c->nextras - c->nfree) << CHUNK_SHIFT;
}

unsigned cache_take_wasted(struct cache *c)
{
	unsigned n = c->wasted;

	c->wasted = 0;
	return n;
}

static void require(bool holds, const char *what, const struct chunk *ch)
{
	if (holds)
		return;
	fprintf(stderr, "cache: chunk %llu breaks: %s\n", (unsigned long long)ch->index, what);
	abort();
}

static void check_chunk(const struct chunk *ch)
{
	require(!(ch->have & ch->fetching), "have and fetching are disjoint", ch);
	require(!(ch->dirty & ~ch->have), "dirty is part of have", ch);
	require(!(ch->writing & ~ch->have), "writing is part of have", ch);
	require(!(ch->dirty & ch->writing), "dirty and writing are disjoint", ch);
	require(!ch->used || ch->on_lru == is_idle(ch), "idle chunks, and no others, are on the LRU", ch);
	require(!ch->used || ch->on_dirty == (ch->dirty != 0), "dirty chunks, and no others, are on the dirty list", ch);
	require(!ch->copying || ch->pins, "who copies has a pin", ch);
}

void cache_check(const struct cache *c)
{
	const struct extra *e;
	size_t i;

	for (i = 0; i < c->nchunks; i++)
		check_chunk(&c->chunks[i]);
	for (e = c->extras; e; e = e->next)
		check_chunk(&e->chunk);
}
