/*
 * What the user of the store does that nobody may do.
 */
#include <config.h>

#include "tests/unit/model_store_priv.h"

#include <string.h>

uint64_t model_sum_of(const struct call *c)
{
	uint64_t sum = c->len, word;
	int i;

	for (i = 0; i < c->iov_count; i++) {
		const char *p = c->iov[i].iov_base;
		size_t left = c->iov[i].iov_len;

		for (; left >= 8; left -= 8, p += 8) {
			memcpy(&word, p, 8);
			sum = (sum ^ word) * UINT64_C(0x100000001B3);
			sum ^= sum >> 29;
		}
	}
	return sum;
}

static bool overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

bool model_is_write(const struct call *c)
{
	return c->kind == CALL_WRITE || c->kind == CALL_CLEAR;
}

void model_watch_write(struct model *m, const struct call *c)
{
	const struct call *o;
	const struct ghost *g;

	for (o = m->calls; o; o = o->next)
		if (model_is_write(o) && overlap(c->offset, c->len, o->offset, o->len))
			m->seen.overlaps++;
	for (g = m->ghosts; g; g = g->next)
		if (g->kind != CALL_CHANGE && c->has_lease && !strcmp(g->id, c->lease_id) &&
		    overlap(c->offset, c->len, g->offset, g->len))
			m->seen.unfenced++;
	if (!c->has_lease)
		m->seen.without_lease++;
	if (m->marked)
		m->seen.after_mark++;
	if (c->kind == CALL_WRITE && c->len > BLOB_MAX_PUT_PAGE)
		m->seen.bad_calls++;
}
