/* cmd_upload.c - hpcpack upload FILE */
#include <config.h>

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "blob/base/cleanup.h"
#include "blob/credentials.h"
#include "blob/meta_text.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/storage.h"
#include "cli/upload_job.h"

static int parse_type(const char *text, enum blob_type *out, struct err *err)
{
	static const struct { const char *word; enum blob_type type; } words[] = {
		{ "page", BLOB_TYPE_PAGE }, { "PageBlob", BLOB_TYPE_PAGE },
		{ "block", BLOB_TYPE_BLOCK }, { "BlockBlob", BLOB_TYPE_BLOCK },
	};

	*out = BLOB_TYPE_NONE;
	for (size_t i = 0; text && i < ARRAY_LEN(words); i++)
		if (!strcasecmp(words[i].word, text))
			*out = words[i].type;
	if (text && *out == BLOB_TYPE_NONE)
		return err_set(err, ERR_USAGE, "--blob-type '%s': must be page or block", text);
	return 0;
}

/* Where hpcsync shall install it: below the package root, in every spelling. */
static int check_relative_path(const char *given, char *path, struct err *err)
{
	if (pack_relative_path(path, err) == 0)
		return 0;
	err->code = ERR_USAGE;
	return err_prefix(err, "--relative-path '%s': must be a path below the package root", given);
}

static int set_meta(struct upload_job *job, const char *name, const char *text, const char *what,
		    struct err *err)
{
	cleanup_free char *value = meta_text_encode(text, what, err);

	if (!value)
		return -1;
	if (blob_meta_set(&job->meta, name, value) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	return 0;
}

/* What the command line says; nothing is looked at yet. */
static int read_options(struct upload_job *job, const struct options *o, struct err *err)
{
	const char *path = o->value[OPT_RELATIVE_PATH], *text = o->value[OPT_DESCRIPTION];
	cleanup_free char *copy = path ? strdup(path) : NULL;
	const char *size = o->value[OPT_BLOCK_SIZE];

	job->options = o;
	if (parse_type(o->value[OPT_BLOB_TYPE], &job->wanted, err) < 0)
		return -1;
	if (size && (parse_size(size, &job->block_size) < 0 || job->block_size < 1))
		return err_set(err, ERR_USAGE, "--block-size '%s': must be a number of bytes (K, M, G allowed)", size);
	if (copy && (check_relative_path(path, copy, err) < 0 ||
		     set_meta(job, PACK_META_PATH, copy, "--relative-path", err) < 0))
		return -1;
	if (text && set_meta(job, PACK_META_DESCRIPTION, text, "--description", err) < 0)
		return -1;
	return cli_container(o, &job->target.container, err);
}

static void abort_clients(void *arg)
{
	const struct upload_job *job = arg;

	blob_client_abort(job->data);
	blob_client_abort(job->control);
}

static struct blob_client *new_client(const struct upload_job *job, const struct blob_client_options *o,
				      struct err *err)
{
	struct blob_client *c = blob_client_new(job->account, o, err);

	if (c)
		blob_client_set_reread(c, credentials_reread);
	return c;
}

static int with_clients(struct upload_job *job, const struct config *config, struct err *err)
{
	struct blob_client_options o;
	int rc = -1;

	if (storage_client_options(&o, config, err) < 0)
		return -1;
	job->data = new_client(job, &o, err);
	o.connections = 2;
	job->control = job->data ? new_client(job, &o, err) : NULL;
	if (job->control && interrupt_start(abort_clients, job, err) == 0) {
		rc = upload_check_target(job, err);
		if (rc == 0)
			rc = upload_run(job, err);
		interrupt_stop();
	}
	if (job->control)
		blob_client_free(job->control);
	if (job->data)
		blob_client_free(job->data);
	return rc;
}

static void report(const struct upload_job *job, double seconds)
{
	char size[FORMAT_SIZE_MAX], sent[FORMAT_SIZE_MAX], skipped[FORMAT_SIZE_MAX];
	const char *name = job->target.blob;
	size_t len = strlen(name);

	if (!job->options->count[OPT_QUIET]) {
		printf("uploaded %s to %s/%s/%s, a %s blob of %s: sent %s", job->source.path,
		       job->account->name, job->target.container, name,
		       job->type == BLOB_TYPE_PAGE ? "page" : "block", format_size(job->blob_size, size),
		       format_size(job->stats.sent, sent));
		if (job->type == BLOB_TYPE_PAGE)
			printf(", skipped %s of zeros", format_size(job->stats.skipped, skipped));
		printf(", in %.1f s\n", seconds);
	}
	if (!job->is_vhd && job->wanted == BLOB_TYPE_NONE && len > 4 && !strcasecmp(name + len - 4, ".vhd"))
		cli_note(job->options, "%s has no VHD footer at its end, so it can't be mounted as a drive",
			 job->source.path);
}

static int upload(struct upload_job *job)
{
	struct blob_account account;
	struct config *config;
	struct timespec start;
	struct err err;
	int rc, signal;

	if (cli_account(job->options, &config, &account, &err) < 0)
		return cli_fail_account(&err);
	job->account = &account;
	clock_gettime(CLOCK_MONOTONIC, &start);
	rc = with_clients(job, config, &err);
	signal = rc < 0 ? interrupt_signal() : 0;
	if (signal && err.code == ERR_CANCELLED)
		err_set(&err, ERR_CANCELLED, "%s: interrupted; what was in storage under this name is as it was",
			job->target.blob);
	if (rc < 0)
		cli_fail(&err);
	else
		report(job, seconds_since(&start));
	account_free(&account);
	config_free(config);
	return rc < 0 ? signal ? 128 + signal : CLI_FAILED : 0;
}

static int run(const struct options *o)
{
	struct upload_job job = { .source = { .fd = -1 } };
	cleanup_free char *copy = strdup(o->args[0]);
	struct err err;
	int status;

	if (read_options(&job, o, &err) < 0) {
		status = cli_usage(&err);
		goto out;
	}
	job.target.blob = copy ? basename(copy) : "";
	if (upload_source_open(&job.source, o->args[0], &err) < 0) {
		status = cli_fail(&err);
		goto out;
	}
	if (blob_check_blob_name(job.target.blob, &err) < 0 || upload_decide(&job, &err) < 0)
		status = cli_fail_account(&err);
	else
		status = upload(&job);
out:
	upload_source_close(&job.source);
	blob_meta_free(&job.meta);
	return status;
}

static const enum option_id ids[] = {
	OPT_RELATIVE_PATH, OPT_DESCRIPTION, OPT_BLOCK_SIZE, OPT_BLOB_TYPE, OPTIONS_STORAGE,
	OPTIONS_COMMON, OPT_COUNT
};

const struct command command_upload = {
	.name = "upload",
	.synopsis = "FILE [OPTION]...",
	.summary = "upload a file, a package or a drive",
	.options = ids,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
