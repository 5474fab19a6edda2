#include <config.h>

#include "agent/mount_request.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
	j->allow_other = k->options.allow_other;
	j->log_level = json_is_integer(level) ? (unsigned)json_integer_value(level) : s->log_level;
	fill_holder(&j->drive.holder, k->caller, k->mount->since);
}

int mount_request_read(struct making *k, const json_t *request, struct err *err)
{
	const char *container = need_string(request, "container", err);
	const char *blob = container ? need_string(request, "blob", err) : NULL;
	struct mount *m = k->mount;

	if (!blob || account_from_json(json_object_get(request, "account"), &k->job.account, err) < 0)
		return -1;
	/* hpcpack has looked; it is not the only one who can write to the socket. */
	if (account_check_transport(&k->job.account, k->job.account.http_chosen, err) < 0)
		return -1;
	if (mount_options_parse(json_string_value(json_object_get(request, "options")), &k->options,
				err) < 0)
		return -1;
	k->job.container = strdup(container);
	k->job.blob = strdup(blob);
	k->job.dir = strdup(m->dir);
	m->account = strdup(k->job.account.name);
	m->container = strdup(container);
	m->blob = strdup(blob);
	if (!k->job.container || !k->job.blob || !k->job.dir || !m->account || !m->container || !m->blob)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (read_snapshot(k, json_string_value(json_object_get(request, "snapshot")), err) < 0)
		return -1;
	k->partition = (int)json_integer_value(json_object_get(request, "partition"));
	m->raw = json_is_true(json_object_get(request, "raw"));
	m->read_only = k->options.read_only || m->wanted_snapshot;
	m->uid = k->caller->uid;
	m->gid = k->caller->gid;
	snprintf(m->user, sizeof(m->user), "%s", k->caller->user);
	utc_now(m->since);
	fill_job(k, request);
	if (fill_cache_dir(k) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	return 0;
}
