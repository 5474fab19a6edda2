#include <config.h>

#include "fs/drive.h"

#include <inttypes.h>
#include <stdio.h>

#include "blob/base/log.h"

/* How long whoever still has the file open after unmounting is served. */
#define GRACE_MS 3000

/* --- waiting for a flush --- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	bool done;
	struct err err;
};

static void flushed(void *arg, const struct err *err)
{
	struct waiter *w = arg;

	pthread_mutex_lock(&w->lock);
	if (err)
		w->err = *err;
	w->done = true;
	pthread_cond_signal(&w->done_cond);
	pthread_mutex_unlock(&w->lock);
}

static int flush_once(struct disk *disk, struct err *err)
{
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .done_cond = PTHREAD_COND_INITIALIZER };

	disk_flush(disk, flushed, &w);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.done_cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.done_cond);
	pthread_mutex_destroy(&w.lock);
	if (!w.err.code)
		return 0;
	*err = w.err;
	return -1;
}

static struct disk_stats stats_of(struct disk *disk)
{
	struct disk_stats stats;

	disk_stats(disk, &stats);
	return stats;
}

/* A flush has a deadline, a cache full of dirty data on a slow line may need
 * several: go on as long as storage takes something. */
static int flush(struct disk *disk, struct err *err)
{
	for (;;) {
		uint64_t before = stats_of(disk).stored_bytes;

		if (flush_once(disk, err) == 0)
			return 0;
		if (err->code != ERR_TIMEOUT || stats_of(disk).stored_bytes == before)
			return -1;
	}
}

/* --- the parts, in the order in which they end --- */

static void unhook_lease(struct drive *d)
{
	pthread_mutex_lock(&d->hook_lock);
	d->hooked = NULL;
	pthread_mutex_unlock(&d->hook_lock);
}

/* The flush that can take long comes first, while the file is still served. Who is
 * served may write on: there is another after it, unless storage is gone. What a
 * flush could not store stays in memory, so disk_close() has the last word on what
 * was lost. */
static int close_disk(struct drive *d, struct err *err)
{
	struct disk *disk = d->disk;
	uint64_t dropped;
	bool stored = flush(disk, err) == 0;

	if (!stored)
		log_warn("%s: storing what was written: %s", d->w.name, err->msg);
	if (d->fuse && !drive_fuse_unmount(d->fuse, GRACE_MS))
		log_warn("%s: its disk file is still open somewhere and gives errors from now on", d->w.name);
	if (stored && flush(disk, err) < 0)
		log_warn("%s: storing what was written: %s", d->w.name, err->msg);
	unhook_lease(d);
	dropped = stats_of(disk).dropped_bytes;
	pthread_mutex_lock(&d->w.lock);
	d->w.last_stats = drive_stats(&d->w);
	d->disk = NULL;
	pthread_mutex_unlock(&d->w.lock);
	if (disk_close(disk, err) < 0)
		return err_prefix(err, "%s", d->w.name);
	if (dropped)
		return err_set(err, ERR_LEASE_LOST, "%s: %" PRIu64 " bytes that were written here never reached the "
			       "blob: the lease was lost", d->w.name, dropped);
	return 0;
}

static bool give_lease_back(struct drive *d)
{
	struct lease_keeper *lease = d->lease;
	struct err err;

	pthread_mutex_lock(&d->w.lock);
	d->lease = NULL;
	pthread_mutex_unlock(&d->w.lock);
	if (lease_keeper_stop(lease, true, &err) == 0)
		return true;
	log_warn("%s: can't give the lease back (it runs out by itself within %u s): %s", d->w.name,
		 d->w.job.drive.lease_duration_s, err.msg);
	return false;
}

/* As the blob is left behind. */
static void take_last_etag(struct drive *d)
{
	struct blob_props props = { .type = BLOB_TYPE_NONE };
	struct blob_ref ref = drive_ref(d);
	bool known = blob_get_props(d->w.control_client, &ref, &props, NULL) == 0;

	pthread_mutex_lock(&d->w.lock);
	snprintf(d->w.etag, sizeof(d->w.etag), "%s", known ? props.etag : "");
	pthread_mutex_unlock(&d->w.lock);
	blob_props_free(&props);
}

static void free_fuse(struct drive *d)
{
	struct drive_fuse *fuse = d->fuse;

	pthread_mutex_lock(&d->w.lock);
	d->fuse = NULL;
	pthread_mutex_unlock(&d->w.lock);
	drive_fuse_free(fuse);
}

int drive_close(struct worker *w, struct err *err)
{
	struct drive *d = drive_of(w);
	bool had_lease = d->lease != NULL, in_order = false;
	int rc = 0;

	if (d->disk)
		rc = close_disk(d, err);
	if (d->fuse)
		free_fuse(d);
	if (had_lease)
		in_order = give_lease_back(d) && rc == 0;
	if (d->pcache)
		drive_pcache_close(d, in_order);
	if (d->snapshot_own)
		drive_delete_snapshot(d);
	else if (had_lease)
		take_last_etag(d);
	if (d->store.ops)
		store_blob_free(&d->store);
	worker_free_clients(w);
	return rc;
}
