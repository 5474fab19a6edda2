#include <config.h>

#include "blob/pairs.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int reserve(struct pairs *p)
{
	size_t size = p->size ? p->size * 2 : 8;
	struct pair *items;

	if (p->count < p->size)
		return 0;
	items = realloc(p->items, size * sizeof(*items));
	if (!items)
		return -1;
	p->items = items;
	p->size = size;
	return 0;
}

int pairs_add_len(struct pairs *p, const char *name, size_t name_len, const char *value,
		  size_t value_len)
{
	struct pair pair;

	if (reserve(p) < 0)
		return -1;
	pair.name = strndup(name, name_len);
	pair.value = strndup(value, value_len);
	if (!pair.name || !pair.value) {
		free(pair.name);
		free(pair.value);
		return -1;
	}
	p->items[p->count++] = pair;
	return 0;
}

int pairs_add(struct pairs *p, const char *name, const char *value)
{
	return pairs_add_len(p, name, strlen(name), value, strlen(value));
}

int pairs_add_all(struct pairs *p, const struct pairs *from)
{
	size_t i;

	for (i = 0; i < from->count; i++)
		if (pairs_add(p, from->items[i].name, from->items[i].value) < 0)
			return -1;
	return 0;
}

const char *pairs_get(const struct pairs *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->count; i++)
		if (!strcasecmp(p->items[i].name, name))
			return p->items[i].value;
	return NULL;
}

void pairs_clear(struct pairs *p)
{
	while (p->count > 0) {
		p->count--;
		free(p->items[p->count].name);
		free(p->items[p->count].value);
	}
}

void pairs_free(struct pairs *p)
{
	pairs_clear(p);
	free(p->items);
	p->items = NULL;
	p->size = 0;
}
