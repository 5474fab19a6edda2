#include <config.h>

#include <inttypes.h>
#include <stdlib.h>

#include "blob/base/log.h"
#include "vhd/disk_priv.h"

static void flush_report(struct disk *d, struct task *t)
{
	struct flush_req *f = (struct flush_req *)t;

	f->done(f->arg, f->failed ? &f->err : NULL);
	free(f);
}

static void finish(struct disk *d, struct flush_req **p, const struct err *err)
{
	struct flush_req *f = *p;

	*p = f->next;
	f->failed = err != NULL;
	if (err)
		f->err = *err;
	disk_queue(d, &f->task, flush_report);
}

/* Storage that has taken nothing for a whole deadline is not given another one by
 * each of the flushes that an unmount makes, one after the other. */
static unsigned patience_ms(const struct disk *d)
{
	return d->stalled ? d->o.io_deadline_ms / 10 : d->o.io_deadline_ms;
}

void disk_flush(struct disk *d, disk_done_fn *done, void *arg)
{
	disk_enter(d);
	d->stats.flushes++;
	disk_flush_locked(d, done, arg);
	disk_leave(d);
}

/* Takes the mutex held and gives it back held; `done` is called without it. */
void disk_flush_locked(struct disk *d, disk_done_fn *done, void *arg)
{
	struct flush_req *f = malloc(sizeof(*f));
	struct err err = { .code = ERR_NONE };

	if (!f) {
		err_set(&err, ERR_NO_MEMORY, "no memory for a flush");
		disk_leave(d);
		done(arg, &err);
		disk_enter(d);
		return;
	}
	f->target = d->epoch;
	f->deadline_ms = disk_now_ms() + patience_ms(d);
	f->done = done;
	f->arg = arg;
	f->next = d->flushes;
	d->flushes = f;
	if (d->lease_state == LEASE_LOST && !d->o.overlay && !d->o.read_only) {
		err_set(&err, ERR_LEASE_LOST, "the lease of the blob is lost; %" PRIu64
			" bytes that were still in memory were dropped", d->stats.dropped_bytes);
		finish(d, &d->flushes, &err);
		return;
	}
	if (d->o.overlay || disk_oldest_epoch(d) > f->target) {
		finish(d, &d->flushes, NULL);
		return;
	}
	d->epoch++;
	disk_store_kick(d);
	disk_need_clock(d);
}

void disk_flushes_check(struct disk *d)
{
	struct flush_req **p = &d->flushes;
	uint64_t oldest;

	if (!*p)
		return;
	oldest = disk_oldest_epoch(d);
	while (*p) {
		if (oldest > (*p)->target)
			finish(d, p, NULL);
		else
			p = &(*p)->next;
	}
}

void disk_flushes_fail(struct disk *d, uint64_t epoch, const struct err *err)
{
	struct flush_req **p = &d->flushes;

	while (*p) {
		if ((*p)->target >= epoch)
			finish(d, p, err);
		else
			p = &(*p)->next;
	}
}

void disk_flushes_expire(struct disk *d, uint64_t now_ms)
{
	struct flush_req **p = &d->flushes;
	struct err err;

	while (*p) {
		if (now_ms < (*p)->deadline_ms) {
			p = &(*p)->next;
			continue;
		}
		err_set(&err, ERR_TIMEOUT, "storage took no writes for %u s%s", d->o.io_deadline_ms / 1000,
			d->stalled ? " or longer" : "");
		finish(d, p, &err);
		d->stalled = true;
	}
}

/* --- the lease --- */

static void drop_dirty(struct disk *d)
{
	struct chunk *ch;

	while ((ch = d->dirty.dirty_next) != &d->dirty) {
		d->stats.dropped_bytes += (uint64_t)sectors_count(ch->dirty) << SECTOR_SHIFT;
		/* The bytes in memory are not what the blob holds. (Where a writer
		 * is at work it takes its sectors away itself when it is done.) */
		if (!ch->copying)
			ch->have &= ~ch->dirty;
		disk_forget_dirty(d, ch, ch->dirty);
		cache_settle(d->cache, ch);
	}
}

void disk_lease_changed(struct disk *d, enum lease_state state)
{
	struct err err;

	disk_enter(d);
	if (d->lease_state == LEASE_LOST) {
		disk_leave(d);
		return;
	}
	d->lease_state = state;
	if (state == LEASE_LOST && !d->o.overlay) {
		drop_dirty(d);
		if (d->stats.dropped_bytes || d->writing_sectors)
			log_error("the lease is lost: %" PRIu64 " bytes that were written but not yet stored "
				  "were dropped, %" PRIu64 " more were on their way", d->stats.dropped_bytes,
				  d->writing_sectors << SECTOR_SHIFT);
		err_set(&err, ERR_LEASE_LOST, "the lease of the blob is lost");
		disk_writes_fail(d, &err);
		disk_flushes_fail(d, 0, &err);
		disk_discards_fail(d, &err);
	} else if (state == LEASE_DOUBTFUL) {
		err_set(&err, ERR_TIMEOUT, "the lease of the blob is in doubt: storage does not answer");
		disk_writes_fail(d, &err);
	} else {
		d->store_retry_ms = 0;
	}
	disk_wake(d);
	disk_leave(d);
}
