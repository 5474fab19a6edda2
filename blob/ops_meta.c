/* Metadata lists and what holds them. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "blob/ops.h"

static struct blob_meta *find(const struct blob_meta_list *meta, const char *name)
{
	size_t i;

	for (i = 0; i < meta->count; i++)
		if (!strcasecmp(meta->items[i].name, name))
			return &meta->items[i];
	return NULL;
}

const char *blob_meta_get(const struct blob_meta_list *meta, const char *name)
{
	const struct blob_meta *m = find(meta, name);

	return m ? m->value : NULL;
}

static void remove_item(struct blob_meta_list *meta, struct blob_meta *m)
{
	free(m->name);
	free(m->value);
	meta->count--;
	memmove(m, m + 1, (size_t)(meta->items + meta->count - m) * sizeof(*m));
}

static int append(struct blob_meta_list *meta, const char *name, const char *value)
{
	struct blob_meta m = { strdup(name), strdup(value) };
	struct blob_meta *items = NULL;

	if (m.name && m.value)
		items = realloc(meta->items, (meta->count + 1) * sizeof(*items));
	if (!items) {
		free(m.name);
		free(m.value);
		return -1;
	}
	meta->items = items;
	meta->items[meta->count++] = m;
	return 0;
}

int blob_meta_set(struct blob_meta_list *meta, const char *name, const char *value)
{
	struct blob_meta *m = find(meta, name);
	char *copy;

	if (!value) {
		if (m)
			remove_item(meta, m);
		return 0;
	}
	if (!m)
		return append(meta, name, value);
	copy = strdup(value);
	if (!copy)
		return -1;
	free(m->value);
	m->value = copy;
	return 0;
}

void blob_meta_free(struct blob_meta_list *meta)
{
	while (meta->count)
		remove_item(meta, &meta->items[meta->count - 1]);
	free(meta->items);
	meta->items = NULL;
}

int blob_meta_copy(struct blob_meta_list *to, const struct blob_meta_list *from)
{
	size_t i;

	memset(to, 0, sizeof(*to));
	for (i = 0; i < from->count; i++)
		if (blob_meta_set(to, from->items[i].name, from->items[i].value) < 0) {
			blob_meta_free(to);
			return -1;
		}
	return 0;
}

void blob_props_free(struct blob_props *p)
{
	blob_meta_free(&p->meta);
}
