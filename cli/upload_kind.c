/* upload_kind.c - what the file is decides what the blob becomes. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "cli/upload_job.h"

#define DEFAULT_BLOCK (4u << 20)
#define MAX_PAGE_BLOB (8ull << 40)

/* A damaged or dynamic VHD must not pass for something else, unless the user
 * says that it is just bytes. */
static int look_for_footer(struct upload_job *job, struct err *err)
{
	const struct upload_source *s = &job->source;
	struct vhd_footer footer;
	struct err why;

	if (job->wanted == BLOB_TYPE_BLOCK)
		return 0;
	if (vhd_footer_of_file(s->fd, s->path, &footer, job->footer, &job->blob_size, &why) == 0) {
		job->is_vhd = true;
		return 0;
	}
	if (why.code == ERR_FORMAT && !vhd_footer_has_cookie(job->footer))
		return 0;
	if (job->wanted == BLOB_TYPE_NONE && (why.code == ERR_FORMAT || why.code == ERR_UNSUPPORTED))
		err_append(&why, " (--blob-type block stores it as it is, but it can't be mounted then)");
	*err = why;
	return -1;
}

static int decide_page(struct upload_job *job, struct err *err)
{
	if (job->is_vhd) {
		job->file_bytes = job->blob_size - VHD_FOOTER_SIZE;
	} else {
		job->file_bytes = job->source.file_size;
		job->blob_size = (job->file_bytes + BLOB_PAGE - 1) / BLOB_PAGE * BLOB_PAGE;
	}
	if (job->blob_size > MAX_PAGE_BLOB)
		return err_set(err, ERR_UNSUPPORTED, "%s: a page blob holds 8 TiB, this would be larger",
			       job->source.path);
	if (!job->block_size)
		job->block_size = BLOB_MAX_PUT_PAGE;
	if (job->block_size % BLOB_PAGE || job->block_size > BLOB_MAX_PUT_PAGE)
		return err_set(err, ERR_USAGE,
			       "--block-size: for a page blob it must be a multiple of 512 up to 4M");
	return 0;
}

static int decide_block(struct upload_job *job, struct err *err)
{
	uint64_t size = job->source.file_size, least;

	job->file_bytes = job->blob_size = size;
	least = (size + UPLOAD_MAX_BLOCKS - 1) / UPLOAD_MAX_BLOCKS;
	if (least > UPLOAD_MAX_BLOCK)
		return err_set(err, ERR_UNSUPPORTED, "%s: too large for a blob", job->source.path);
	if (!job->block_size) {
		least = (least + (1 << 20) - 1) >> 20 << 20;
		job->block_size = least > DEFAULT_BLOCK ? least : DEFAULT_BLOCK;
	}
	if (job->block_size > UPLOAD_MAX_BLOCK)
		return err_set(err, ERR_USAGE, "--block-size: the service takes at most 4000M");
	if (job->block_size < least)
		return err_set(err, ERR_USAGE,
			       "--block-size: %s has too many blocks of that size (50000 is the limit): at least %llu",
			       job->source.path, (unsigned long long)least);
	return 0;
}

int upload_decide(struct upload_job *job, struct err *err)
{
	char length[32];

	if (look_for_footer(job, err) < 0)
		return -1;
	job->type = job->wanted ? job->wanted : job->is_vhd ? BLOB_TYPE_PAGE : BLOB_TYPE_BLOCK;
	if (job->type == BLOB_TYPE_BLOCK)
		return decide_block(job, err);
	if (decide_page(job, err) < 0)
		return -1;
	/* Pages end at 512 bytes, the file where it wants. */
	snprintf(length, sizeof(length), "%llu",
		 (unsigned long long)(job->is_vhd ? job->blob_size : job->source.file_size));
	if (blob_meta_set(&job->meta, PACK_META_LENGTH, length) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	return 0;
}
