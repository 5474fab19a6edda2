/* cmd_create.c - hpcpack create PACKAGE SOURCE... */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "pack/create.h"

struct creation {
	const struct options *options;
	struct progress progress;
	atomic_bool cancel;
};

static void cancel(void *arg)
{
	struct creation *c = arg;

	atomic_store(&c->cancel, true);
}

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct creation *c = arg;

	progress_bar(&c->progress, done, total);
}

static void warn(void *arg, const char *text)
{
	struct creation *c = arg;

	cli_note(c->options, "warning: %s", text);
}

/* Uncompressed, as the original, unless it is said. */
static int read_level(const struct options *o, int *level, struct err *err)
{
	int said = 0;

	*level = 0;
	said += o->count[OPT_LEVEL_0] > 0;
	if (o->count[OPT_LEVEL_1]) {
		*level = 1;
		said++;
	}
	if (o->count[OPT_LEVEL_9]) {
		*level = 9;
		said++;
	}
	return said > 1 ? err_set(err, ERR_USAGE, "-0, -1 and -9: only one of them can be meant") : 0;
}

/* https://reproducible-builds.org/specs/source-date-epoch/ */
static int read_date(int64_t *date, const int64_t **given, struct err *err)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	char *end;

	*given = NULL;
	if (!text || !*text)
		return 0;
	errno = 0;
	*date = strtoll(text, &end, 10);
	if (errno || *end || *date < 0)
		return err_set(err, ERR_USAGE, "SOURCE_DATE_EPOCH '%s': must be seconds since 1970", text);
	*given = date;
	return 0;
}

static void report(const struct creation *c, const struct pack_create_stats *stats)
{
	char bytes[FORMAT_SIZE_MAX], packed[FORMAT_SIZE_MAX];

	if (!c->options->count[OPT_QUIET])
		printf("created %s: %" PRIu64 " file%s of %s in %s, in %.1f s\n", c->options->args[0], stats->files,
		       stats->files == 1 ? "" : "s", format_size(stats->bytes, bytes),
		       format_size(stats->packed, packed), seconds_since(&c->progress.started));
}

static int create(struct creation *c, struct pack_create_options *o)
{
	const struct options *given = c->options;
	struct pack_create_stats stats;
	struct err err;
	int rc, signal;

	if (interrupt_start(cancel, c, &err) < 0)
		return cli_fail(&err);
	progress_start(&c->progress, given->args[0], !given->count[OPT_QUIET]);
	rc = pack_create(given->args[0], (const char *const *)given->args + 1, (size_t)given->arg_count - 1, o,
			 &stats, &err);
	progress_end(&c->progress);
	interrupt_stop();
	if (rc == 0) {
		report(c, &stats);
		return 0;
	}
	signal = interrupt_signal();
	if (signal && err.code == ERR_CANCELLED)
		err_set(&err, ERR_CANCELLED, "%s: interrupted; what was there under this name is as it was",
			given->args[0]);
	else
		signal = 0;
	return signal ? (cli_fail(&err), 128 + signal) : cli_fail_account(&err);
}

static int run(const struct options *given)
{
	struct creation c = { .options = given };
	struct pack_create_options o = {
		.no_recurse = given->count[OPT_NO_RECURSE] > 0,
		.cancel = &c.cancel,
		.progress = show_progress,
		.warn = warn,
		.arg = &c,
	};
	int64_t date;
	struct err err;

	if (read_level(given, &o.level, &err) < 0 || read_date(&date, &o.date, &err) < 0)
		return cli_usage(&err);
	return create(&c, &o);
}

static const enum option_id ids[] = {
	OPT_NO_RECURSE, OPT_LEVEL_0, OPT_LEVEL_1, OPT_LEVEL_9, OPTIONS_STORAGE, OPTIONS_COMMON, OPT_COUNT
};

const struct command command_create = {
	.name = "create",
	.synopsis = "PACKAGE SOURCE... [OPTION]...",
	.summary = "make a package of files and folders",
	.options = ids,
	.min_args = 2,
	.max_args = -1,
	.run = run,
};
