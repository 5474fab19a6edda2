/*
 * mount_helper.c - mount.hpcpack: what mount(8) runs for
 *
 *	mount -t hpcpack [ACCOUNT/]CONTAINER/[NAME] DIR -o OPTION,...
 *
 * Its options and exit statuses are mount(8)'s, not those of hpcpack.
 */
#include <config.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "cli/cli.h"
#include "cli/mount_options.h"
#include "cli/mount_request.h"

enum { MOUNT_USAGE = 1, MOUNT_FAILED = 32 };

struct helper {
	const char *source, *dir, *options;
	bool fake, help;
	unsigned verbose;
};

static int bad(const struct err *err)
{
	cli_fail(err);
	return MOUNT_USAGE;
}

static int parse_args(struct helper *h, int argc, char **argv, struct err *err)
{
	static const char usage[] = "usage: mount.hpcpack [ACCOUNT/]CONTAINER/[NAME] DIR [-fnsv] [-o OPTION,...]";
	int c;

	opterr = 0;
	while ((c = getopt(argc, argv, "fnsvho:t:")) != -1)
		switch (c) {
		case 'f':
			h->fake = true;
			break;
		case 'n':   /* there is no mtab to write to */
		case 's':   /* unknown options are the filesystem's to judge */
		case 't':
			break;
		case 'v':
			h->verbose++;
			break;
		case 'h':
			h->help = true;
			puts(usage);
			return 0;
		case 'o':
			h->options = optarg;
			break;
		default:
			return err_set(err, ERR_USAGE, "%s", usage);
		}
	if (argc - optind != 2)
		return err_set(err, ERR_USAGE, "%s", usage);
	h->source = argv[optind];
	h->dir = argv[optind + 1];
	return 0;
}

/* Cut the source up. Of three parts or more the first is the account if it is
 * ours by name, else a container: the names of blobs hold slashes. */
static int split_source(char *source, const struct blob_account *account, struct mount_wish *w,
			struct err *err)
{
	size_t len = strlen(account->name);
	char *slash;

	if (len && !strncmp(source, account->name, len) && source[len] == '/' &&
	    strchr(source + len + 1, '/'))
		source += len + 1;
	slash = strchr(source, '/');
	if (!slash || slash == source)
		return err_set(err, ERR_USAGE, "'%s': must be [ACCOUNT/]CONTAINER/NAME, or [ACCOUNT/]CONTAINER/ for "
			       "all of it", source);
	w->container = source;
	*slash = '\0';
	if (!slash[1])
		return 0;
	w->blob = slash + 1;
	return 0;
}

static int mount_it(const struct helper *h, struct mount_wish *w, const struct options *o)
{
	json_t *entry = NULL;
	struct err err;
	int signal = 0;

	if (mount_wish_check(w, &err) < 0)
		return bad(&err);
	if (h->fake)
		return 0;
	entry = mount_request(w, o, &signal, &err);
	if (!entry) {
		cli_fail(&err);
		return signal ? 128 + signal : MOUNT_FAILED;
	}
	json_decref(entry);
	return 0;
}

static int run(const struct helper *h, struct mount_options_given *g)
{
	struct options o = { .value = { [OPT_NODE_TEMPLATE] = g->node_template,
					[OPT_SCHEDULER] = g->scheduler,
					[OPT_CONFIG] = g->config } };
	cleanup_free char *source = strdup(h->source);
	struct mount_wish w = {
		.mountpoint = h->dir,
		.snapshot = !g->snapshot ? NULL : g->snapshot_time ? g->snapshot_time : "new",
		.force = g->force,
		.raw = g->raw,
		.partition = g->partition,
		.options = g->rest,
		.agent_socket = g->agent_socket,
		.config = g->config,
	};
	struct blob_account account;
	struct config *config;
	struct err err;
	int status;

	o.count[OPT_VERBOSE] = h->verbose;
	o.count[OPT_QUIET] = !h->verbose;
	if (!source) {
		err_set(&err, ERR_NO_MEMORY, "out of memory");
		cli_fail(&err);
		return MOUNT_FAILED;
	}
	if (cli_account(&o, &config, &account, &err) < 0) {
		cli_fail(&err);
		return err.code == ERR_USAGE ? MOUNT_USAGE : MOUNT_FAILED;
	}
	w.account = &account;
	if (split_source(source, &account, &w, &err) < 0)
		status = bad(&err);
	else
		status = mount_it(h, &w, &o);
	account_free(&account);
	config_free(config);
	return status;
}

int main(int argc, char **argv)
{
	struct helper h = { .options = NULL };
	struct mount_options_given given;
	struct err err;
	int status;

	cli_init("mount.hpcpack");
	signal(SIGPIPE, SIG_IGN);
	if (parse_args(&h, argc, argv, &err) < 0)
		return bad(&err);
	if (h.help)
		return 0;
	if (mount_options_given_parse(h.options, &given, &err) < 0)
		return bad(&err);
	status = run(&h, &given);
	mount_options_given_free(&given);
	return status;
}
