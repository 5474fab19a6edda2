/* hpcsync.c - install the packages of a container; hpcsync(1). */
#include <config.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "blob/credentials.h"
#include "cli/cli.h"
#include "cli/hpcsync.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "pack/sync.h"

/* What a sync and its callbacks share. */
struct run {
	const struct options *options;
	struct sync_options sync;
	struct blob_client *client;
	const char *container;
	struct progress progress;
	atomic_bool cancel;
};

/* --- the command line --- */

/* ACCOUNT and KEY come first, as in the original, and are then options like any
 * other; ps(1) shows the key no longer. What is left is the root. */
static int take_account(struct options *o, struct err *err)
{
	if (o->arg_count < 2)
		return 0;
	if (o->value[OPT_ACCOUNT] || o->value[OPT_KEY] || o->value[OPT_SAS] || o->value[OPT_CONNECTION_STRING] ||
	    o->value[OPT_NODE_TEMPLATE])
		return err_set(err, ERR_USAGE, "one argument too many: the account is given by an option, so "
			       "PACKAGEROOT is all that may stand there; see hpcsync --help");
	o->value[OPT_ACCOUNT] = strdup(o->args[0]);
	o->value[OPT_KEY] = strdup(o->args[1]);
	memset(o->args[1], 'x', strlen(o->args[1]));
	if (!o->value[OPT_ACCOUNT] || !o->value[OPT_KEY])
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	o->args += 2;
	o->arg_count -= 2;
	return 0;
}

static int read_options(struct run *run, struct err *err)
{
	const struct options *o = run->options;
	const char *size = o->value[OPT_BLOCK_SIZE];
	uint64_t bytes = 0;

	if (size && (parse_size(size, &bytes) < 0 || bytes < 4096 || bytes > 4000ull << 20))
		return err_set(err, ERR_USAGE, "--block-size '%s': must be a number of bytes from 4K to 4000M "
			       "(K, M allowed)", size);
	if (o->arg_count && !*o->args[0])
		return err_set(err, ERR_USAGE, "PACKAGEROOT is empty");
	run->sync.block_size = (size_t)bytes;
	run->sync.filter = o->value[OPT_PACKAGE_NAME];
	return cli_container(o, &run->container, err);
}

/* --- while it goes on --- */

static void cancel(void *arg)
{
	struct run *run = arg;

	atomic_store(&run->cancel, true);
	blob_client_abort(run->client);
}

static void waiting(void *arg, long pid)
{
	const struct run *run = arg;

	if (pid)
		cli_note(run->options, "another hpcsync (process %ld) works on this package root; waiting for it", pid);
	else
		cli_note(run->options, "another hpcsync works on this package root; waiting for it");
}

static void done(void *arg, const struct sync_package *package)
{
	struct run *run = arg;

	if (package->state != SYNC_FAILED)
		return;
	progress_end(&run->progress);
	cli_fail(&package->err);
}

static void show(void *arg, uint64_t fetched, uint64_t to_fetch)
{
	struct run *run = arg;

	progress_bar(&run->progress, fetched, to_fetch);
}

/* --- the connection --- */

static struct blob_client *connect_storage(const struct config *config, const struct blob_account *account,
					   struct err *err)
{
	struct blob_client_options o = { .io_threads = 1 };
	uint64_t connections;
	struct blob_client *c;

	if (config_time_ms(config, "drive", "io_deadline", 120000, 1000, 86400000, &o.deadline_ms, err) < 0 ||
	    config_size(config, "drive", "connections", 16, 1, 256, &connections, err) < 0)
		return NULL;
	o.connections = (unsigned)connections;
	c = blob_client_new(account, &o, err);
	if (c)
		blob_client_set_reread(c, credentials_reread);
	return c;
}

static int sync_packages(struct run *run, const struct config *config, struct sync_report *report,
			 struct err *err)
{
	const char *root = sync_root(run->options->arg_count ? run->options->args[0] : NULL, config);
	int rc;

	if (sync_options_read(&run->sync, config, err) < 0)
		return -1;
	if (interrupt_start(cancel, run, err) < 0)
		return -1;
	progress_start(&run->progress, run->container, !run->options->count[OPT_QUIET]);
	rc = pack_sync(run->client, run->container, root, &run->sync, report, err);
	progress_end(&run->progress);
	interrupt_stop();
	return rc;
}

/* --- what came of it --- */

static int with_account(struct run *run, struct config *config, struct blob_account *account)
{
	struct sync_report report = { .count = 0 };
	struct timespec start;
	int rc = -1, signal = 0, failed;
	struct err err;

	clock_gettime(CLOCK_MONOTONIC, &start);
	run->client = connect_storage(config, account, &err);
	if (run->client) {
		rc = sync_packages(run, config, &report, &err);
		blob_client_free(run->client);
	}
	signal = rc < 0 ? interrupt_signal() : 0;
	if (rc < 0)
		cli_fail(&err);
	failed = hpcsync_report(run->options, run->container, &report, rc < 0 ? &err : NULL, seconds_since(&start));
	sync_report_free(&report);
	return signal ? 128 + signal : rc < 0 || failed ? CLI_FAILED : 0;
}

static int run_with(const struct options *o)
{
	struct run run = { .options = o };
	struct blob_account account;
	struct config *config;
	struct err err;
	int status;

	run.sync = (struct sync_options){
		.cancel = &run.cancel, .waiting = waiting, .done = done, .progress = show, .arg = &run,
	};
	if (read_options(&run, &err) < 0)
		return cli_usage(&err);
	if (cli_account(o, &config, &account, &err) < 0) {
		status = cli_fail_account(&err);
		if (status == CLI_FAILED)
			hpcsync_report(o, run.container, &(struct sync_report){ .count = 0 }, &err, 0);
		return status;
	}
	status = with_account(&run, config, &account);
	account_free(&account);
	config_free(config);
	return status;
}

static int run(const struct options *given)
{
	struct options o = *given;
	struct err err;
	int status;

	/* What is added here is ours to wipe. */
	bool added = !o.value[OPT_ACCOUNT] && !o.value[OPT_KEY];

	if (take_account(&o, &err) < 0)
		status = cli_usage(&err);
	else
		status = run_with(&o);
	if (added) {
		secret_free(o.value[OPT_ACCOUNT]);
		secret_free(o.value[OPT_KEY]);
	}
	return status;
}

static const enum option_id ids[] = {
	OPT_PACKAGE_NAME, OPT_BLOCK_SIZE, OPT_JSON, OPTIONS_STORAGE, OPTIONS_COMMON, OPT_COUNT
};

static const struct command command_hpcsync = {
	.name = "",
	.synopsis = "[ACCOUNT KEY] [PACKAGEROOT] [OPTION]...",
	.summary = "install the packages of a container on this node",
	.options = ids,
	.max_args = 3,
	.run = run,
};

int main(int argc, char **argv)
{
	static const struct command *const commands[] = { &command_hpcsync, NULL };

	cli_init("hpcsync");
	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && !strcmp(argv[1], "--dump-options")) {
		options_dump(stdout, commands);
		return cli_flush(0);
	}
	return cli_run(&command_hpcsync, "hpcsync", argc, argv);
}
