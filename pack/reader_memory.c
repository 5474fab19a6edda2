/* reader_memory.c - a package in memory. */
#include <config.h>

#include <string.h>

#include "pack/reader.h"

static int memory_read(const struct pack_reader *r, uint64_t offset, void *data, size_t len,
		       struct err *err)
{
	const struct pack_memory *m = (const struct pack_memory *)r;

	if (offset > r->size || len > r->size - offset)
		return err_set(err, ERR_RANGE, "%s: %zu bytes at %llu lie outside of it", r->name, len,
			       (unsigned long long)offset);
	if (len)
		memcpy(data, m->data + offset, len);
	return 0;
}

void pack_memory_init(struct pack_memory *m, const char *name, const void *data, size_t len)
{
	m->reader = (struct pack_reader){ .name = name, .size = len, .read = memory_read };
	m->data = data;
}
