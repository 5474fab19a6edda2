#include <config.h>

#include "fs/drive.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/channel.h"

const char *drive_state_name(enum drive_state s)
{
	static const char *const names[] = {
		[DRIVE_MOUNTING] = "mounting", [DRIVE_READY] = "ready", [DRIVE_DEGRADED] = "degraded",
		[DRIVE_LOST] = "lost", [DRIVE_FAILED] = "failed",
	};

	return names[s];
}

static void set(struct drive_report *out, enum drive_state state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void set(struct drive_report *out, enum drive_state state, const char *fmt, ...)
{
	va_list ap;

	out->state = state;
	va_start(ap, fmt);
	vsnprintf(out->reason, sizeof(out->reason), fmt, ap);
	va_end(ap);
}

/* The worst that is true: lost and failed are for ever, degraded passes. */
static void report(struct drive *d, struct drive_report *out)
{
	struct blob_client_stats data = { .troubled = false }, control = { .troubled = false };
	struct lease_info lease = { .state = LEASE_HELD };
	struct disk_stats disk = { .failed = false };

	set(out, d->phase == DRIVE_OPENING ? DRIVE_MOUNTING : DRIVE_READY, "%s", "");
	if (d->phase == DRIVE_OPENING)
		return;
	if (d->data)
		blob_client_stats(d->data, &data);
	if (d->control_client)
		blob_client_stats(d->control_client, &control);
	if (d->lease)
		lease_keeper_info(d->lease, &lease);
	if (d->disk)
		disk_stats(d->disk, &disk);

	if (lease.state == LEASE_LOST)
		set(out, DRIVE_LOST, "%s", *lease.reason ? lease.reason : "the lease was lost");
	else if (disk.failed)
		set(out, DRIVE_FAILED, "%s", *disk.failure ? disk.failure : "the blob is gone");
	else if (lease.state == LEASE_DOUBTFUL)
		set(out, DRIVE_DEGRADED, "%s", *lease.reason ? lease.reason : "the lease can't be renewed");
	else if (data.troubled || control.troubled)
		set(out, DRIVE_DEGRADED, "the last request to storage failed (%s)",
		    err_code_name((enum err_code)(data.troubled ? data.last_error : control.last_error)));
}

void drive_report(struct drive *d, struct drive_report *out)
{
	pthread_mutex_lock(&d->lock);
	report(d, out);
	pthread_mutex_unlock(&d->lock);
}

json_t *drive_stats(struct drive *d)
{
	struct blob_client_stats data = { .requests = 0 }, control = { .requests = 0 };
	struct disk_stats disk = { .reads = 0 };
	struct pcache_stats kept = { .read_bytes = 0 };

	if (d->last_stats)
		return json_deep_copy(d->last_stats);
	if (d->data)
		blob_client_stats(d->data, &data);
	if (d->control_client)
		blob_client_stats(d->control_client, &control);
	if (d->disk)
		disk_stats(d->disk, &disk);
	if (d->pcache)
		pcache_stats(d->pcache, &kept);
	return json_pack("{sI sI sI sI sI sI sI sI sI sI sI sI}",
			 "bytes_read", (json_int_t)disk.read_bytes, "bytes_written", (json_int_t)disk.write_bytes,
			 "fetched", (json_int_t)disk.fetched_bytes, "stored", (json_int_t)disk.stored_bytes,
			 "cache_dir_read", (json_int_t)kept.read_bytes,
			 "cache_dir_filled", (json_int_t)kept.filled_bytes,
			 "requests", (json_int_t)(data.requests + control.requests),
			 "retries", (json_int_t)(data.retries + control.retries),
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

json_t *drive_status(struct drive *d)
{
	struct drive_report now;
	json_t *status;

	pthread_mutex_lock(&d->lock);
	report(d, &now);
	status = json_pack("{sb so ss so sI so so sb sb sI so}", "ok", 1, "job", drive_job_public(&d->job),
			   "state", drive_state_name(now.state), "reason", channel_text(now.reason),
			   "pid", (json_int_t)getpid(), "lease", lease_status(d),
			   "snapshot", *d->snapshot ? channel_text(d->snapshot) : json_null(),
			   "snapshot_own", d->snapshot_own, "read_only", d->read_only,
			   "size", (json_int_t)d->size, "stats", drive_stats(d));
	pthread_mutex_unlock(&d->lock);
	return status;
}

/* The numbers are checked as such here, against the disk in drive_fuse_window(). */
int drive_window(struct drive *d, const json_t *request, struct err *err)
{
	const json_t *offset = json_object_get(request, "offset");
	const json_t *size = json_object_get(request, "size");
	int rc;

	if (!json_is_integer(offset) || !json_is_integer(size) || json_integer_value(offset) < 0 ||
	    json_integer_value(size) <= 0)
		return err_set(err, ERR_USAGE, "%s: a window has a whole number as \"offset\" and one as \"size\"",
			       d->name);
	pthread_mutex_lock(&d->lock);
	if (d->phase != DRIVE_SERVING)
		rc = err_set(err, ERR_CANCELLED, "%s: is not mounted, or no longer", d->name);
	else
		rc = drive_fuse_window(d->fuse, (uint64_t)json_integer_value(offset),
				       (uint64_t)json_integer_value(size), err);
	pthread_mutex_unlock(&d->lock);
	return rc;
}
