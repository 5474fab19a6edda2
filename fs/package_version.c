/* The versions of blobs. */
#include <config.h>

#include "fs/package.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blob/config.h"
#include "pack/reader.h"

/* --- making one --- */

static time_t parse_date(const char *text)
{
	struct tm tm = { .tm_mday = 1 };

	return strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) ? timegm(&tm) : 0;
}

/* Page blobs are padded; ours say how long they are. */
static uint64_t content_size(const struct blob_props *props)
{
	const char *length = blob_meta_get(&props->meta, PACK_META_LENGTH);
	uint64_t size;

	if (props->type == BLOB_TYPE_PAGE && length && parse_size(length, &size) == 0 &&
	    size <= props->size && props->size - size < BLOB_PAGE)
		return size;
	return props->size;
}

static void version_free(struct version *v)
{
	if (v->object) {
		unpack_forget(v->p->unpack, object_number(v->object));
		object_close(v->object);
	}
	if (v->loaded)
		pack_index_free(&v->index);
	blob_props_free(&v->props);
	free(v->blob);
	free(v->label);
	free(v->told);
	free(v);
}

struct version *version_new(struct package *p, const char *blob, struct blob_props *props,
			    struct err *err)
{
	struct blob_ref ref = { .container = p->w.job.container, .blob = blob };
	struct version *v = calloc(1, sizeof(*v));

	if (!v) {
		blob_props_free(props);
		err_set(err, ERR_NO_MEMORY, "%s: out of memory", blob);
		return NULL;
	}
	v->p = p;
	v->refs = 1;
	v->props = *props;
	memset(props, 0, sizeof(*props));
	v->size = content_size(&v->props);
	v->mtime = parse_date(v->props.last_modified);
	v->blob = strdup(blob);
	if (asprintf(&v->label, "%s/%s", ref.container, blob) < 0)
		v->label = NULL;
	if (v->props.size)
		v->object = object_open(p->objects, &ref, v->props.etag, v->props.size);
	else
		v->kind = VERSION_FILE;
	if (v->blob && v->label && (v->object || !v->props.size))
		return v;
	version_free(v);
	err_set(err, ERR_NO_MEMORY, "%s: out of memory", blob);
	return NULL;
}

/* --- the table --- */

static uint32_t hash(uint32_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return (h ^ 0xff) * 16777619u;
}

/* The same blob and version have the same number in the next mount, too, unless two
 * of them are the same by chance. */
static struct version *find(struct package *p, const char *blob, const char *etag, uint32_t *id)
{
	*id = hash(hash(2166136261u, blob), etag) & 0x3fffffff;
	for (;;) {
		struct version *v = p->versions[*id % VERSION_BUCKETS];

		while (v && v->id != *id)
			v = v->hash_next;
		if (!v || (!strcmp(v->blob, blob) && !strcmp(v->props.etag, etag)))
			return v;
		*id = (*id + 1) & 0x3fffffff;
	}
}

struct version *version_get(struct package *p, const char *blob, struct blob_props *props,
			    struct err *err)
{
	struct version *v, *other;
	uint32_t id;

	pthread_mutex_lock(&p->lock);
	v = find(p, blob, props->etag, &id);
	if (v)
		v->refs++;
	pthread_mutex_unlock(&p->lock);
	if (v) {
		blob_props_free(props);
		return v;
	}
	v = version_new(p, blob, props, err);
	if (!v)
		return NULL;
	pthread_mutex_lock(&p->lock);
	other = find(p, blob, v->props.etag, &id);
	if (other) {
		other->refs++;
	} else {
		v->id = id;
		v->hash_next = p->versions[id % VERSION_BUCKETS];
		p->versions[id % VERSION_BUCKETS] = v;
	}
	pthread_mutex_unlock(&p->lock);
	if (!other)
		return v;
	version_free(v);
	return other;
}

/* With the lock. True: it is to be freed, without it. */
static bool drop(struct version *v)
{
	struct version **at;

	if (--v->refs)
		return false;
	for (at = &v->p->versions[v->id % VERSION_BUCKETS]; v->p->container && *at != v;)
		at = &(*at)->hash_next;
	if (v->p->container)
		*at = v->hash_next;
	if (v->loaded)
		v->p->index_bytes -= v->index.directory_size;
	return true;
}

struct version *version_ref(struct version *v)
{
	pthread_mutex_lock(&v->p->lock);
	v->refs++;
	pthread_mutex_unlock(&v->p->lock);
	return v;
}

void version_unref(struct version *v)
{
	struct package *p = v->p;
	bool last;

	pthread_mutex_lock(&p->lock);
	last = drop(v);
	pthread_mutex_unlock(&p->lock);
	if (last)
		version_free(v);
}

void version_release(void *version)
{
	version_unref(version);
}

/* That of a mounted package lives as long as the mount. */
void version_looked_up(struct version *v)
{
	if (!v->p->container)
		return;
	pthread_mutex_lock(&v->p->lock);
	if (!v->lookups++)
		v->refs++;
	pthread_mutex_unlock(&v->p->lock);
}

void version_forgotten(struct version *v, uint64_t n)
{
	struct package *p = v->p;
	bool last = false;

	pthread_mutex_lock(&p->lock);
	if (v->lookups) {
		v->lookups = n < v->lookups ? v->lookups - n : 0;
		if (!v->lookups)
			last = drop(v);
	}
	pthread_mutex_unlock(&p->lock);
	if (last)
		version_free(v);
}

struct version *version_of_ino(struct package *p, fuse_ino_t ino, uint32_t *entry)
{
	uint32_t id = (uint32_t)(ino >> 32) & 0x3fffffff;
	struct version *v;

	*entry = (uint32_t)ino - (p->container ? 0 : 1);
	pthread_mutex_lock(&p->lock);
	v = p->only;
	if (p->container) {
		v = ino & VERSION_BIT ? p->versions[id % VERSION_BUCKETS] : NULL;
		while (v && v->id != id)
			v = v->hash_next;
	}
	if (v)
		v->refs++;
	pthread_mutex_unlock(&p->lock);
	return v;
}

fuse_ino_t version_ino(const struct version *v, uint32_t entry)
{
	if (!v->p->container)
		return (fuse_ino_t)entry + 1;
	return VERSION_BIT | (uint64_t)v->id << 32 | entry;
}
