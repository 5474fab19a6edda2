/* Calls that wait for an index, and the threads that read it. */
#include <config.h>

#include "fs/package.h"

#include <errno.h>
#include <stdlib.h>

#include "blob/base/log.h"
#include "fs/errno_map.h"

#define THREADS 4u

struct loader {
	struct package *p;
	pthread_cond_t work;       /* with the package's lock */
	struct version *queue, **queue_end;
	bool stopping;
	pthread_t threads[THREADS];
	unsigned started;
};

int package_errno(const struct package *p, const struct err *err)
{
	/* What was opened is not what is there now. A whole mount of something that is
	 * gone has lost its medium. */
	if (err->code == ERR_CONDITION || (err->code == ERR_NOT_FOUND && p->container))
		return ESTALE;
	return errno_of(err->code);
}

void call_fail(struct call *c, const struct err *err)
{
	fuse_reply_err(c->req, package_errno(c->p, err));
}

void version_keep_index(struct version *v)
{
	pthread_mutex_lock(&v->p->lock);
	v->users++;
	v->refs++;
	pthread_mutex_unlock(&v->p->lock);
}

void version_let_index(struct version *v)
{
	pthread_mutex_lock(&v->p->lock);
	v->users--;
	pthread_mutex_unlock(&v->p->lock);
	version_unref(v);
}

/* With the index there, and a reference. */
static void run(struct call *c)
{
	struct version *v = c->v;

	c->run(c);
	version_let_index(v);
}

static bool is_ready(struct version *v)
{
	if (v->kind != VERSION_FILE && !v->loaded)
		return false;
	v->users++;
	v->used = ++v->p->clock;
	return true;
}

/* With the lock; it goes to the end of the version's list. */
static void wait_for(struct loader *l, struct call *c)
{
	struct version *v = c->v;
	struct call **at = &v->waiting;

	while (*at)
		at = &(*at)->next;
	c->next = NULL;
	*at = c;
	if (v->loading)
		return;
	v->loading = true;
	v->refs++;
	v->load_next = NULL;
	*l->queue_end = v;
	l->queue_end = &v->load_next;
	pthread_cond_signal(&l->work);
}

void call_with_index(struct call *c)
{
	struct package *p = c->p;
	struct version *v = c->v;
	struct call *copy;
	bool ready, stopping;
	struct err err;

	pthread_mutex_lock(&p->lock);
	ready = is_ready(v);
	stopping = p->loader->stopping;
	copy = ready || stopping ? NULL : malloc(sizeof(*copy));
	if (copy) {
		*copy = *c;
		wait_for(p->loader, copy);
	}
	pthread_mutex_unlock(&p->lock);
	if (ready) {
		run(c);
	} else if (!copy) {
		err_set(&err, stopping ? ERR_CANCELLED : ERR_NO_MEMORY, "%s: can't be read now", v->label);
		call_fail(c, &err);
		version_unref(v);
	}
}

/* All that waited, one by one. The index can't go meanwhile: each is a user of it. */
static void answer(struct version *v, struct call *list, const struct err *err)
{
	struct call *c;

	while ((c = list)) {
		list = c->next;
		if (err) {
			call_fail(c, err);
			version_unref(v);
		} else {
			run(c);
		}
		free(c);
	}
}

static void load(struct version *v)
{
	struct package *p = v->p;
	struct call *list, *c;
	struct err err;
	int rc = version_load(v, &err);

	if (rc < 0 && err.code != ERR_CANCELLED)
		log_warn("%s: its index can't be read: %s", v->label, err.msg);
	pthread_mutex_lock(&p->lock);
	v->loading = false;
	list = v->waiting;
	v->waiting = NULL;
	for (c = list; c && rc == 0; c = c->next)
		v->users++;
	pthread_mutex_unlock(&p->lock);
	answer(v, list, rc < 0 ? &err : NULL);
	version_unref(v);
}

static void *loader_thread(void *arg)
{
	struct loader *l = arg;
	struct package *p = l->p;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct version *v = l->queue;

		if (!v && l->stopping)
			break;
		if (!v) {
			pthread_cond_wait(&l->work, &p->lock);
			continue;
		}
		l->queue = v->load_next;
		if (!l->queue)
			l->queue_end = &l->queue;
		pthread_mutex_unlock(&p->lock);
		load(v);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct loader *loader_new(struct package *p, struct err *err)
{
	struct loader *l = calloc(1, sizeof(*l));
	int rc;

	if (!l) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	l->p = p;
	l->queue_end = &l->queue;
	pthread_cond_init(&l->work, NULL);
	for (; l->started < THREADS; l->started++) {
		rc = pthread_create(&l->threads[l->started], NULL, loader_thread, l);
		if (rc) {
			err_set_errno(err, rc, "can't start a thread");
			loader_free(l);
			return NULL;
		}
	}
	return l;
}

void loader_stop(struct loader *l)
{
	pthread_mutex_lock(&l->p->lock);
	l->stopping = true;
	pthread_cond_broadcast(&l->work);
	pthread_mutex_unlock(&l->p->lock);
	for (; l->started; l->started--)
		pthread_join(l->threads[l->started - 1], NULL);
}

void loader_free(struct loader *l)
{
	if (!l)
		return;
	loader_stop(l);
	pthread_cond_destroy(&l->work);
	free(l);
}
