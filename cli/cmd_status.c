/* cmd_status.c - hpcpack status: how the node agent is, and its packages */
#include <config.h>

#include <string.h>

#include <jansson.h>

#include "agent/client.h"
#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "cli/cli.h"
#include "cli/output.h"

static const char *text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

static json_int_t number(const json_t *obj, const char *key)
{
	return json_integer_value(json_object_get(obj, key));
}

/* --- asking --- */

static json_t *ask(const struct options *o, json_int_t packages_from, struct err *err)
{
	cleanup_free char *path = agent_socket_path(o->value[OPT_AGENT_SOCKET], err);
	cleanup_close int fd = path ? agent_connect(path, false, NULL, NULL, err) : -1;
	json_t *request = json_pack("{ss sI}", "op", "status", "packages_from", packages_from);
	json_t *reply = NULL;

	if (!request)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	else if (fd >= 0)
		reply = agent_call(fd, request, NULL, NULL, err);
	json_decref(request);
	return reply;
}

static json_t *report_of(const json_t *reply)
{
	return json_object_get(json_object_get(json_object_get(reply, "sync"), "last"), "report");
}

/* The packages that did not fit into the first answer are asked for, and added to it.
 * Those of another sync, which has ended meanwhile, are none of its. */
static int add_packages(const struct options *o, json_t *reply, struct err *err)
{
	json_t *sync = json_object_get(reply, "sync"), *last = json_object_get(sync, "last");
	json_t *packages = json_object_get(report_of(reply), "packages"), *next;

	/* Each answer holds one at least. */
	while (json_is_integer(next = json_object_get(sync, "packages_next")) &&
	       json_integer_value(next) == (json_int_t)json_array_size(packages)) {
		json_t *more = ask(o, json_integer_value(next), err);
		json_t *more_sync = json_object_get(more, "sync");
		bool same = json_equal(json_object_get(last, "started"),
				       json_object_get(json_object_get(more_sync, "last"), "started"));

		if (!more)
			return -1;
		if (same)
			json_array_extend(packages, json_object_get(report_of(more), "packages"));
		json_object_set(sync, "packages_next",
				same ? json_object_get(more_sync, "packages_next") : json_null());
		json_decref(more);
		if (!same)
			return err_set(err, ERR_BUSY, "a package sync has ended just now; ask again");
	}
	json_object_del(sync, "packages_next");
	return 0;
}

/* --- for people --- */

static void print_mounts(const json_t *reply)
{
	const json_t *count;
	const char *state;
	bool first = true;

	printf("mounts    %lld", (long long)number(reply, "mounts"));
	json_object_foreach(json_object_get(reply, "mount_states"), state, count)
		if (json_integer_value(count)) {
			printf("%s%lld %s", first ? ": " : ", ", (long long)json_integer_value(count), state);
			first = false;
		}
	putchar('\n');
}

static void print_last(const json_t *last)
{
	const json_t *totals = json_object_get(json_object_get(last, "report"), "totals");

	if (json_is_null(last))
		printf("packages  not synced by this agent yet\n");
	else if (json_is_object(totals))
		printf("packages  synced %s: %lld installed, %lld unchanged, %lld skipped, %lld failed\n",
		       text(last, "ended"), (long long)number(totals, "installed"),
		       (long long)number(totals, "unchanged"), (long long)number(totals, "skipped"),
		       (long long)number(totals, "failed"));
	else
		printf("packages  could not be synced %s\n", text(last, "ended"));
	if (*text(last, "error"))
		printf("          %s\n", text(last, "error"));
}

static void print_plan(const json_t *sync)
{
	const char *running = text(sync, "running_since"), *next = text(sync, "next");

	if (*running)
		printf("next      running since %s\n", running);
	else if (*next)
		printf("next      %s\n", next);
	else
		printf("next      %s\n", json_is_true(json_object_get(sync, "enabled"))
						? "when the agent is started again"
						: "never: this agent does not sync packages");
}

static int add_package(struct table *t, const json_t *package)
{
	char size[FORMAT_SIZE_MAX], files[24], took[32];
	const char *target = text(package, "target"), *error = text(package, "error");

	snprintf(files, sizeof(files), "%lld", (long long)number(package, "files"));
	snprintf(took, sizeof(took), "%.1f s", json_number_value(json_object_get(package, "seconds")));
	return table_add(t, (const char *[]){
		text(package, "name"), text(package, "state"),
		format_size((uint64_t)number(package, "bytes"), size), files, took,
		*error ? error : *target ? target : "-" });
}

static int print_packages(const json_t *packages)
{
	static const char *const head[] = { "PACKAGE", "STATE", "SIZE", "FILES", "TOOK", "WHERE, OR WHY NOT" };
	struct table *t = table_new(ARRAY_LEN(head));
	const json_t *package;
	size_t i;
	int rc;

	rc = t ? table_add(t, head) : -1;
	json_array_foreach(packages, i, package)
		if (rc == 0)
			rc = add_package(t, package);
	if (rc == 0) {
		putchar('\n');
		table_print(t, stdout);
	}
	table_free(t);
	return rc;
}

static int print_status(const json_t *reply)
{
	const json_t *sync = json_object_get(reply, "sync");
	const json_t *packages = json_object_get(report_of(reply), "packages");

	printf("agent     version %s, pid %lld, since %s, in %s\n", text(reply, "version"),
	       (long long)number(reply, "pid"), text(reply, "since"), text(reply, "runtime_dir"));
	print_mounts(reply);
	print_last(json_object_get(sync, "last"));
	print_plan(sync);
	return json_array_size(packages) ? print_packages(packages) : 0;
}

static int run(const struct options *o)
{
	struct err err = { .code = ERR_NONE };
	json_t *reply = ask(o, 0, &err);
	int rc = 0;

	if (!reply)
		return cli_fail(&err);
	json_object_del(reply, "ok");
	rc = add_packages(o, reply, &err);
	if (rc == 0 && o->count[OPT_JSON])
		print_json(reply);
	else if (rc == 0 && print_status(reply) < 0)
		rc = err_set(&err, ERR_NO_MEMORY, "out of memory");
	json_decref(reply);
	return rc < 0 ? cli_fail(&err) : 0;
}

static const enum option_id ids[] = { OPT_JSON, OPT_AGENT_SOCKET, OPTIONS_COMMON, OPT_COUNT };

const struct command command_status = {
	.name = "status",
	.synopsis = "[--json]",
	.summary = "say how the node agent and its packages are",
	.options = ids,
	.min_args = 0,
	.max_args = 0,
	.run = run,
};
