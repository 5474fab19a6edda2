#include <config.h>

#include "fs/drive_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "blob/base/log.h"
#include "fs/errno_map.h"
#include "fs/loop.h"

#define INO_DIR FUSE_ROOT_ID
#define INO_DISK 2
#define INO_PART 3

/* Nothing but this program changes the tree, and it only ever adds `part`. That
 * there is no such name is therefore not for the kernel to keep: ENOENT, as
 * opposed to an entry without an inode, isn't kept. */
#define FOR_EVER 1e9

static const struct {
	const char *name;
	fuse_ino_t ino;
} entries[] = { { ".", INO_DIR }, { "..", INO_DIR }, { "disk", INO_DISK }, { "part", INO_PART } };

#define ENTRIES (sizeof(entries) / sizeof(entries[0]))

static struct drive_file *file_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static bool has_part(fuse_req_t req)
{
	return atomic_load(&file_of(req)->window.open);
}

/* `part` is known by number only to those who have looked it up. */
static bool is_file(fuse_ino_t ino)
{
	return ino == INO_DISK || ino == INO_PART;
}

/* Where on the disk a file begins, and how much of it the file is. */
static uint64_t start_of(fuse_req_t req, fuse_ino_t ino)
{
	return ino == INO_PART ? file_of(req)->window.offset : 0;
}

static uint64_t size_of(fuse_req_t req, fuse_ino_t ino)
{
	return ino == INO_PART ? file_of(req)->window.size : disk_size(file_of(req)->disk);
}

/* --- replies that come later: each of these is the one reply of its request --- */

/* A storage that is gone fails thousands of requests: one line a second. */
static void log_failure(const char *what, const struct err *err)
{
	static atomic_llong last;
	long long now = (long long)time(NULL);

	if (atomic_exchange(&last, now) != now)
		log_warn("%s failed: %s", what, err->msg);
}

static void read_done(void *arg, const struct err *err, const struct iovec *iov, int count)
{
	fuse_req_t req = arg;

	if (err) {
		log_failure("reading", err);
		fuse_reply_err(req, errno_of(err->code));
		return;
	}
	fuse_reply_iov(req, iov, count);
}

static void write_done(void *arg, const struct err *err)
{
	struct loop_buf *b = arg;

	if (err) {
		log_failure("writing", err);
		fuse_reply_err(b->req, errno_of(err->code));
	} else {
		fuse_reply_write(b->req, b->len);
	}
	loop_release(b);
}

static void other_done(void *arg, const struct err *err)
{
	fuse_req_t req = arg;

	if (err)
		log_failure("flushing or discarding", err);
	fuse_reply_err(req, err ? errno_of(err->code) : 0);
}

/* --- the tree --- */

static void fill_stat(fuse_req_t req, fuse_ino_t ino, struct stat *st)
{
	const struct drive_file *f = file_of(req);

	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_uid = geteuid();
	st->st_gid = getegid();
	st->st_atime = st->st_mtime = st->st_ctime = f->since;
	if (ino == INO_DIR) {
		st->st_mode = S_IFDIR | (f->allow_other ? 0555 : 0500);
		st->st_nlink = 2;
		return;
	}
	st->st_mode = S_IFREG | (!f->read_only ? 0600 : f->allow_other ? 0444 : 0400);
	st->st_nlink = 1;
	st->st_size = (off_t)size_of(req, ino);
	st->st_blocks = st->st_size / 512;
	st->st_blksize = 4096;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const struct drive_file *f = userdata;

	/* Requests are read into memory, not spliced. The kernel must not write
	 * back by itself (a write's reply would come before the disk has it), nor
	 * throw its pages away because of times that mean nothing here. With an
	 * atomic O_TRUNC it would empty the file in its own mind unasked. */
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_AUTO_INVAL_DATA |
				  FUSE_CAP_ATOMIC_O_TRUNC);
	conn->want |= conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO);
	conn->max_write = f->max_io;
	conn->max_read = f->max_io;
	if (conn->max_readahead > f->max_io)
		conn->max_readahead = f->max_io;
	conn->max_background = DRIVE_MAX_BACKGROUND;
	conn->congestion_threshold = DRIVE_MAX_BACKGROUND * 3 / 4;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .attr_timeout = FOR_EVER, .entry_timeout = FOR_EVER };
	unsigned i;

	for (i = 0; parent == INO_DIR && i < ENTRIES; i++)
		if (is_file(entries[i].ino) && !strcmp(name, entries[i].name))
			entry.ino = entries[i].ino;
	if (!entry.ino || (entry.ino == INO_PART && !has_part(req))) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fill_stat(req, entry.ino, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	fill_stat(req, ino, &st);
	fuse_reply_attr(req, &st, FOR_EVER);
}

/* A disk has one size. Times may be set, and aren't kept. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	bool same_size = is_file(ino) && (uint64_t)attr->st_size == size_of(req, ino);

	if ((to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) ||
	    ((to_set & FUSE_SET_ATTR_SIZE) && !same_size)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	op_getattr(req, ino, fi);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	unsigned count = has_part(req) ? ENTRIES : ENTRIES - 1, i;
	char page[512];
	size_t used = 0;

	if (ino != INO_DIR) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	if (size > sizeof(page))
		size = sizeof(page);
	for (i = offset < 0 ? 0 : (unsigned)offset; i < count; i++) {
		struct stat st;
		size_t len;

		fill_stat(req, entries[i].ino, &st);
		len = fuse_add_direntry(req, page + used, size - used, entries[i].name, &st, (off_t)i + 1);
		if (len > size - used)
			break;
		used += len;
	}
	fuse_reply_buf(req, page, used);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st = { .f_bsize = 512, .f_frsize = 512, .f_blocks = size_of(req, INO_DISK) / 512,
			      .f_files = has_part(req) ? 2 : 1, .f_namemax = 4 };

	fuse_reply_statfs(req, &st);
}

/* --- the files --- */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!is_file(ino)) {
		fuse_reply_err(req, EISDIR);
		return;
	}
	if (file_of(req)->read_only && (fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
		return;
	}
	/* Of two files with the same bytes one may have been written since. */
	fi->keep_cache = !has_part(req);
	fuse_reply_open(req, fi);
}

/* Closing promises nothing; whoever wants his data durable calls fsync. */
static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	uint64_t end = size_of(req, ino);

	if (offset < 0) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if ((uint64_t)offset >= end || !size) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (size > end - (uint64_t)offset)
		size = (size_t)(end - (uint64_t)offset);
	disk_read(file_of(req)->disk, start_of(req, ino) + (uint64_t)offset, (uint32_t)size, read_done, req);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		     struct fuse_file_info *fi)
{
	uint64_t end = size_of(req, ino);
	struct loop_buf *b;

	if (offset < 0 || (uint64_t)offset >= end) {
		fuse_reply_err(req, offset < 0 ? EINVAL : ENOSPC);
		return;
	}
	if (size > end - (uint64_t)offset)
		size = (size_t)(end - (uint64_t)offset);
	if (!size) {
		fuse_reply_write(req, 0);
		return;
	}
	b = loop_hold();
	b->req = req;
	b->len = (uint32_t)size;
	disk_write(file_of(req)->disk, start_of(req, ino) + (uint64_t)offset, data, b->len, write_done, b);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	disk_flush(file_of(req)->disk, other_done, req);
}

/* Discard and write-zeroes of a loop device come here. What is allocated already
 * (all of a disk is) needs no work. */
static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t len,
			 struct fuse_file_info *fi)
{
	const int zeroing = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	uint64_t end = size_of(req, ino), from = (uint64_t)offset, count = (uint64_t)len;
	int failure = 0;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | zeroing))
		failure = EOPNOTSUPP;
	else if (offset < 0 || len <= 0)
		failure = EINVAL;
	else if (from >= end || count > end - from)
		failure = mode & FALLOC_FL_PUNCH_HOLE ? 0 : ENOSPC;
	if (!failure && (mode & zeroing) && file_of(req)->read_only)
		failure = EROFS;
	if (failure || !(mode & zeroing) || from >= end) {
		fuse_reply_err(req, failure);
		return;
	}
	if (count > end - from)
		count = end - from;
	disk_discard(file_of(req)->disk, start_of(req, ino) + from, count, other_done, req);
}

const struct fuse_lowlevel_ops drive_file_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readdir = op_readdir,
	.statfs = op_statfs,
	.open = op_open,
	.flush = op_flush,
	.release = op_release,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
};
