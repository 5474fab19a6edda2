#include <config.h>

#include "fs/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "blob/ops.h"
#include "fs/channel.h"
#include "vhd/pcache.h"

#define MIB (UINT64_C(1) << 20)
#define DEFAULT_REFRESH_S 30

static const char *const kinds[] = {
	[ACCOUNT_ANONYMOUS] = "anonymous",
	[ACCOUNT_SHARED_KEY] = "shared-key",
	[ACCOUNT_SAS] = "sas",
};

static const char *const job_kinds[] = {
	[JOB_DRIVE] = "drive",
	[JOB_PACKAGE] = "package",
};

static const char *const wishes[] = {
	[SNAPSHOT_NONE] = "none",
	[SNAPSHOT_NEW] = "new",
	[SNAPSHOT_LATEST] = "latest",
	[SNAPSHOT_AT] = "at",
};

static json_t *text_or_null(const char *text)
{
	return text ? channel_text(text) : json_null();
}

json_t *account_to_json(const struct blob_account *a)
{
	return json_pack("{ss so so so so so so so sb}", "kind", kinds[a->kind],
			 "name", text_or_null(a->name), "endpoint", text_or_null(a->endpoint),
			 "key", text_or_null(a->key), "sas", text_or_null(a->sas),
			 "ca_file", text_or_null(a->ca_file), "source", text_or_null(a->source),
			 "reread", text_or_null(a->reread), "http_chosen", a->http_chosen);
}

static json_t *drive_part(const struct drive_job *d)
{
	json_t *holder = json_pack("{so so so sI}", "host", channel_text(d->holder.host),
				   "user", channel_text(d->holder.user),
				   "since", channel_text(d->holder.since), "pid", (json_int_t)d->holder.pid);

	return json_pack("{ss so sb so sI sb sb so sI}", "wish", wishes[d->wish],
			 "snapshot", text_or_null(d->snapshot), "force", d->force, "holder", holder,
			 "lease_duration", (json_int_t)d->lease_duration_s,
			 "sync_writes", d->sync_writes, "read_only", d->read_only,
			 "cache_dir", text_or_null(d->cache_dir),
			 "cache_dir_bytes", (json_int_t)d->cache_dir_bytes);
}

static json_t *package_part(const struct package_job *p)
{
	return json_pack("{sI sI so sb}", "refresh", (json_int_t)p->refresh_s,
			 "unpack_bytes", (json_int_t)p->unpack_bytes,
			 "cache_dir", text_or_null(p->cache_dir), "opcparts", p->opcparts);
}

/* What a job says that anyone may know. */
static json_t *plain_part(const struct worker_job *job)
{
	json_t *obj = json_pack("{ss so so so so sI sI sI sI sb sI}", "kind", job_kinds[job->kind],
				"container", text_or_null(job->container), "blob", text_or_null(job->blob),
				"dir", text_or_null(job->dir), "fuse_dir", text_or_null(job->fuse_dir),
				"io_deadline_ms", (json_int_t)job->io_deadline_ms,
				"connections", (json_int_t)job->connections,
				"io_threads", (json_int_t)job->io_threads,
				"cache_bytes", (json_int_t)job->cache_bytes,
				"allow_other", job->allow_other, "log_level", (json_int_t)job->log_level);
	json_t *part = job->kind == JOB_DRIVE ? drive_part(&job->drive) : package_part(&job->package);

	if (obj && (!part || json_object_update(obj, part) < 0)) {
		json_decref(obj);
		obj = NULL;
	}
	json_decref(part);
	return obj;
}

json_t *worker_job_to_json(const struct worker_job *job)
{
	json_t *obj = plain_part(job);

	if (obj && json_object_set_new(obj, "account", account_to_json(&job->account)) < 0) {
		json_decref(obj);
		return NULL;
	}
	return obj;
}

/* An endpoint has no query by its own rules; a SAS that got there all the same
 * must not be shown. */
static json_t *public_endpoint(const char *endpoint)
{
	char *plain = strndup(endpoint, strcspn(endpoint, "?"));
	json_t *text = plain ? channel_text(plain) : NULL;

	free(plain);
	return text;
}

json_t *worker_job_public(const struct worker_job *job)
{
	json_t *obj = plain_part(job);
	int failed;

	if (!obj)
		return NULL;
	failed = json_object_set_new(obj, "account", text_or_null(job->account.name));
	if (job->account.endpoint)
		failed |= json_object_set_new(obj, "endpoint", public_endpoint(job->account.endpoint));
	if (failed) {
		json_decref(obj);
		return NULL;
	}
	return obj;
}

/* --- reading: the first thing that is wrong is kept in *err --- */

struct reader {
	const json_t *obj;
	struct err *err;
	bool failed;
};

static void wrong(struct reader *r, const char *key, const char *must)
{
	if (!r->failed)
		err_set(r->err, ERR_PROTOCOL, "\"%s\" must be %s", key, must);
	r->failed = true;
}

static char *read_text(struct reader *r, const char *key, bool needed, size_t max)
{
	const json_t *value = json_object_get(r->obj, key);
	char *copy, must[64];

	if (!value || json_is_null(value)) {
		if (needed)
			wrong(r, key, "a text");
		return NULL;
	}
	if (!json_is_string(value) || json_string_length(value) > max) {
		snprintf(must, sizeof(must), "a text of at most %zu bytes", max);
		wrong(r, key, must);
		return NULL;
	}
	copy = strdup(json_string_value(value));
	if (!copy)
		wrong(r, key, "kept, but memory is out");
	return copy;
}

static char *read_path(struct reader *r, const char *key, bool needed)
{
	char *path = read_text(r, key, needed, 4096);

	if (path && *path != '/')
		wrong(r, key, "an absolute path");
	return path;
}

static void read_into(struct reader *r, const char *key, char *out, size_t size)
{
	char *text = read_text(r, key, false, size - 1);

	snprintf(out, size, "%s", text ? text : "");
	free(text);
}

static uint64_t read_number(struct reader *r, const char *key, uint64_t fallback, uint64_t min, uint64_t max)
{
	const json_t *value = json_object_get(r->obj, key);
	json_int_t n = json_integer_value(value);
	char must[80];

	if (!value)
		return fallback;
	if (json_is_integer(value) && n >= 0 && (uint64_t)n >= min && (uint64_t)n <= max)
		return (uint64_t)n;
	snprintf(must, sizeof(must), "a whole number from %llu to %llu", (unsigned long long)min,
		 (unsigned long long)max);
	wrong(r, key, must);
	return fallback;
}

static bool read_flag(struct reader *r, const char *key)
{
	const json_t *value = json_object_get(r->obj, key);

	if (value && !json_is_boolean(value))
		wrong(r, key, "true or false");
	return json_is_true(value);
}

static unsigned read_choice(struct reader *r, const char *key, const char *const *names, unsigned count)
{
	const char *text = json_string_value(json_object_get(r->obj, key));
	unsigned i;

	for (i = 0; text && i < count; i++)
		if (!strcmp(text, names[i]))
			return i;
	wrong(r, key, "one of its known values");
	return 0;
}

int account_from_json(const json_t *obj, struct blob_account *out, struct err *err)
{
	struct reader r = { .obj = obj, .err = err };

	memset(out, 0, sizeof(*out));
	if (!json_is_object(obj))
		return err_set(err, ERR_PROTOCOL, "\"account\" must be an object");
	out->kind = (enum account_kind)read_choice(&r, "kind", kinds, ARRAY_LEN(kinds));
	out->name = read_text(&r, "name", true, 256);
	out->endpoint = read_text(&r, "endpoint", true, 2048);
	out->key = read_text(&r, "key", out->kind == ACCOUNT_SHARED_KEY, 4096);
	out->sas = read_text(&r, "sas", out->kind == ACCOUNT_SAS, 8192);
	out->ca_file = read_text(&r, "ca_file", false, 4096);
	out->source = read_text(&r, "source", false, 4096);
	out->reread = read_text(&r, "reread", false, 4096);
	out->http_chosen = read_flag(&r, "http_chosen");
	if (!r.failed)
		return 0;
	account_free(out);
	return -1;
}

static void read_holder(struct reader *r, struct lease_holder *holder)
{
	struct reader sub = { .obj = json_object_get(r->obj, "holder"), .err = r->err, .failed = r->failed };

	if (!json_is_object(sub.obj))
		wrong(&sub, "holder", "an object");
	read_into(&sub, "host", holder->host, sizeof(holder->host));
	read_into(&sub, "user", holder->user, sizeof(holder->user));
	read_into(&sub, "since", holder->since, sizeof(holder->since));
	holder->pid = (long)read_number(&sub, "pid", 0, 0, INT32_MAX);
	r->failed = sub.failed;
}

static void read_names(struct reader *r, struct worker_job *job)
{
	job->container = read_text(r, "container", true, 63);
	job->blob = read_text(r, "blob", job->kind == JOB_DRIVE, 4096);
	job->dir = read_path(r, "dir", true);
	job->fuse_dir = read_path(r, "fuse_dir", false);
	if (r->failed)
		return;
	if (blob_check_container_name(job->container, r->err) < 0 ||
	    (job->blob && blob_check_blob_name(job->blob, r->err) < 0))
		r->failed = true;
}

static uint64_t read_cache_size(struct reader *r, const char *key)
{
	uint64_t bytes = read_number(r, key, 0, 0, UINT64_C(1) << 40);

	if (bytes && bytes < MIB)
		wrong(r, key, "0 or at least one MiB");
	return bytes;
}

static void read_drive(struct reader *r, struct drive_job *d)
{
	d->wish = (enum snapshot_wish)read_choice(r, "wish", wishes, ARRAY_LEN(wishes));
	d->snapshot = read_text(r, "snapshot", d->wish == SNAPSHOT_AT, BLOB_TIME_MAX - 1);
	read_holder(r, &d->holder);
	d->force = read_flag(r, "force");
	d->lease_duration_s = (unsigned)read_number(r, "lease_duration", 60, 15, 60);
	d->sync_writes = read_flag(r, "sync_writes");
	d->read_only = read_flag(r, "read_only");
	d->cache_dir = read_path(r, "cache_dir", false);
	d->cache_dir_bytes = read_number(r, "cache_dir_bytes", 0, 0, UINT64_C(1) << 50);
	if (d->cache_dir_bytes && d->cache_dir_bytes < PCACHE_MIN_BYTES)
		wrong(r, "cache_dir_bytes", "0 or at least 16 MiB");
}

static void read_package(struct reader *r, struct package_job *p)
{
	p->refresh_s = (unsigned)read_number(r, "refresh", 0, 0, 86400);
	if (!p->refresh_s)
		p->refresh_s = DEFAULT_REFRESH_S;
	p->unpack_bytes = read_cache_size(r, "unpack_bytes");
	p->cache_dir = read_path(r, "cache_dir", false);
	p->opcparts = read_flag(r, "opcparts");
}

int worker_job_from_json(const json_t *obj, struct worker_job *out, struct err *err)
{
	struct reader r = { .obj = obj, .err = err };

	memset(out, 0, sizeof(*out));
	if (account_from_json(json_object_get(obj, "account"), &out->account, err) < 0)
		return -1;
	out->kind = (enum job_kind)read_choice(&r, "kind", job_kinds, ARRAY_LEN(job_kinds));
	read_names(&r, out);
	out->io_deadline_ms = (unsigned)read_number(&r, "io_deadline_ms", 0, 0, 3600000);
	if (!out->io_deadline_ms)
		out->io_deadline_ms = 120000;
	out->connections = (unsigned)read_number(&r, "connections", 0, 0, 256);
	out->io_threads = (unsigned)read_number(&r, "io_threads", 0, 0, 64);
	out->cache_bytes = read_cache_size(&r, "cache_bytes");
	out->allow_other = read_flag(&r, "allow_other");
	out->log_level = (unsigned)read_number(&r, "log_level", 2, 0, 3);
	if (out->kind == JOB_DRIVE)
		read_drive(&r, &out->drive);
	else
		read_package(&r, &out->package);
	if (!r.failed)
		return 0;
	worker_job_free(out);
	return -1;
}

void worker_job_free(struct worker_job *job)
{
	account_free(&job->account);
	free(job->container);
	free(job->blob);
	free(job->dir);
	free(job->fuse_dir);
	free(job->drive.snapshot);
	free(job->drive.cache_dir);
	free(job->package.cache_dir);
	memset(job, 0, sizeof(*job));
}
