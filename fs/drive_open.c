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

/* What opens and closes a drive, and lets a person wait, gives up sooner than
 * the I/O of a job. Lease renewals bring deadlines of their own. */
#define CONTROL_DEADLINE_MS 15000

#define DATA_THREADS 2
#define DATA_CONNECTIONS 16
#define CONTROL_CONNECTIONS 2

/* Put into the metadata of the snapshots that mounts make. */
#define SNAPSHOT_TAG "hpcpackmount"

struct blob_ref drive_ref(const struct drive *d)
{
	return (struct blob_ref) { .container = d->job.container, .blob = d->job.blob,
				   .snapshot = *d->snapshot ? d->snapshot : NULL };
}

static int check_stop(struct drive *d, struct err *err)
{
	return drive_stopping(d) ? err_set(err, ERR_CANCELLED, "%s: the mount was given up", d->name) : 0;
}

static void progress(const struct drive *d, const char *text)
{
	json_t *msg = json_pack("{ssss}", "event", "progress", "text", text);

	if (msg)
		channel_send(d->channel, msg, NULL);
	json_decref(msg);
}

/* --- clients --- */

static unsigned data_connections(const struct drive *d)
{
	return d->job.connections ? d->job.connections : DATA_CONNECTIONS;
}

static struct blob_client *new_client(struct drive *d, const struct blob_client_options *o, struct err *err)
{
	struct blob_client *c = blob_client_new(&d->job.account, o, err);

	if (c)
		blob_client_set_reread(c, credentials_reread);
	return c;
}

/* Two, so that a lease renewal never queues behind data. */
static int open_clients(struct drive *d, struct err *err)
{
	unsigned patience = d->job.io_deadline_ms < CONTROL_DEADLINE_MS ? d->job.io_deadline_ms : CONTROL_DEADLINE_MS;
	struct blob_client_options data_options = { .io_threads = d->job.io_threads ? d->job.io_threads : DATA_THREADS,
						    .connections = data_connections(d),
						    .deadline_ms = d->job.io_deadline_ms };
	struct blob_client_options control_options = { .io_threads = 1, .connections = CONTROL_CONNECTIONS,
						       .deadline_ms = patience };
	struct blob_client *data, *control = NULL;

	data = new_client(d, &data_options, err);
	if (data)
		control = new_client(d, &control_options, err);
	pthread_mutex_lock(&d->lock);
	d->data = data;
	d->control_client = control;
	pthread_mutex_unlock(&d->lock);
	return control ? check_stop(d, err) : -1;
}

/* --- the blob --- */

static int check_type(const struct drive *d, const struct blob_props *props, struct err *err)
{
	switch (props->type) {
	case BLOB_TYPE_PAGE:
		break;
	case BLOB_TYPE_BLOCK:
		return err_set(err, ERR_UNSUPPORTED, "%s: is a block blob; a drive must be a page blob "
			       "(upload the VHD with --blob-type page)", d->name);
	case BLOB_TYPE_APPEND:
		return err_set(err, ERR_UNSUPPORTED, "%s: is an append blob; a drive must be a page blob "
			       "(upload the VHD with --blob-type page)", d->name);
	case BLOB_TYPE_NONE:
		return err_set(err, ERR_PROTOCOL, "%s: the service does not say what type of blob it is", d->name);
	}
	if (props->size % BLOB_PAGE || props->size <= VHD_FOOTER_SIZE)
		return err_set(err, ERR_FORMAT, "%s: is not a VHD: %" PRIu64 " bytes are not a disk and its footer",
			       d->name, props->size);
	return 0;
}

/* The blob or snapshot that `ref` names: type, size, footer. */
static int look_at(struct drive *d, const struct blob_ref *ref, struct blob_props *props, struct err *err)
{
	uint8_t footer[VHD_FOOTER_SIZE];
	struct vhd_footer vhd;

	if (blob_get_props(d->control_client, ref, props, err) < 0 || check_type(d, props, err) < 0)
		return -1;
	if (blob_get_range(d->control_client, ref, props->size - VHD_FOOTER_SIZE, footer, sizeof(footer), NULL,
			   err) < 0 ||
	    vhd_footer_check(footer, props->size, d->name, &vhd, err) < 0)
		return -1;
	pthread_mutex_lock(&d->lock);
	d->size = vhd.disk_size;
	snprintf(d->etag, sizeof(d->etag), "%s", props->etag);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int examine(struct drive *d, struct err *err)
{
	struct blob_ref ref = drive_ref(d);
	struct blob_props props = { .type = BLOB_TYPE_NONE };
	int rc = look_at(d, &ref, &props, err);

	blob_props_free(&props);
	if (rc < 0 && err->code == ERR_NOT_FOUND && ref.snapshot)
		return err_set(err, ERR_NOT_FOUND, "%s: there is no snapshot %s, or no longer", d->name,
			       ref.snapshot);
	return rc < 0 ? -1 : check_stop(d, err);
}

/* --- snapshots --- */

static void set_snapshot(struct drive *d, const char *snapshot, bool own)
{
	pthread_mutex_lock(&d->lock);
	snprintf(d->snapshot, sizeof(d->snapshot), "%s", snapshot);
	d->snapshot_own = own;
	pthread_mutex_unlock(&d->lock);
}

static int find_latest(struct drive *d, struct err *err)
{
	struct blob_list list = { .items = NULL, .count = 0 };
	const char *latest = NULL;
	size_t i;

	if (blob_list(d->control_client, d->job.container, d->job.blob, BLOB_LIST_SNAPSHOTS, &list, err) < 0)
		return -1;
	for (i = 0; i < list.count; i++) {
		const struct blob_item *item = &list.items[i];

		if (item->snapshot && !strcmp(item->name, d->job.blob) &&
		    (!latest || strcmp(item->snapshot, latest) > 0))
			latest = item->snapshot;
	}
	if (latest)
		set_snapshot(d, latest, false);
	else
		err_set(err, ERR_NOT_FOUND, "%s: the blob has no snapshot; --snapshot takes one", d->name);
	blob_list_free(&list);
	return latest ? 0 : -1;
}

static int take_snapshot(struct drive *d, struct err *err)
{
	struct blob_ref ref = drive_ref(d);
	char snapshot[BLOB_TIME_MAX], tag[BLOB_LEASE_ID_MAX];

	progress(d, "taking a snapshot");
	blob_new_guid(tag);
	if (blob_snapshot(d->control_client, &ref, SNAPSHOT_TAG, tag, snapshot, err) < 0)
		return -1;
	set_snapshot(d, snapshot, true);
	log_info("%s: took snapshot %s", d->name, snapshot);
	return 0;
}

static int choose_snapshot(struct drive *d, struct err *err)
{
	switch (d->job.wish) {
	case SNAPSHOT_NONE:
		return 0;
	case SNAPSHOT_NEW:
		return take_snapshot(d, err);
	case SNAPSHOT_LATEST:
		return find_latest(d, err);
	case SNAPSHOT_AT:
		set_snapshot(d, d->job.snapshot, false);
		return 0;
	}
	return 0;
}

/* --- lease --- */

static void lease_hook(void *arg, enum lease_state state)
{
	struct drive *d = arg;

	pthread_mutex_lock(&d->hook_lock);
	if (d->hooked)
		disk_lease_changed(d->hooked, state);
	pthread_mutex_unlock(&d->hook_lock);
	control_kick(d);
}

static int take_lease(struct drive *d, struct err *err)
{
	struct lease_options o = { .duration_s = d->job.lease_duration_s, .holder = d->job.holder,
				   .etags = &d->etags, .changed = lease_hook, .arg = d };
	struct blob_ref ref = drive_ref(d);
	struct lease_keeper *lease;

	if (d->job.force) {
		progress(d, "breaking the lease");
		log_warn("%s: breaking the lease of whoever holds it, as --force says", d->name);
		if (blob_lease_break(d->control_client, &ref, CONTROL_DEADLINE_MS, err) < 0)
			return -1;
	}
	lease = lease_keeper_start(&d->store, &o, err);
	pthread_mutex_lock(&d->lock);
	d->lease = lease;
	pthread_mutex_unlock(&d->lock);
	if (lease)
		return 0;
	if (strncmp(err->msg, d->name, strlen(d->name)) != 0)
		err_prefix(err, "%s", d->name);
	return -1;
}

/* --- disk --- */

static int open_disk(struct drive *d, struct err *err)
{
	struct disk_options o = { .size = d->size, .cache_bytes = d->job.cache_bytes,
				  .read_only = d->job.read_only && !*d->snapshot, .overlay = *d->snapshot != 0,
				  .sync_writes = d->job.sync_writes, .max_requests = data_connections(d),
				  .io_deadline_ms = d->job.io_deadline_ms, .pcache = d->pcache };
	struct disk *disk = disk_open(&d->store, d->lease, &o, err);

	if (!disk)
		return err_prefix(err, "%s", d->name);
	pthread_mutex_lock(&d->lock);
	d->disk = disk;
	d->read_only = d->job.read_only || *d->snapshot;
	pthread_mutex_unlock(&d->lock);

	/* What happened to the lease before the disk could be told. */
	pthread_mutex_lock(&d->hook_lock);
	d->hooked = disk;
	if (d->lease && lease_state(d->lease) != LEASE_HELD)
		disk_lease_changed(disk, lease_state(d->lease));
	pthread_mutex_unlock(&d->hook_lock);
	return check_stop(d, err);
}

/* The blob is examined before anything is taken of it, the snapshot that was
 * taken (or named) after. */
int drive_open(struct drive *d, struct err *err)
{
	char base_etag[BLOB_ETAG_MAX];
	struct blob_ref ref;

	if (open_clients(d, err) < 0)
		return -1;
	if ((d->job.wish == SNAPSHOT_NEW || d->job.wish == SNAPSHOT_NONE) && examine(d, err) < 0)
		return -1;
	memcpy(base_etag, d->etag, sizeof(base_etag));
	pthread_mutex_lock(&d->lock);
	d->holding = true;
	pthread_mutex_unlock(&d->lock);
	if (check_stop(d, err) < 0 || choose_snapshot(d, err) < 0)
		return -1;
	if (*d->snapshot && examine(d, err) < 0)
		return -1;
	ref = drive_ref(d);
	if (store_blob_new(&d->store, d->data, d->control_client, &ref, err) < 0)
		return -1;
	if (!*d->snapshot && take_lease(d, err) < 0)
		return -1;
	if (d->job.cache_dir && drive_pcache_open(d, base_etag, err) < 0)
		return -1;
	return open_disk(d, err);
}

int drive_try_read(struct drive *d, const char *dir, struct err *err)
{
	cleanup_free char *path = NULL;
	cleanup_close int fd = -1;
	char first[4096];

	if (asprintf(&path, "%s/disk", dir) < 0) {
		path = NULL;
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", d->name);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(err, errno, "%s: can't open %s", d->name, path);
	if (pread(fd, first, sizeof(first), 0) <= 0)
		return err_set_errno(err, errno ? errno : EIO, "%s: can't read the start of the disk", d->name);
	return check_stop(d, err);
}
