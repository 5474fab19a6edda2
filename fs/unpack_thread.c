/* The threads: one member step by step. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "blob/base/log.h"
#include "fs/unpack_priv.h"

enum outcome { GOES_ON, ENDED, FAILED, NO_ROOM };

/* One piece, put in its place. */
static enum outcome advance(struct member *m, struct err *err)
{
	uint8_t *buffer = NULL, *out;
	size_t len = PIECE, made;
	enum pack_step step;
	int why = 0;

	out = unpack_space(m, &len);
	if (!out)
		out = buffer = malloc(len);
	if (!out) {
		err_set(err, ERR_NO_MEMORY, "%s: out of memory", m->name);
		return FAILED;
	}
	step = inflater_make(m, out, len, &made, err);
	if (buffer && made && step != PACK_STEP_FAILED)
		why = unpack_put(m, buffer, made);
	free(buffer);
	if (step == PACK_STEP_FAILED)
		return FAILED;
	if (why) {
		log_warn("%s: can't keep %s: %s; it is unpacked into memory, part by part", m->u->o.dir,
			 m->entry.path, strerror(why));
		return NO_ROOM;
	}
	pthread_mutex_lock(&m->u->lock);
	m->made += made;
	m->u->stats.inflated_bytes += made;
	pthread_mutex_unlock(&m->u->lock);
	return step == PACK_STEP_DONE ? ENDED : GOES_ON;
}

/* The next piece of a window overwrites what is oldest, but where all has its place:
 * nobody may be reading that. */
static void move_window(struct member *m)
{
	struct unpack *u = m->u;
	uint64_t keep = u->window_bytes - u->window_bytes / 4;

	while (m->pins)
		pthread_cond_wait(&u->unpinned, &u->lock);
	if (m->entry.size > u->window_bytes && m->made - m->low > keep)
		m->low = m->made - keep;
}

static bool somebody_ahead(const struct member *m)
{
	const struct unpack_req *r;

	for (r = m->waiting; r; r = r->next)
		if (r->offset >= m->low)
			return true;
	return false;
}

/* A window moves on for those who wait in front of it, and a little further for who
 * reads on. */
static bool is_wanted(const struct member *m)
{
	return !m->window || somebody_ahead(m) || m->made < m->served + m->u->window_bytes / 4;
}

static void answer_ready(struct member *m)
{
	struct unpack_req *ready = unpack_take_ready(m);

	if (!ready)
		return;
	m->pins++;
	pthread_mutex_unlock(&m->u->lock);
	unpack_answer(m, ready, NULL);
	pthread_mutex_lock(&m->u->lock);
	m->pins--;
	pthread_cond_broadcast(&m->u->unpinned);
}

static void fail_waiting(struct member *m, const struct err *err)
{
	struct unpack_req *list = unpack_take_all(m);

	m->pins++;
	pthread_mutex_unlock(&m->u->lock);
	unpack_answer(m, list, err);
	pthread_mutex_lock(&m->u->lock);
	m->pins--;
	pthread_cond_broadcast(&m->u->unpinned);
}

/* What can't get better is damage. A damaged member may be forgotten as soon as nobody
 * has a pin: this thread keeps one until it is done with it. */
static void run_failed(struct member *m, const struct err *err)
{
	struct unpack *u = m->u;
	bool damage = err->code == ERR_FORMAT || err->code == ERR_UNSUPPORTED;
	bool given_out = m->made > 0 && m->entry.size > UNPACK_SMALL;

	m->pins++;
	if (damage) {
		log_error("%s", err->msg);
		m->err = *err;
		m->state = DAMAGED;
		u->stats.damaged++;
	} else if (!u->stopping) {
		log_warn("%s: %s: %s", m->name, m->entry.path, err->msg);
	}
	fail_waiting(m, err);
	while (m->pins > 1)
		pthread_cond_wait(&u->unpinned, &u->lock);
	if (!damage) {
		m->pins--;
		unpack_reset(m);
		return;
	}
	unpack_vacate(m);
	if (given_out && u->o.damaged) {
		pthread_mutex_unlock(&u->lock);
		u->o.damaged(u->o.arg, m->object, &m->entry);
		pthread_mutex_lock(&u->lock);
	}
	m->pins--;
}

/* With the lock. A window that has nobody waiting in front of it is parked, or begins
 * again for those behind it. */
static void settle(struct member *m)
{
	if (m->state == COMPLETE) {
		inflater_put(m->u, m->inflater);
		m->inflater = NULL;
	}
	if (m->state == RUNNING)
		m->state = PARKED;
	pthread_cond_broadcast(&m->u->unpinned);
	if (m->state == PARKED && m->waiting)
		unpack_enqueue(m->u, m);
	else
		unpack_lru_add(m);
}

/* The disk is full: from the beginning again, through a window. */
static bool change_to_window(struct member *m)
{
	m->u->stats.disk_full = true;
	while (m->pins)
		pthread_cond_wait(&m->u->unpinned, &m->u->lock);
	unpack_vacate(m);
	return unpack_place_window(m);
}

/* From the beginning again? */
static bool must_rewind(const struct member *m)
{
	return !m->inflater || (m->window && m->waiting && !somebody_ahead(m));
}

static int rewind_member(struct member *m, struct err *err)
{
	while (m->pins)
		pthread_cond_wait(&m->u->unpinned, &m->u->lock);
	if (m->made)
		m->u->stats.restarts++;
	m->low = m->made = m->served = 0;
	m->right = false;
	return inflater_rewind(m, err);
}

/* With the lock, which is given back for the work. */
static enum outcome step(struct member *m, struct err *err)
{
	struct unpack *u = m->u;
	enum outcome outcome;

	if (m->window)
		move_window(m);
	pthread_mutex_unlock(&u->lock);
	outcome = advance(m, err);
	pthread_mutex_lock(&u->lock);
	if (outcome == ENDED) {
		m->right = true;
		if (!m->window)
			m->state = COMPLETE;
	}
	if (outcome == NO_ROOM)
		outcome = change_to_window(m) && rewind_member(m, err) == 0 ? GOES_ON : FAILED;
	if (outcome != FAILED)
		answer_ready(m);
	return outcome;
}

static void run(struct member *m)
{
	struct unpack *u = m->u;
	enum outcome outcome = GOES_ON;
	struct err err;

	err_set(&err, ERR_NO_MEMORY, "%s: %s: out of memory", m->name, m->entry.path);
	if (!m->data && m->fd < 0 && !unpack_place(m))
		outcome = FAILED;
	else if (must_rewind(m) && rewind_member(m, &err) < 0)
		outcome = FAILED;
	while (outcome == GOES_ON && !u->stopping && is_wanted(m))
		outcome = step(m, &err);
	if (u->stopping && m->state != COMPLETE) {
		err_set(&err, ERR_CANCELLED, "%s: is being unmounted", m->name);
		outcome = FAILED;
	}
	if (outcome == FAILED)
		run_failed(m, &err);
	else
		settle(m);
}

void *unpack_thread(void *arg)
{
	struct unpack *u = arg;

	pthread_mutex_lock(&u->lock);
	while (!u->stopping) {
		struct member *m = u->queue;

		if (!m) {
			pthread_cond_wait(&u->work, &u->lock);
			continue;
		}
		u->queue = m->queue_next;
		if (!u->queue)
			u->queue_end = &u->queue;
		m->state = RUNNING;
		run(m);
	}
	pthread_mutex_unlock(&u->lock);
	return NULL;
}
