#include <config.h>

#include "tests/unit/model_store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/model_store_priv.h"

struct model *model_new(uint64_t blob_size, unsigned unit_ms, uint64_t seed)
{
	struct model *m = calloc(1, sizeof(*m));
	pthread_condattr_t attr;
	int i;

	m->blob = model_blob_new(blob_size, unit_ms);
	m->random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
	m->give_up_ms = 2000;
	model_network_ops(&m->ops);
	model_blocking_ops(&m->ops);
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->wake, &attr);
	pthread_condattr_destroy(&attr);
	for (i = 0; i < MODEL_THREADS; i++)
		pthread_create(&m->threads[i], NULL, model_network_main, m);
	return m;
}

void model_free(struct model *m)
{
	struct ghost *g;
	int i;

	pthread_mutex_lock(&m->lock);
	m->stopping = true;
	memset(m->held, 0, sizeof(m->held));
	pthread_cond_broadcast(&m->wake);
	pthread_mutex_unlock(&m->lock);
	for (i = 0; i < MODEL_THREADS; i++)
		pthread_join(m->threads[i], NULL);
	while ((g = m->ghosts)) {
		m->ghosts = g->next;
		model_free_ghost(g);
	}
	pthread_cond_destroy(&m->wake);
	pthread_mutex_destroy(&m->lock);
	model_blob_free(m->blob);
	free(m);
}

struct store model_store(struct model *m)
{
	return (struct store){ .ops = &m->ops, .impl = m };
}

struct model_blob *model_blob(struct model *m)
{
	return m->blob;
}

void model_plan(struct model *m, const struct model_plan *plan)
{
	pthread_mutex_lock(&m->lock);
	if (m->plan_count == MODEL_PLANS)
		abort();
	m->plans[m->plan_count] = *plan;
	if (!m->plans[m->plan_count].times)
		m->plans[m->plan_count].times = 1;
	m->plan_count++;
	pthread_mutex_unlock(&m->lock);
}

void model_set_chances(struct model *m, const struct model_chances *c)
{
	pthread_mutex_lock(&m->lock);
	m->chances = *c;
	pthread_mutex_unlock(&m->lock);
}

void model_set_latency(struct model *m, unsigned min_ms, unsigned max_ms)
{
	pthread_mutex_lock(&m->lock);
	m->min_ms = min_ms;
	m->max_ms = max_ms;
	pthread_mutex_unlock(&m->lock);
}

void model_outage(struct model *m, unsigned ms)
{
	pthread_mutex_lock(&m->lock);
	m->outage_until = ms ? model_now() + ms : 0;
	pthread_cond_broadcast(&m->wake);
	pthread_mutex_unlock(&m->lock);
}

void model_set_give_up(struct model *m, unsigned ms)
{
	pthread_mutex_lock(&m->lock);
	m->give_up_ms = ms;
	pthread_mutex_unlock(&m->lock);
}

void model_hold(struct model *m, enum model_call call, bool hold)
{
	pthread_mutex_lock(&m->lock);
	m->held[call] = hold;
	pthread_cond_broadcast(&m->wake);
	pthread_mutex_unlock(&m->lock);
}

void model_mark(struct model *m)
{
	pthread_mutex_lock(&m->lock);
	m->marked = true;
	pthread_mutex_unlock(&m->lock);
}

void model_seen(struct model *m, struct model_seen *out)
{
	pthread_mutex_lock(&m->lock);
	*out = m->seen;
	pthread_mutex_unlock(&m->lock);
}
