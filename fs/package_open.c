#include <config.h>

#include "fs/package.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"

#define MAX_IO (1u << 20)
#define PAGE 4096u
#define READ_AHEAD_KIB 1024 /* one request of MAX_IO */
/* How long whoever still has a file open after unmounting is served. */
#define GRACE_MS 3000

/* --- what is damaged --- */

static struct version *version_of_object(struct package *p, const struct object *object)
{
	struct version *v = p->only;

	if (!p->container)
		return v;
	for (unsigned i = 0; i < VERSION_BUCKETS; i++)
		for (v = p->versions[i]; v; v = v->hash_next)
			if (v->object == object)
				return v;
	return NULL;
}

/* The kernel must not go on giving out what it was told before that was known. */
static void on_damaged(void *arg, struct object *object, const struct pack_entry *entry)
{
	struct package *p = arg;
	struct fuse_session *se;
	struct version *v;
	ssize_t at = -1;
	fuse_ino_t ino = 0;

	pthread_mutex_lock(&p->lock);
	v = version_of_object(p, object);
	if (v && v->loaded)
		at = pack_index_find(&v->index, entry->path);
	if (at >= 0)
		ino = version_ino(v, (uint32_t)at);
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_lock(&p->w.lock);
	se = p->fuse ? fuse_mount_session(p->fuse) : NULL;
	pthread_mutex_unlock(&p->w.lock);
	if (se && ino)
		fuse_lowlevel_notify_inval_inode(se, ino, 0, 0);
}

/* --- open --- */

static int open_parts(struct package *p, struct err *err)
{
	const struct worker_job *job = &p->w.job;
	struct objects_options objects = { .cache_bytes = job->cache_bytes,
					   .max_requests = worker_connections(&p->w) };
	struct unpack_options unpack = { .bytes = job->package.unpack_bytes, .dir = job->package.cache_dir,
					 .damaged = on_damaged, .arg = p };

	p->objects = objects_new(p->w.data, &objects, err);
	if (p->objects)
		p->unpack = unpack_new(&unpack, err);
	if (p->unpack)
		p->loader = loader_new(p, err);
	if (!p->loader)
		return err_prefix(err, "%s", p->w.name);
	p->max_io = objects_max_io(p->objects) < MAX_IO ? objects_max_io(p->objects) : MAX_IO;
	if (unpack_max_io(p->unpack) < p->max_io)
		p->max_io = unpack_max_io(p->unpack);
	p->max_io &= ~(PAGE - 1);
	return 0;
}

/* The index stays: the version has a user for as long as it is mounted. */
static int open_package(struct package *p, struct err *err)
{
	struct blob_ref ref = { .container = p->w.job.container, .blob = p->w.job.blob };
	struct blob_props props = { .type = BLOB_TYPE_NONE };
	struct version *v;

	if (blob_get_props(p->w.control_client, &ref, &props, err) < 0)
		return -1;
	if (!props.size) {
		blob_props_free(&props);
		p->w.other = true;
		return err_set(err, ERR_FORMAT, "%s: empty, so not a zip or OPC package", p->w.name);
	}
	v = version_new(p, ref.blob, &props, err);
	if (!v)
		return -1;
	worker_progress(&p->w, "reading the index of the package");
	if (version_load(v, err) < 0) {
		p->w.other = err->code == ERR_FORMAT;
		version_unref(v);
		return -1;
	}
	pthread_mutex_lock(&p->w.lock);
	p->only = v;
	snprintf(p->w.etag, sizeof(p->w.etag), "%s", v->props.etag);
	pthread_mutex_unlock(&p->w.lock);
	v->users++;
	return file_choose_unopened(p, err);
}

static int open_container(struct package *p, struct err *err)
{
	struct refresher *r;

	worker_progress(&p->w, "listing the blobs");
	r = refresher_new(p, err);
	pthread_mutex_lock(&p->w.lock);
	p->refresher = r;
	pthread_mutex_unlock(&p->w.lock);
	return r ? 0 : -1;
}

static int mount_fuse(struct package *p, const char *dir, struct err *err)
{
	struct fuse_mount_options o = { .dir = dir, .program = p->w.ops->program, .extra = ",ro",
					.allow_other = p->w.job.allow_other, .ops = &package_ops,
					.userdata = p, .max_io = p->max_io, .ended = worker_fuse_ended,
					.arg = &p->w };
	cleanup_free char *source = NULL;
	struct fuse_mount *fuse;

	if (asprintf(&source, "%s/%s", p->w.job.account.name, p->w.name) < 0) {
		source = NULL;
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", p->w.name);
	}
	o.source = source;
	fuse = fuse_mount_new(&o, err);
	pthread_mutex_lock(&p->w.lock);
	p->fuse = fuse;
	pthread_mutex_unlock(&p->w.lock);
	return fuse ? 0 : -1;
}

/* Through the mount: it answers. */
static int try_read(const struct package *p, const char *dir, struct err *err)
{
	DIR *d = opendir(dir);

	errno = d ? 0 : errno;
	if (d) {
		readdir(d);
		closedir(d);
	}
	return errno ? err_set_errno(err, errno, "%s: can't read %s", p->w.name, dir) : 0;
}

int package_open(struct worker *w, const char *dir, struct err *err)
{
	struct package *p = package_of(w);

	p->container = !w->job.blob;
	p->uid = geteuid();
	p->gid = getegid();
	p->since = time(NULL);
	pthread_mutex_init(&p->lock, NULL);
	if (worker_open_clients(w, err) < 0 || open_parts(p, err) < 0)
		return -1;
	if ((p->container ? open_container(p, err) : open_package(p, err)) < 0)
		return -1;
	if (worker_check_stop(w, err) < 0 || mount_fuse(p, dir, err) < 0 || try_read(p, dir, err) < 0)
		return -1;
	fuse_mount_read_ahead(p->fuse, READ_AHEAD_KIB);
	return worker_check_stop(w, err);
}

/* --- close --- */

/* Every request gets its reply: nothing waits for storage any more. */
static void stop_all(struct package *p)
{
	blob_client_abort(p->w.data);
	if (p->refresher) {
		blob_client_abort(p->w.control_client);
		refresher_stop(p->refresher);
	}
	if (p->loader)
		loader_stop(p->loader);
	if (p->unpack)
		unpack_stop(p->unpack);
	if (p->objects)
		objects_stop(p->objects);
}

static void free_fuse(struct package *p)
{
	struct fuse_mount *fuse = p->fuse;

	pthread_mutex_lock(&p->w.lock);
	p->fuse = NULL;
	pthread_mutex_unlock(&p->w.lock);
	if (fuse)
		fuse_mount_free(fuse);
}

/* What the kernel did not give back: it ended first. */
static void free_versions(struct package *p)
{
	while (p->handles)
		handle_free(p->handles);
	if (p->listing)
		listing_unref(p->listing);
	for (unsigned i = 0; i < VERSION_BUCKETS; i++)
		while (p->versions[i])
			version_forgotten(p->versions[i], UINT64_MAX);
}

static void free_parts(struct package *p)
{
	struct refresher *refresher = p->refresher;
	struct version *only = p->only;

	pthread_mutex_lock(&p->w.lock);
	p->w.last_stats = package_stats(&p->w);
	p->refresher = NULL;
	p->only = NULL;
	pthread_mutex_unlock(&p->w.lock);
	refresher_free(refresher);
	loader_free(p->loader);
	free_versions(p);
	if (only)
		version_unref(only);
	free(p->starts);
	unpack_free(p->unpack);
	objects_free(p->objects);
}

int package_close(struct worker *w, struct err *err)
{
	struct package *p = package_of(w);

	if (p->fuse && !fuse_mount_unmount(p->fuse, GRACE_MS))
		log_warn("%s: a file of it is still open somewhere and gives errors from now on", w->name);
	if (w->data)
		stop_all(p);
	free_fuse(p);
	if (p->objects)
		free_parts(p);
	worker_free_clients(w);
	return 0;
}
