#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "fs/drive.h"

/*
 * Which version of the drive is mounted (vhd/pcache.h), and what it is when the
 * mount ends.
 */

#define VERSION_MAX (BLOB_TIME_MAX + BLOB_ETAG_MAX + 16)

/* A snapshot that this mount has taken is the blob as it was, if nobody has written
 * to it between our looks before and after. */
static bool is_moment(struct drive *d, const char *base_etag)
{
	struct blob_ref base = { .container = d->w.job.container, .blob = d->w.job.blob };
	struct blob_props props = { .type = BLOB_TYPE_NONE };
	bool same = *base_etag && blob_get_props(d->w.control_client, &base, &props, NULL) == 0 &&
		    !strcmp(props.etag, base_etag);

	blob_props_free(&props);
	return same;
}

static void version_of(struct drive *d, const char *base_etag, char *version, char *former)
{
	char once[BLOB_LEASE_ID_MAX];

	*former = '\0';
	if (d->lease) {
		/* Without an ETag it is nobody's but ours, and once. */
		blob_new_guid(once);
		snprintf(version, VERSION_MAX, "lease %s", *d->etags.recorded ? d->etags.recorded : once);
		if (*d->etags.taken)
			snprintf(former, VERSION_MAX, "lease %s", d->etags.taken);
	} else if (d->snapshot_own && is_moment(d, base_etag)) {
		snprintf(version, VERSION_MAX, "moment %s", base_etag);
	} else {
		snprintf(version, VERSION_MAX, "snapshot %s %s", d->snapshot, d->w.etag);
	}
}

int drive_pcache_open(struct drive *d, const char *base_etag, struct err *err)
{
	const struct blob_account *a = &d->w.job.account;
	char version[VERSION_MAX], former[VERSION_MAX];
	cleanup_free char *drive = NULL;
	struct pcache *pc;
	struct pcache_options o = { .dir = d->w.job.drive.cache_dir, .max_bytes = d->w.job.drive.cache_dir_bytes,
				    .queue_bytes = disk_pcache_queue_bytes(d->w.job.cache_bytes), .size = d->size,
				    .version = version, .former = former, .owned = d->lease != NULL };

	if (asprintf(&drive, "%s\n%s\n%s\n%s\n%" PRIu64 "\n", a->endpoint, a->name ? a->name : "",
		     d->w.job.container, d->w.job.blob, d->size) < 0) {
		drive = NULL;
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", d->w.name);
	}
	o.drive = drive;
	version_of(d, base_etag, version, former);
	pc = pcache_open(&o, err);
	if (!pc)
		return err_prefix(err, "%s", d->w.name);
	log_debug("%s: kept in %s as \"%s\"", d->w.name, d->w.job.drive.cache_dir, version);
	pthread_mutex_lock(&d->w.lock);
	d->pcache = pc;
	pthread_mutex_unlock(&d->w.lock);
	return 0;
}

void drive_pcache_close(struct drive *d, bool stored)
{
	struct pcache *pc = d->pcache;
	char version[VERSION_MAX];

	pthread_mutex_lock(&d->w.lock);
	d->pcache = NULL;
	pthread_mutex_unlock(&d->w.lock);
	snprintf(version, sizeof(version), "lease %s", d->etags.left);
	pcache_close(pc, stored && *d->etags.left ? version : NULL);
}
