/* cmd_mount.c - hpcpack mount NAME [MOUNTPOINT] */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/mount_list.h"
#include "cli/mount_options.h"
#include "cli/mount_request.h"
#include "cli/output.h"

/* --container C, and then nothing or a path: no blob is meant, but all of them. */
static bool whole_container(const struct options *o)
{
	const char *first = o->arg_count ? o->args[0] : "/";

	return o->count[OPT_CONTAINER] &&
	       (*first == '/' || !strcmp(first, ".") || !strncmp(first, "./", 2) || !strncmp(first, "../", 3));
}

static int check_args(const struct options *o, struct err *err)
{
	if (o->count[OPT_LIST] && o->arg_count)
		return err_set(err, ERR_USAGE, "--list takes no arguments: '%s' is one too many", o->args[0]);
	if (o->count[OPT_LIST])
		return 0;
	if (whole_container(o) && o->arg_count > 1)
		return err_set(err, ERR_USAGE, "a whole container has one mount point: '%s' is one too many", o->args[1]);
	if (whole_container(o))
		return 0;
	if (!o->arg_count)
		return err_set(err, ERR_USAGE, "which drive or package? hpcpack mount NAME [MOUNTPOINT]; see hpcpack mount --help");
	if (o->args[0][0] == '/')
		return err_set(err, ERR_USAGE,
			       "'%s' is a path, but the drive's name comes first: hpcpack mount NAME [MOUNTPOINT]",
			       o->args[0]);
	if (o->value[OPT_SNAPSHOT] && !*o->value[OPT_SNAPSHOT])
		return err_set(err, ERR_USAGE, "--snapshot= needs a time or 'latest'");
	return 0;
}

/* The wish, from options and -o together. */
static int make_wish(struct mount_wish *w, const struct options *o,
		     const struct mount_options_given *g, struct err *err)
{
	bool whole = whole_container(o);

	*w = (struct mount_wish){
		.container = g->container,
		.blob = whole ? NULL : o->args[0],
		.mountpoint = o->arg_count > (whole ? 0 : 1) ? o->args[whole ? 0 : 1] : NULL,
		.force = o->count[OPT_FORCE] || g->force,
		.raw = o->count[OPT_RAW] || g->raw,
		.partition = g->partition,
		.options = g->rest,
		.agent_socket = o->value[OPT_AGENT_SOCKET] ? o->value[OPT_AGENT_SOCKET] : g->agent_socket,
		.config = o->value[OPT_CONFIG],
	};

	if (o->count[OPT_SNAPSHOT])
		w->snapshot = o->value[OPT_SNAPSHOT] ? o->value[OPT_SNAPSHOT] : "new";
	else if (g->snapshot)
		w->snapshot = g->snapshot_time ? g->snapshot_time : "new";
	if (o->value[OPT_PARTITION] && parse_partition(o->value[OPT_PARTITION], &w->partition, err) < 0)
		return -1;
	if ((o->value[OPT_CONTAINER] || !w->container) && cli_container(o, &w->container, err) < 0)
		return -1;
	return mount_wish_check(w, err);
}

static int mount_it(struct mount_wish *w, const struct options *o)
{
	struct blob_account account;
	struct config *config;
	struct err err;
	json_t *entry;
	int signal;

	if (cli_account(o, &config, &account, &err) < 0)
		return cli_fail_account(&err);
	w->account = &account;
	entry = mount_request(w, o, &signal, &err);
	account_free(&account);
	config_free(config);
	if (!entry) {
		if (signal)
			err_set(&err, ERR_CANCELLED, "%s: interrupted, nothing is mounted",
				w->blob ? w->blob : w->container);
		cli_fail(&err);
		return signal ? 128 + signal : CLI_FAILED;
	}
	if (o->count[OPT_JSON])
		print_json(entry);
	else
		puts(json_string_value(json_object_get(entry, "mountpoint")) ?: "");
	json_decref(entry);
	return 0;
}

static int run(const struct options *o)
{
	struct mount_options_given given;
	struct mount_wish wish;
	struct err err;
	int status;

	if (check_args(o, &err) < 0)
		return cli_usage(&err);
	if (o->count[OPT_LIST])
		return mount_list(o);
	if (mount_options_given_parse(o->value[OPT_MOUNT_OPTIONS], &given, &err) < 0)
		return cli_usage(&err);
	if (make_wish(&wish, o, &given, &err) < 0)
		status = cli_usage(&err);
	else
		status = mount_it(&wish, o);
	mount_options_given_free(&given);
	return status;
}

static const enum option_id ids[] = {
	OPT_SNAPSHOT, OPT_FORCE, OPT_RAW, OPT_PARTITION, OPT_MOUNT_OPTIONS, OPT_LIST, OPT_JSON,
	OPT_AGENT_SOCKET, OPTIONS_STORAGE, OPTIONS_COMMON, OPT_COUNT
};

const struct command command_mount = {
	.name = "mount",
	.synopsis = "NAME [MOUNTPOINT] [--snapshot[=TIME] | --force] [OPTION]...\n"
		    "--container CONTAINER [MOUNTPOINT] [OPTION]...\n--list [--json]",
	.summary = "mount a drive (a fixed VHD), a package, or a whole container",
	.options = ids,
	.max_args = 2,
	.run = run,
};
