/*
 * download_unpack.c - straight from storage into a folder.
 *
 * What is extracted lies in PATH/.hpcpack-unpack until all of it is there and its sums
 * are right. That folder is locked as long as somebody works in it; what a killed
 * unpack has left in it is removed by the next one.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "cli/download_job.h"
#include "cli/output.h"
#include "cli/unpack_merge.h"
#include "pack/extract.h"

#define STAGE ".hpcpack-unpack"

struct unpack {
	struct download_job *job;
	const char *path;
	int fd, stage;             /* the folder; ours within it */
	struct pack_blob blob;
	struct pack_index index;
	struct extract_stats stats;
	struct progress progress;
};

int make_folders(const char *path, struct err *err)
{
	cleanup_free char *copy = strdup(path);

	if (!copy)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (char *c = copy + 1; *copy; c++) {
		bool end = !*c;

		if (!end && *c != '/')
			continue;
		*c = '\0';
		if (mkdir(copy, 0777) < 0 && errno != EEXIST)
			return err_set_errno(err, errno, "%s: this folder can't be made", copy);
		if (end)
			break;
		*c = '/';
	}
	return 0;
}

/* --- the stage --- */

static int open_stage(struct unpack *u, struct err *err)
{
	struct stat ours, there;

	if (mkdirat(u->fd, STAGE, 0700) < 0 && errno != EEXIST)
		return err_set_errno(err, errno, "%s: nothing can be written there", u->path);
	u->stage = openat(u->fd, STAGE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (u->stage < 0)
		return err_set_errno(err, errno, "%s/" STAGE, u->path);
	if (flock(u->stage, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return err_set(err, ERR_BUSY, "%s: something else is being unpacked into this folder", u->path);
	/* Whoever had it before us may have just taken it away. */
	if (fstat(u->stage, &ours) < 0 || fstatat(u->fd, STAGE, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
	    ours.st_ino != there.st_ino)
		return err_set(err, ERR_BUSY, "%s: something else was just unpacked into this folder: try again",
			       u->path);
	return unpack_clear(u->stage, u->path, err);
}

static void close_stage(struct unpack *u, bool ours)
{
	if (ours && unpack_clear(u->stage, u->path, NULL) == 0)
		unlinkat(u->fd, STAGE, AT_REMOVEDIR);
	if (u->stage >= 0)
		close(u->stage);
}

/* --- the package --- */

static void show_progress(void *arg, const struct extract_stats *stats)
{
	struct unpack *u = arg;

	progress_bar(&u->progress, stats->bytes, u->index.unpacked);
}

static int extract(struct unpack *u, struct err *err)
{
	struct extract_options o = {
		.block_size = (size_t)u->job->block_size, .cancel = &u->job->cancel,
		.progress = show_progress, .arg = u, .prefix = strlen(u->path),
	};
	int rc;

	progress_start(&u->progress, u->job->ref.blob, !u->job->storage->options->count[OPT_QUIET]);
	rc = pack_extract(&u->index, &u->blob.reader, &u->blob, u->stage, &o, &u->stats, err);
	progress_end(&u->progress);
	return rc;
}

static int unpack(struct unpack *u, struct err *err)
{
	bool ours = false;
	int rc;

	if (unpack_check(&u->index, u->fd, u->path, err) < 0)
		return -1;
	rc = open_stage(u, err);
	if (rc == 0) {
		ours = true;
		rc = extract(u, err);
	}
	if (rc == 0)
		rc = unpack_merge(u->stage, u->fd, u->path, err);
	close_stage(u, ours);
	return rc;
}

static int with_folder(struct unpack *u, struct err *err)
{
	cleanup_close int fd = -1;

	if (make_folders(u->path, err) < 0)
		return -1;
	fd = open(u->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(err, errno, "%s", u->path);
	u->fd = fd;
	return unpack(u, err);
}

static void report(const struct unpack *u)
{
	char size[FORMAT_SIZE_MAX];

	if (!u->job->storage->options->count[OPT_QUIET])
		printf("unpacked %s/%s/%s to %s: %" PRIu32 " file%s, %s, in %.1f s\n",
		       u->job->storage->account.name, u->job->ref.container, u->job->ref.blob, u->path,
		       u->stats.files, u->stats.files == 1 ? "" : "s", format_size(u->stats.bytes, size),
		       seconds_since(&u->progress.started));
}

int download_unpack(struct download_job *job, const char *path, struct err *err)
{
	struct unpack u = { .job = job, .path = path, .fd = -1, .stage = -1 };
	int rc;

	if (pack_blob_open(&u.blob, job->storage->client, &job->ref, err) < 0)
		return -1;
	rc = pack_index_open(&u.index, &u.blob.reader, NULL, err);
	if (rc == 0) {
		rc = with_folder(&u, err);
		pack_index_free(&u.index);
	}
	pack_blob_close(&u.blob);
	if (rc == 0)
		report(&u);
	return rc;
}
