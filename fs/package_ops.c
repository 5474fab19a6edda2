/* The FUSE operations: whose they are. */
#include <config.h>

#include "fs/package.h"

#include <errno.h>
#include <string.h>

static struct package *package_of_req(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct call new_call(fuse_req_t req, fuse_ino_t ino, call_fn *run)
{
	return (struct call) { .p = package_of_req(req), .req = req, .ino = ino, .run = run };
}

/* On to the version that the inode belongs to. */
static void with_version(struct call *c)
{
	c->v = version_of_ino(c->p, c->ino, &c->entry);
	if (c->v)
		call_with_index(c);
	else
		fuse_reply_err(c->req, ESTALE);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct package *p = userdata;

	/* Older kernels would take ENOSYS for what it says. */
	p->unopened = p->unopened && conn->capable & FUSE_CAP_NO_OPEN_SUPPORT;
	p->unopened_dirs = !p->container && conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT;
	/* Nothing changes: pages need not be thrown away, and attributes may come along
	 * with names always. */
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_AUTO_INVAL_DATA |
				  FUSE_CAP_READDIRPLUS_AUTO);
	conn->want |= conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS |
				       FUSE_CAP_CACHE_SYMLINKS);
	conn->max_read = p->max_io;
	conn->max_write = p->max_io;
	if (conn->max_readahead > p->max_io)
		conn->max_readahead = p->max_io;
	conn->max_background = PACKAGE_MAX_BACKGROUND;
	conn->congestion_threshold = PACKAGE_MAX_BACKGROUND * 3 / 4;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct call c = new_call(req, parent, dir_lookup);
	size_t len = strlen(name);

	if (len > NAME_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	memcpy(c.name, name, len + 1);
	if (names_is_dir(c.p, parent)) {
		c.run = names_lookup;
		refresher_look(c.p->refresher, &c);
	} else {
		with_version(&c);
	}
}

static void forget(struct package *p, fuse_ino_t ino, uint64_t n)
{
	uint32_t entry;
	struct version *v = p->container ? version_of_ino(p, ino, &entry) : NULL;

	if (!v)
		return;
	version_forgotten(v, n);
	version_unref(v);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	forget(package_of_req(req), ino, n);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(package_of_req(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct call c = new_call(req, ino, dir_getattr);

	if (names_is_dir(c.p, ino))
		names_getattr(&c);
	else
		with_version(&c);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct call c = new_call(req, ino, file_readlink);

	with_version(&c);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct call c = new_call(req, ino, file_open);

	c.flags = fi->flags;
	with_version(&c);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct call c = new_call(req, ino, file_read);

	c.size = size;
	c.offset = offset;
	c.fh = fi->fh;
	file_read(&c);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (fi->fh)
		handle_free(handle_of(fi->fh));
	fuse_reply_err(req, 0);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct call c = new_call(req, ino, names_opendir);

	c.flags = fi->flags;
	if (names_is_dir(c.p, ino)) {
		refresher_look(c.p->refresher, &c);
		return;
	}
	/* Of a package the kernel may keep all, and needs to ask no more. */
	if (c.p->unopened_dirs) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	fi->fh = 0;
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, uint64_t fh, bool plus)
{
	struct call c = new_call(req, ino, plus ? dir_readdirplus : dir_readdir);

	c.size = size;
	c.offset = offset;
	c.fh = fh;
	if (offset < 0)
		fuse_reply_err(req, EINVAL);
	else if (!names_is_dir(c.p, ino))
		with_version(&c);
	else if (plus)
		names_readdirplus(&c);
	else
		names_readdir(&c);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	read_dir(req, ino, size, offset, fi->fh, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			   struct fuse_file_info *fi)
{
	read_dir(req, ino, size, offset, fi->fh, true);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct call c = new_call(req, ino ? ino : FUSE_ROOT_ID, dir_statfs);

	if (c.p->container)
		names_statfs(&c);
	else
		with_version(&c);
}

const struct fuse_lowlevel_ops package_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.open = op_open,
	.read = op_read,
	.release = op_release,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_release,
	.statfs = op_statfs,
};
