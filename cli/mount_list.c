#include <config.h>

#include "cli/mount_list.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "agent/client.h"
#include "blob/base/cleanup.h"
#include "cli/cli.h"
#include "cli/output.h"

/* Does the agent's runtime folder hold the state of any mount? */
static bool has_mounts(const char *socket_path)
{
	cleanup_free char *dir = NULL;
	const char *slash = strrchr(socket_path, '/');
	struct dirent *entry;
	bool found = false;
	DIR *d;

	if (!slash || asprintf(&dir, "%.*s/mounts", (int)(slash - socket_path), socket_path) < 0)
		return false;
	d = opendir(dir);
	while (d && !found && (entry = readdir(d)))
		found = entry->d_name[0] != '.';
	if (d)
		closedir(d);
	return found;
}

int reach_mounts(const struct options *o, struct err *err)
{
	cleanup_free char *path = agent_socket_path(o->value[OPT_AGENT_SOCKET], err);
	bool started = false;
	int fd;

	if (!path)
		return -1;
	fd = agent_connect(path, has_mounts(path), o->value[OPT_CONFIG], &started, err);
	if (fd >= 0 && started)
		cli_note(o, "started the node agent, which was not running");
	return fd;
}

static const char *text(const json_t *entry, const char *key)
{
	const char *s = json_string_value(json_object_get(entry, key));

	return s ? s : "";
}

static uint64_t number(const json_t *entry, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(entry, key));
}

static void format_lease(const json_t *lease, char *out, size_t size)
{
	const char *state = text(lease, "state");

	if (!json_is_object(lease))
		snprintf(out, size, "-");
	else if (strcmp(state, "held"))
		snprintf(out, size, "%s", state);
	else
		snprintf(out, size, "since %s, renewed in %.0f s", text(lease, "held_since"),
			 json_number_value(json_object_get(lease, "next_renewal_seconds")));
}

static int add_entry(struct table *t, const json_t *entry)
{
	cleanup_free char *source = NULL;
	char lease[96], read[FORMAT_SIZE_MAX], written[FORMAT_SIZE_MAX], requests[24], cache[48];
	char used[FORMAT_SIZE_MAX], size[FORMAT_SIZE_MAX];
	const char *snapshot = text(entry, "snapshot"), *filesystem = text(entry, "filesystem");

	if (asprintf(&source, "%s/%s%s%s%s%s", text(entry, "account"), text(entry, "container"),
		     *text(entry, "blob") ? "/" : "", text(entry, "blob"), *snapshot ? "?snapshot=" : "", snapshot) < 0)
		return -1;
	if (json_is_true(json_object_get(entry, "raw")))
		filesystem = "raw";
	else if (*text(entry, "kind") && strcmp(text(entry, "kind"), "drive"))
		filesystem = text(entry, "kind");
	format_lease(json_object_get(entry, "lease"), lease, sizeof(lease));
	snprintf(requests, sizeof(requests), "%llu", (unsigned long long)number(entry, "requests"));
	snprintf(cache, sizeof(cache), "%s of %s", format_size(number(entry, "cache_used"), used),
		 format_size(number(entry, "cache_size"), size));
	return table_add(t, (const char *[]){
		source, text(entry, "mountpoint"), text(entry, "mode"), text(entry, "state"),
		*filesystem ? filesystem : "-", lease,
		format_size(number(entry, "bytes_read"), read),
		format_size(number(entry, "bytes_written"), written), requests, cache });
}

static int print_table(const json_t *mounts)
{
	static const char *const head[] = {
		"SOURCE", "MOUNTPOINT", "MODE", "STATE", "FILESYSTEM", "LEASE", "READ", "WRITTEN",
		"REQUESTS", "CACHE",
	};
	struct table *t = table_new(ARRAY_LEN(head));
	const json_t *entry;
	size_t i;
	int rc;

	rc = t ? table_add(t, head) : -1;
	json_array_foreach(mounts, i, entry)
		if (rc == 0)
			rc = add_entry(t, entry);
	if (rc == 0)
		table_print(t, stdout);
	table_free(t);
	json_array_foreach(mounts, i, entry)
		if (*text(entry, "reason") && strcmp(text(entry, "state"), "ready"))
			printf("%s is %s: %s\n", text(entry, "mountpoint"), text(entry, "state"),
			       text(entry, "reason"));
	return rc;
}

static int print(const json_t *mounts, const struct options *o, struct err *err)
{
	json_t *document;

	if (o->count[OPT_JSON]) {
		document = json_pack("{sO}", "mounts", mounts);
		if (!document)
			return err_set(err, ERR_NO_MEMORY, "out of memory");
		print_json(document);
		json_decref(document);
		return 0;
	}
	if (!json_array_size(mounts)) {
		cli_note(o, "nothing is mounted");
		return 0;
	}
	return print_table(mounts) < 0 ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

int mount_list(const struct options *o)
{
	struct err err = { .code = ERR_NONE };
	cleanup_close int fd = reach_mounts(o, &err);
	json_t *request, *reply = NULL, *mounts;
	int rc = -1;

	if (fd < 0 && err.code != ERR_NOT_FOUND)
		return cli_fail(&err);
	if (fd >= 0) {
		request = json_pack("{ss}", "op", "list");
		reply = agent_call(fd, request, NULL, NULL, &err);
		json_decref(request);
		if (!reply)
			return cli_fail(&err);
	}
	mounts = reply ? json_incref(json_object_get(reply, "mounts")) : json_array();
	if (json_is_array(mounts))
		rc = print(mounts, o, &err);
	else
		err_set(&err, ERR_PROTOCOL, "the node agent's answer holds no list of mounts");
	json_decref(mounts);
	json_decref(reply);
	return rc < 0 ? cli_fail(&err) : 0;
}
