#include <config.h>

#include "pack/sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "pack/sync_match.h"
#include "pack/sync_place.h"
#include "pack/sync_run.h"
#include "pack/target.h"

/* Packages that are installed at the same time: small ones wait for replies mostly. */
#define PACKAGES_MAX 4

const char *sync_state_name(enum sync_state s)
{
	static const char *const names[] = { "pending", "installed", "unchanged", "skipped", "failed" };

	return names[s];
}

void sync_report_free(struct sync_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		free(report->packages[i].name);
		free(report->packages[i].target);
	}
	free(report->packages);
	free(report->root);
	memset(report, 0, sizeof(*report));
}

bool sync_cancelled(const struct sync_run *run)
{
	return run->options->cancel && atomic_load(run->options->cancel);
}

void sync_settle(struct sync_item *item, enum sync_state state, const struct err *err)
{
	struct sync_run *run = item->run;

	item->package->state = state;
	if (state == SYNC_FAILED || state == SYNC_SKIPPED)
		item->package->err = *err;
	pthread_mutex_lock(&run->telling);
	/* What is not going to be fetched any more counts as done. */
	if (item->shown < item->props.size && run->to_fetch) {
		run->fetched += item->props.size - item->shown;
		item->shown = item->props.size;
	}
	if (run->options->done)
		run->options->done(run->options->arg, item->package);
	pthread_mutex_unlock(&run->telling);
}

/* --- which packages --- */

/* What would steer a terminal, or break a line of a record. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

/* Its target, if it can have one. What can't is settled: a blob of a strange name is
 * not for us. */
static int look_at(struct sync_item *item, const struct blob_item *blob, struct err *err)
{
	struct sync_package *p = item->package;
	struct err why;

	p->name = strdup(blob->name);
	if (!p->name || blob_meta_copy(&item->props.meta, &blob->props.meta) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	memcpy(p->etag, blob->props.etag, sizeof(p->etag));
	if (blob_check_blob_name(p->name, &why) < 0) {
		sync_settle(item, SYNC_SKIPPED, &why);
		return 0;
	}
	if (!*p->etag || !is_plain(p->etag)) {
		err_set(&why, ERR_PROTOCOL, "%s/%s: the service says no version of it (ETag)",
			item->run->container, p->name);
		sync_settle(item, SYNC_FAILED, &why);
		return 0;
	}
	p->target = pack_target(p->name, blob_meta_get(&item->props.meta, PACK_META_PATH),
				item->props.last_modified, &why);
	if (!p->target) {
		struct pack_blob b;
		struct pack_index index;

		/* Only of a package does it matter. */
		if (sync_open_package(item, &b, &index) < 0)
			return 0;
		pack_index_free(&index);
		pack_blob_close(&b);
		err_prefix(&why, "%s/%s", item->run->container, p->name);
		sync_settle(item, SYNC_FAILED, &why);
	}
	return 0;
}

static int choose(struct sync_run *run, struct err *err)
{
	struct sync_report *report = run->report;

	report->packages = calloc(run->list.count + 1, sizeof(*report->packages));
	run->items = calloc(run->list.count + 1, sizeof(*run->items));
	if (!report->packages || !run->items)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < run->list.count; i++) {
		const struct blob_item *blob = &run->list.items[i];
		struct sync_item *item = &run->items[report->count];

		if (blob->snapshot || !sync_filter_matches(run->options->filter, blob->name))
			continue;
		item->run = run;
		item->package = &report->packages[report->count++];
		item->props = blob->props;
		item->props.meta = (struct blob_meta_list){ .items = NULL };
		if (look_at(item, blob, err) < 0)
			return -1;
	}
	return 0;
}

static bool is_unchanged(const struct sync_run *run, const struct sync_item *item)
{
	const struct sync_package *p = item->package;
	const struct sync_record *record = sync_records_find(&run->records, p->target);
	enum sync_there there;

	if (!record || record->pending || strcmp(record->etag, p->etag) ||
	    !sync_record_is_of(record, run->account, run->container, p->name))
		return false;
	/* Somebody may have emptied it. */
	there = sync_look(&run->root, p->target);
	return there == SYNC_THERE_FOLDER || (there == SYNC_THERE_EMPTY && !record->files);
}

static void settle_unchanged(struct sync_run *run)
{
	for (size_t i = 0; i < run->report->count; i++) {
		struct sync_package *p = run->items[i].package;
		const struct sync_record *record;

		if (p->state != SYNC_PENDING)
			continue;
		if (!is_unchanged(run, &run->items[i])) {
			run->to_fetch += run->items[i].props.size;
			continue;
		}
		record = sync_records_find(&run->records, p->target);
		p->state = SYNC_UNCHANGED;
		p->bytes = record->bytes;
		p->files = record->files;
	}
}

/* --- the work --- */

static void *install_thread(void *arg)
{
	struct sync_run *run = arg;

	for (;;) {
		size_t i = atomic_fetch_add(&run->next, 1);

		if (i >= run->report->count || sync_cancelled(run))
			return NULL;
		if (run->items[i].package->state == SYNC_PENDING)
			sync_install(&run->items[i]);
		else if (run->items[i].package->state == SYNC_UNCHANGED)
			sync_settle(&run->items[i], SYNC_UNCHANGED, NULL);
	}
}

static int install_all(struct sync_run *run, struct err *err)
{
	pthread_t threads[PACKAGES_MAX];
	unsigned started = 0;
	int rc = 0;

	while (started < PACKAGES_MAX && started < run->report->count) {
		rc = pthread_create(&threads[started], NULL, install_thread, run);
		if (rc)
			break;
		started++;
	}
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	if (sync_cancelled(run))
		return err_set(err, ERR_CANCELLED, "interrupted: packages that were not complete are as they "
			       "were before");
	if (rc && !started)
		return err_set_errno(err, rc, "can't start a thread");
	return 0;
}

/* A record is of use as long as its target is there. */
static void drop_stale_records(struct sync_run *run)
{
	for (size_t i = run->records.count; i-- > 0; ) {
		struct sync_record *record = run->records.items[i];

		if (sync_look(&run->root, record->target) == SYNC_THERE_NOTHING)
			sync_records_drop(&run->records, record, run->root.state);
	}
}

static bool number_is_known(void *arg, unsigned number)
{
	const struct sync_run *run = arg;

	for (size_t i = 0; i < run->records.count; i++)
		if (run->records.items[i]->number == number)
			return true;
	return false;
}

static int sync_all(struct sync_run *run, struct err *err)
{
	int rc;

	if (sync_records_load(&run->records, run->root.state, err) < 0)
		return -1;
	drop_stale_records(run);
	if (blob_list(run->client, run->container, NULL, BLOB_LIST_META, &run->list, err) < 0)
		return -1;
	if (choose(run, err) < 0)
		return -1;
	settle_unchanged(run);
	if (sync_refuse_conflicts(run, err) < 0)
		return -1;
	run->pool = pack_pool_new(0, 0, err);
	if (!run->pool)
		return -1;
	rc = install_all(run, err);
	sync_prune_old(&run->root, run->options->keep_versions, number_is_known, run);
	return rc;
}

/* The account's name: it stays the same when the way to it changes. */
static const char *account_of(struct blob_client *client)
{
	const struct blob_account *a = blob_client_account(client);

	return *a->name ? a->name : a->endpoint;
}

int pack_sync(struct blob_client *client, const char *container, const char *root,
	      const struct sync_options *options, struct sync_report *report, struct err *err)
{
	struct sync_run run = {
		.client = client, .account = account_of(client),
		.container = container, .options = options, .report = report,
	};
	int rc;

	memset(report, 0, sizeof(*report));
	if (sync_root_open(&run.root, root, options->cancel, options->waiting, options->arg, err) < 0)
		return -1;
	pthread_mutex_init(&run.lock, NULL);
	pthread_mutex_init(&run.telling, NULL);
	report->root = strdup(run.root.path);
	rc = report->root ? sync_all(&run, err) : err_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; run.items && i < report->count; i++)
		blob_meta_free(&run.items[i].props.meta);
	free(run.items);
	blob_list_free(&run.list);
	pack_pool_free(run.pool);
	sync_records_free(&run.records);
	pthread_mutex_destroy(&run.lock);
	pthread_mutex_destroy(&run.telling);
	sync_root_close(&run.root);
	if (rc < 0)
		sync_report_free(report);
	return rc;
}
