#include <config.h>

#include "fs/drive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "blob/credentials.h"
#include "blob/ops.h"
#include "fs/channel.h"
#include "vhd/footer.h"

/* Of breaking a lease, retries included. */
#define BREAK_DEADLINE_MS 15000

struct blob_ref drive_ref(const struct drive *d)
{
	return (struct blob_ref) { .container = d->w.job.container, .blob = d->w.job.blob,
				   .snapshot = *d->snapshot ? d->snapshot : NULL };
}

/* --- the blob --- */

static int check_type(const struct drive *d, const struct blob_props *props, struct err *err)
{
	switch (props->type) {
	case BLOB_TYPE_PAGE:
		break;
	case BLOB_TYPE_BLOCK:
		return err_set(err, ERR_UNSUPPORTED, "%s: is a block blob; a drive must be a page blob "
			       "(upload the VHD with --blob-type page)", d->w.name);
	case BLOB_TYPE_APPEND:
		return err_set(err, ERR_UNSUPPORTED, "%s: is an append blob; a drive must be a page blob "
			       "(upload the VHD with --blob-type page)", d->w.name);
	case BLOB_TYPE_NONE:
		return err_set(err, ERR_PROTOCOL, "%s: the service does not say what type of blob it is", d->w.name);
	}
	if (props->size % BLOB_PAGE || props->size <= VHD_FOOTER_SIZE)
		return err_set(err, ERR_FORMAT, "%s: is not a VHD: %" PRIu64 " bytes are not a disk and its footer",
			       d->w.name, props->size);
	return 0;
}

/* The blob or snapshot that `ref` names: type, size, footer. */
static int look_at(struct drive *d, const struct blob_ref *ref, struct blob_props *props, struct err *err)
{
	uint8_t footer[VHD_FOOTER_SIZE];
	struct vhd_footer vhd;

	if (blob_get_props(d->w.control_client, ref, props, err) < 0)
		return -1;
	d->w.other = true;
	if (check_type(d, props, err) < 0)
		return -1;
	d->w.other = false;
	if (blob_get_range(d->w.control_client, ref, props->size - VHD_FOOTER_SIZE, footer, sizeof(footer), NULL,
			   err) < 0)
		return -1;
	d->w.other = !vhd_footer_has_cookie(footer);
	if (vhd_footer_check(footer, props->size, d->w.name, &vhd, err) < 0)
		return -1;
	pthread_mutex_lock(&d->w.lock);
	d->size = vhd.disk_size;
	snprintf(d->w.etag, sizeof(d->w.etag), "%s", props->etag);
	pthread_mutex_unlock(&d->w.lock);
	return 0;
}

static int examine(struct drive *d, struct err *err)
{
	struct blob_ref ref = drive_ref(d);
	struct blob_props props = { .type = BLOB_TYPE_NONE };
	int rc = look_at(d, &ref, &props, err);

	blob_props_free(&props);
	if (rc < 0 && err->code == ERR_NOT_FOUND && ref.snapshot)
		return err_set(err, ERR_NOT_FOUND, "%s: there is no snapshot %s, or no longer", d->w.name,
			       ref.snapshot);
	return rc < 0 ? -1 : worker_check_stop(&d->w, err);
}

/* --- lease --- */

static void lease_hook(void *arg, enum lease_state state)
{
	struct drive *d = arg;

	pthread_mutex_lock(&d->hook_lock);
	if (d->hooked)
		disk_lease_changed(d->hooked, state);
	pthread_mutex_unlock(&d->hook_lock);
	control_kick(&d->w);
}

static int take_lease(struct drive *d, struct err *err)
{
	struct lease_options o = { .duration_s = d->w.job.drive.lease_duration_s, .holder = d->w.job.drive.holder,
				   .etags = &d->etags, .changed = lease_hook, .arg = d };
	struct blob_ref ref = drive_ref(d);
	struct lease_keeper *lease;

	if (d->w.job.drive.force) {
		worker_progress(&d->w, "breaking the lease");
		log_warn("%s: breaking the lease of whoever holds it, as --force says", d->w.name);
		if (blob_lease_break(d->w.control_client, &ref, BREAK_DEADLINE_MS, err) < 0)
			return -1;
	}
	lease = lease_keeper_start(&d->store, &o, err);
	pthread_mutex_lock(&d->w.lock);
	d->lease = lease;
	pthread_mutex_unlock(&d->w.lock);
	if (lease)
		return 0;
	if (strncmp(err->msg, d->w.name, strlen(d->w.name)) != 0)
		err_prefix(err, "%s", d->w.name);
	return -1;
}

/* --- disk --- */

static int open_disk(struct drive *d, struct err *err)
{
	struct disk_options o = { .size = d->size, .cache_bytes = d->w.job.cache_bytes,
				  .read_only = d->w.job.drive.read_only && !*d->snapshot, .overlay = *d->snapshot != 0,
				  .sync_writes = d->w.job.drive.sync_writes, .max_requests = worker_connections(&d->w),
				  .io_deadline_ms = d->w.job.io_deadline_ms, .pcache = d->pcache };
	struct disk *disk = disk_open(&d->store, d->lease, &o, err);

	if (!disk)
		return err_prefix(err, "%s", d->w.name);
	pthread_mutex_lock(&d->w.lock);
	d->disk = disk;
	d->read_only = d->w.job.drive.read_only || *d->snapshot;
	pthread_mutex_unlock(&d->w.lock);

	/* What happened to the lease before the disk could be told. */
	pthread_mutex_lock(&d->hook_lock);
	d->hooked = disk;
	if (d->lease && lease_state(d->lease) != LEASE_HELD)
		disk_lease_changed(disk, lease_state(d->lease));
	pthread_mutex_unlock(&d->hook_lock);
	return worker_check_stop(&d->w, err);
}

/* The blob is examined before anything is taken of it, the snapshot that was
 * taken (or named) after. */
static int open_drive(struct drive *d, struct err *err)
{
	enum snapshot_wish wish = d->w.job.drive.wish;
	char base_etag[BLOB_ETAG_MAX];
	struct blob_ref ref;

	if (worker_open_clients(&d->w, err) < 0)
		return -1;
	if ((wish == SNAPSHOT_NEW || wish == SNAPSHOT_NONE) && examine(d, err) < 0)
		return -1;
	memcpy(base_etag, d->w.etag, sizeof(base_etag));
	pthread_mutex_lock(&d->w.lock);
	d->holding = true;
	pthread_mutex_unlock(&d->w.lock);
	if (worker_check_stop(&d->w, err) < 0 || drive_choose_snapshot(d, err) < 0)
		return -1;
	if (*d->snapshot && examine(d, err) < 0)
		return -1;
	ref = drive_ref(d);
	if (store_blob_new(&d->store, d->w.data, d->w.control_client, &ref, err) < 0)
		return -1;
	if (!*d->snapshot && take_lease(d, err) < 0)
		return -1;
	if (d->w.job.drive.cache_dir && drive_pcache_open(d, base_etag, err) < 0)
		return -1;
	return open_disk(d, err);
}

/* --- the mount --- */

/* The 4 KiB at the start, through the mount at `dir`: both answer. */
static int try_read(struct drive *d, const char *dir, struct err *err)
{
	cleanup_free char *path = NULL;
	cleanup_close int fd = -1;
	char first[4096];

	if (asprintf(&path, "%s/disk", dir) < 0) {
		path = NULL;
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", d->w.name);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(err, errno, "%s: can't open %s", d->w.name, path);
	if (pread(fd, first, sizeof(first), 0) <= 0)
		return err_set_errno(err, errno ? errno : EIO, "%s: can't read the start of the disk", d->w.name);
	return worker_check_stop(&d->w, err);
}

static int mount_fuse(struct drive *d, const char *dir, struct err *err)
{
	cleanup_free char *source = NULL;
	struct drive_fuse *fuse;
	struct drive_fuse_options o = { .dir = dir, .read_only = d->read_only && !*d->snapshot,
					.allow_other = d->w.job.allow_other, .ended = worker_fuse_ended,
					.arg = &d->w };

	if (asprintf(&source, "%s/%s%s%s", d->w.job.account.name, d->w.name, *d->snapshot ? "@" : "",
		     d->snapshot) < 0) {
		source = NULL;
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", d->w.name);
	}
	o.source = source;
	fuse = drive_fuse_mount(d->disk, &o, err);
	pthread_mutex_lock(&d->w.lock);
	d->fuse = fuse;
	pthread_mutex_unlock(&d->w.lock);
	return fuse ? try_read(d, dir, err) : -1;
}

int drive_open(struct worker *w, const char *dir, struct err *err)
{
	struct drive *d = drive_of(w);

	return open_drive(d, err) < 0 ? -1 : mount_fuse(d, dir, err);
}
