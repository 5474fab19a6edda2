/* The tree of a package: names, attributes. Each of these runs with the index there. */
#include <config.h>

#include "fs/package.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define FOR_EVER 1e9
/* Where the entries of a directory begin: after "." and "..". */
#define FIRST 2

static bool is_hidden(const struct version *v, const struct pack_entry *e)
{
	return e->own && !v->p->w.job.package.opcparts;
}

static mode_t mode_of(const struct pack_entry *e)
{
	switch ((enum pack_type)e->type) {
	case PACK_DIR:
		return S_IFDIR | e->mode;
	case PACK_LINK:
		return S_IFLNK | 0777;
	case PACK_FILE:
		break;
	}
	return S_IFREG | e->mode;
}

/* Sizes that lie must not be more than a file can have: then it could not be listed. */
static off_t size_of(uint64_t size)
{
	return (off_t)(size < UINT64_C(1) << 62 ? size : UINT64_C(1) << 62);
}

void version_stat(const struct version *v, uint32_t entry, struct stat *st)
{
	const struct pack_entry *e = v->kind == VERSION_PACKAGE ? &v->index.entries[entry] : NULL;

	memset(st, 0, sizeof(*st));
	st->st_ino = version_ino(v, entry);
	st->st_uid = v->p->uid;
	st->st_gid = v->p->gid;
	st->st_mode = e ? mode_of(e) : S_IFREG | 0444;
	/* Of a directory: not known, as elsewhere; nobody should count on it. */
	st->st_nlink = 1;
	if (!e || e->type != PACK_DIR)
		st->st_size = size_of(e ? e->size : v->size);
	st->st_blksize = 4096;
	st->st_blocks = st->st_size / 512 + (st->st_size % 512 != 0);
	st->st_mtime = e && (e->mtime || !e->implied) && entry ? (time_t)e->mtime : v->mtime;
	st->st_atime = st->st_ctime = st->st_mtime;
}

static void fill_entry(struct version *v, uint32_t entry, struct fuse_entry_param *out)
{
	memset(out, 0, sizeof(*out));
	out->ino = version_ino(v, entry);
	out->attr_timeout = out->entry_timeout = FOR_EVER;
	version_stat(v, entry, &out->attr);
}

void dir_lookup(struct call *c)
{
	struct version *v = c->v;
	struct fuse_entry_param out = { .entry_timeout = FOR_EVER };
	ssize_t found = -1;

	if (v->kind != VERSION_PACKAGE || c->entry >= v->index.count ||
	    v->index.entries[c->entry].type != PACK_DIR) {
		fuse_reply_err(c->req, ENOTDIR);
		return;
	}
	found = pack_index_child(&v->index, c->entry, c->name, strlen(c->name));
	if (found >= 0 && !is_hidden(v, &v->index.entries[found])) {
		fill_entry(v, (uint32_t)found, &out);
		version_looked_up(v);
	}
	/* That there is none is kept as well: an ino of 0. */
	if (fuse_reply_entry(c->req, &out) < 0 && out.ino)
		version_forgotten(v, 1);
}

void dir_getattr(struct call *c)
{
	struct stat st;

	if (c->v->kind == VERSION_PACKAGE && c->entry >= c->v->index.count) {
		fuse_reply_err(c->req, ESTALE);
		return;
	}
	version_stat(c->v, c->entry, &st);
	fuse_reply_attr(c->req, &st, FOR_EVER);
}

/* --- reading a directory: an offset is the number of the next entry + FIRST --- */

struct page {
	char *data;
	size_t size, used;
	bool plus;
	uint64_t looked_up;
};

static bool put(struct call *c, struct page *page, const char *name, uint32_t entry, off_t next, bool dots)
{
	struct fuse_entry_param e;
	size_t len, left = page->size - page->used;

	fill_entry(c->v, entry, &e);
	if (page->plus) {
		if (dots)
			e.ino = 0;
		len = fuse_add_direntry_plus(c->req, page->data + page->used, left, name, &e, next);
	} else {
		len = fuse_add_direntry(c->req, page->data + page->used, left, name, &e.attr, next);
	}
	if (len > left)
		return false;
	page->used += len;
	page->looked_up += page->plus && !dots;
	return true;
}

static void fill_page(struct call *c, struct page *page)
{
	const struct pack_entry *all = c->v->index.entries, *dir = &all[c->entry];
	uint64_t at = (uint64_t)c->offset, e;

	if (at == 0 && !put(c, page, ".", c->entry, 1, true))
		return;
	if (at <= 1 && !put(c, page, "..", dir->parent, FIRST + c->entry + 1, true))
		return;
	e = at < FIRST ? c->entry + 1 : at - FIRST;
	for (; e > c->entry && e < dir->end; e = all[e].end)
		if (!is_hidden(c->v, &all[e]) &&
		    !put(c, page, pack_entry_name(&all[e]), (uint32_t)e, (off_t)(FIRST + all[e].end), false))
			return;
}

static void read_dir(struct call *c, bool plus)
{
	struct page page = { .size = c->size, .plus = plus };

	if (c->v->kind != VERSION_PACKAGE || c->entry >= c->v->index.count ||
	    c->v->index.entries[c->entry].type != PACK_DIR) {
		fuse_reply_err(c->req, ENOTDIR);
		return;
	}
	page.data = malloc(c->size);
	if (!page.data) {
		fuse_reply_err(c->req, ENOMEM);
		return;
	}
	fill_page(c, &page);
	/* Before the reply: what the kernel knows it may forget at once. */
	for (uint64_t i = 0; i < page.looked_up; i++)
		version_looked_up(c->v);
	if (fuse_reply_buf(c->req, page.data, page.used) < 0 && page.looked_up)
		version_forgotten(c->v, page.looked_up);
	free(page.data);
}

void dir_readdir(struct call *c)
{
	read_dir(c, false);
}

void dir_readdirplus(struct call *c)
{
	read_dir(c, true);
}

void dir_statfs(struct call *c)
{
	const struct version *v = c->v;
	uint64_t bytes = v->kind == VERSION_PACKAGE ? v->index.unpacked : v->size;
	struct statvfs st = { .f_bsize = 4096, .f_frsize = 4096, .f_blocks = (bytes + 4095) / 4096,
			      .f_files = v->kind == VERSION_PACKAGE ? v->index.count : 1,
			      .f_namemax = NAME_MAX };

	fuse_reply_statfs(c->req, &st);
}
