/*
 * download_job.h - one download, from the command line's words to files.
 *
 *	cmd_download.c     the options; a blob into a file
 *	download_unpack.c  a package into a folder
 *	unpack_merge.c     what was unpacked, into its place
 */
#ifndef HPCPACK_CLI_DOWNLOAD_JOB_H
#define HPCPACK_CLI_DOWNLOAD_JOB_H

#include <stdatomic.h>

#include "cli/storage.h"

struct download_job {
	struct storage *storage;
	struct blob_ref ref;
	uint64_t block_size;       /* bytes; 0: default */
	atomic_bool cancel;        /* a signal came */
};

/* Make a folder and those above it that are missing. */
int make_folders(const char *path, struct err *err);

/*
 * Unpack into the folder `path`, which is made if it is missing. The package is
 * extracted into a folder of ours within it first; when all of it is there, and
 * right, it is moved into its place file by file.
 */
int download_unpack(struct download_job *job, const char *path, struct err *err);

#endif
