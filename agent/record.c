#include <config.h>

#include "agent/record.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/json_file.h"
#include "blob/base/cleanup.h"
#include "fs/channel.h"

#define RECORD_MAX 65536

static void boot_id(char out[40])
{
	cleanup_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, 36);

	out[n > 0 ? n : 0] = '\0';
}

static json_t *text_or_null(const char *s)
{
	return s ? json_string(s) : json_null();
}

static json_t *pack_volume(const struct volume *v)
{
	return json_pack("{s:s, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:s}", "filesystem",
			 v->filesystem, "driver", (int)v->driver, "partition", v->partition, "loop",
			 v->loop, "loop_sequence", (json_int_t)v->loop_sequence, "helper",
			 (json_int_t)v->helper, "helper_start", (json_int_t)v->helper_start, "device",
			 (json_int_t)v->device, "mountpoint", v->mountpoint);
}

static json_t *pack(const struct mount *m)
{
	char boot[40];

	boot_id(boot);
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:b, s:b, s:b, s:I, s:I, s:s, s:s, s:I, "
		"s:I, s:I, s:s, s:o, s:b, s:b, s:o}",
		"kind", mount_kind_name(m->kind), "id", m->id, "boot", boot, "account", m->account, "container", m->container, "blob",
		m->blob, "wanted_snapshot", text_or_null(m->wanted_snapshot), "snapshot",
		text_or_null(m->snapshot), "mountpoint", m->mountpoint, "mountpoint_made",
		m->mountpoint_made, "read_only", m->read_only, "raw", m->raw, "uid",
		(json_int_t)m->uid, "gid", (json_int_t)m->gid, "user", m->user, "since", m->since,
		"size", (json_int_t)m->size, "worker", (json_int_t)m->worker, "worker_start",
		(json_int_t)m->worker_start, "state", mount_state_name(m->state), "reason",
		channel_text(m->reason), "lingering", m->lingering, "guarded", m->guarded, "volume",
		pack_volume(&m->volume));
}

int record_write(const struct mount *m, struct err *err)
{
	json_t *obj = pack(m);
	int rc = obj ? json_file_write(m->dir, "mount.json", obj, err)
		     : err_set(err, ERR_NO_MEMORY, "%s: could not make the record", m->dir);

	json_decref(obj);
	return rc;
}

static int unpack_volume(json_t *obj, struct volume *v)
{
	const char *filesystem, *mountpoint;
	json_int_t sequence, helper, start, device;
	int driver;

	if (json_unpack(obj, "{s:s, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:s}", "filesystem",
			&filesystem, "driver", &driver, "partition", &v->partition, "loop", &v->loop,
			"loop_sequence", &sequence, "helper", &helper, "helper_start", &start,
			"device", &device, "mountpoint", &mountpoint) < 0 ||
	    driver < VOLUME_KERNEL || driver > VOLUME_DIRECT)
		return -1;
	snprintf(v->filesystem, sizeof(v->filesystem), "%s", filesystem);
	snprintf(v->mountpoint, sizeof(v->mountpoint), "%s", mountpoint);
	v->driver = (enum volume_driver)driver;
	v->loop_sequence = (uint64_t)sequence;
	v->helper = (pid_t)helper;
	v->helper_start = (uint64_t)start;
	v->device = (dev_t)device;
	return 0;
}

static int copy(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -1 : 0;
}

/* *id and *boot stay the object's. */
static int unpack(json_t *obj, struct mount *m, const char **id, const char **boot)
{
	const char *account, *container, *blob, *mountpoint;
	const char *user, *since, *state, *reason;
	json_int_t uid, gid, size, worker, start;
	json_t *volume, *wanted, *snapshot;
	const char *kind = mount_kind_name(MOUNT_DRIVE); /* an older agent knew no other */
	int made, read_only, raw, lingering, guarded;

	if (json_unpack(obj,
			"{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:b, s:b, s:b, s:I, s:I, s:s, s:s, s:I, "
			"s:I, s:I, s:s, s:s, s:b, s:b, s:o, s?s}",
			"id", id, "boot", boot, "account", &account, "container", &container, "blob",
			&blob, "wanted_snapshot", &wanted, "snapshot", &snapshot, "mountpoint",
			&mountpoint, "mountpoint_made", &made, "read_only", &read_only, "raw", &raw,
			"uid", &uid, "gid", &gid, "user", &user, "since", &since, "size", &size,
			"worker", &worker, "worker_start", &start, "state", &state, "reason", &reason,
			"lingering", &lingering, "guarded", &guarded, "volume", &volume,
			"kind", &kind) < 0 ||
	    !mount_kind_from_name(kind, &m->kind) || unpack_volume(volume, &m->volume) < 0)
		return -1;
	m->mountpoint_made = made;
	m->read_only = read_only;
	m->raw = raw;
	m->lingering = lingering;
	m->guarded = guarded;
	m->uid = (uid_t)uid;
	m->gid = (gid_t)gid;
	m->size = (uint64_t)size;
	m->worker = (pid_t)worker;
	m->worker_start = (uint64_t)start;
	m->state = mount_state_from_name(state);
	snprintf(m->user, sizeof(m->user), "%s", user);
	snprintf(m->since, sizeof(m->since), "%s", since);
	snprintf(m->reason, sizeof(m->reason), "%s", reason);
	return copy(&m->account, account) || copy(&m->container, container) ||
			       copy(&m->blob, blob) ||
			       copy(&m->wanted_snapshot, json_string_value(wanted)) ||
			       copy(&m->snapshot, json_string_value(snapshot)) || copy(&m->mountpoint, mountpoint)
		       ? -1
		       : 0;
}

struct mount *record_read(const char *runtime_dir, const char *id, bool *same_boot, struct err *err)
{
	struct mount *m = mount_new(runtime_dir, id, err);
	cleanup_free char *path = NULL;
	const char *its_id = "", *its_boot = "";
	char boot[40];
	json_t *obj = NULL;
	struct mounts none = { .lock = PTHREAD_MUTEX_INITIALIZER };

	if (!m)
		return NULL;
	if (asprintf(&path, "%s/mount.json", m->dir) < 0) {
		path = NULL;
		err_set(err, ERR_NO_MEMORY, "out of memory");
		goto failed;
	}
	obj = json_file_read(path, RECORD_MAX, err);
	if (!obj)
		goto failed;
	if (unpack(obj, m, &its_id, &its_boot) < 0 || strcmp(its_id, m->id)) {
		err_set(err, ERR_FORMAT, "%s is not the record of this mount", path);
		goto failed;
	}
	boot_id(boot);
	*same_boot = !strcmp(boot, its_boot);
	json_decref(obj);
	return m;
failed:
	json_decref(obj);
	mount_unref(&none, m);
	return NULL;
}
