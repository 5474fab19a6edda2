/* The members: found by object and place, queued, least recently used first. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "fs/unpack_priv.h"

static struct member **bucket(struct unpack *u, uint32_t object, uint64_t header)
{
	uint64_t h = (header ^ ((uint64_t)object << 40)) * 0x9e3779b97f4a7c15u;

	return &u->buckets[(h >> 32) % UNPACK_BUCKETS];
}

struct member *unpack_find(struct unpack *u, uint32_t object, uint64_t header)
{
	struct member *m = *bucket(u, object, header);

	while (m && (m->entry.header_offset != header || object_number(m->object) != object))
		m = m->hash_next;
	return m;
}

static void member_free(struct member *m)
{
	object_close(m->object);
	free((char *)m->entry.path);
	free(m->name);
	free(m);
}

struct member *unpack_add(struct unpack *u, const struct unpack_member *face)
{
	struct member *m = calloc(1, sizeof(*m)), **b;

	if (!m)
		return NULL;
	m->u = u;
	m->fd = -1;
	m->entry = *face->entry;
	m->directory = face->directory;
	m->object = object_ref(face->object);
	m->name = strdup(face->name);
	m->entry.path = strdup(face->entry->path);
	if (!m->name || !m->entry.path) {
		member_free(m);
		return NULL;
	}
	b = bucket(u, object_number(m->object), m->entry.header_offset);
	m->hash_next = *b;
	*b = m;
	u->stats.members++;
	return m;
}

void unpack_drop(struct member *m)
{
	struct unpack *u = m->u;
	struct member **p = bucket(u, object_number(m->object), m->entry.header_offset);

	while (*p != m)
		p = &(*p)->hash_next;
	*p = m->hash_next;
	u->stats.members--;
	member_free(m);
}

void unpack_lru_add(struct member *m)
{
	struct member *head = &m->u->lru;

	m->lru_next = head;
	m->lru_prev = head->lru_prev;
	head->lru_prev->lru_next = m;
	head->lru_prev = m;
}

void unpack_lru_remove(struct member *m)
{
	if (!m->lru_next)
		return;
	m->lru_prev->lru_next = m->lru_next;
	m->lru_next->lru_prev = m->lru_prev;
	m->lru_prev = m->lru_next = NULL;
}

void unpack_enqueue(struct unpack *u, struct member *m)
{
	unpack_lru_remove(m);
	m->state = QUEUED;
	m->queue_next = NULL;
	*u->queue_end = m;
	u->queue_end = &m->queue_next;
	pthread_cond_signal(&u->work);
}

void unpack_reset(struct member *m)
{
	unpack_lru_remove(m);
	unpack_vacate(m);
	m->state = IDLE;
	if (m->waiting)
		unpack_enqueue(m->u, m);
	else
		unpack_drop(m);
}
