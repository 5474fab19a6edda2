/* cmd_unmount.c - hpcpack unmount NAME | MOUNTPOINT */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "agent/client.h"
#include "blob/base/cleanup.h"
#include "cli/cli.h"
#include "cli/mount_list.h"
#include "cli/mount_request.h"
#include "cli/output.h"

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

/* One request on a connection of its own. */
static json_t *ask(const struct options *o, const char *target, struct err *err)
{
	cleanup_close int fd = reach_mounts(o, err);
	json_t *request, *reply;

	if (fd < 0) {
		if (err->code == ERR_NOT_FOUND)
			err_set(err, ERR_NOT_FOUND, "%s is not mounted: no node agent runs", target);
		return NULL;
	}
	request = json_pack("{ss ss so so sb}", "op", "unmount", "target", target,
			    "account", text_or_null(o->value[OPT_ACCOUNT]),
			    "container", text_or_null(o->value[OPT_CONTAINER]),
			    "lazy", o->count[OPT_LAZY] > 0);
	if (!request) {
		err_set(err, ERR_USAGE, "the name must be UTF-8");
		return NULL;
	}
	reply = agent_call(fd, request, NULL, NULL, err);
	json_decref(request);
	return reply;
}

static bool is_path(const char *arg)
{
	return arg[0] == '/' || !strcmp(arg, ".") || !strcmp(arg, "..") || !strncmp(arg, "./", 2) ||
	       !strncmp(arg, "../", 3);
}

/* A name that nothing is mounted from may be a mount point, relative to here. */
static json_t *unmount(const struct options *o, struct err *err)
{
	const char *arg = o->args[0];
	cleanup_free char *path = absolute_path(arg, NULL);
	struct err as_path;
	json_t *reply;

	if (is_path(arg))
		return ask(o, path ? path : arg, err);
	reply = ask(o, arg, err);
	if (reply || err->code != ERR_NOT_FOUND || !path)
		return reply;
	return ask(o, path, &as_path);
}

static uint64_t number(const json_t *receipt, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(receipt, key));
}

static void print_receipt(const json_t *reply)
{
	const json_t *receipt = json_object_get(reply, "receipt");
	const char *at = json_string_value(json_object_get(reply, "mountpoint"));
	const char *etag = json_string_value(json_object_get(receipt, "etag"));
	char read[FORMAT_SIZE_MAX], written[FORMAT_SIZE_MAX];

	if (json_is_true(json_object_get(reply, "pending"))) {
		printf("detached %s; what is left of it goes when its last user does\n", at ? at : "");
		return;
	}
	printf("unmounted %s", at ? at : "");
	if (json_is_object(receipt))
		printf(": %s read, %s written, %llu requests", format_size(number(receipt, "bytes_read"), read),
		       format_size(number(receipt, "bytes_written"), written),
		       (unsigned long long)number(receipt, "requests"));
	if (etag && *etag)
		printf(", ETag %s", etag);
	putchar('\n');
}

static int run(const struct options *o)
{
	struct err err = { .code = ERR_NONE };
	json_t *reply = unmount(o, &err);

	if (!reply)
		return cli_fail(&err);
	json_object_del(reply, "ok");
	if (o->count[OPT_JSON])
		print_json(reply);
	else if (!o->count[OPT_QUIET])
		print_receipt(reply);
	json_decref(reply);
	return 0;
}

static const enum option_id ids[] = {
	OPT_LAZY, OPT_JSON, OPT_AGENT_SOCKET, OPTIONS_STORAGE, OPTIONS_COMMON, OPT_COUNT
};

const struct command command_unmount = {
	.name = "unmount",
	.synopsis = "NAME | MOUNTPOINT [--lazy] [OPTION]...",
	.summary = "unmount a drive",
	.options = ids,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
