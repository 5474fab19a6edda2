#include <config.h>

#include "blob/upload_feed.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/* More would only wait: for the memory, or the network. */
#define FEEDERS_MAX 4

/*
 * What the threads have in common. `lock` guards at and end, and the position of the
 * file, which looking for extents moves; it is taken alone, never with that of the
 * upload, for which I/O threads wait.
 */
struct feed {
	struct upload *u;
	const struct upload_source *source;
	uint64_t size;                 /* bytes wanted */
	pthread_mutex_t lock;
	uint64_t at, end;              /* what is left of this extent */
};

/* Bytes of the blob that one slot takes. */
struct chunk {
	uint64_t offset, len;
};

int upload_has_changed(const struct upload_source *source, struct err *err)
{
	return err_set(err, ERR_CONDITION, "%s: was changed while it was uploaded: try again when it is still",
		       source->path);
}

/* --- the cursor --- */

/* With the lock held: the next extent that has data; adds to *skipped what is before
 * it. 1, 0 when there is none, -1. */
static int next_extent(struct feed *f, uint64_t *skipped, struct err *err)
{
	uint64_t total = f->u->total, start, end;
	int rc = upload_next_extent(f->source->fd, f->source->path, f->at, f->size, &start, &end, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		start = end = total;
	*skipped = start - f->at;
	f->at = start;
	f->end = end;
	return rc;
}

/* 1, 0 when all has been taken, -1. */
static int next_chunk(struct feed *f, struct chunk *c, struct err *err)
{
	uint64_t block = f->u->options->block_size, skipped = 0, end;
	int rc = 1;

	pthread_mutex_lock(&f->lock);
	if (f->at == f->end)
		rc = next_extent(f, &skipped, err);
	if (rc > 0) {
		end = (f->at / block + 1) * block;
		if (end > f->end)
			end = f->end;
		*c = (struct chunk){ .offset = f->at, .len = end - f->at };
		f->at = end;
	}
	pthread_mutex_unlock(&f->lock);
	upload_skip(f->u, skipped);
	return rc;
}

/* --- a chunk --- */

static int read_file(const struct upload_source *s, char *data, uint64_t len, uint64_t offset,
		     struct err *err)
{
	while (len) {
		ssize_t n = pread(s->fd, data, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(err, errno, "%s: can't be read at byte %llu", s->path,
					     (unsigned long long)offset);
		if (n == 0)
			return upload_has_changed(s, err);
		data += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* What is wanted of the file, zeros behind it. */
static int fill(const struct feed *f, struct upload_slot *slot, const struct chunk *c, struct err *err)
{
	uint64_t there = c->offset + c->len > f->size ? f->size - c->offset : c->len;

	if (read_file(f->source, slot->data, there, c->offset, err) < 0)
		return -1;
	memset(slot->data + there, 0, c->len - there);
	slot->offset = c->offset;
	return 0;
}

static void plan(const struct feed *f, struct upload_slot *slot, uint64_t len,
		 struct upload_economy *economy)
{
	if (!f->u->whole) {
		slot->count = upload_plan(slot->data, len, economy, slot->pieces);
		return;
	}
	slot->pieces[0] = (struct upload_piece){ .offset = 0, .len = (uint32_t)len };
	slot->count = 1;
}

/* What goes over the network is summed up here, piece by piece, and the whole beside
 * it: the latter tells who downloads it that it is what was uploaded. */
static int sum_up(struct upload *u, struct upload_slot *slot, uint64_t len, struct err *err)
{
	int rc = 0;

	if (u->whole)
		md5_thread_add(u->whole, slot->data, len);
	for (size_t i = 0; i < slot->count && rc == 0; i++) {
		struct upload_piece *p = &slot->pieces[i];

		rc = md5_of(slot->data + p->offset, p->len, p->md5, err);
	}
	if (u->whole)
		md5_thread_wait(u->whole);
	return rc;
}

/* 1, 0 when the upload has failed elsewhere, -1. */
static int send_chunk(struct feed *f, const struct chunk *c, struct upload_economy *economy,
		      struct err *err)
{
	struct upload_slot *slot = upload_slot_get(f->u);
	uint64_t travels = 0;

	if (!slot)
		return 0;
	if (fill(f, slot, c, err) < 0) {
		upload_slot_done(slot, err);   /* the others stop soon */
		return -1;
	}
	plan(f, slot, c->len, economy);
	if (sum_up(f->u, slot, c->len, err) < 0) {
		upload_slot_done(slot, err);
		return -1;
	}
	for (size_t i = 0; i < slot->count; i++)
		travels += slot->pieces[i].len;
	upload_skip(f->u, c->len - travels);
	if (slot->count)
		upload_slot_send(slot);
	else
		upload_slot_put(slot);
	return 1;
}

/* --- the threads --- */

/* The economy's rule holds for what each of them sends, so for all of it. */
static void *feed_chunks(void *arg)
{
	struct feed *f = arg;
	struct upload_economy economy = { .data = 0 };
	struct chunk chunk;
	struct err err;
	int rc;

	do {
		rc = next_chunk(f, &chunk, &err);
		if (rc > 0)
			rc = send_chunk(f, &chunk, &economy, &err);
	} while (rc > 0);
	upload_feeder_ended(f->u, rc < 0 ? &err : NULL);
	return NULL;
}

/* Reading and summing up keep a processor busy; the order of blocks needs one thread. */
static unsigned count_feeders(const struct feed *f)
{
	uint64_t chunks = f->size / f->u->options->block_size + 1;
	unsigned count = FEEDERS_MAX;
	cpu_set_t ours;

	if (f->u->whole)
		return 1;
	/* This fails where there are more than fit in the set: plenty. */
	if (sched_getaffinity(0, sizeof(ours), &ours) == 0 && (unsigned)CPU_COUNT(&ours) < count)
		count = (unsigned)CPU_COUNT(&ours);
	return chunks < count ? (unsigned)chunks : count;
}

int upload_feed(struct upload *u, const struct upload_source *source, uint64_t size, struct err *err)
{
	struct feed f = { .u = u, .source = source, .size = size, .lock = PTHREAD_MUTEX_INITIALIZER };
	unsigned wanted = count_feeders(&f), started = 0;
	pthread_t feeders[FEEDERS_MAX];
	int rc = 0;

	if (u->whole)
		f.end = size;          /* of blocks the holes travel, too */
	while (started < wanted && rc == 0) {
		upload_feeder_begins(u);
		rc = pthread_create(&feeders[started], NULL, feed_chunks, &f);
		if (rc == 0)
			started++;
		else
			upload_feeder_ended(u, NULL);
	}
	if (!started)                  /* one can do it all */
		return err_set_errno(err, rc, "can't start a thread");
	rc = upload_drain(u, err);
	for (unsigned i = 0; i < started; i++)
		pthread_join(feeders[i], NULL);
	pthread_mutex_destroy(&f.lock);
	return rc;
}
