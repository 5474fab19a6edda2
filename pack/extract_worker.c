/* extract_worker.c - fetching, decoding and writing; see extraction.h. */
#include <config.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "pack/decoder.h"
#include "pack/extraction.h"

/* Content is written so many bytes at a time. */
#define OUT_BYTES (512u << 10)

/* The disk begins to write behind us when so many bytes of a file are there, rather
 * than all at once at the end. */
#define WRITE_BEHIND (8u << 20)

/* Pieces that one worker has asked for. */
#define QUEUE_MAX 16

enum piece_state { PIECE_ASKED, PIECE_CAME, PIECE_FAILED };

struct worker;

struct piece {
	struct worker *worker;
	uint8_t *buffer;
	uint64_t offset;
	size_t len;
	const struct extract_job *job;
	enum piece_state state;    /* under the worker's lock */
	struct err err;
};

struct worker {
	struct extraction *x;
	pthread_mutex_t lock;
	pthread_cond_t came;

	/* What was asked for: a ring. */
	struct piece queue[QUEUE_MAX];
	unsigned head, length;

	/* The job whose pieces are asked for. */
	const struct extract_job *asking;
	uint64_t asked;            /* up to here */

	/* The job whose pieces are decoded, and the member in it. */
	const struct extract_job *job;
	uint32_t member;           /* the next one, or the one that is open */
	bool open;
	uint32_t entry;
	int fd;                    /* -1: no file yet */
	uint64_t written, behind;  /* bytes of the file; of them told to the disk */
	struct pack_decoder *decoder;
	struct extract_dir dir;
	size_t out_len;
	uint8_t out[OUT_BYTES];
};

/* --- fetching --- */

static void piece_came(void *arg, const struct blob_reply *reply)
{
	struct piece *p = arg;
	struct worker *w = p->worker;

	pthread_mutex_lock(&w->lock);
	p->err = reply->err;
	p->state = reply->err.code ? PIECE_FAILED : PIECE_CAME;
	pthread_cond_signal(&w->came);
	pthread_mutex_unlock(&w->lock);
}

static void ask(struct worker *w, struct piece *p)
{
	const struct extraction *x = w->x;
	struct iovec iov = { p->buffer, p->len };

	p->worker = w;
	p->state = PIECE_ASKED;
	if (x->blob)
		blob_get_range_start(x->blob->client, &x->blob->ref, p->offset, &iov, 1,
				     x->blob->props.etag, piece_came, p);
	else
		p->state = x->reader->read(x->reader, p->offset, p->buffer, p->len, &p->err) < 0 ?
			PIECE_FAILED : PIECE_CAME;
}

/* The next job, if there is one. */
static bool next_job(struct worker *w)
{
	struct extraction *x = w->x;
	uint32_t n;

	if (w->asking && w->asked < w->asking->end)
		return true;
	n = atomic_fetch_add(&x->next_job, 1);
	if (n >= x->plan.job_count) {
		atomic_store(&x->next_job, x->plan.job_count);
		w->asking = NULL;
		return false;
	}
	w->asking = &x->plan.jobs[n];
	w->asked = w->asking->offset;
	return true;
}

/* Ask for as much as there is room for: a share of the pool, without waiting for it
 * but for the first piece. */
static void fill_queue(struct worker *w)
{
	struct extraction *x = w->x;
	unsigned share = pack_pool_count(x->pool) / x->threads, depth = share;

	depth = depth < 2 ? 2 : depth > QUEUE_MAX ? QUEUE_MAX : depth;
	while (w->length < depth && extraction_goes_on(x)) {
		struct piece *p = &w->queue[(w->head + w->length) % QUEUE_MAX];
		uint64_t left;

		if (!w->length)
			p->buffer = pack_pool_take(x->pool);
		else
			p->buffer = pack_pool_try(x->pool);
		if (!p->buffer)
			return;
		if (!next_job(w)) {
			pack_pool_give(x->pool, p->buffer);
			return;
		}
		left = w->asking->end - w->asked;
		p->job = w->asking;
		p->offset = w->asked;
		p->len = left < x->piece ? (size_t)left : x->piece;
		w->asked += p->len;
		w->length++;
		ask(w, p);
	}
}

/* The first piece of the queue, when it is there. */
static struct piece *wait_for_piece(struct worker *w)
{
	struct piece *p = &w->queue[w->head];

	pthread_mutex_lock(&w->lock);
	while (p->state == PIECE_ASKED)
		pthread_cond_wait(&w->came, &w->lock);
	pthread_mutex_unlock(&w->lock);
	return p;
}

static void drop_piece(struct worker *w)
{
	pack_pool_give(w->x->pool, w->queue[w->head].buffer);
	w->head = (w->head + 1) % QUEUE_MAX;
	w->length--;
}

/* --- decoding --- */

static int open_member(struct worker *w, struct err *err)
{
	const struct extraction *x = w->x;
	const struct pack_entry *entry;

	w->entry = x->plan.members[w->member];
	w->written = w->behind = 0;
	w->out_len = 0;
	w->fd = -1;
	entry = &x->index->entries[w->entry];
	if (!w->decoder) {
		w->decoder = pack_decoder_new(entry, x->reader->name, err);
		if (!w->decoder)
			return -1;
	} else if (pack_decoder_reset(w->decoder, entry, err) < 0) {
		return -1;
	}
	w->open = true;
	return 0;
}

/* What is decoded goes into the file; a symlink's target waits for its end. */
static int write_out(struct worker *w, struct err *err)
{
	struct extraction *x = w->x;

	if (x->index->entries[w->entry].type == PACK_LINK)
		return err_set(err, ERR_FORMAT, "%s: %s: a symlink to a path of more than %d bytes",
			       x->reader->name, x->index->entries[w->entry].path, PACK_LINK_MAX);
	if (w->fd < 0)
		w->fd = extract_create(&x->tree, &w->dir, w->entry, err);
	if (w->fd < 0 || extract_write(&x->tree, w->entry, w->fd, w->out, w->out_len, err) < 0)
		return -1;
	w->written += w->out_len;
	atomic_fetch_add(&x->bytes, w->out_len);
	w->out_len = 0;
	if (w->written - w->behind >= WRITE_BEHIND) {
		sync_file_range(w->fd, (off_t)w->behind, (off_t)(w->written - w->behind),
				SYNC_FILE_RANGE_WRITE);
		w->behind = w->written;
	}
	return 0;
}

static int keep_link(struct worker *w, struct err *err)
{
	struct extraction *x = w->x;
	struct extract_link *link;

	if (w->out_len > PACK_LINK_MAX)
		return write_out(w, err);
	link = malloc(sizeof(*link) + w->out_len + 1);
	if (!link)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	link->entry = w->entry;
	memcpy(link->target, w->out, w->out_len);
	link->target[w->out_len] = '\0';
	/* A NUL in it would hide what stands behind: nothing is a target that no
	 * symlink can have. */
	if (strlen(link->target) != w->out_len)
		link->target[0] = '\0';
	pthread_mutex_lock(&x->lock);
	link->next = x->links;
	x->links = link;
	pthread_mutex_unlock(&x->lock);
	return 0;
}

static int close_member(struct worker *w, struct err *err)
{
	struct extraction *x = w->x;
	int fd;

	if (x->index->entries[w->entry].type == PACK_LINK) {
		if (keep_link(w, err) < 0)
			return -1;
	} else {
		if ((w->out_len || w->fd < 0) && write_out(w, err) < 0)
			return -1;
		fd = steal_fd(&w->fd);
		if (extract_finish(&x->tree, w->entry, fd, err) < 0)
			return -1;
	}
	atomic_fetch_add(&x->files, 1);
	w->open = false;
	w->member++;
	return 0;
}

/* Decode what there is of the open member. 1: it is complete; 0: more is needed. */
static int decode(struct worker *w, const uint8_t **in, size_t *in_len, struct err *err)
{
	for (;;) {
		size_t produced = 0;
		enum pack_step step = pack_decoder_run(w->decoder, in, in_len, w->out + w->out_len,
						       OUT_BYTES - w->out_len, &produced, err);

		w->out_len += produced;
		if (step == PACK_STEP_FAILED)
			return -1;
		if (step == PACK_STEP_DONE)
			return close_member(w, err) < 0 ? -1 : 1;
		if (step == PACK_STEP_INPUT)
			return 0;
		if (write_out(w, err) < 0)
			return -1;
	}
}

static int cut_short(const struct worker *w, struct err *err)
{
	return err_set(err, ERR_FORMAT, "%s: %s: damaged data: it goes on where another member begins",
		       w->x->reader->name, w->x->index->entries[w->entry].path);
}

/* The members, or parts of them, that lie in a piece. */
static int take_piece(struct worker *w, const struct piece *p, struct err *err)
{
	const struct extract_plan *plan = &w->x->plan;
	uint64_t at = p->offset, end = p->offset + p->len;
	int rc;

	if (w->job != p->job) {
		w->job = p->job;
		w->member = p->job->first;
	}
	while (w->member < w->job->first + w->job->count) {
		uint64_t start = w->x->index->entries[plan->members[w->member]].header_offset;
		uint64_t member_end = plan->ends[w->member];
		const uint8_t *in;
		size_t in_len;

		if (!w->open && start > at)
			at = start;
		if (at >= end && (w->open || start < member_end))
			return 0;
		if (!w->open && open_member(w, err) < 0)
			return -1;
		in = p->buffer + (at - p->offset);
		in_len = (size_t)((member_end < end ? member_end : end) - at);
		rc = decode(w, &in, &in_len, err);
		if (rc < 0)
			return -1;
		at = p->offset + (uint64_t)(in - p->buffer);
		if (rc == 0 && at >= member_end)
			return cut_short(w, err);
	}
	return 0;
}

/* --- the thread --- */

static void work(struct worker *w)
{
	struct extraction *x = w->x;
	struct err err;

	for (;;) {
		struct piece *p;

		fill_queue(w);
		if (!w->length)
			return;
		p = wait_for_piece(w);
		if (p->state == PIECE_FAILED) {
			extraction_fail(x, &p->err);
		} else if (extraction_goes_on(x)) {
			atomic_fetch_add(&x->fetched, p->len);
			if (take_piece(w, p, &err) < 0)
				extraction_fail(x, &err);
		}
		drop_piece(w);
		extraction_progress(x);
	}
}

void *extract_worker(void *arg)
{
	struct worker *w = malloc(sizeof(*w));
	struct err err;

	if (!w) {
		err_set(&err, ERR_NO_MEMORY, "out of memory");
		extraction_fail(arg, &err);
		return NULL;
	}
	memset(w, 0, offsetof(struct worker, out));
	w->x = arg;
	w->fd = w->dir.fd = -1;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->came, NULL);
	work(w);
	if (w->fd >= 0)
		close(w->fd);
	if (w->dir.fd >= 0)
		close(w->dir.fd);
	if (w->decoder)
		pack_decoder_free(w->decoder);
	pthread_cond_destroy(&w->came);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}
