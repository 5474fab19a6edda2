/* cmd_view.c - hpcpack view PACKAGE */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "cli/blob_facts.h"
#include "cli/holder.h"
#include "cli/output.h"
#include "cli/storage.h"
#include "cli/view.h"
#include "pack/target.h"

struct view {
	const struct storage *storage;
	struct blob_ref ref;
	struct blob_props props;
	struct blob_facts facts;
	struct contents contents;
	char *target;          /* below the package root; NULL: none */
	char no_target[256];   /* why */
	long snapshots;        /* -1: not known */
};

/* Of anything but an OPC package hpcsync takes no notice. */
static void find_target(struct view *v)
{
	struct err err;

	if (v->contents.content != CONTENT_OPC) {
		snprintf(v->no_target, sizeof(v->no_target), "none: hpcsync installs OPC packages only");
		return;
	}
	v->target = pack_target(v->ref.blob, blob_meta_get(&v->props.meta, PACK_META_PATH),
				v->props.last_modified, &err);
	if (!v->target)
		snprintf(v->no_target, sizeof(v->no_target), "none: %.200s", err.msg);
}

/* It takes the right to list, which not every SAS has. */
static void count_snapshots(struct view *v)
{
	struct blob_list list;

	v->snapshots = -1;
	if (blob_list(v->storage->client, v->ref.container, v->ref.blob, BLOB_LIST_SNAPSHOTS, &list, NULL) < 0)
		return;
	v->snapshots = 0;
	for (size_t i = 0; i < list.count; i++)
		v->snapshots += list.items[i].snapshot && !strcmp(list.items[i].name, v->ref.blob);
	blob_list_free(&list);
}

/* --- for people --- */

static void line(const char *label, const char *value)
{
	printf("%-14s ", label);
	print_text(stdout, value);
	putchar('\n');
}

static void size_line(const char *label, const char *before, uint64_t bytes)
{
	char text[256], size[FORMAT_SIZE_MAX];

	snprintf(text, sizeof(text), "%.100s%s (%" PRIu64 " bytes)", before, format_size(bytes, size), bytes);
	line(label, text);
}

static void show_contents(const struct contents *c)
{
	char text[128];

	if (c->content == CONTENT_DRIVE && !*c->problem) {
		size_line("disk", "", c->footer.disk_size);
		line("creator", c->footer.creator);
	} else if (c->content == CONTENT_OPC || c->content == CONTENT_ZIP) {
		snprintf(text, sizeof(text), "%" PRIu32 " file%s, ", c->files, c->files == 1 ? "" : "s");
		size_line("contents", text, c->unpacked);
	}
	if (*c->problem)
		line("problem", c->problem);
}

static void show_lease(const struct view *v)
{
	char who[HOLDER_TEXT_MAX];

	if (holder_is_leased(&v->props)) {
		holder_text(&v->props.meta, who);
		line("lease", who);
	} else {
		line("lease", "none");
	}
}

static void show(const struct view *v)
{
	const struct blob_facts *f = &v->facts;
	char text[2200];

	line("name", v->ref.blob);
	snprintf(text, sizeof(text), "%s/%s", v->storage->account.name, v->ref.container);
	line("container", text);
	snprintf(text, sizeof(text), "%s, in a %s blob", v->contents.content == CONTENT_OPC ? "OPC package" :
		 content_name(v->contents.content), f->type);
	line("type", text);
	size_line("size", "", f->size);
	line("uploaded", f->when);
	line("description", f->description ? f->description : "-");
	line("relative path", f->relative_path ? f->relative_path : "-");
	snprintf(text, sizeof(text), "%s%s", v->target ? "$CCP_PACKAGE_ROOT/" : "",
		 v->target ? v->target : v->no_target);
	line("target", text);
	show_contents(&v->contents);
	show_lease(v);
	if (v->snapshots >= 0) {
		snprintf(text, sizeof(text), "%ld", v->snapshots);
		line("snapshots", text);
	}
}

/* --- for programs --- */

static json_t *lease_json(const struct view *v)
{
	struct lease_holder h;
	json_t *holder = NULL;

	if (holder_is_leased(&v->props) && holder_get(&v->props.meta, &h))
		holder = json_pack("{s:s, s:s, s:I, s:s}", "host", h.host, "user", h.user, "pid",
				   (json_int_t)h.pid, "since", h.since);
	return json_pack("{s:s, s:o?}", "state", v->props.lease_state, "holder", holder);
}

static json_t *package_json(const struct contents *c)
{
	if (c->content != CONTENT_OPC && c->content != CONTENT_ZIP)
		return NULL;
	return json_pack("{s:b, s:I, s:I}", "opc", c->content == CONTENT_OPC, "files", (json_int_t)c->files,
			 "unpacked_size", (json_int_t)c->unpacked);
}

static json_t *drive_json(const struct contents *c)
{
	if (c->content != CONTENT_DRIVE || *c->problem)
		return NULL;
	return json_pack("{s:I, s:s}", "disk_size", (json_int_t)c->footer.disk_size, "creator",
			 c->footer.creator);
}

static int show_json(const struct view *v, struct err *err)
{
	const struct contents *c = &v->contents;
	json_t *all = blob_facts_json(&v->facts), *more;
	json_t *snapshots = v->snapshots >= 0 ? json_integer(v->snapshots) : NULL;
	int rc = -1;

	more = json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:o?, s:o?, s:o, s:o?, s:s?}", "account",
			 v->storage->account.name, "container", v->ref.container, "content",
			 content_name(c->content), "target", v->target, "md5",
			 *v->props.content_md5 ? v->props.content_md5 : NULL, "package", package_json(c),
			 "drive", drive_json(c), "lease", lease_json(v), "snapshots", snapshots, "problem",
			 *c->problem ? c->problem : NULL);
	if (all && more && json_object_update(all, more) == 0) {
		print_json(all);
		rc = 0;
	}
	json_decref(more);
	json_decref(all);
	return rc < 0 ? err_set(err, ERR_NO_MEMORY, "%s: can't be said in JSON", v->ref.blob) : 0;
}

/* --- both --- */

static int view(struct view *v, struct err *err)
{
	struct blob_client *c = v->storage->client;
	int rc = 0;

	if (blob_get_props(c, &v->ref, &v->props, err) < 0)
		return -1;
	if (blob_facts_get(&v->facts, v->ref.blob, &v->props, err) < 0 ||
	    contents_read(&v->contents, c, &v->ref, &v->props, err) < 0) {
		rc = -1;
	} else {
		find_target(v);
		count_snapshots(v);
		if (v->storage->options->count[OPT_JSON])
			rc = show_json(v, err);
		else
			show(v);
	}
	free(v->target);
	blob_facts_free(&v->facts);
	blob_props_free(&v->props);
	return rc;
}

static int run(const struct options *o)
{
	struct storage s;
	struct view v = { .storage = &s };
	struct err err;
	int status = storage_open(&s, o);

	if (status)
		return status;
	status = storage_blob(&s, o->args[0], &v.ref);
	if (!status && view(&v, &err) < 0)
		status = storage_fail(&s, &err);
	storage_close(&s);
	return status;
}

static const enum option_id ids[] = { OPT_JSON, OPTIONS_STORAGE, OPTIONS_COMMON, OPT_COUNT };

const struct command command_view = {
	.name = "view",
	.synopsis = "PACKAGE [OPTION]...",
	.summary = "show what is known of a package, file or drive",
	.options = ids,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
