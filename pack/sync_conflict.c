/* sync_conflict.c - who may have which target; see sync_run.h. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "pack/sync_match.h"
#include "pack/sync_place.h"
#include "pack/sync_run.h"
#include "pack/target.h"

/* '/' before every other character: what lies inside a target follows it directly. */
static int by_target(const void *va, const void *vb)
{
	const char *a = (*(struct sync_item *const *)va)->package->target;
	const char *b = (*(struct sync_item *const *)vb)->package->target;

	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return 0;
	if (!*a || !*b)
		return *a ? 1 : -1;
	if (*a == '/' || *b == '/')
		return *a == '/' ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

/* Those that may still be installed, or are, by target. */
static struct sync_item **sorted_items(const struct sync_run *run, size_t *count)
{
	struct sync_item **items = malloc((run->report->count + 1) * sizeof(struct sync_item *));

	*count = 0;
	for (size_t i = 0; items && i < run->report->count; i++) {
		struct sync_item *item = &run->items[i];

		if (item->package->state <= SYNC_UNCHANGED)
			items[(*count)++] = item;
	}
	if (items && *count)
		qsort(items, *count, sizeof(*items), by_target);
	return items;
}

/* What is no package after all is in nobody's way. */
static void probe(struct sync_item *item)
{
	struct pack_blob blob;
	struct pack_index index;

	if (item->package->state != SYNC_PENDING || sync_cancelled(item->run) ||
	    sync_open_package(item, &blob, &index) < 0)
		return;
	pack_index_free(&index);
	pack_blob_close(&blob);
}

static void refuse(struct sync_item *item, const struct sync_item *other, enum sync_overlap how)
{
	static const char *const hows[] = {
		[SYNC_SAME] = "would be installed at the same place as",
		[SYNC_INSIDE] = "would be installed inside",
		[SYNC_AROUND] = "would be installed around",
	};
	struct err err;

	if (item->package->state == SYNC_FAILED)
		return;
	err_set(&err, ERR_EXISTS, "%s/%s: %s %s, at %s/%s: neither is; give one of them another relative path",
		item->run->container, item->package->name, hows[how], other->package->name,
		item->run->root.path, other->package->target);
	sync_settle(item, SYNC_FAILED, &err);
}

/* Neighbours that overlap: look at them (`judge` false), or refuse both. */
static int walk(struct sync_run *run, bool judge, struct err *err)
{
	size_t count;
	cleanup_free struct sync_item **items = sorted_items(run, &count);
	struct sync_item *outer = NULL;

	if (!items)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < count; i++) {
		enum sync_overlap how = outer ? sync_overlap(items[i]->package->target, outer->package->target) :
						SYNC_APART;

		if (how == SYNC_APART) {
			outer = items[i];
		} else if (!judge) {
			probe(items[i]);
			probe(outer);
		} else {
			refuse(items[i], outer, how);
			refuse(outer, items[i], how == SYNC_SAME ? SYNC_SAME : SYNC_AROUND);
		}
	}
	return 0;
}

int sync_refuse_conflicts(struct sync_run *run, struct err *err)
{
	return walk(run, false, err) < 0 ? -1 : walk(run, true, err);
}

/* --- against what is there --- */

/* Does storage still have the package of this record, for this very target? Always,
 * as far as we know, if it is of another container. */
static bool still_listed(const struct sync_run *run, const struct sync_record *record)
{
	if (strcmp(record->account, run->account) || strcmp(record->container, run->container))
		return true;
	for (size_t i = 0; i < run->list.count; i++) {
		const struct blob_item *item = &run->list.items[i];
		cleanup_free char *target = NULL;

		if (item->snapshot || strcmp(item->name, record->blob))
			continue;
		target = pack_target(item->name, blob_meta_get(&item->props.meta, PACK_META_PATH),
				     item->props.last_modified, NULL);
		return target && !strcmp(target, record->target);
	}
	return false;
}

static int check_record(const struct sync_item *item, const struct sync_record *record, struct err *err)
{
	const struct sync_run *run = item->run;
	const char *target = item->package->target;
	enum sync_overlap how = sync_overlap(target, record->target);

	if (how == SYNC_APART || sync_look(&run->root, record->target) == SYNC_THERE_NOTHING)
		return 0;
	if (how == SYNC_SAME && (sync_record_is_of(record, run->account, run->container, item->package->name) ||
				 !still_listed(run, record)))
		return 0;
	return err_set(err, ERR_EXISTS, "%s/%s: can't be installed at %s/%s: %s/%s is there, from %s/%s of "
		       "the account %s; remove that folder, or give one of them another relative path",
		       run->container, item->package->name, run->root.path, target, run->root.path,
		       record->target, record->container, record->blob, record->account);
}

int sync_check_target(const struct sync_item *item, struct err *err)
{
	const struct sync_run *run = item->run;
	const char *target = item->package->target;

	for (size_t i = 0; i < run->records.count; i++)
		if (check_record(item, run->records.items[i], err) < 0)
			return -1;
	switch (sync_look(&run->root, target)) {
	case SYNC_THERE_NOTHING:
	case SYNC_THERE_EMPTY:
		return 0;
	case SYNC_THERE_FOLDER:
		if (sync_records_find(&run->records, target))
			return 0;
		return err_set(err, ERR_EXISTS, "%s/%s: %s/%s is there already, and hpcsync did not put it "
			       "there: move it away, and sync again", run->container, item->package->name,
			       run->root.path, target);
	default:
		return err_set(err, ERR_EXISTS, "%s/%s: can't be installed at %s/%s: something that is no "
			       "folder is in the way", run->container, item->package->name, run->root.path,
			       target);
	}
}
