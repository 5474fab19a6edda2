#include <config.h>

#include "fs/drive.h"

#include <string.h>
#include <time.h>

#include "fs/channel.h"

/* The worst that is true: lost and failed are for ever, degraded passes. */
void drive_report(struct worker *w, struct worker_report *out)
{
	struct drive *d = drive_of(w);
	struct lease_info lease = { .state = LEASE_HELD };
	struct disk_stats disk = { .failed = false };

	if (d->lease)
		lease_keeper_info(d->lease, &lease);
	if (d->disk)
		disk_stats(d->disk, &disk);
	if (lease.state == LEASE_LOST)
		worker_set(out, WORKER_LOST, "%s", *lease.reason ? lease.reason : "the lease was lost");
	else if (disk.failed)
		worker_set(out, WORKER_FAILED, "%s", *disk.failure ? disk.failure : "the blob is gone");
	else if (lease.state == LEASE_DOUBTFUL)
		worker_set(out, WORKER_DEGRADED, "%s",
			   *lease.reason ? lease.reason : "the lease can't be renewed");
}

json_t *drive_stats(struct worker *w)
{
	struct disk_stats disk = { .reads = 0 };
	struct pcache_stats kept = { .read_bytes = 0 };
	uint64_t requests, retries;

	worker_count_requests(w, &requests, &retries);
	if (drive_of(w)->disk)
		disk_stats(drive_of(w)->disk, &disk);
	if (drive_of(w)->pcache)
		pcache_stats(drive_of(w)->pcache, &kept);
	return json_pack("{sI sI sI sI sI sI sI sI sI sI sI sI}",
			 "bytes_read", (json_int_t)disk.read_bytes, "bytes_written", (json_int_t)disk.write_bytes,
			 "fetched", (json_int_t)disk.fetched_bytes, "stored", (json_int_t)disk.stored_bytes,
			 "cache_dir_read", (json_int_t)kept.read_bytes,
			 "cache_dir_filled", (json_int_t)kept.filled_bytes,
			 "requests", (json_int_t)requests, "retries", (json_int_t)retries,
			 "cache_size", (json_int_t)disk.cache_bytes, "cache_used", (json_int_t)disk.cached_bytes,
			 "dirty", (json_int_t)disk.dirty_bytes, "dropped", (json_int_t)disk.dropped_bytes);
}

static json_t *lease_status(struct drive *d)
{
	struct lease_info info;
	struct tm tm;
	char since[32];

	if (!d->lease)
		return json_null();
	lease_keeper_info(d->lease, &info);
	gmtime_r(&info.held_since, &tm);
	strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_pack("{ss ss sI sI}", "state", lease_state_name(info.state), "held_since", since,
			 "next_renewal_ms", (json_int_t)info.next_renewal_ms,
			 "left_ms", (json_int_t)info.left_ms);
}

static json_t *snapshot_text(const struct drive *d)
{
	return *d->snapshot ? channel_text(d->snapshot) : json_null();
}

static void add_facts(const struct drive *d, json_t *obj)
{
	json_object_set_new(obj, "size", json_integer((json_int_t)d->size));
	json_object_set_new(obj, "read_only", json_boolean(d->read_only));
	json_object_set_new(obj, "snapshot", snapshot_text(d));
	json_object_set_new(obj, "snapshot_own", json_boolean(d->snapshot_own));
}

void drive_ready(struct worker *w, json_t *event)
{
	add_facts(drive_of(w), event);
}

void drive_status(struct worker *w, json_t *status)
{
	add_facts(drive_of(w), status);
	json_object_set_new(status, "lease", lease_status(drive_of(w)));
}

uint64_t drive_moved(struct worker *w)
{
	struct disk_stats stats = { .stored_bytes = 0 };

	if (!drive_of(w)->disk)
		return w->moved;
	disk_stats(drive_of(w)->disk, &stats);
	return stats.stored_bytes;
}

bool drive_sync(struct worker *w, worker_done_fn *done, void *arg)
{
	if (!drive_of(w)->disk)
		return false;
	disk_flush(drive_of(w)->disk, done, arg);
	return true;
}

/* The numbers are checked as such here, against the disk in drive_fuse_window(). */
int drive_request(struct worker *w, const char *op, const json_t *request, struct err *err)
{
	const json_t *offset = json_object_get(request, "offset");
	const json_t *size = json_object_get(request, "size");
	int rc;

	if (strcmp(op, "window"))
		return 0;
	if (!json_is_integer(offset) || !json_is_integer(size) || json_integer_value(offset) < 0 ||
	    json_integer_value(size) <= 0)
		return err_set(err, ERR_USAGE, "%s: a window has a whole number as \"offset\" and one as \"size\"",
			       w->name);
	pthread_mutex_lock(&w->lock);
	if (w->phase != WORKER_SERVING)
		rc = err_set(err, ERR_CANCELLED, "%s: is not mounted, or no longer", w->name);
	else
		rc = drive_fuse_window(drive_of(w)->fuse, (uint64_t)json_integer_value(offset),
				       (uint64_t)json_integer_value(size), err);
	pthread_mutex_unlock(&w->lock);
	return rc < 0 ? -1 : 1;
}
