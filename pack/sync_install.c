/* sync_install.c - one package; see sync_run.h. */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "pack/flusher.h"
#include "pack/opc_name.h"
#include "pack/sync_place.h"
#include "pack/sync_run.h"
#include "pack/target.h"

/* --- what is it --- */

/* A zip begins so. What does, and can't be read, is a damaged package and no other
 * kind of file. */
static bool looks_like_zip(const struct pack_blob *blob)
{
	uint8_t magic[4];

	return blob->reader.size >= sizeof(magic) &&
	       blob->reader.read(&blob->reader, 0, magic, sizeof(magic), NULL) == 0 &&
	       !memcmp(magic, "PK\3\4", sizeof(magic));
}

static void skip(struct sync_item *item, const char *why)
{
	struct err err;

	err_set(&err, ERR_FORMAT, "%s", why);
	sync_settle(item, SYNC_SKIPPED, &err);
}

static int read_index(struct sync_item *item, const struct pack_blob *blob, struct pack_index *index)
{
	struct err err;

	if (pack_index_open(index, &blob->reader, &item->run->options->limits, &err) == 0) {
		if (index->opc)
			return 0;
		pack_index_free(index);
		skip(item, "a zip, but no OPC package: it has no " OPC_CONTENT_TYPES);
	} else if (err.code == ERR_FORMAT && !looks_like_zip(blob)) {
		skip(item, "not a zip or OPC package");
	} else {
		sync_settle(item, SYNC_FAILED, &err);
	}
	return -1;
}

int sync_open_package(struct sync_item *item, struct pack_blob *blob, struct pack_index *index)
{
	const struct sync_run *run = item->run;
	const struct blob_ref ref = { .container = run->container, .blob = item->package->name };
	struct blob_props props = item->props;
	struct err err;

	if (!item->props.size) {
		skip(item, "empty, so not a zip or OPC package");
		return -1;
	}
	if (blob_meta_copy(&props.meta, &item->props.meta) < 0) {
		err_set(&err, ERR_NO_MEMORY, "out of memory");
		sync_settle(item, SYNC_FAILED, &err);
		return -1;
	}
	if (pack_blob_open_as(blob, run->client, &ref, &props, &err) < 0) {
		/* Nothing but zeros, say. */
		if (err.code == ERR_FORMAT)
			skip(item, "not a zip or OPC package");
		else
			sync_settle(item, SYNC_FAILED, &err);
		return -1;
	}
	if (read_index(item, blob, index) == 0)
		return 0;
	pack_blob_close(blob);
	return -1;
}

/* --- extracting --- */

struct extracting {
	struct sync_item *item;
	struct flusher flusher;
};

static void show_progress(void *arg, const struct extract_stats *stats)
{
	struct extracting *x = arg;
	struct sync_item *item = x->item;
	struct sync_run *run = item->run;

	flusher_progress(&x->flusher, stats->bytes, stats->files);
	pthread_mutex_lock(&run->telling);
	run->fetched += stats->fetched - item->shown;
	item->shown = stats->fetched;
	if (run->options->progress)
		run->options->progress(run->options->arg, run->fetched, run->to_fetch);
	pthread_mutex_unlock(&run->telling);
}

static int extract(struct sync_item *item, const struct pack_blob *blob, const struct pack_index *index,
		   int stage, struct err *err)
{
	const struct sync_run *run = item->run;
	struct extracting x = { .item = item };
	const struct extract_options options = {
		.block_size = run->options->block_size, .pool = run->pool,
		.max_path = run->options->max_path ? run->options->max_path : 4095,
		.prefix = strlen(run->root.path) + 1 + strlen(item->package->target),
		.cancel = run->options->cancel, .progress = show_progress, .arg = &x,
	};
	struct extract_stats stats;
	int rc;

	flusher_start(&x.flusher, stage);
	rc = pack_extract(index, &blob->reader, blob, stage, &options, &stats, err);
	if (rc == 0)
		show_progress(&x, &stats);
	flusher_stop(&x.flusher);
	if (rc < 0)
		return -1;
	item->package->bytes = stats.bytes;
	item->package->files = stats.files;
	item->package->fetched = stats.fetched;
	return 0;
}

/* --- records --- */

/* That the target is ours, before there is anything; one that is there says so
 * already. Under the lock. */
static struct sync_record *claim(const struct sync_item *item, struct err *err)
{
	struct sync_run *run = item->run;
	struct sync_record *record;
	bool fresh;

	if (sync_check_target(item, err) < 0)
		return NULL;
	record = sync_records_find(&run->records, item->package->target);
	fresh = !record;
	if (fresh)
		record = sync_records_add(&run->records, item->package->target);
	if (!record || sync_record_set_source(record, run->account, run->container, item->package->name) < 0)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	else if (!fresh || (sync_record_prepare(record, run->root.state, err) == 0 &&
			    sync_record_commit(record, run->root.state, err) == 0))
		return record;
	if (record && fresh)
		sync_records_drop(&run->records, record, run->root.state);
	return NULL;
}

/* What the record is to say when the tree is in place. */
static int prepare(const struct sync_item *item, struct sync_record *record, struct err *err)
{
	struct sync_record said = *record;
	time_t now = time(NULL);
	struct tm tm;

	said.pending = false;
	memcpy(said.etag, item->package->etag, sizeof(said.etag));
	strftime(said.time, sizeof(said.time), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	said.bytes = item->package->bytes;
	said.files = item->package->files;
	if (sync_record_prepare(&said, item->run->root.state, err) < 0)
		return -1;
	record->pending = false;
	return 0;
}

/* --- versions beside each other: NAME/UPLOADTIME --- */

static bool is_version(const char *target, const char *of)
{
	const char *slash = strrchr(target, '/'), *of_slash = strrchr(of, '/');

	/* "2026-11-21T071500Z" */
	return slash && of_slash && slash - target == of_slash - of &&
	       !strncmp(target, of, (size_t)(slash - target)) && strlen(slash + 1) == 18 &&
	       strlen(of_slash + 1) == 18 && slash[18] == 'Z' && slash[11] == 'T';
}

/* Of this package's versions that are older than the oldest that stays, the first. */
static struct sync_record *superfluous(const struct sync_item *item)
{
	const struct sync_run *run = item->run;
	struct sync_record *oldest = NULL;
	unsigned count = 0;

	for (size_t i = 0; i < run->records.count; i++) {
		struct sync_record *r = run->records.items[i];

		if (!is_version(r->target, item->package->target) ||
		    !sync_record_is_of(r, run->account, run->container, item->package->name))
			continue;
		count++;
		if (strcmp(r->target, item->package->target) && (!oldest || strcmp(r->target, oldest->target) < 0))
			oldest = r;
	}
	return count > run->options->keep_versions + 1 ? oldest : NULL;
}

static void prune_versions(const struct sync_item *item)
{
	struct sync_run *run = item->run;
	struct sync_record *record;

	if (blob_meta_get(&item->props.meta, PACK_META_PATH))
		return;
	pthread_mutex_lock(&run->lock);
	while ((record = superfluous(item))) {
		log_info("%s/%s is an old version and removed", run->root.path, record->target);
		sync_take_away(&run->root, record->target);
		sync_records_drop(&run->records, record, run->root.state);
	}
	pthread_mutex_unlock(&run->lock);
}

/* --- all of it --- */

/* All is written and on the disk before anybody sees it, its record too: a node that
 * dies never has an installed package of empty files. */
static int place(const struct sync_item *item, struct sync_record *record, int stage, const char *name,
		 bool replace, struct err *err)
{
	const struct sync_run *run = item->run;

	if (prepare(item, record, err) < 0)
		return -1;
	if (syncfs(stage) < 0)
		return err_set_errno(err, errno, "%s/%s: can't be written to the disk", run->container,
				     item->package->name);
	if (sync_place(&item->run->root, name, item->package->target, record->number, replace, err) < 0)
		return -1;
	return sync_record_commit(record, run->root.state, err);
}

static int put_in_place(const struct sync_item *item, int stage, const char *name, struct err *err)
{
	struct sync_run *run = item->run;
	struct sync_record *record;
	bool was_ours;

	pthread_mutex_lock(&run->lock);
	was_ours = sync_records_find(&run->records, item->package->target) != NULL;
	record = claim(item, err);
	pthread_mutex_unlock(&run->lock);
	if (!record)
		return -1;
	if (place(item, record, stage, name, was_ours, err) == 0)
		return 0;
	if (!was_ours) {
		pthread_mutex_lock(&run->lock);
		sync_records_drop(&run->records, record, run->root.state);
		pthread_mutex_unlock(&run->lock);
	}
	return -1;
}

static int stage_and_place(struct sync_item *item, const struct pack_blob *blob,
			   const struct pack_index *index, struct err *err)
{
	struct sync_run *run = item->run;
	char name[SYNC_STAGE_NAME_MAX];
	cleanup_close int stage = -1;
	int rc;

	pthread_mutex_lock(&run->lock);
	rc = sync_check_target(item, err);
	pthread_mutex_unlock(&run->lock);
	if (rc < 0)
		return -1;
	stage = sync_root_stage(&run->root, name, err);
	if (stage < 0)
		return -1;
	if (extract(item, blob, index, stage, err) == 0 && put_in_place(item, stage, name, err) == 0)
		return 0;
	sync_root_remove(&run->root, run->root.stage, name);
	return -1;
}

void sync_install(struct sync_item *item)
{
	struct pack_blob blob;
	struct pack_index index;
	struct timespec from, to;
	struct err err;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &from);
	if (sync_open_package(item, &blob, &index) < 0)
		return;
	rc = stage_and_place(item, &blob, &index, &err);
	pack_index_free(&index);
	pack_blob_close(&blob);
	if (rc == 0)
		prune_versions(item);
	clock_gettime(CLOCK_MONOTONIC, &to);
	item->package->seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	sync_settle(item, rc < 0 ? SYNC_FAILED : SYNC_INSTALLED, &err);
}
