#include <config.h>

#include "blob/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/upload_feed.h"

int upload_source_open(struct upload_source *out, const char *path, struct err *err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set_errno(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_UNSUPPORTED, "%s: not a regular file", path);
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	*out = (struct upload_source){
		.path = path,
		.file_size = (uint64_t)st.st_size,
		.changed = st.st_mtim,
	};
	out->fd = steal_fd(&fd);
	return 0;
}

void upload_source_close(struct upload_source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static int check_unchanged(const struct upload_source *s, struct err *err)
{
	struct stat st;

	if (fstat(s->fd, &st) < 0)
		return err_set_errno(err, errno, "%s", s->path);
	if ((uint64_t)st.st_size != s->file_size || st.st_mtim.tv_sec != s->changed.tv_sec ||
	    st.st_mtim.tv_nsec != s->changed.tv_nsec)
		return upload_has_changed(s, err);
	return 0;
}

static int send_last(struct upload *u, const void *last, uint64_t offset, struct err *err)
{
	struct upload_slot *slot = upload_slot_get(u);

	if (!slot)
		return upload_drain(u, err);
	memcpy(slot->data, last, BLOB_PAGE);
	slot->offset = offset;
	slot->pieces[0] = (struct upload_piece){ .offset = 0, .len = BLOB_PAGE };
	slot->count = 1;
	if (md5_of(slot->data, BLOB_PAGE, slot->pieces[0].md5, err) < 0) {
		upload_slot_done(slot, err);
		return -1;
	}
	upload_slot_send(slot);
	return upload_drain(u, err);
}

int upload_pages(struct blob_client *c, const struct blob_ref *ref,
		 const struct upload_source *source, uint64_t size, const void *last,
		 const struct upload_lease *lease, const struct upload_options *o,
		 struct upload_stats *stats, struct err *err)
{
	struct upload u = { .client = c, .ref = ref, .lease = lease, .options = o };
	int rc;

	u.total = (size + BLOB_PAGE - 1) / BLOB_PAGE * BLOB_PAGE;
	if (upload_pool_init(&u, o->block_size, UPLOAD_MAX_PIECES(o->block_size), err) < 0)
		return -1;
	rc = upload_feed(&u, source, size, err);
	if (rc == 0)
		rc = check_unchanged(source, err);
	if (rc == 0 && last)
		rc = send_last(&u, last, u.total, err);
	upload_pool_free(&u);
	*stats = u.stats;
	return rc;
}

/* --- blocks --- */

/* No buffer needs to be larger than the file. */
static uint64_t block_bytes(const struct upload *u)
{
	if (u->total >= u->options->block_size)
		return u->options->block_size;
	return u->total ? u->total : 1;
}

static int commit(struct upload *u, uint64_t size, const struct blob_meta_list *meta, const char *md5,
		  struct err *err)
{
	uint64_t block = u->options->block_size;
	size_t count = (size_t)((size + block - 1) / block);
	cleanup_free char *text = calloc(count + 1, UPLOAD_BLOCK_ID_MAX);
	cleanup_free const char **ids = calloc(count + 1, sizeof(*ids));

	if (!text || !ids)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < count; i++) {
		ids[i] = text + i * UPLOAD_BLOCK_ID_MAX;
		upload_block_id(u, i * block, text + i * UPLOAD_BLOCK_ID_MAX);
	}
	return blob_put_block_list(u->client, u->ref, ids, count, meta, "application/octet-stream",
				   md5, NULL, err);
}

int upload_blocks(struct blob_client *c, const struct blob_ref *ref,
		  const struct upload_source *source, const struct blob_meta_list *meta,
		  const struct upload_options *o, struct upload_stats *stats, struct err *err)
{
	struct upload u = { .client = c, .ref = ref, .options = o, .total = source->file_size };
	char md5[MD5_TEXT_MAX];
	uint64_t nonce = 0;
	int rc;

	/* Blocks that another upload left uncommitted must not be taken for ours. */
	if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
		return err_set_errno(err, errno, "no random numbers");
	snprintf(u.block_prefix, sizeof(u.block_prefix), "hpc-%016llx", (unsigned long long)nonce);
	u.whole = md5_thread_new(err);
	if (!u.whole)
		return -1;
	if (upload_pool_init(&u, block_bytes(&u), 1, err) < 0) {
		md5_thread_end(u.whole, NULL);
		return -1;
	}
	rc = upload_feed(&u, source, source->file_size, err);
	if (rc == 0)
		rc = check_unchanged(source, err);
	md5_thread_end(u.whole, md5);
	if (rc == 0)
		rc = commit(&u, source->file_size, meta, md5, err);
	upload_pool_free(&u);
	*stats = u.stats;
	return rc;
}
