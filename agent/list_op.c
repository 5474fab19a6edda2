/*
 * {"op":"list"}: what there is, and how it is.
 */
#include <config.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/worker.h"
#include "blob/base/cleanup.h"
#include "blob/base/process.h"
#include "fs/channel.h"

/* For all the workers together. */
#define ANSWER_MS 1000

/*
 * A worker that does not answer must not gather connections with every list: it
 * is asked again only when it has answered. One list at a time.
 */
static pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER;

static void ask(struct mount *m)
{
	json_t *request = json_pack("{s:s}", "op", "status");
	char path[4200];

	snprintf(path, sizeof(path), "%s/control", m->dir);
	if (m->status_fd < 0 && request)
		m->status_fd = channel_connect(path, NULL);
	else
		goto out;
	if (m->status_fd >= 0 && channel_send(m->status_fd, request, NULL) < 0)
		close(steal_fd(&m->status_fd));
out:
	json_decref(request);
}

static bool has_worker(const struct mount *m)
{
	return m->state != MOUNT_FAILED && m->state != MOUNT_MOUNTING;
}

/* replies[i] is the answer of mounts[i], or NULL. */
static void ask_all(struct mount *const *mounts, json_t **replies, size_t count)
{
	int64_t end = monotonic_ms() + ANSWER_MS;

	pthread_mutex_lock(&asking);
	for (size_t i = 0; i < count; i++)
		if (has_worker(mounts[i]))
			ask(mounts[i]);
	for (size_t i = 0; i < count; i++) {
		int64_t left = end - monotonic_ms();
		struct err err;

		if (mounts[i]->status_fd < 0)
			continue;
		replies[i] = channel_receive(mounts[i]->status_fd, left > 0 ? (int)left : 0, &err);
		if (replies[i] || err.code != ERR_TIMEOUT)
			close(steal_fd(&mounts[i]->status_fd));
	}
	pthread_mutex_unlock(&asking);
}

static json_int_t number(const json_t *obj, const char *key)
{
	return json_integer_value(json_object_get(obj, key));
}

static json_t *text_or_null(const char *s)
{
	return s ? json_string(s) : json_null();
}

static json_t *pack_lease(const json_t *status)
{
	json_t *lease = json_object_get(status, "lease");

	if (!json_is_object(lease))
		return json_null();
	return json_pack("{s:O, s:O, s:f}", "state", json_object_get(lease, "state"), "held_since",
			 json_object_get(lease, "held_since"), "next_renewal_seconds",
			 (double)number(lease, "next_renewal_ms") / 1000);
}

static json_t *pack_device(const struct volume *v)
{
	char path[32];

	if (!v->mountpoint[0] || v->loop < 0)
		return json_null();
	snprintf(path, sizeof(path), "/dev/loop%d", v->loop);
	return json_string(path);
}

struct view {
	enum mount_state state;
	char reason[512];
};

/* What we know ourselves goes before what the worker says of itself, and the
 * worse before the better. */
static void judge(const struct mount *m, const json_t *status, struct view *out)
{
	const char *state = json_string_value(json_object_get(status, "state"));
	const char *reason = json_string_value(json_object_get(status, "reason"));

	out->state = m->state;
	snprintf(out->reason, sizeof(out->reason), "%s", m->reason);
	if (!has_worker(m) || m->lingering)
		return;
	if (!status) {
		out->state = m->state == MOUNT_LOST ? MOUNT_LOST : MOUNT_DEGRADED;
		snprintf(out->reason, sizeof(out->reason),
			 "its worker (pid %d) does not answer", (int)m->worker);
		return;
	}
	if (state) {
		out->state = mount_state_from_name(state);
		snprintf(out->reason, sizeof(out->reason), "%s", reason ? reason : "");
	}
	if (out->state == MOUNT_LOST || m->busy)
		return;
	if (m->volume.helper && !process_alive(m->volume.helper, m->volume.helper_start)) {
		out->state = MOUNT_DEGRADED;
		snprintf(out->reason, sizeof(out->reason),
			 "the driver of its %s has ended; unmount it", m->volume.filesystem);
	} else if (!volume_mounted(&m->volume)) {
		out->state = MOUNT_DEGRADED;
		snprintf(out->reason, sizeof(out->reason), "somebody else unmounted %s; unmount it here "
			 "too", m->mountpoint);
	}
}

static json_t *pack_entry(const struct mount *m, const json_t *status)
{
	const json_t *stats = json_object_get(status, "stats");
	const struct volume *v = &m->volume;
	bool files = v->driver == VOLUME_KERNEL || v->driver == VOLUME_FUSE;
	struct view view;
	json_t *entry;

	judge(m, status, &view);
	files = files && v->mountpoint[0];
	entry = json_pack(
		"{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:I, s:s, s:s, "
		"s:I, s:I, s:o}",
		"id", m->id, "kind", mount_kind_name(m->kind), "account", m->account, "container",
		m->container, "blob", text_or_null(*m->blob ? m->blob : NULL),
		"snapshot", text_or_null(m->snapshot), "mountpoint", m->mountpoint, "mode",
		m->read_only ? "ro" : "rw", "state", mount_state_name(view.state), "reason",
		channel_text(view.reason), "raw", m->raw, "filesystem",
		text_or_null(files ? v->filesystem : NULL), "driver",
		text_or_null(files ? volume_driver_name(v->driver) : NULL), "partition",
		v->partition ? json_integer(v->partition) : json_null(), "device", pack_device(v),
		"uid", (json_int_t)m->uid, "user", m->user, "since", m->since, "pid",
		(json_int_t)m->worker, "size", (json_int_t)m->size, "lease", pack_lease(status));
	for (const char *const *key = (const char *const[]){ "bytes_read", "bytes_written", "cache_dir_read", "requests",
							     "retries", "cache_size", "cache_used",
							     "dirty", NULL };
	     entry && *key; key++)
		json_object_set_new(entry, *key, json_integer(number(stats, *key)));
	return entry;
}

/* The lock is held over the packing only: the asking can take a second. */
static json_t *entries(struct agent *a, struct mount *const *mounts, size_t count)
{
	json_t **replies = calloc(count + 1, sizeof(*replies));
	json_t *array = json_array();

	if (replies && array) {
		ask_all(mounts, replies, count);
		for (size_t i = 0; i < count; i++) {
			pthread_mutex_lock(&a->mounts.lock);
			if (!mounts[i]->gone)
				json_array_append_new(array, pack_entry(mounts[i], replies[i]));
			pthread_mutex_unlock(&a->mounts.lock);
			json_decref(replies[i]);
		}
	}
	free(replies);
	return array;
}

json_t *mount_entry(struct agent *a, struct mount *m)
{
	json_t *array = entries(a, &m, 1);
	json_t *entry = json_incref(json_array_get(array, 0));

	json_decref(array);
	return entry ? entry : json_null();
}

json_t *mount_entries(struct agent *a, const struct caller *c)
{
	struct mount **mounts = mounts_all(&a->mounts, c->uid);
	json_t *array;
	size_t count = 0;

	while (mounts && mounts[count])
		count++;
	array = mounts ? entries(a, mounts, count) : NULL;
	for (size_t i = 0; i < count; i++)
		mount_unref(&a->mounts, mounts[i]);
	free(mounts);
	return array;
}

json_t *list_op(struct agent *a, const struct caller *c, const json_t *request, struct err *err)
{
	json_t *array = mount_entries(a, c);
	json_t *reply = array ? json_pack("{s:b, s:o}", "ok", true, "mounts", array) : NULL;

	if (!reply)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	return reply;
}
