/* alloc_count.c - what is allocated. */
#include <config.h>

#include "alloc_count.h"

#include <malloc.h>
#include <stdlib.h>

size_t alloc_now, alloc_most;

static void *count(void *p)
{
	if (p)
		alloc_now += malloc_usable_size(p);
	if (alloc_now > alloc_most)
		alloc_most = alloc_now;
	return p;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void __wrap_free(void *p);

void *__wrap_malloc(size_t size)
{
	return count(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return count(__real_calloc(n, size));
}

/* As if the old and the new one were there together. */
void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	size_t had = p ? malloc_usable_size(p) : 0;
	void *q = count(__real_reallocarray(p, n, size));

	if (q)
		alloc_now -= had;
	return q;
}

void *__wrap_realloc(void *p, size_t size)
{
	return __wrap_reallocarray(p, 1, size);
}

void __wrap_free(void *p)
{
	if (p)
		alloc_now -= malloc_usable_size(p);
	__real_free(p);
}
