#include <config.h>

#include "blob/download.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/buf.h"
#include "blob/clock.h"
#include "blob/download_pool.h"

/* All buffers together; a single one may be larger if its user said so. */
#define POOL_BYTES (64ull << 20)

/* So much of a page blob is asked about at once: what is allocated there. */
#define RANGES_WINDOW (16ull << 30)

/* --- slots --- */

static int init(struct download *d, struct err *err)
{
	uint64_t wanted = POOL_BYTES / d->request_size;

	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	if (wanted > DOWNLOAD_SLOTS)
		wanted = DOWNLOAD_SLOTS;
	if (wanted < 2)
		wanted = 2;
	for (; d->slot_count < wanted; d->slot_count++, d->idle++) {
		struct download_slot *s = &d->slots[d->slot_count];

		s->d = d;
		s->idle = true;
		s->data = malloc(d->request_size);
		if (!s->data)
			return err_set(err, ERR_NO_MEMORY,
				       "no memory for %llu buffers of %llu bytes: choose a smaller block size",
				       (unsigned long long)wanted, (unsigned long long)d->request_size);
	}
	for (size_t i = 0; i < d->part.had.count; i++)
		if (extents_add(&d->done, d->part.had.items[i].start, d->part.had.items[i].end) < 0)
			return err_set(err, ERR_NO_MEMORY, "out of memory");
	return 0;
}

static void release(struct download *d)
{
	for (unsigned i = 0; i < d->slot_count; i++)
		free(d->slots[i].data);
	extents_free(&d->done);
	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->lock);
}

/* With the lock held. */
static void note_failure(struct download *d, const struct err *why)
{
	if (!d->failed) {
		d->failed = true;
		d->why = *why;
	}
	pthread_cond_broadcast(&d->changed);
}

void download_fail(struct download *d, const struct err *why)
{
	pthread_mutex_lock(&d->lock);
	note_failure(d, why);
	pthread_mutex_unlock(&d->lock);
}

void download_slot_done(struct download_slot *s, const struct err *why)
{
	struct download *d = s->d;

	pthread_mutex_lock(&d->lock);
	s->idle = true;
	d->idle++;
	if (why)
		note_failure(d, why);
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

static void queue(struct download_slot *s)
{
	struct download *d = s->d;

	pthread_mutex_lock(&d->lock);
	s->next = NULL;
	if (d->head)
		d->tail->next = s;
	else
		d->head = s;
	d->tail = s;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

static void received(void *arg, const struct blob_reply *reply)
{
	struct download_slot *s = arg;
	const char *md5;

	if (reply->err.code) {
		download_slot_done(s, &reply->err);
		return;
	}
	md5 = reply->header(reply, "Content-MD5");
	snprintf(s->md5, sizeof(s->md5), "%s", md5 ? md5 : "");
	queue(s);
}

void download_ask(struct download_slot *s)
{
	struct download *d = s->d;
	struct iovec iov = { s->data, s->len };

	blob_get_range_sum_start(d->client, d->ref, s->offset, &iov, 1, d->props->etag, received, s);
}

/* With the lock held, which is let go meanwhile: tell the user how far it is. */
static void tell(struct download *d)
{
	const struct download_options *o = d->options;
	uint64_t done = d->stats.received + d->stats.skipped + d->stats.resumed;

	if (!o->progress)
		return;
	pthread_mutex_unlock(&d->lock);
	o->progress(o->arg, done, d->size);
	pthread_mutex_lock(&d->lock);
}

static void wait_for_change(struct download *d)
{
	pthread_cond_wait(&d->changed, &d->lock);
	tell(d);
}

static struct download_slot *slot_get(struct download *d)
{
	struct download_slot *found = NULL;

	pthread_mutex_lock(&d->lock);
	while (!d->failed && !d->idle)
		wait_for_change(d);
	for (unsigned i = 0; !d->failed && !found; i++)
		if (d->slots[i].idle)
			found = &d->slots[i];
	if (found) {
		found->idle = false;
		d->idle--;
		tell(d);
	}
	pthread_mutex_unlock(&d->lock);
	return found;
}

/* Wait until all are idle. */
static int drain(struct download *d, struct err *err)
{
	bool failed;

	pthread_mutex_lock(&d->lock);
	while (d->idle < d->slot_count)
		wait_for_change(d);
	failed = d->failed;
	if (failed && err)
		*err = d->why;
	pthread_mutex_unlock(&d->lock);
	return failed ? -1 : 0;
}

/* --- what to ask for --- */

/* All of [start, end) that is not there from before. */
static int fetch(struct download *d, uint64_t start, uint64_t end, struct err *err)
{
	struct extent gap;

	while (extents_gap(&d->part.had, start, end, &gap)) {
		for (uint64_t at = gap.start; at < gap.end; ) {
			uint64_t left = gap.end - at;
			struct download_slot *s = slot_get(d);

			if (!s)
				return drain(d, err);
			s->offset = at;
			s->len = (size_t)(left < d->request_size ? left : d->request_size);
			s->attempts = 0;
			at += s->len;
			download_ask(s);
		}
		start = gap.end;
	}
	return 0;
}

struct ranges {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool there;
	struct err err;
	struct extents allocated;
};

static void take_ranges(void *arg, const struct err *err, const struct blob_range *ranges, size_t count)
{
	struct ranges *r = arg;

	pthread_mutex_lock(&r->lock);
	r->err.code = ERR_NONE;
	if (err && err->code)
		r->err = *err;
	for (size_t i = 0; i < count && !r->err.code; i++)
		if (extents_add(&r->allocated, ranges[i].offset, ranges[i].offset + ranges[i].len) < 0)
			err_set(&r->err, ERR_NO_MEMORY, "out of memory");
	r->there = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* A window of a page blob: what is not allocated stays a hole. */
static int fetch_allocated(struct download *d, uint64_t start, uint64_t end, struct err *err)
{
	struct ranges r = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	uint64_t pages = (end - start + BLOB_PAGE - 1) / BLOB_PAGE * BLOB_PAGE, sum = 0;
	int rc = 0;

	blob_page_ranges_start(d->client, d->ref, start, pages, take_ranges, &r);
	pthread_mutex_lock(&r.lock);
	while (!r.there)
		pthread_cond_wait(&r.changed, &r.lock);
	pthread_mutex_unlock(&r.lock);
	if (r.err.code) {
		*err = r.err;
		rc = -1;
	}
	for (size_t i = 0; i < r.allocated.count && rc == 0; i++) {
		struct extent *e = &r.allocated.items[i];

		if (e->end > end)
			e->end = end;
		if (e->start < e->end) {
			sum += e->end - e->start;
			rc = fetch(d, e->start, e->end, err);
		}
	}
	pthread_mutex_lock(&d->lock);
	d->stats.skipped += end - start - sum;
	pthread_mutex_unlock(&d->lock);
	extents_free(&r.allocated);
	return rc;
}

/* Holes were asked for without a condition: they hold if the blob is still the same. */
static int check_same(struct download *d, struct err *err)
{
	struct blob_props now;
	bool same;

	if (blob_get_props(d->client, d->ref, &now, err) < 0)
		return -1;
	same = !strcmp(now.etag, d->props->etag);
	blob_props_free(&now);
	return same ? 0 : err_set(err, ERR_CONDITION, "the ETag is another one");
}

static int fetch_all(struct download *d, struct err *err)
{
	if (d->props->type != BLOB_TYPE_PAGE)
		return fetch(d, 0, d->size, err);
	for (uint64_t at = 0; at < d->size; at += RANGES_WINDOW) {
		uint64_t left = d->size - at;

		if (fetch_allocated(d, at, at + (left < RANGES_WINDOW ? left : RANGES_WINDOW), err) < 0)
			return -1;
	}
	return check_same(d, err);
}

/* --- the whole --- */

static int identify(const struct download *d, struct part_of *of, struct err *err)
{
	cleanup_buf struct buf text = BUF_INIT(16384);

	memset(of, 0, sizeof(*of));
	if (buf_addf(&text, "%s\n%s\n%s\n%s", blob_client_account(d->client)->endpoint, d->ref->container,
		     d->ref->blob, d->ref->snapshot ? d->ref->snapshot : "") < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	of->size = d->size;
	snprintf(of->etag, sizeof(of->etag), "%s", d->props->etag);
	return md5_of(text.data, text.len, of->identity, err);
}

static int run(struct download *d, struct err *err)
{
	int rc;

	d->stats.anew = d->part.anew;
	d->stats.resumed = extents_sum(&d->part.had);
	rc = init(d, err);
	if (rc == 0)
		rc = download_threads_start(d, err);
	if (rc == 0)
		rc = fetch_all(d, err);
	if (drain(d, rc == 0 ? err : NULL) < 0)
		rc = -1;
	if (rc < 0)
		download_fail(d, err);
	download_threads_end(d);
	/* The sum of the whole is the last word. */
	if (rc == 0)
		rc = drain(d, err);
	release(d);
	return rc;
}

/* Larger requests can't be checked by themselves. */
static uint64_t request_size(const struct download *d)
{
	uint64_t size = d->options->block_size;

	if (!d->sum_whole && size > BLOB_MAX_SUM)
		size = BLOB_MAX_SUM;
	return d->size && size > d->size ? d->size : size;
}

int download_file(struct blob_client *c, const struct blob_ref *ref, const struct blob_props *props,
		  uint64_t size, const char *path, const struct download_options *o,
		  struct download_stats *stats, struct err *err)
{
	struct download d = { .client = c, .ref = ref, .props = props, .options = o, .size = size };
	struct part_of of;
	time_t modified;
	int rc;

	/* Whoever writes to a page blob does not look after this. */
	d.sum_whole = props->type == BLOB_TYPE_BLOCK && size == props->size && *props->content_md5;
	d.request_size = request_size(&d);
	if (http_date_parse(props->last_modified, &modified) < 0)
		modified = time(NULL);
	if (identify(&d, &of, err) < 0 || part_open(&d.part, path, &of, err) < 0)
		return -1;
	rc = run(&d, err);
	if (rc == 0)
		rc = part_finish(&d.part, modified, err);
	else if (err->code == ERR_CONDITION || err->code == ERR_NOT_FOUND)
		part_discard(&d.part);
	if (rc < 0 && err->code == ERR_CONDITION)
		err_set(err, ERR_CONDITION,
			"%s/%s: was changed while it was downloaded; run it again for what is there now",
			ref->container, ref->blob);
	part_close(&d.part);
	*stats = d.stats;
	return rc;
}
