#include <config.h>

#include "pack/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define THREADS_MAX 8u
#define COUNT_MIN 8u
#define SIZE_MAX_BYTES ((size_t)4 << 20)
#define TOTAL_MAX ((size_t)48 << 20)

/* The memory is one mapping: what was never used is never there, and all of it goes
 * back to the system at once. */
struct pack_pool {
	pthread_mutex_t lock;
	pthread_cond_t given;
	unsigned count, free_count;
	size_t size;
	uint8_t *memory;
	uint8_t *free[];        /* a stack: what was used last is warm */
};

unsigned pack_pool_threads(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : cpus < THREADS_MAX ? (unsigned)cpus : THREADS_MAX;
}

/* Each thread has one that it works on, and two on the way. */
static void choose(unsigned *count, size_t *size)
{
	unsigned threads = pack_pool_threads();

	*count = threads * 3 < COUNT_MIN ? COUNT_MIN : threads * 3;
	*size = SIZE_MAX_BYTES;
	while (*count * *size > TOTAL_MAX)
		*size /= 2;
}

struct pack_pool *pack_pool_new(unsigned count, size_t size, struct err *err)
{
	struct pack_pool *p;

	if (!count)
		choose(&count, &size);
	p = calloc(1, sizeof(*p) + count * sizeof(*p->free));
	if (p)
		p->memory = mmap(NULL, count * size, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!p || p->memory == MAP_FAILED) {
		free(p);
		err_set(err, ERR_NO_MEMORY, "out of memory for %u buffers of %zu bytes", count, size);
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->given, NULL);
	p->count = p->free_count = count;
	p->size = size;
	for (unsigned i = 0; i < count; i++)
		p->free[i] = p->memory + (size_t)(count - 1 - i) * size;
	return p;
}

void pack_pool_free(struct pack_pool *p)
{
	if (!p)
		return;
	munmap(p->memory, p->count * p->size);
	pthread_cond_destroy(&p->given);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

size_t pack_pool_size(const struct pack_pool *p)
{
	return p->size;
}

unsigned pack_pool_count(const struct pack_pool *p)
{
	return p->count;
}

uint8_t *pack_pool_try(struct pack_pool *p)
{
	uint8_t *buffer;

	pthread_mutex_lock(&p->lock);
	buffer = p->free_count ? p->free[--p->free_count] : NULL;
	pthread_mutex_unlock(&p->lock);
	return buffer;
}

uint8_t *pack_pool_take(struct pack_pool *p)
{
	uint8_t *buffer;

	pthread_mutex_lock(&p->lock);
	while (!p->free_count)
		pthread_cond_wait(&p->given, &p->lock);
	buffer = p->free[--p->free_count];
	pthread_mutex_unlock(&p->lock);
	return buffer;
}

void pack_pool_give(struct pack_pool *p, uint8_t *buffer)
{
	pthread_mutex_lock(&p->lock);
	p->free[p->free_count++] = buffer;
	pthread_cond_signal(&p->given);
	pthread_mutex_unlock(&p->lock);
}
