/*
 * Files: opening and reading them.
 *
 * Opening is there to refuse what can't be read, and to keep the version that an open
 * file of a container has. A mounted package is one version for ever: if all that it
 * has can be read the kernel is told once that nothing needs to be opened (ENOSYS), and
 * a file that is read costs one request instead of three. That nobody writes is then
 * for the kernel alone to see to: the mount is read-only.
 */
#include <config.h>

#include "fs/package.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blob/base/log.h"
#include "pack/decoder.h"
#include "pack/zip_format.h"

/* What is read: it stays as long as the file is open, or the package mounted. */
struct target {
	const struct pack_entry *entry; /* NULL: the blob itself */
	uint64_t directory;
	atomic_uint *start;             /* of a handle's, or the package's */
};

/* A read under way. */
struct reading {
	fuse_req_t req;
	struct version *v;
	struct target t;
	uint64_t offset;
	uint32_t len;
};

/* --- replies --- */

/* A storage that is gone fails thousands of requests: one line a second. */
void file_log_failure(const struct version *v, const struct err *err)
{
	static atomic_llong last;
	long long now = (long long)time(NULL);

	/* What is damaged was logged where it was found. */
	if (err->code != ERR_FORMAT && err->code != ERR_CANCELLED && atomic_exchange(&last, now) != now)
		log_warn("%s: reading failed: %s", v->label, err->msg);
}

static void read_done(void *arg, const struct err *err, const struct iovec *iov, int count)
{
	struct reading *r = arg;

	if (err) {
		file_log_failure(r->v, err);
		fuse_reply_err(r->req, package_errno(r->v->p, err));
	} else {
		atomic_fetch_add(&r->v->p->read_bytes, r->len);
		fuse_reply_iov(r->req, iov, count);
	}
	version_unref(r->v);
	free(r);
}

/* --- stored members: their data begins where the local header says --- */

static void copy_header(uint8_t *to, const struct iovec *iov, int count)
{
	size_t have = 0;

	for (int i = 0; i < count && have < ZIP_LOCAL_SIZE; i++) {
		size_t n = iov[i].iov_len < ZIP_LOCAL_SIZE - have ? iov[i].iov_len : ZIP_LOCAL_SIZE - have;

		memcpy(to + have, iov[i].iov_base, n);
		have += n;
	}
}

/* Where the data begins, and that it lies in front of the central directory. */
static int find_start(const struct reading *r, const uint8_t *header, unsigned *start, struct err *err)
{
	const struct pack_entry *e = r->t.entry;
	struct pack_decoder *d = pack_decoder_new(e, r->v->label, err);
	uint64_t data;
	const uint8_t *in = header;
	size_t in_len = ZIP_LOCAL_SIZE, made;
	enum pack_step step;

	if (!d)
		return -1;
	step = pack_decoder_run(d, &in, &in_len, NULL, 0, &made, err);
	pack_decoder_free(d);
	if (step == PACK_STEP_FAILED)
		return -1;
	*start = ZIP_LOCAL_SIZE + zip_u16(header + 26) + zip_u16(header + 28);
	data = e->header_offset + *start;
	if (data > r->t.directory || e->size > r->t.directory - data)
		return err_set(err, ERR_FORMAT, "%s: %s: its data reaches into the central directory",
			       r->v->label, e->path);
	return 0;
}

static void read_data(struct reading *r)
{
	object_read(r->v->object, r->t.entry->header_offset + atomic_load(r->t.start) + r->offset, r->len,
		    read_done, r);
}

static void header_done(void *arg, const struct err *err, const struct iovec *iov, int count)
{
	struct reading *r = arg;
	uint8_t header[ZIP_LOCAL_SIZE];
	unsigned start;
	struct err why;

	if (err) {
		read_done(r, err, NULL, 0);
		return;
	}
	copy_header(header, iov, count);
	if (find_start(r, header, &start, &why) < 0) {
		log_error("%s", why.msg);
		read_done(r, &why, NULL, 0);
		return;
	}
	atomic_store(r->t.start, start);
	read_data(r);
}

/* --- reading --- */

static void read_member(struct reading *r)
{
	const struct pack_entry *e = r->t.entry;
	struct unpack_member m = { .object = r->v->object, .name = r->v->label, .entry = e,
				   .directory = r->t.directory };

	if (e->method != ZIP_STORED)
		unpack_read(r->v->p->unpack, &m, r->offset, r->len, read_done, r);
	else if (atomic_load(r->t.start))
		read_data(r);
	else
		object_read(r->v->object, e->header_offset, ZIP_LOCAL_SIZE, header_done, r);
}

/* The version comes with a reference: the file may be closed before the reply has
 * come. NULL: there is no such file. */
static struct version *find_target(const struct call *c, struct target *t)
{
	struct handle *h = handle_of(c->fh);
	struct version *v;
	uint32_t entry;

	if (h) {
		*t = (struct target) { h->member ? &h->entry : NULL, h->directory, &h->start };
		return version_ref(h->v);
	}
	v = c->p->unopened ? version_of_ino(c->p, c->ino, &entry) : NULL;
	if (!v)
		return NULL;
	if (entry >= v->index.count || v->index.entries[entry].type != PACK_FILE) {
		version_unref(v);
		return NULL;
	}
	*t = (struct target) { &v->index.entries[entry], v->index.directory_offset, &c->p->starts[entry] };
	return v;
}

void file_read(struct call *c)
{
	uint64_t size, offset = (uint64_t)c->offset;
	struct reading *r = malloc(sizeof(*r));

	if (!r) {
		fuse_reply_err(c->req, ENOMEM);
		return;
	}
	*r = (struct reading) { .req = c->req, .offset = offset };
	r->v = find_target(c, &r->t);
	size = !r->v ? 0 : r->t.entry ? r->t.entry->size : r->v->size;
	if (!r->v || c->offset < 0 || offset >= size || !c->size) {
		if (r->v) {
			version_unref(r->v);
			fuse_reply_buf(c->req, NULL, 0);
		} else {
			fuse_reply_err(c->req, ESTALE);
		}
		free(r);
		return;
	}
	r->len = (uint32_t)(c->size < size - offset ? c->size : size - offset);
	if (r->t.entry)
		read_member(r);
	else
		object_read(r->v->object, offset, r->len, read_done, r);
}

/* --- opening --- */

static int problem_errno(enum pack_problem problem)
{
	switch (problem) {
	case PACK_OK:
		return 0;
	case PACK_DATA_ENCRYPTED:
		return EACCES;
	case PACK_DATA_METHOD:
	case PACK_DATA_PIECE:
		return EOPNOTSUPP;
	default:
		return EIO;
	}
}

int file_refusal(struct version *v, uint32_t entry)
{
	const struct pack_entry *e = &v->index.entries[entry];

	if (e->problem && version_tell(v, entry))
		log_error("%s: %s can't be read: %s", v->label, e->path,
			  pack_problem_text((enum pack_problem)e->problem));
	return problem_errno((enum pack_problem)e->problem);
}

int file_choose_unopened(struct package *p, struct err *err)
{
	const struct pack_index *index = &p->only->index;

	for (uint32_t i = 0; i < index->count; i++)
		if (index->entries[i].problem)
			return 0;
	p->starts = calloc(index->count, sizeof(*p->starts));
	if (!p->starts)
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", p->w.name);
	p->unopened = true;
	return 0;
}

void file_open(struct call *c)
{
	struct fuse_file_info fi = { .flags = c->flags, .keep_cache = 1 };
	struct version *v = c->v;
	struct handle *h;
	int why = 0;

	if ((c->flags & O_ACCMODE) != O_RDONLY)
		why = EROFS;
	else if (v->kind == VERSION_PACKAGE && c->entry >= v->index.count)
		why = ESTALE;
	else if (v->kind == VERSION_PACKAGE && v->index.entries[c->entry].type == PACK_DIR)
		why = EISDIR;
	else if (v->kind == VERSION_PACKAGE)
		why = file_refusal(v, c->entry);
	if (!why && c->p->unopened)
		why = ENOSYS;
	if (why) {
		fuse_reply_err(c->req, why);
		return;
	}
	h = handle_new_file(v, c->entry);
	if (!h) {
		fuse_reply_err(c->req, ENOMEM);
		return;
	}
	fi.fh = (uintptr_t)h;
	if (fuse_reply_open(c->req, &fi) < 0)
		handle_free(h);
}
