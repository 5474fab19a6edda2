/* arena.c - many small things that go away together. */
#include <config.h>

#include "pack/arena.h"

#include <stdlib.h>

#define BLOCK (256u << 10)

struct block {
	struct block *older;
	size_t used, size;
	char data[];
};

struct arena {
	struct block *newest;
	size_t used;
};

struct arena *arena_new(void)
{
	return calloc(1, sizeof(struct arena));
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	while (a->newest) {
		struct block *b = a->newest;

		a->newest = b->older;
		free(b);
	}
	free(a);
}

static struct block *add_block(struct arena *a, size_t len)
{
	/* Small archives are many: the first block is a small one. */
	size_t size = a->newest ? BLOCK : BLOCK / 64;
	struct block *b;

	if (size < len)
		size = len;
	b = malloc(sizeof(*b) + size);
	if (!b)
		return NULL;
	b->older = a->newest;
	b->used = 0;
	b->size = size;
	a->newest = b;
	return b;
}

char *arena_text(struct arena *a, size_t len)
{
	struct block *b = a->newest;
	char *text;

	if (!b || len > b->size - b->used) {
		b = add_block(a, len);
		if (!b)
			return NULL;
	}
	text = b->data + b->used;
	b->used += len;
	a->used += len;
	return text;
}

void arena_shrink(struct arena *a, const char *text, size_t len)
{
	struct block *b = a->newest;
	size_t spare = b->used - (size_t)(text - b->data) - len;

	b->used -= spare;
	a->used -= spare;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}
