#include <config.h>

#include "agent/mount_request.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "blob/base/cleanup.h"

static const char *need_string(const json_t *request, const char *key, struct err *err)
{
	const char *s = json_string_value(json_object_get(request, key));

	if (!s || !*s)
		err_set(err, ERR_PROTOCOL, "the mount request has no \"%s\"", key);
	return s && *s ? s : NULL;
}

static int read_snapshot(struct making *k, const char *wish, struct err *err)
{
	if (!wish)
		return 0;
	k->job.drive.wish = !strcmp(wish, "new")      ? SNAPSHOT_NEW
		      : !strcmp(wish, "latest") ? SNAPSHOT_LATEST
						: SNAPSHOT_AT;
	k->job.drive.snapshot = strdup(wish);
	k->mount->wanted_snapshot = strdup(wish);
	return k->job.drive.snapshot && k->mount->wanted_snapshot
		       ? 0
		       : err_set(err, ERR_NO_MEMORY, "out of memory");
}

static void fill_holder(struct lease_holder *h, const struct caller *c, const char *since)
{
	if (gethostname(h->host, sizeof(h->host)) < 0)
		h->host[0] = '\0';
	h->host[sizeof(h->host) - 1] = '\0';
	snprintf(h->user, sizeof(h->user), "%s", c->user);
	snprintf(h->since, sizeof(h->since), "%s", since);
	h->pid = c->pid;
}

/* So that most blobs are looked at by one worker only. */
static bool looks_like_package(const char *blob)
{
	static const char *const endings[] = { ".zip", ".opc", ".nupkg", ".jar", ".hpcpkg" };
	size_t len = strlen(blob);

	for (size_t i = 0; i < ARRAY_LEN(endings); i++)
		if (len > strlen(endings[i]) && !strcasecmp(blob + len - strlen(endings[i]), endings[i]))
			return true;
	return false;
}

/* Snapshots, leases and partitions are a drive's; some options a package's. */
static int choose_kind(struct making *k, const json_t *request, struct err *err)
{
	struct mount *m = k->mount;
	bool drive = m->wanted_snapshot || m->raw || k->partition ||
		     json_is_true(json_object_get(request, "force"));

	if (!*m->blob && drive)
		return err_set(err, ERR_USAGE, "snapshots, force, raw and partitions are for drives, not for a "
			       "container");
	m->kind = MOUNT_DRIVE;
	if (!*m->blob)
		m->kind = MOUNT_CONTAINER;
	else if (!drive && (k->options.package_only || looks_like_package(m->blob)))
		m->kind = MOUNT_PACKAGE;
	k->either = *m->blob && !drive;
	return mount_request_check_kind(k, err);
}

int mount_request_check_kind(struct making *k, struct err *err)
{
	const struct mount *m = k->mount;

	if (m->kind == MOUNT_DRIVE && k->options.package_only)
		return err_set(err, ERR_USAGE, "-o %s: is for packages, and %s is a drive",
			       k->options.package_only, m->blob);
	if (m->kind != MOUNT_DRIVE && k->options.rest)
		return err_set(err, ERR_USAGE, "-o %s: no such option for a %s", k->options.rest,
			       mount_kind_name(m->kind));
	k->mount->read_only = m->kind != MOUNT_DRIVE || k->options.read_only || m->wanted_snapshot;
	/* Root's are for the jobs of all. */
	k->job.allow_other = k->options.allow_other || (m->kind != MOUNT_DRIVE && m->uid == 0);
	return 0;
}

/* The directory of the configuration is its owner's; others name one of theirs. */
static int fill_cache_dir(struct making *k)
{
	const struct settings *s = &k->agent->settings;
	const char *dir = k->options.cache_dir;

	if (!dir && k->mount->uid == geteuid())
		dir = s->cache_dir;
	if (!dir)
		return 0;
	k->job.drive.cache_dir = strdup(dir);
	k->job.drive.cache_dir_bytes = k->options.cache_dir_bytes ? k->options.cache_dir_bytes : s->cache_dir_bytes;
	return k->job.drive.cache_dir ? 0 : -1;
}

static void fill_job(struct making *k, const json_t *request)
{
	const struct settings *s = &k->agent->settings;
	struct worker_job *j = &k->job;
	const json_t *level = json_object_get(request, "log_level");

	j->drive.force = json_is_true(json_object_get(request, "force"));
	j->drive.lease_duration_s = s->lease_duration_s;
	j->io_deadline_ms = k->options.io_deadline_ms ? k->options.io_deadline_ms : s->io_deadline_ms;
	j->connections = s->connections;
	j->io_threads = s->io_threads;
	j->cache_bytes = k->options.cache_bytes ? k->options.cache_bytes : s->cache_bytes;
	j->drive.sync_writes = k->options.sync;
	j->drive.read_only = k->options.read_only;
	j->package = (struct package_job) { .refresh_s = k->options.refresh_s,
					    .unpack_bytes = k->options.unpack_bytes,
					    .cache_dir = k->options.cache_dir ? strdup(k->options.cache_dir) : NULL,
					    .opcparts = k->options.opcparts };
	j->log_level = json_is_integer(level) ? (unsigned)json_integer_value(level) : s->log_level;
	fill_holder(&j->drive.holder, k->caller, k->mount->since);
}

int mount_request_read(struct making *k, const json_t *request, struct err *err)
{
	const char *container = need_string(request, "container", err);
	bool whole = json_is_null(json_object_get(request, "blob"));
	const char *blob = !container || whole ? NULL : need_string(request, "blob", err);
	struct mount *m = k->mount;

	if (!container || (!blob && !whole) || account_from_json(json_object_get(request, "account"), &k->job.account, err) < 0)
		return -1;
	/* hpcpack has looked; it is not the only one who can write to the socket. */
	if (account_check_transport(&k->job.account, k->job.account.http_chosen, err) < 0)
		return -1;
	if (mount_options_parse(json_string_value(json_object_get(request, "options")), &k->options,
				err) < 0)
		return -1;
	k->job.container = strdup(container);
	k->job.blob = blob ? strdup(blob) : NULL;
	k->job.dir = strdup(m->dir);
	m->account = strdup(k->job.account.name);
	m->container = strdup(container);
	m->blob = strdup(blob ? blob : "");
	if (!k->job.container || (blob && !k->job.blob) || !k->job.dir || !m->account || !m->container || !m->blob)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (read_snapshot(k, json_string_value(json_object_get(request, "snapshot")), err) < 0)
		return -1;
	k->partition = (int)json_integer_value(json_object_get(request, "partition"));
	m->raw = json_is_true(json_object_get(request, "raw"));
	m->uid = k->caller->uid;
	m->gid = k->caller->gid;
	snprintf(m->user, sizeof(m->user), "%s", k->caller->user);
	utc_now(m->since);
	fill_job(k, request);
	if (fill_cache_dir(k) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	return choose_kind(k, request, err);
}
