/*
 * pairs.h - names with values in the order they came: request headers, query
 * parameters, response headers. Strings are owned.
 */
#ifndef HPCPACK_BLOB_PAIRS_H
#define HPCPACK_BLOB_PAIRS_H

#include <stddef.h>

struct pair {
	char *name, *value;
};
struct pairs {
	struct pair *items;
	size_t count, size;
};

/* Append copies; 0, or -1 when out of memory (nothing was added). */
int pairs_add(struct pairs *p, const char *name, const char *value);
int pairs_add_len(struct pairs *p, const char *name, size_t name_len, const char *value,
		  size_t value_len);

/* Append a copy of everything in `from`; 0 or -1. */
int pairs_add_all(struct pairs *p, const struct pairs *from);

/* The value of the first of that name (any case), or NULL. */
const char *pairs_get(const struct pairs *p, const char *name);

/* Empty it, keeping the array; give everything back. */
void pairs_clear(struct pairs *p);
void pairs_free(struct pairs *p);

#endif
