#include <config.h>

#include "cli/mount_options.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "blob/config.h"

int parse_partition(const char *text, int *out, struct err *err)
{
	uint64_t n;

	if (parse_size(text, &n) < 0 || n < 1 || n > 128)
		return err_set(err, ERR_USAGE, "partition '%s': must be a number from 1 to 128", text);
	*out = (int)n;
	return 0;
}

void mount_options_given_free(struct mount_options_given *g)
{
	free(g->snapshot_time);
	free(g->node_template);
	free(g->scheduler);
	free(g->container);
	free(g->config);
	free(g->agent_socket);
	free(g->rest);
	memset(g, 0, sizeof(*g));
}

static bool is_mounts_own(const char *name)
{
	static const char *const names[] = {
		"_netdev", "auto", "noauto", "nofail", "user", "nouser", "users", "owner", "group",
		"defaults", "rw", "comment",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(names[i], name))
			return true;
	return !strncmp(name, "x-", 2) || !strncmp(name, "X-", 2);
}

static int take_text(char **place, const char *name, const char *value, struct err *err)
{
	if (!value || !*value)
		return err_set(err, ERR_USAGE, "-o %s needs a value", name);
	free(*place);
	*place = strdup(value);
	return *place ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}

/* 1 if it was one of ours, 0 if not, -1. `value` NULL: there was no '='. */
static int take(struct mount_options_given *g, const char *name, const char *value, struct err *err)
{
	const struct { const char *name; char **place; } texts[] = {
		{ "node_template", &g->node_template }, { "scheduler", &g->scheduler },
		{ "container", &g->container },         { "config", &g->config },
		{ "agent_socket", &g->agent_socket },
	};
	const struct { const char *name; bool *place; } flags[] = {
		{ "force", &g->force }, { "raw", &g->raw },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!strcmp(texts[i].name, name))
			return take_text(texts[i].place, name, value, err) < 0 ? -1 : 1;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (!strcmp(flags[i].name, name)) {
			*flags[i].place = true;
			return value ? err_set(err, ERR_USAGE, "-o %s takes no value", name) : 1;
		}
	if (!strcmp(name, "partition"))
		return parse_partition(value ? value : "", &g->partition, err) < 0 ? -1 : 1;
	if (strcmp(name, "snapshot"))
		return 0;
	g->snapshot = true;
	return value && take_text(&g->snapshot_time, name, value, err) < 0 ? -1 : 1;
}

int mount_options_given_parse(const char *text, struct mount_options_given *out, struct err *err)
{
	cleanup_free char *copy = strdup(text ? text : "");
	cleanup_buf struct buf rest = BUF_INIT(65536);
	char *left = copy, *one;

	memset(out, 0, sizeof(*out));
	while (left && (one = strsep(&left, ","))) {
		char *value = strchr(one, '=');
		int rc;

		if (!*one)
			continue;
		if (value)
			*value++ = '\0';
		if (is_mounts_own(one))
			continue;
		rc = take(out, one, value, err);
		if (rc < 0) {
			mount_options_given_free(out);
			return -1;
		}
		if (rc == 0)
			buf_addf(&rest, "%s%s%s%s", rest.len ? "," : "", one, value ? "=" : "",
				 value ? value : "");
	}
	if (!copy || rest.failed || (rest.len && !(out->rest = buf_steal(&rest)))) {
		mount_options_given_free(out);
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	return 0;
}
