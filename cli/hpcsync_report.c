#include <config.h>

#include "cli/hpcsync.h"

#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "cli/output.h"

struct totals {
	unsigned states[SYNC_FAILED + 1];
	uint64_t bytes, fetched, files;
};

static struct totals add_up(const struct sync_report *report)
{
	struct totals t = { .bytes = 0 };

	for (size_t i = 0; i < report->count; i++) {
		const struct sync_package *p = &report->packages[i];

		t.states[p->state]++;
		if (p->state != SYNC_INSTALLED)
			continue;
		t.bytes += p->bytes;
		t.fetched += p->fetched;
		t.files += p->files;
	}
	return t;
}

static char *absolute(const struct sync_report *report, const struct sync_package *p)
{
	char *path = NULL;

	if (p->target && asprintf(&path, "%s/%s", report->root, p->target) < 0)
		path = NULL;
	return path;
}

/* --- for programs --- */

/* A text that may not be UTF-8 has no JSON: then something readable. */
static json_t *text_or_null(const char *text)
{
	json_t *value = text ? json_string(text) : json_null();

	return value ? value : json_string("?");
}

static json_t *package_json(const struct sync_report *report, const struct sync_package *p)
{
	cleanup_free char *target = absolute(report, p);
	const char *error = p->state == SYNC_FAILED || p->state == SYNC_SKIPPED ? p->err.msg : NULL;

	return json_pack("{so so so ss sI sI sf so}", "name", text_or_null(p->name), "etag",
			 text_or_null(p->etag), "target", text_or_null(target), "state",
			 sync_state_name(p->state), "bytes", (json_int_t)p->bytes, "files",
			 (json_int_t)p->files, "seconds", p->seconds, "error", text_or_null(error));
}

static void report_json(const char *container, const struct sync_report *report, const struct err *err,
			double seconds)
{
	const struct totals t = add_up(report);
	json_t *packages = json_array(), *document;

	for (size_t i = 0; i < report->count; i++)
		json_array_append_new(packages, package_json(report, &report->packages[i]));
	document = json_pack("{so ss so so s{si si si si sI sI sI sf}}", "root", text_or_null(report->root),
			     "container", container, "error", text_or_null(err ? err->msg : NULL), "packages",
			     packages, "totals", "installed", (int)t.states[SYNC_INSTALLED], "unchanged",
			     (int)t.states[SYNC_UNCHANGED], "skipped", (int)t.states[SYNC_SKIPPED], "failed",
			     (int)t.states[SYNC_FAILED], "bytes", (json_int_t)t.bytes, "fetched",
			     (json_int_t)t.fetched, "files", (json_int_t)t.files, "seconds", seconds);
	print_json(document);
	json_decref(document);
}

/* --- for people --- */

static void add_row(struct table *table, const struct sync_report *report, const struct sync_package *p)
{
	cleanup_free char *target = absolute(report, p);
	char size[FORMAT_SIZE_MAX] = "", files[16] = "", seconds[24] = "";

	if (p->files || p->bytes) {
		format_size(p->bytes, size);
		snprintf(files, sizeof(files), "%u", p->files);
	}
	if (p->state == SYNC_INSTALLED)
		snprintf(seconds, sizeof(seconds), "%.1f s", p->seconds);
	table_add(table, (const char *[]){
		p->name, sync_state_name(p->state), files, size, seconds,
		p->state == SYNC_SKIPPED ? p->err.msg : target ? target : "",
	});
}

static void report_text(const struct options *o, const struct sync_report *report, double seconds)
{
	const struct totals t = add_up(report);
	struct table *table;
	char size[FORMAT_SIZE_MAX], fetched[FORMAT_SIZE_MAX];

	if (o->count[OPT_QUIET])
		return;
	table = table_new(6);
	if (table && report->count) {
		table_add(table, (const char *[]){ "PACKAGE", "STATE", "FILES", "SIZE", "TIME", "TARGET" });
		for (size_t i = 0; i < report->count; i++)
			add_row(table, report, &report->packages[i]);
		table_print(table, stdout);
	}
	table_free(table);
	printf("%u installed", t.states[SYNC_INSTALLED]);
	if (t.states[SYNC_INSTALLED])
		printf(" (%llu files, %s, %s fetched)", (unsigned long long)t.files,
		       format_size(t.bytes, size), format_size(t.fetched, fetched));
	printf(", %u unchanged, %u skipped, %u failed, in %.1f s\n", t.states[SYNC_UNCHANGED],
	       t.states[SYNC_SKIPPED], t.states[SYNC_FAILED], seconds);
}

bool hpcsync_report(const struct options *o, const char *container, const struct sync_report *report,
		    const struct err *err, double seconds)
{
	if (o->count[OPT_JSON])
		report_json(container, report, err, seconds);
	else if (!err)
		report_text(o, report, seconds);
	return add_up(report).states[SYNC_FAILED] > 0;
}
