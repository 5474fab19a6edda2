/*
 * The list of a container's blobs: one request (of a few thousand names each), in the
 * background, every `refresh` seconds for as long as somebody looks.
 *
 * Who looks when nobody has done so for longer than that waits for the new list, so
 * that nothing is shown that is older. When storage does not answer what is known is
 * shown, and nobody waits.
 */
#include <config.h>

#include "fs/package.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/log.h"

struct refresher {
	struct package *p;
	int64_t period_ms;
	pthread_mutex_t lock;
	pthread_cond_t kick;
	int64_t listed_ms;         /* or tried */
	bool looked;               /* since then */
	bool stopping, started;
	struct call *parked, **parked_end;
	char trouble[256];
	pthread_t thread;
};

struct listing *package_listing(struct package *p)
{
	struct listing *l;

	pthread_mutex_lock(&p->lock);
	l = listing_ref(p->listing);
	pthread_mutex_unlock(&p->lock);
	return l;
}

/* --- listing --- */

static struct listing *build(struct package *p, struct blob_list *list, struct err *err)
{
	const char **names = calloc(list->count + 1, sizeof(*names));
	void **items = calloc(list->count + 1, sizeof(*items));
	struct listing *l = NULL;
	size_t n = 0;

	for (; names && items && n < list->count; n++) {
		names[n] = list->items[n].name;
		items[n] = version_get(p, names[n], &list->items[n].props, err);
		if (!items[n])
			break;
	}
	if (names && items && n == list->count)
		l = listing_new(names, items, n, version_release);
	else
		while (n--)
			version_unref(items[n]);
	free(names);
	free(items);
	if (!l)
		err_set(err, ERR_NO_MEMORY, "%s: out of memory for %zu blobs", p->w.name, list->count);
	return l;
}

/* The new listing; the old one, with its reference, in *before. */
static int list(struct package *p, struct listing **before, struct err *err)
{
	struct blob_list blobs;
	struct listing *l;

	if (blob_list(p->w.control_client, p->w.job.container, NULL, BLOB_LIST_META, &blobs, err) < 0)
		return -1;
	l = build(p, &blobs, err);
	blob_list_free(&blobs);
	if (!l)
		return -1;
	pthread_mutex_lock(&p->lock);
	*before = p->listing;
	p->listing = l;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/* --- the thread --- */

static void run_parked(struct call *all)
{
	struct call *c;

	while ((c = all)) {
		all = c->next;
		c->run(c);
		free(c);
	}
}

/* With the lock, given back meanwhile. Those who wait are answered before the kernel is
 * told: it may be waiting for them. */
static void refresh(struct refresher *r)
{
	struct listing *before = NULL, *now;
	struct call *parked;
	struct err err;
	int rc;

	r->looked = false;
	pthread_mutex_unlock(&r->lock);
	rc = list(r->p, &before, &err);
	pthread_mutex_lock(&r->lock);
	r->listed_ms = worker_now_ms();
	if (rc < 0 && !r->stopping && !*r->trouble)
		log_warn("%s: can't list the blobs again: %s", r->p->w.name, err.msg);
	snprintf(r->trouble, sizeof(r->trouble), "%.*s", (int)sizeof(r->trouble) - 1, rc < 0 ? err.msg : "");
	parked = r->parked;
	r->parked = NULL;
	r->parked_end = &r->parked;
	pthread_mutex_unlock(&r->lock);
	run_parked(parked);
	if (before) {
		now = package_listing(r->p);
		names_invalidate(r->p, before, now);
		listing_unref(now);
		listing_unref(before);
	}
	pthread_mutex_lock(&r->lock);
}

static void sleep_until(struct refresher *r, int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	pthread_cond_clockwait(&r->kick, &r->lock, CLOCK_MONOTONIC, &ts);
}

static void *refresher_thread(void *arg)
{
	struct refresher *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->stopping) {
		int64_t due = r->listed_ms + r->period_ms;

		if (!r->looked)
			pthread_cond_wait(&r->kick, &r->lock);
		else if (worker_now_ms() < due)
			sleep_until(r, due);
		else
			refresh(r);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* --- the face --- */

void refresher_look(struct refresher *r, struct call *c)
{
	struct call *copy = NULL;

	pthread_mutex_lock(&r->lock);
	if (!r->looked) {
		r->looked = true;
		pthread_cond_signal(&r->kick);
	}
	if (!r->stopping && !*r->trouble && worker_now_ms() >= r->listed_ms + r->period_ms)
		copy = malloc(sizeof(*copy));
	if (copy) {
		*copy = *c;
		copy->next = NULL;
		*r->parked_end = copy;
		r->parked_end = &copy->next;
		pthread_cond_signal(&r->kick);
	}
	pthread_mutex_unlock(&r->lock);
	if (!copy)
		c->run(c);
}

double refresher_timeout(const struct refresher *r)
{
	return r->period_ms < 4000 ? (double)r->period_ms / 4000 : 1;
}

void refresher_trouble(struct refresher *r, char *out, size_t size)
{
	pthread_mutex_lock(&r->lock);
	snprintf(out, size, "%s", r->trouble);
	pthread_mutex_unlock(&r->lock);
}

struct refresher *refresher_new(struct package *p, struct err *err)
{
	struct refresher *r = calloc(1, sizeof(*r));
	struct listing *before;
	int rc;

	if (!r) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	r->p = p;
	r->period_ms = (int64_t)p->w.job.package.refresh_s * 1000;
	r->parked_end = &r->parked;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->kick, NULL);
	if (list(p, &before, err) < 0) {
		refresher_free(r);
		return NULL;
	}
	r->listed_ms = worker_now_ms();
	rc = pthread_create(&r->thread, NULL, refresher_thread, r);
	r->started = rc == 0;
	if (rc) {
		err_set_errno(err, rc, "can't start a thread");
		refresher_free(r);
		return NULL;
	}
	return r;
}

void refresher_stop(struct refresher *r)
{
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_signal(&r->kick);
	pthread_mutex_unlock(&r->lock);
	if (r->started)
		pthread_join(r->thread, NULL);
	r->started = false;
	run_parked(r->parked);
	r->parked = NULL;
	r->parked_end = &r->parked;
}

void refresher_free(struct refresher *r)
{
	if (!r)
		return;
	refresher_stop(r);
	pthread_cond_destroy(&r->kick);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
