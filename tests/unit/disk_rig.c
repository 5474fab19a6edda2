#include <config.h>

#include "tests/unit/unit.h"

#include "tests/unit/disk_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void die(const char *what)
{
	fprintf(stdout, "Bail out! %s\n", what);
	fflush(stdout);
	abort();
}

static void changed(void *arg, enum lease_state state)
{
	struct rig *r = arg;

	pthread_mutex_lock(&r->lock);
	r->last = state;
	if (r->d)
		disk_lease_changed(r->d, state);
	/* From now on nothing that it still has may go out. */
	if (state == LEASE_LOST)
		model_mark(r->m);
	pthread_mutex_unlock(&r->lock);
}

void rig_open(struct rig *r, const struct rig_options *o)
{
	struct lease_options lo = { .duration_s = o->lease_s ? o->lease_s : 60, .changed = changed,
				    .unit_ms = o->unit_ms ? o->unit_ms : 50, .arg = r };
	char footer[BLOB_PAGE];
	struct lease_keeper *k = NULL;
	struct disk *d;
	struct err err;

	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	r->size = o->disk.size;
	r->m = model_new(r->size + BLOB_PAGE, lo.unit_ms, o->seed + 1);
	r->store = model_store(r->m);
	memset(footer, RIG_FOOTER, sizeof(footer));
	model_blob_put(model_blob(r->m), r->size, sizeof(footer), footer, NULL, NULL, NULL);
	if (o->fill)
		o->fill(r);
	strcpy(lo.holder.host, "node1");
	strcpy(lo.holder.user, "root");
	strcpy(lo.holder.since, "2026-11-21T03:26:09Z");
	if (!o->no_lease && !(k = lease_keeper_start(&r->store, &lo, &err)))
		die(err.msg);
	d = disk_open(&r->store, k, &o->disk, &err);
	if (!d)
		die(err.msg);
	pthread_mutex_lock(&r->lock);
	r->k = k;
	r->d = d;
	if (r->last != LEASE_HELD)
		disk_lease_changed(d, r->last);
	pthread_mutex_unlock(&r->lock);
}

static void judge(struct rig *r)
{
	struct model_seen s;
	char footer[BLOB_PAGE];
	unsigned i;

	model_seen(r->m, &s);
	if (s.overlaps)
		die("a page was written twice at a time");
	if (s.unfenced)
		die("a page of unknown outcome was written again without a fence");
	if (s.changed_bodies)
		die("bytes changed while they were on their way");
	if (s.without_lease)
		die("a write went out without a lease id");
	if (s.bad_calls)
		die("a call that was not aligned, too long or outside the blob");
	/* What another thread was just about to send is refused by storage. */
	if (s.landed_after_mark || s.after_mark > 16)
		die("a write was sent after the lease was lost");
	rig_peek(r, r->size, sizeof(footer), footer);
	for (i = 0; i < sizeof(footer); i++)
		if ((unsigned char)footer[i] != RIG_FOOTER)
			die("the footer was touched");
}

int rig_close(struct rig *r, struct err *err)
{
	struct disk *d = r->d;
	int rc = 0;

	if (d)
		rc = disk_close(d, err);
	pthread_mutex_lock(&r->lock);
	r->d = NULL;
	pthread_mutex_unlock(&r->lock);
	judge(r);
	if (r->k)
		lease_keeper_stop(r->k, true, NULL);
	model_free(r->m);
	pthread_mutex_destroy(&r->lock);
	return rc;
}

/* --- one call ------------------------------------------------------------------ */

void io_init(struct io *io)
{
	pthread_condattr_t attr;

	memset(io, 0, sizeof(*io));
	pthread_mutex_init(&io->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&io->cond, &attr);
	pthread_condattr_destroy(&attr);
}

void io_destroy(struct io *io)
{
	if (io->called > 1)
		die("a callback was called twice");
	pthread_cond_destroy(&io->cond);
	pthread_mutex_destroy(&io->lock);
}

static void io_begin(struct io *io, const char *what, uint64_t offset, uint64_t len)
{
	pthread_mutex_lock(&io->lock);
	if (io->called > 1)
		die("a callback was called twice");
	io->what = what;
	io->offset = offset;
	io->len = len;
	io->called = 0;
	io->in_call = false;
	pthread_mutex_unlock(&io->lock);
}

static void io_end(struct io *io)
{
	pthread_mutex_lock(&io->lock);
	io->in_call = io->called > 0;
	pthread_mutex_unlock(&io->lock);
}

static void finish(struct io *io, const struct err *err)
{
	pthread_mutex_lock(&io->lock);
	if (++io->called > 1)
		die("a callback was called twice");
	io->rc = err ? -1 : 0;
	if (err)
		io->err = *err;
	else
		err_clear(&io->err);
	pthread_cond_signal(&io->cond);
	pthread_mutex_unlock(&io->lock);
}

static void read_done(void *arg, const struct err *err, const struct iovec *iov, int count)
{
	struct io *io = arg;
	uint64_t n = 0;
	int i;

	for (i = 0; !err && i < count; i++) {
		if (iov[i].iov_len > io->len - n)
			die("a read gave more bytes than were asked for");
		memcpy(io->into + n, iov[i].iov_base, iov[i].iov_len);
		n += iov[i].iov_len;
	}
	if (!err && n != io->len)
		die("a read gave fewer bytes than were asked for");
	finish(io, err);
}

static void done(void *arg, const struct err *err)
{
	finish(arg, err);
}

void io_read(struct rig *r, struct io *io, uint64_t offset, uint32_t len, void *into)
{
	io_begin(io, "read", offset, len);
	io->into = into;
	disk_read(r->d, offset, len, read_done, io);
	io_end(io);
}

void io_write(struct rig *r, struct io *io, uint64_t offset, uint32_t len, const void *data)
{
	io_begin(io, "write", offset, len);
	disk_write(r->d, offset, data, len, done, io);
	io_end(io);
}

void io_flush(struct rig *r, struct io *io)
{
	io_begin(io, "flush", 0, 0);
	disk_flush(r->d, done, io);
	io_end(io);
}

void io_discard(struct rig *r, struct io *io, uint64_t offset, uint64_t len)
{
	io_begin(io, "discard", offset, len);
	disk_discard(r->d, offset, len, done, io);
	io_end(io);
}

bool io_done(struct io *io)
{
	bool yes;

	pthread_mutex_lock(&io->lock);
	yes = io->called > 0;
	pthread_mutex_unlock(&io->lock);
	return yes;
}

int io_wait(struct io *io)
{
	int64_t end = model_now() + RIG_WATCHDOG_MS;
	struct timespec t = { .tv_sec = end / 1000, .tv_nsec = end % 1000 * 1000000 };
	char text[128];
	int rc = 0;

	pthread_mutex_lock(&io->lock);
	while (!io->called && rc == 0)
		rc = pthread_cond_timedwait(&io->cond, &io->lock, &t);
	if (!io->called) {
		snprintf(text, sizeof(text), "a %s of %" PRIu64 " bytes at %" PRIu64 " hangs", io->what,
			 io->len, io->offset);
		die(text);
	}
	rc = io->rc;
	pthread_mutex_unlock(&io->lock);
	return rc;
}

static int io_result(struct io *io, struct err *err)
{
	int rc = io_wait(io);

	if (rc < 0 && err)
		*err = io->err;
	io_destroy(io);
	return rc;
}

int rig_read(struct rig *r, uint64_t offset, uint32_t len, void *into, struct err *err)
{
	struct io io;

	io_init(&io);
	io_read(r, &io, offset, len, into);
	return io_result(&io, err);
}

int rig_write(struct rig *r, uint64_t offset, uint32_t len, const void *data, struct err *err)
{
	struct io io;

	io_init(&io);
	io_write(r, &io, offset, len, data);
	return io_result(&io, err);
}

int rig_flush(struct rig *r, struct err *err)
{
	struct io io;

	io_init(&io);
	io_flush(r, &io);
	return io_result(&io, err);
}

int rig_discard(struct rig *r, uint64_t offset, uint64_t len, struct err *err)
{
	struct io io;

	io_init(&io);
	io_discard(r, &io, offset, len);
	return io_result(&io, err);
}

void rig_peek(struct rig *r, uint64_t offset, uint64_t len, void *into)
{
	if (model_blob_get(model_blob(r->m), offset, len, into, NULL) < 0)
		die("the test looks outside the blob");
}

bool rig_quiet(void *rig)
{
	struct rig *r = rig;
	struct model_seen s;

	model_seen(r->m, &s);
	return s.in_flight == 0 && s.answering == 0;
}

unsigned rig_calls(struct rig *r, enum model_call call)
{
	struct model_seen s;

	model_seen(r->m, &s);
	return s.calls[call];
}

bool rig_until(bool (*holds)(void *arg), void *arg)
{
	int64_t end = model_now() + RIG_WATCHDOG_MS;

	while (!holds(arg)) {
		if (model_now() > end)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return true;
}

void flush_ok(struct rig *r)
{
	struct err err;

	if (rig_flush(r, &err) < 0)
		fail_msg("flush: %s", err.msg);
}

void close_ok(struct rig *r)
{
	struct err err;

	if (rig_close(r, &err) < 0)
		fail_msg("close: %s", err.msg);
}
