/* Snapshots: the one that a mount reads, and what killed mounts have left. */
#include <config.h>

#include "fs/drive.h"

#include <stdio.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "fs/snapshot_tag.h"

static void set_snapshot(struct drive *d, const char *snapshot, bool own)
{
	pthread_mutex_lock(&d->w.lock);
	snprintf(d->snapshot, sizeof(d->snapshot), "%s", snapshot);
	d->snapshot_own = own;
	pthread_mutex_unlock(&d->w.lock);
}

static int find_latest(struct drive *d, struct err *err)
{
	struct blob_list list = { .items = NULL, .count = 0 };
	const char *latest = NULL;
	size_t i;

	if (blob_list(d->w.control_client, d->w.job.container, d->w.job.blob, BLOB_LIST_SNAPSHOTS, &list, err) < 0)
		return -1;
	for (i = 0; i < list.count; i++) {
		const struct blob_item *item = &list.items[i];

		if (item->snapshot && !strcmp(item->name, d->w.job.blob) &&
		    (!latest || strcmp(item->snapshot, latest) > 0))
			latest = item->snapshot;
	}
	if (latest)
		set_snapshot(d, latest, false);
	else
		err_set(err, ERR_NOT_FOUND, "%s: the blob has no snapshot; --snapshot takes one", d->w.name);
	blob_list_free(&list);
	return latest ? 0 : -1;
}

static int take_snapshot(struct drive *d, struct err *err)
{
	cleanup_free char *tag = snapshot_tag_make(&d->w.job.drive.holder);
	struct blob_ref ref = drive_ref(d);
	char snapshot[BLOB_TIME_MAX];

	if (!tag)
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", d->w.name);
	worker_progress(&d->w, "taking a snapshot");
	if (blob_snapshot(d->w.control_client, &ref, SNAPSHOT_TAG, tag, snapshot, err) < 0)
		return -1;
	set_snapshot(d, snapshot, true);
	log_info("%s: took snapshot %s", d->w.name, snapshot);
	return 0;
}

int drive_choose_snapshot(struct drive *d, struct err *err)
{
	switch (d->w.job.drive.wish) {
	case SNAPSHOT_NONE:
		return 0;
	case SNAPSHOT_NEW:
		return take_snapshot(d, err);
	case SNAPSHOT_LATEST:
		return find_latest(d, err);
	case SNAPSHOT_AT:
		set_snapshot(d, d->w.job.drive.snapshot, false);
		return 0;
	}
	return 0;
}

void drive_delete_snapshot(struct drive *d)
{
	struct blob_ref ref = drive_ref(d);
	struct err err;

	if (blob_delete(d->w.control_client, &ref, NULL, &err) < 0 && err.code != ERR_NOT_FOUND)
		log_warn("%s: can't delete the snapshot %s, which this mount took: %s", d->w.name, d->snapshot,
			 err.msg);
}

/* The tag that the blob itself bears: it was made from a snapshot of ours once, and
 * every snapshot that anybody takes of it has the same. */
static const char *tag_of_base(const struct blob_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (!list->items[i].snapshot && !strcmp(list->items[i].name, name))
			return blob_meta_get(&list->items[i].props.meta, SNAPSHOT_TAG);
	return NULL;
}

static bool is_leftover(const struct drive *d, const struct blob_item *item, const char *base_tag)
{
	const char *tag = blob_meta_get(&item->props.meta, SNAPSHOT_TAG);

	return item->snapshot && !strcmp(item->name, d->w.job.blob) && tag &&
	       !(base_tag && !strcmp(tag, base_tag)) && snapshot_tag_abandoned(tag, item->snapshot);
}

static void delete_leftover(struct drive *d, const char *snapshot)
{
	struct blob_ref ref = { .container = d->w.job.container, .blob = d->w.job.blob, .snapshot = snapshot };
	struct err err;

	if (blob_delete(d->w.control_client, &ref, NULL, &err) == 0)
		log_info("%s: deleted snapshot %s, left by a mount that was killed here", d->w.name, snapshot);
	else if (err.code != ERR_NOT_FOUND)
		log_warn("%s: can't delete the snapshot %s of a mount that was killed here: %s", d->w.name,
			 snapshot, err.msg);
}

void drive_sweep_snapshots(struct drive *d)
{
	struct blob_list list = { .items = NULL, .count = 0 };
	const char *base_tag;
	struct err err;

	if (blob_list(d->w.control_client, d->w.job.container, d->w.job.blob, BLOB_LIST_SNAPSHOTS | BLOB_LIST_META,
		      &list, &err) < 0) {
		log_info("%s: can't look for snapshots that killed mounts have left: %s", d->w.name, err.msg);
		return;
	}
	base_tag = tag_of_base(&list, d->w.job.blob);
	for (size_t i = 0; i < list.count && !worker_stopping(&d->w); i++)
		if (is_leftover(d, &list.items[i], base_tag))
			delete_leftover(d, list.items[i].snapshot);
	blob_list_free(&list);
}
