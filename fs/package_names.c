/* The names of a container: directories, and what blobs are below them. */
#include <config.h>

#include "fs/package.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "blob/base/log.h"

#define FOR_EVER 1e9
/* Where the nodes of a directory begin: after "." and "..". */
#define FIRST 2

bool names_is_dir(const struct package *p, fuse_ino_t ino)
{
	return p->container && !(ino & VERSION_BIT);
}

static fuse_ino_t dir_ino(const struct listing_node *n)
{
	return n->id == 1 ? FUSE_ROOT_ID : (uint64_t)n->id << 32;
}

static ssize_t node_of(const struct listing *l, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? 0 : listing_dir(l, (uint32_t)(ino >> 32));
}

static void stat_dir(const struct package *p, fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_mode = S_IFDIR | 0755;
	st->st_nlink = 1;
	st->st_uid = p->uid;
	st->st_gid = p->gid;
	st->st_blksize = 4096;
	st->st_atime = st->st_mtime = st->st_ctime = p->since;
}

/* --- lookup --- */

/* A blob, which is known by now to be a package or not. */
static void reply_blob(struct call *c)
{
	struct fuse_entry_param e = { .attr_timeout = FOR_EVER };

	e.ino = version_ino(c->v, 0);
	e.entry_timeout = refresher_timeout(c->p->refresher);
	version_stat(c->v, 0, &e.attr);
	version_looked_up(c->v);
	if (fuse_reply_entry(c->req, &e) < 0)
		version_forgotten(c->v, 1);
}

static void reply_dir(const struct call *c, const struct listing_node *n)
{
	struct fuse_entry_param e = { .ino = dir_ino(n), .attr_timeout = FOR_EVER };

	e.entry_timeout = refresher_timeout(c->p->refresher);
	stat_dir(c->p, e.ino, &e.attr);
	fuse_reply_entry(c->req, &e);
}

void names_lookup(struct call *c)
{
	struct listing *l = package_listing(c->p);
	ssize_t dir = node_of(l, c->ino), at = dir < 0 ? -1 : listing_child(l, (uint32_t)dir, c->name);

	if (at < 0) {
		fuse_reply_err(c->req, ENOENT);
	} else if (!l->nodes[at].item) {
		reply_dir(c, &l->nodes[at]);
	} else {
		c->v = version_ref(l->nodes[at].item);
		c->entry = 0;
		c->run = reply_blob;
		call_with_index(c);
	}
	listing_unref(l);
}

void names_getattr(struct call *c)
{
	struct stat st;

	stat_dir(c->p, c->ino, &st);
	fuse_reply_attr(c->req, &st, FOR_EVER);
}

/* --- reading a directory: as it was when it was opened --- */

void names_opendir(struct call *c)
{
	struct listing *l = package_listing(c->p);
	struct fuse_file_info fi = { .flags = c->flags };
	struct handle *h = NULL;
	int why = ENOMEM;

	if (node_of(l, c->ino) < 0)
		why = ESTALE;
	else
		h = handle_new_dir(c->p, l);
	listing_unref(l);
	if (!h) {
		fuse_reply_err(c->req, why);
		return;
	}
	fi.fh = (uintptr_t)h;
	if (fuse_reply_open(c->req, &fi) < 0)
		handle_free(h);
}

/* Which blobs are packages is not looked at for a listing: their type is not said. The
 * inode number of one that is not known is that of its version, as ever. */
static void stat_node(const struct package *p, const struct listing_node *n, struct stat *st)
{
	const struct version *v = n->item;

	stat_dir(p, v ? version_ino(v, 0) : dir_ino(n), st);
	if (v)
		st->st_mode = v->kind == VERSION_FILE ? S_IFREG : v->kind == VERSION_PACKAGE ? S_IFDIR : 0;
}

static size_t put(struct call *c, char *to, size_t left, const char *name, const struct listing_node *n,
		  off_t next, bool plus)
{
	struct fuse_entry_param e = { .ino = 0 };

	stat_node(c->p, n, &e.attr);
	return plus ? fuse_add_direntry_plus(c->req, to, left, name, &e, next)
		    : fuse_add_direntry(c->req, to, left, name, &e.attr, next);
}

/* The `which`-th of the directory's entries, in order; *next is the one after it. */
static const struct listing_node *entry_at(const struct listing *l, uint32_t dir, uint64_t at,
					   const char **name, uint64_t *next)
{
	const struct listing_node *n;
	uint64_t node = at < FIRST ? dir : at - FIRST;

	if (at < FIRST) {
		*name = at ? ".." : ".";
		*next = at ? FIRST + dir + 1 : 1;
		return &l->nodes[at ? l->nodes[dir].parent : dir];
	}
	if (node <= dir || node >= l->nodes[dir].end)
		return NULL;
	n = &l->nodes[node];
	*name = n->name;
	*next = FIRST + n->end;
	return n;
}

static void read_dir(struct call *c, bool plus)
{
	const struct listing *l = handle_of(c->fh)->listing;
	ssize_t dir = node_of(l, c->ino);
	uint64_t at = (uint64_t)c->offset, next;
	const struct listing_node *n;
	const char *name;
	size_t used = 0;
	char *page = dir < 0 ? NULL : malloc(c->size);

	if (!page) {
		fuse_reply_err(c->req, dir < 0 ? ESTALE : ENOMEM);
		return;
	}
	while ((n = entry_at(l, (uint32_t)dir, at, &name, &next))) {
		size_t len = put(c, page + used, c->size - used, name, n, (off_t)next, plus);

		if (len > c->size - used)
			break;
		used += len;
		at = next;
	}
	fuse_reply_buf(c->req, page, used);
	free(page);
}

void names_readdir(struct call *c)
{
	read_dir(c, false);
}

void names_readdirplus(struct call *c)
{
	read_dir(c, true);
}

void names_statfs(struct call *c)
{
	struct listing *l = package_listing(c->p);
	struct statvfs st = { .f_bsize = 4096, .f_frsize = 4096, .f_files = l->count, .f_namemax = NAME_MAX };

	for (uint32_t i = 0; i < l->count; i++)
		if (l->nodes[i].item)
			st.f_blocks += (((const struct version *)l->nodes[i].item)->size + 4095) / 4096;
	listing_unref(l);
	fuse_reply_statfs(c->req, &st);
}

/* --- a newer listing --- */

void names_invalidate(struct package *p, const struct listing *before, const struct listing *now)
{
	struct fuse_session *se;

	pthread_mutex_lock(&p->w.lock);
	se = p->fuse ? fuse_mount_session(p->fuse) : NULL;
	pthread_mutex_unlock(&p->w.lock);
	for (uint32_t i = 1; se && i < before->count; i++) {
		const struct listing_node *n = &before->nodes[i];
		ssize_t at = listing_find(now, n->path);

		if (at >= 0 && now->nodes[at].item == n->item)
			continue;
		fuse_lowlevel_notify_inval_entry(se, dir_ino(&before->nodes[n->parent]), n->name,
						 strlen(n->name));
	}
}
