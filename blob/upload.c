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
#include "blob/upload_pool.h"

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

static int has_changed(const struct upload_source *s, struct err *err)
{
	return err_set(err, ERR_CONDITION, "%s: was changed while it was uploaded: try again when it is still",
		       s->path);
}

static int check_unchanged(const struct upload_source *s, struct err *err)
{
	struct stat st;

	if (fstat(s->fd, &st) < 0)
		return err_set_errno(err, errno, "%s", s->path);
	if ((uint64_t)st.st_size != s->file_size || st.st_mtim.tv_sec != s->changed.tv_sec ||
	    st.st_mtim.tv_nsec != s->changed.tv_nsec)
		return has_changed(s, err);
	return 0;
}

static int read_file(const struct upload_source *s, char *data, uint64_t len, uint64_t offset,
		     struct err *err)
{
	while (len) {
		ssize_t n = pread(s->fd, data, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(err, errno, "%s: can't be read at byte %llu", s->path,
					     (unsigned long long)offset);
		if (n == 0)
			return has_changed(s, err);
		data += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* Read [offset, offset+len) of the first `size` bytes, zeros behind them. */
static int fill(struct upload_slot *slot, const struct upload_source *s, uint64_t offset,
		uint64_t len, uint64_t size, struct err *err)
{
	uint64_t there = offset + len > size ? size - offset : len;

	if (read_file(s, slot->data, there, offset, err) < 0)
		return -1;
	memset(slot->data + there, 0, len - there);
	slot->offset = offset;
	return 0;
}

/* What goes over the network is summed up here, piece by piece, and the whole beside
 * it: the latter tells who downloads it that it is what was uploaded. */
static int sum_up(struct upload *u, struct upload_slot *slot, uint64_t len, struct err *err)
{
	int rc = 0;

	if (u->whole)
		md5_thread_add(u->whole, slot->data, len);
	for (size_t i = 0; i < slot->count && rc == 0; i++) {
		struct upload_piece *p = &slot->pieces[i];

		rc = md5_of(slot->data + p->offset, p->len, p->md5, err);
	}
	if (u->whole)
		md5_thread_wait(u->whole);
	return rc;
}

static int send_chunk(struct upload *u, const struct upload_source *s, uint64_t offset,
		      uint64_t len, uint64_t size, struct upload_economy *economy, struct err *err)
{
	struct upload_slot *slot = upload_slot_get(u);
	uint64_t travels = 0;

	if (!slot)
		return upload_drain(u, err);
	if (fill(slot, s, offset, len, size, err) < 0) {
		upload_slot_done(slot, err);   /* the others stop soon */
		return -1;
	}
	if (economy) {
		slot->count = upload_plan(slot->data, len, economy, slot->pieces);
	} else {
		slot->pieces[0] = (struct upload_piece){ .offset = 0, .len = (uint32_t)len };
		slot->count = 1;
	}
	if (sum_up(u, slot, len, err) < 0) {
		upload_slot_done(slot, err);
		return -1;
	}
	for (size_t i = 0; i < slot->count; i++)
		travels += slot->pieces[i].len;
	upload_skip(u, len - travels);
	if (slot->count)
		upload_slot_send(slot);
	else
		upload_slot_put(slot);
	return 0;
}

static int send_data(struct upload *u, const struct upload_source *s, uint64_t size, struct err *err)
{
	struct upload_economy economy = { .data = 0 };
	uint64_t block = u->options->block_size, at = 0, start, end;
	int rc;

	while ((rc = upload_next_extent(s->fd, s->path, at, size, &start, &end, err)) > 0) {
		upload_skip(u, start - at);
		for (at = start; at < end;) {
			uint64_t next = (at / block + 1) * block;

			if (next > end)
				next = end;
			if (send_chunk(u, s, at, next - at, size, &economy, err) < 0)
				return -1;
			at = next;
		}
	}
	if (rc == 0 && at < u->total)
		upload_skip(u, u->total - at);
	return rc;
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
	if (sum_up(u, slot, BLOB_PAGE, err) < 0) {
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
	rc = send_data(&u, source, size, err);
	if (rc == 0)
		rc = upload_drain(&u, err);
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

static int send_blocks(struct upload *u, const struct upload_source *s, struct err *err)
{
	uint64_t at = 0, block = u->options->block_size;

	while (at < s->file_size) {
		uint64_t len = s->file_size - at < block ? s->file_size - at : block;

		if (send_chunk(u, s, at, len, s->file_size, NULL, err) < 0)
			return -1;
		at += len;
	}
	return 0;
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
	rc = send_blocks(&u, source, err);
	if (rc == 0)
		rc = upload_drain(&u, err);
	if (rc == 0)
		rc = check_unchanged(source, err);
	md5_thread_end(u.whole, md5);
	if (rc == 0)
		rc = commit(&u, source->file_size, meta, md5, err);
	upload_pool_free(&u);
	*stats = u.stats;
	return rc;
}
