/*
 * arena.h - many small things that go away together. Not for two threads at once.
 */
#ifndef HPCPACK_PACK_ARENA_H
#define HPCPACK_PACK_ARENA_H

#include <stddef.h>

struct arena;

/* NULL when out of memory. */
struct arena *arena_new(void);
void arena_free(struct arena *a);

/* Room for `len` bytes, not aligned: for text. NULL when out of memory. */
char *arena_text(struct arena *a, size_t len);

/* Give back the end of what was last handed out, so that it has `len` bytes. */
void arena_shrink(struct arena *a, const char *text, size_t len);

/* Bytes handed out. */
size_t arena_used(const struct arena *a);

#endif
