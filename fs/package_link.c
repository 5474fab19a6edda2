/* Where links lead: what they hold is read like a file, and judged. */
#include <config.h>

#include "fs/package.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/log.h"

struct link_read {
	fuse_req_t req;
	struct version *v;
	uint32_t entry;
};

/* The index is kept for it. */
static void link_done(void *arg, const struct err *err, const struct iovec *iov, int count)
{
	struct link_read *r = arg;
	const char *path = r->v->index.entries[r->entry].path;
	char target[PACK_LINK_MAX + 1];
	size_t len = 0;

	for (int i = 0; i < count; i++) {
		memcpy(target + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	target[len] = '\0';
	if (err) {
		file_log_failure(r->v, err);
		fuse_reply_err(r->req, package_errno(r->v->p, err));
	} else if (strlen(target) != len || !pack_link_inside(&r->v->index, path, target)) {
		if (version_tell(r->v, r->entry))
			log_warn("%s: the link %s is not followed: it leads out of the package", r->v->label, path);
		fuse_reply_err(r->req, ELOOP);
	} else {
		fuse_reply_readlink(r->req, target);
	}
	version_let_index(r->v);
	free(r);
}

void file_readlink(struct call *c)
{
	struct version *v = c->v;
	const struct pack_entry *e = v->kind == VERSION_PACKAGE && c->entry < v->index.count ?
				     &v->index.entries[c->entry] : NULL;
	struct unpack_member m;
	struct link_read *r;
	int why = !e || e->type != PACK_LINK ? EINVAL : file_refusal(v, c->entry);

	if (!why && (!e->size || e->size > PACK_LINK_MAX))
		why = ELOOP;
	r = why ? NULL : malloc(sizeof(*r));
	if (!r) {
		fuse_reply_err(c->req, why ? why : ENOMEM);
		return;
	}
	r->req = c->req;
	r->v = v;
	r->entry = c->entry;
	version_keep_index(v);
	m = (struct unpack_member) { .object = v->object, .name = v->label, .entry = e,
				     .directory = v->index.directory_offset };
	unpack_read(v->p->unpack, &m, 0, (uint32_t)e->size, link_done, r);
}
