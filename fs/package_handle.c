#include <config.h>

#include "fs/package.h"

#include <stdlib.h>
#include <string.h>

static struct handle *add(struct package *p, struct handle *h)
{
	h->p = p;
	pthread_mutex_lock(&p->lock);
	h->next = p->handles;
	if (h->next)
		h->next->prev = h;
	p->handles = h;
	pthread_mutex_unlock(&p->lock);
	return h;
}

struct handle *handle_new_file(struct version *v, uint32_t entry)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->member = v->kind == VERSION_PACKAGE;
	if (h->member) {
		h->entry = v->index.entries[entry];
		h->entry.path = strdup(h->entry.path);
		h->directory = v->index.directory_offset;
		if (!h->entry.path) {
			free(h);
			return NULL;
		}
	}
	h->v = version_ref(v);
	return add(v->p, h);
}

struct handle *handle_new_dir(struct package *p, struct listing *l)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->listing = listing_ref(l);
	return add(p, h);
}

void handle_free(struct handle *h)
{
	pthread_mutex_lock(&h->p->lock);
	if (h->prev)
		h->prev->next = h->next;
	else
		h->p->handles = h->next;
	if (h->next)
		h->next->prev = h->prev;
	pthread_mutex_unlock(&h->p->lock);
	if (h->v)
		version_unref(h->v);
	if (h->listing)
		listing_unref(h->listing);
	free((char *)h->entry.path);
	free(h);
}
