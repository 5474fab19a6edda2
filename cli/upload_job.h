/*
 * upload_job.h - one upload, from the command line's words to a blob in its place.
 *
 *	cmd_upload.c     the options
 *	upload_kind.c    what the file is, and what it becomes
 *	upload_target.c  what is there already, and whether it may be replaced
 *	upload_run.c     the transfer, and putting the result in place
 */
#ifndef HPCPACK_CLI_UPLOAD_JOB_H
#define HPCPACK_CLI_UPLOAD_JOB_H

#include "blob/upload.h"
#include "cli/cli.h"
#include "pack/target.h"
#include "vhd/footer.h"

struct upload_job {
	const struct options *options;
	const struct blob_account *account;
	struct blob_client *data, *control;  /* control: never waits behind data */
	struct blob_ref target;

	struct upload_source source;
	enum blob_type wanted;               /* BLOB_TYPE_NONE: as the content is */
	enum blob_type type;
	bool is_vhd;
	uint64_t block_size;                 /* 0: default */
	uint64_t file_bytes;                 /* that travel from the file */
	uint64_t blob_size;                  /* the footer and padding included */
	uint8_t footer[VHD_FOOTER_SIZE];
	struct blob_meta_list meta;

	struct upload_stats stats;
};

/* Type, sizes, footer, block size: before anything travels. */
int upload_decide(struct upload_job *job, struct err *err);

/* Make the container if it is missing; refuse a target that is mounted, or of
 * another type. */
int upload_check_target(struct upload_job *job, struct err *err);

/* Transfer, then replace. On failure the target is as it was. */
int upload_run(struct upload_job *job, struct err *err);

#endif
