/* cmd_list.c - hpcpack list */
#include <config.h>

#include <string.h>

#include "blob/upload.h"
#include "cli/blob_facts.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/storage.h"

/* What a page blob that is being uploaded, or whose upload was killed, lies in. */
static bool is_unfinished(const struct blob_item *item)
{
	size_t len = strlen(item->name), suffix = strlen(UPLOAD_TEMP_SUFFIX);

	return item->props.type == BLOB_TYPE_PAGE && len > suffix &&
	       !strcmp(item->name + len - suffix, UPLOAD_TEMP_SUFFIX);
}

static int add_row(struct table *t, const struct blob_item *item, struct err *err)
{
	char size[FORMAT_SIZE_MAX];
	struct blob_facts f;
	int rc;

	if (blob_facts_get(&f, item->name, &item->props, err) < 0)
		return -1;
	rc = table_add(t, (const char *const []){ f.name, format_size(f.size, size), f.type, f.when,
						  f.relative_path ? f.relative_path : "-",
						  f.description ? f.description : "-" });
	blob_facts_free(&f);
	return rc < 0 ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

static int show(const struct storage *s, const struct blob_list *list, struct err *err)
{
	struct table *t = table_new(6);
	size_t shown = 0, unfinished = 0;
	int rc = t ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");

	if (rc == 0)
		rc = table_add(t, (const char *const []){ "NAME", "SIZE", "TYPE", "UPLOADED", "RELATIVE PATH",
							  "DESCRIPTION" });
	for (size_t i = 0; i < list->count && rc == 0; i++) {
		if (is_unfinished(&list->items[i])) {
			unfinished++;
			continue;
		}
		rc = add_row(t, &list->items[i], err);
		shown++;
	}
	if (rc == 0 && shown)
		table_print(t, stdout);
	if (rc == 0 && !shown)
		cli_note(s->options, "%s: there is nothing in this container", s->container);
	if (rc == 0 && unfinished)
		cli_note(s->options, "%zu upload%s under way, or broken off: NAME%s", unfinished,
			 unfinished == 1 ? " is" : "s are", UPLOAD_TEMP_SUFFIX);
	table_free(t);
	return rc;
}

static int show_json(const struct storage *s, const struct blob_list *list, struct err *err)
{
	json_t *packages = json_array(), *unfinished = json_array(), *all;
	int rc = 0;

	for (size_t i = 0; i < list->count && rc == 0; i++) {
		const struct blob_item *item = &list->items[i];
		struct blob_facts f;

		rc = blob_facts_get(&f, item->name, &item->props, err);
		if (rc < 0)
			break;
		if (json_array_append_new(is_unfinished(item) ? unfinished : packages, blob_facts_json(&f)) < 0)
			rc = err_set(err, ERR_NO_MEMORY, "out of memory");
		blob_facts_free(&f);
	}
	all = json_pack("{s:s, s:s, s:o, s:o}", "account", s->account.name, "container", s->container,
			"packages", packages, "unfinished", unfinished);
	if (rc == 0 && all)
		print_json(all);
	else if (rc == 0)
		rc = err_set(err, ERR_NO_MEMORY, "out of memory");
	json_decref(all);
	return rc;
}

static int run(const struct options *o)
{
	struct blob_list list;
	struct storage s;
	struct err err;
	int status = storage_open(&s, o), rc;

	if (status)
		return status;
	rc = blob_list(s.client, s.container, NULL, BLOB_LIST_META, &list, &err);
	if (rc == 0) {
		rc = o->count[OPT_JSON] ? show_json(&s, &list, &err) : show(&s, &list, &err);
		blob_list_free(&list);
	}
	if (rc < 0)
		status = cli_fail(&err);
	storage_close(&s);
	return status;
}

static const enum option_id ids[] = { OPT_JSON, OPTIONS_STORAGE, OPTIONS_COMMON, OPT_COUNT };

const struct command command_list = {
	.name = "list",
	.synopsis = "[OPTION]...",
	.summary = "list what is in a container",
	.options = ids,
	.min_args = 0,
	.max_args = 0,
	.run = run,
};
