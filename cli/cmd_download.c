/* cmd_download.c - hpcpack download PACKAGE */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blob/base/cleanup.h"
#include "blob/download.h"
#include "cli/blob_facts.h"
#include "cli/download_job.h"
#include "cli/interrupt.h"
#include "cli/output.h"

#define DEFAULT_BLOCK (4u << 20)
#define MAX_BLOCK (1ull << 30)

static void stop(void *arg)
{
	struct download_job *job = arg;

	atomic_store(&job->cancel, true);
	blob_client_abort(job->storage->client);
}

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	progress_bar(arg, done, total);
}

static bool is_folder(const char *path)
{
	struct stat st;
	size_t len = strlen(path);

	return (len && path[len - 1] == '/') || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

/* The file to write: --path, or the blob's own name (its last part) in there. A fresh
 * string. */
static char *file_path(const char *path, const char *blob, struct err *err)
{
	const char *slash = strrchr(blob, '/'), *name = slash ? slash + 1 : blob;
	char *file = NULL;

	if (path && *path && !is_folder(path))
		file = strdup(path);
	else if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) {
		err_set(err, ERR_USAGE, "%s: no file can have such a name; choose one with --path", blob);
		return NULL;
	} else if (asprintf(&file, "%s%s%s", path && *path ? path : "",
			    path && *path && path[strlen(path) - 1] != '/' ? "/" : "", name) < 0)
		file = NULL;
	if (!file)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	return file;
}

/* The folders above the file. */
static int make_place(const char *file, struct err *err)
{
	const char *slash = strrchr(file, '/');
	cleanup_free char *folder = slash && slash > file ? strndup(file, (size_t)(slash - file)) : NULL;

	return folder ? make_folders(folder, err) : 0;
}

static void report(const struct download_job *job, const char *file, uint64_t size,
		   const struct download_stats *stats, double seconds)
{
	char text[FORMAT_SIZE_MAX], resumed[FORMAT_SIZE_MAX];

	if (job->storage->options->count[OPT_QUIET])
		return;
	printf("downloaded %s/%s/%s to %s, %s", job->storage->account.name, job->ref.container,
	       job->ref.blob, file, format_size(size, text));
	if (stats->resumed)
		printf(", %s of it before", format_size(stats->resumed, resumed));
	printf(", in %.1f s\n", seconds);
}

/* What became of what had come already. */
static void advise(const struct download_job *job, const struct err *was, const char *file, struct err *err)
{
	char part[4200];
	struct stat st;

	snprintf(part, sizeof(part), "%s" DOWNLOAD_STATE_SUFFIX, file);
	if (was->code == ERR_CANCELLED)
		err_set(err, ERR_CANCELLED, "%s: interrupted", job->ref.blob);
	if (was->code != ERR_BUSY && was->code != ERR_EXISTS && stat(part, &st) == 0)
		err_append(err, "; what has come is kept in %s" DOWNLOAD_PART_SUFFIX ": the same command goes on from there",
			   file);
}

static int get_file(struct download_job *job, const struct blob_props *props, const char *file,
		    struct err *err)
{
	uint64_t size = blob_true_size(props);
	struct progress progress;
	struct download_options o = { .block_size = job->block_size ? job->block_size : DEFAULT_BLOCK,
				      .progress = show_progress, .arg = &progress };
	struct download_stats stats;
	struct err was;

	progress_start(&progress, job->ref.blob, !job->storage->options->count[OPT_QUIET]);
	if (download_file(job->storage->client, &job->ref, props, size, file, &o, &stats, err) < 0) {
		progress_end(&progress);
		was = *err;
		advise(job, &was, file, err);
		return -1;
	}
	progress_end(&progress);
	if (stats.anew)
		cli_note(job->storage->options, "%s has changed since its download was begun: it was begun anew",
			 job->ref.blob);
	report(job, file, size, &stats, seconds_since(&progress.started));
	return 0;
}

static int download(struct download_job *job, struct err *err)
{
	const char *path = job->storage->options->value[OPT_PATH];
	cleanup_free char *file = NULL;
	struct blob_props props;
	int rc;

	if (job->storage->options->count[OPT_UNPACK]) {
		rc = download_unpack(job, path && *path ? path : ".", err);
		if (rc < 0 && err->code == ERR_CANCELLED)
			err_set(err, ERR_CANCELLED, "%s: interrupted, and nothing was unpacked", job->ref.blob);
		return rc;
	}
	if (blob_get_props(job->storage->client, &job->ref, &props, err) < 0)
		return -1;
	file = file_path(path, job->ref.blob, err);
	rc = file ? make_place(file, err) : -1;
	if (rc == 0)
		rc = get_file(job, &props, file, err);
	blob_props_free(&props);
	return rc;
}

static int read_block_size(struct download_job *job, const struct options *o, struct err *err)
{
	const char *text = o->value[OPT_BLOCK_SIZE];

	if (text && (parse_size(text, &job->block_size) < 0 || job->block_size < 1 ||
		     job->block_size > MAX_BLOCK))
		return err_set(err, ERR_USAGE, "--block-size '%s': must be a number of bytes (K, M, G allowed) up to 1G",
			       text);
	return 0;
}

static int run(const struct options *o)
{
	struct storage s;
	struct download_job job = { .storage = &s };
	struct err err;
	int status, signal;

	if (read_block_size(&job, o, &err) < 0)
		return cli_usage(&err);
	status = storage_open(&s, o);
	if (status)
		return status;
	status = storage_blob(&s, o->args[0], &job.ref);
	if (!status && interrupt_start(stop, &job, &err) < 0)
		status = cli_fail(&err);
	if (!status) {
		int rc = download(&job, &err);

		interrupt_stop();
		signal = interrupt_signal();
		if (rc < 0)
			status = storage_fail(&s, &err);
		if (rc < 0 && signal)
			status = 128 + signal;
	}
	storage_close(&s);
	return status;
}

static const enum option_id ids[] = {
	OPT_PATH, OPT_UNPACK, OPT_BLOCK_SIZE, OPTIONS_STORAGE, OPTIONS_COMMON, OPT_COUNT
};

const struct command command_download = {
	.name = "download",
	.synopsis = "PACKAGE [OPTION]...",
	.summary = "download a package, file or drive, or unpack a package",
	.options = ids,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
