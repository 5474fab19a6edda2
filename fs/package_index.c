/* What a version is, and the index of one that is a package. */
#include <config.h>

#include "fs/package.h"

#include <stdlib.h>

#include "blob/base/log.h"
#include "pack/reader.h"
#include "vhd/footer.h"

/* Indexes that nobody uses are kept up to so much. */
#define INDEX_BYTES (UINT64_C(192) << 20)

/* With the lock. */
static void drop_indexes(struct package *p)
{
	while (p->index_bytes > INDEX_BYTES) {
		struct version *oldest = NULL;

		for (unsigned i = 0; i < VERSION_BUCKETS; i++)
			for (struct version *v = p->versions[i]; v; v = v->hash_next)
				if (v->loaded && !v->users && (!oldest || v->used < oldest->used))
					oldest = v;
		if (!oldest)
			return;
		p->index_bytes -= oldest->index.directory_size;
		oldest->loaded = false;
		pack_index_free(&oldest->index);
	}
}

/* Spares a look for zeros and for an end record. */
static int is_drive(const struct version *v, bool *drive, struct err *err)
{
	char footer[VHD_FOOTER_SIZE];

	*drive = false;
	if (v->props.type != BLOB_TYPE_PAGE || v->props.size < VHD_FOOTER_SIZE || v->props.size % BLOB_PAGE)
		return 0;
	if (object_read_wait(v->object, v->props.size - VHD_FOOTER_SIZE, footer, VHD_FOOTER_SIZE, err) < 0)
		return -1;
	*drive = vhd_footer_has_cookie(footer);
	return 0;
}

static int read_index(const struct version *v, struct pack_index *index, struct err *err)
{
	struct blob_ref ref = { .container = v->p->w.job.container, .blob = v->blob };
	struct blob_props props = v->props;
	struct pack_blob blob;
	int rc;

	if (blob_meta_copy(&props.meta, &v->props.meta) < 0)
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", v->label);
	if (pack_blob_open_as(&blob, v->p->w.data, &ref, &props, err) < 0)
		return -1;
	rc = pack_index_open(index, &blob.reader, NULL, err);
	pack_blob_close(&blob);
	return rc;
}

static void log_bad(const struct version *v, const struct pack_index *index)
{
	uint32_t kept = index->bad_count < PACK_BAD_KEPT ? index->bad_count : PACK_BAD_KEPT;

	for (uint32_t i = 0; i < kept && i < 20; i++)
		log_warn("%s: %s is not shown: %s", v->label, index->bad[i].name,
			 pack_problem_text(index->bad[i].problem));
	if (index->bad_count > 20)
		log_warn("%s: %u members are not shown", v->label, index->bad_count);
}

static bool is_no_package(const struct err *err)
{
	return err->code == ERR_FORMAT || err->code == ERR_UNSUPPORTED;
}

int version_load(struct version *v, struct err *err)
{
	enum version_kind kind = VERSION_PACKAGE;
	struct pack_index index;
	bool drive = false;

	if (v->p->container && v->kind == VERSION_UNKNOWN && is_drive(v, &drive, err) < 0)
		return -1;
	if (drive)
		kind = VERSION_FILE;
	else if (read_index(v, &index, err) < 0) {
		if (!v->p->container || v->kind == VERSION_PACKAGE || !is_no_package(err))
			return -1;
		log_debug("%s: shown as a file: %s", v->label, err->msg);
		kind = VERSION_FILE;
	}
	if (kind == VERSION_PACKAGE && v->kind == VERSION_UNKNOWN)
		log_bad(v, &index);
	pthread_mutex_lock(&v->p->lock);
	v->kind = kind;
	if (kind == VERSION_PACKAGE) {
		v->index = index;
		v->loaded = true;
		v->used = ++v->p->clock;
		v->users++;
		v->p->index_bytes += index.directory_size;
		drop_indexes(v->p);
		v->users--;
	}
	pthread_mutex_unlock(&v->p->lock);
	return 0;
}

bool version_tell(struct version *v, uint32_t entry)
{
	bool first = false;

	pthread_mutex_lock(&v->p->lock);
	if (!v->told)
		v->told = calloc(v->index.count / 8 + 1, 1);
	if (v->told && entry < v->index.count) {
		first = !(v->told[entry / 8] & (1u << entry % 8));
		v->told[entry / 8] |= (uint8_t)(1u << entry % 8);
	}
	pthread_mutex_unlock(&v->p->lock);
	return first;
}
