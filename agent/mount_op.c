/*
 * {"op":"mount"}: from a request to files, and back to nothing when a step fails.
 */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/guard.h"
#include "agent/mount_request.h"
#include "agent/mountpoint.h"
#include "agent/record.h"
#include "agent/worker.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "fs/channel.h"

static int choose_mountpoint(struct making *k, const json_t *request, struct err *err)
{
	const char *wanted = json_string_value(json_object_get(request, "mountpoint"));
	struct mount *m = k->mount;

	if (wanted)
		return mountpoint_check(wanted, m->uid, m->gid, &m->mountpoint, err);
	return mountpoint_make(k->agent->settings.mount_root, m->container, m->blob, m->uid, m->gid,
			       &m->mountpoint, &m->mountpoint_made, err);
}

/* The worker makes `fs` and `control` in it, so it must be its user's. */
static int make_dir(struct making *k, struct err *err)
{
	struct mount *m = k->mount;

	if (mkdir(m->dir, 0700) < 0)
		return err_set_errno(err, errno, "could not make %s", m->dir);
	k->dir_made = true;
	if (geteuid() == 0 && m->uid != 0 && chown(m->dir, m->uid, m->gid) < 0)
		return err_set_errno(err, errno, "could not give %s to its user", m->dir);
	return record_write(m, err);
}

static void tell_progress(void *arg, const char *text)
{
	const struct caller *c = arg;
	json_t *msg = json_pack("{s:s}", "progress", text);

	/* A client that has gone is noticed where it is waited for. */
	if (msg)
		channel_send(c->fd, msg, NULL);
	json_decref(msg);
}

/* A user's --raw or package: a FUSE mount can't be bound by a user, so the worker mounts
 * itself where the user wants to see it. */
static bool worker_mounts_itself(const struct mount *m)
{
	return mount_is_bare(m) && m->uid != 0;
}

static int start_worker(struct making *k, struct err *err)
{
	struct mount *m = k->mount;
	json_t *job;
	int rc = -1;

	k->job.kind = m->kind == MOUNT_DRIVE ? JOB_DRIVE : JOB_PACKAGE;
	if (worker_mounts_itself(m)) {
		guard_lower(m->mountpoint);
		free(k->job.fuse_dir);
		k->job.fuse_dir = strdup(m->mountpoint);
		if (!k->job.fuse_dir)
			return err_set(err, ERR_NO_MEMORY, "out of memory");
	} else {
		free(steal_ptr(&k->job.fuse_dir));
	}
	job = worker_job_to_json(&k->job);
	if (!job)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	else
		rc = worker_start(m, k->agent->settings.programs, job, err);
	json_decref(job);
	return rc < 0 ? -1 : record_write(m, err);
}

static int run_worker(struct making *k, bool *other, struct err *err)
{
	struct mount *m = k->mount;
	const int cancel[] = { k->caller->fd, k->agent->cancel_fd };
	const char *snapshot;
	json_t *ready;

	*other = false;
	if (start_worker(k, err) < 0)
		return -1;
	ready = worker_wait_ready(m, cancel, 2, tell_progress, (void *)k->caller, other, err);
	if (!ready)
		return -1;
	snapshot = json_string_value(json_object_get(ready, "snapshot"));
	pthread_mutex_lock(&k->agent->mounts.lock);
	m->snapshot = snapshot ? strdup(snapshot) : NULL;
	m->size = (uint64_t)json_integer_value(json_object_get(ready, "size"));
	pthread_mutex_unlock(&k->agent->mounts.lock);
	json_decref(ready);
	k->worker_ready = true;
	return 0;
}

static int become(struct making *k, enum mount_kind kind, struct err *err)
{
	struct mount *m = k->mount;

	if (kind == MOUNT_DRIVE) {
		if (mounts_is_drive(&k->agent->mounts, m, err) < 0)
			return -1;
	} else {
		pthread_mutex_lock(&k->agent->mounts.lock);
		m->kind = kind;
		pthread_mutex_unlock(&k->agent->mounts.lock);
	}
	return mount_request_check_kind(k, err);
}

/* What a blob is, its first bytes and last ones say: the worker that was expected to
 * fit looks first, the other one if it finds that it does not. */
static int run_fitting_worker(struct making *k, struct err *err)
{
	enum mount_kind first = k->mount->kind;
	struct err why;
	bool other;

	if (run_worker(k, &other, err) == 0)
		return 0;
	if (!other || !k->either)
		return -1;
	why = *err;
	worker_drop(k->mount);
	if (become(k, first == MOUNT_DRIVE ? MOUNT_PACKAGE : MOUNT_DRIVE, err) < 0)
		return -1;
	if (run_worker(k, &other, err) == 0)
		return 0;
	/* Neither: said in the words of the drive's, which know more types of blobs. */
	if (other && first == MOUNT_DRIVE) {
		*err = why;
		err_append(err, "; nor is it a zip or OPC package");
	} else if (other) {
		err_append(err, "; nor is it a zip or OPC package");
	}
	return -1;
}

/* {"op":"window"}: part of the disk as the file fs/part. */
static int open_window(void *arg, uint64_t offset, uint64_t size, struct err *err)
{
	json_t *request = json_pack("{s:s, s:I, s:I}", "op", "window", "offset", (json_int_t)offset,
				    "size", (json_int_t)size);
	json_t *reply = request ? worker_call(arg, request, 10000, err) : NULL;

	json_decref(request);
	json_decref(reply);
	return reply ? 0 : -1;
}

static int attach_files(struct making *k, struct volume *v, struct err *err)
{
	struct mount *m = k->mount;
	cleanup_free char *disk = NULL;
	cleanup_free char *part = NULL;
	cleanup_free char *log = NULL;
	cleanup_free char *driver = NULL;
	struct volume_wish w = {
		.what = m->blob,
		.mountpoint = m->mountpoint,
		.options = k->options.rest,
		.partition = k->partition,
		.read_only = k->options.read_only,
		.snapshot = m->wanted_snapshot != NULL,
		.uid = m->uid,
		.gid = m->gid,
		.kernel_allowed = geteuid() == 0 &&
				  (m->uid == 0 || k->agent->settings.users_may_use_kernel_drivers),
		.window = open_window,
		.window_arg = m,
	};

	if (asprintf(&disk, "%s/fs/disk", m->dir) < 0)
		disk = NULL;
	if (asprintf(&part, "%s/fs/part", m->dir) < 0)
		part = NULL;
	if (asprintf(&log, "%s/driver.log", m->dir) < 0)
		log = NULL;
	if (asprintf(&driver, "%s/hpcpack-fusedriver", k->agent->settings.programs) < 0)
		driver = NULL;
	if (!disk || !part || !log || !driver)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	w.disk_path = disk;
	w.window_path = part;
	w.log_path = log;
	w.driver_path = driver;
	return volume_attach(&w, v, err);
}

static int attach_raw(struct making *k, struct volume *v, struct err *err)
{
	struct mount *m = k->mount;
	cleanup_free char *fs = NULL;

	if (worker_mounts_itself(m))
		return volume_attach_raw(m->mountpoint, m->mountpoint, m->read_only, v, err);
	if (asprintf(&fs, "%s/fs", m->dir) < 0) {
		fs = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	return volume_attach_raw(fs, m->mountpoint, m->read_only, v, err);
}

static int attach(struct making *k, struct err *err)
{
	struct volume v;

	if ((mount_is_bare(k->mount) ? attach_raw(k, &v, err) : attach_files(k, &v, err)) < 0)
		return -1;
	pthread_mutex_lock(&k->agent->mounts.lock);
	k->mount->volume = v;
	pthread_mutex_unlock(&k->agent->mounts.lock);
	return 0;
}

static bool cancelled(const struct making *k)
{
	struct pollfd p[2] = { { .fd = k->caller->fd, .events = POLLRDHUP },
			       { .fd = k->agent->cancel_fd, .events = POLLIN } };

	return poll(p, 2, 0) > 0;
}

/* What is left of a dead mount at this place would only be in the way of whoever
 * looks for this one. */
static void drop_superseded(struct agent *a, struct mount *by)
{
	struct mount *old;

	while ((old = mounts_superseded(&a->mounts, by))) {
		bool made = old->mountpoint_made;

		if (mounts_claim(&a->mounts, old)) {
			/* The folder is the new one's now. */
			by->mountpoint_made = by->mountpoint_made || made;
			old->mountpoint_made = false;
			mount_finish(a, old, NULL, NULL);
		}
		mount_unref(&a->mounts, old);
	}
}

static int build(struct making *k, const json_t *request, struct err *err)
{
	struct mount *m = k->mount;

	if (mount_request_read(k, request, err) < 0 || choose_mountpoint(k, request, err) < 0)
		return -1;
	if (mounts_add(&k->agent->mounts, m, err) < 0)
		return -1;
	k->listed = true;
	if (make_dir(k, err) < 0 || run_fitting_worker(k, err) < 0)
		return -1;
	if (!mount_is_bare(m))
		tell_progress((void *)k->caller, "attaching the volume");
	if (attach(k, err) < 0)
		return -1;
	if (cancelled(k))
		return err_set(err, ERR_CANCELLED, "the mount was cancelled");
	drop_superseded(k->agent, m);
	mounts_set_state(&k->agent->mounts, m, MOUNT_READY, "");
	if (record_write(m, err) < 0)
		return -1;
	return watch_start(k->agent, m, err);
}

/* A failed mount is still the last one here. */
static void guard_again(struct making *k)
{
	struct mount *old = k->listed ? mounts_superseded(&k->agent->mounts, k->mount) : NULL;
	struct err err;

	if (!old)
		return;
	if (old->guarded && mounts_claim(&k->agent->mounts, old)) {
		if (guard_raise(old->mountpoint, old->uid, old->gid, &err) < 0)
			log_warn("%s", err.msg);
		mounts_release(&k->agent->mounts, old);
	}
	mount_unref(&k->agent->mounts, old);
}

/* In reverse; the worker is stopped in order, so that its lease is released. */
static void undo(struct making *k)
{
	struct mount *m = k->mount;
	struct err err, unsynced;
	char name[1600];

	mount_name(m, name, sizeof(name));
	if (volume_detach(&m->volume, false, &unsynced, &err) < 0) {
		log_warn("%s: %s", name, err.msg);
		volume_detach(&m->volume, true, &unsynced, NULL);
	}
	guard_again(k);
	if (!volume_wait_released(&m->volume, 30000))
		log_warn("%s: its volume is still in use", name);
	if (k->worker_ready && worker_stop(m, NULL, &err) < 0)
		log_warn("%s: %s", name, err.msg);
	worker_abort(m);
	if (k->dir_made)
		worker_clean_up(m);
	/* Where the worker was what was mounted. */
	guard_again(k);
	if (m->mountpoint_made)
		mountpoint_remove(m->mountpoint, m->uid, m->gid);
	if (k->listed)
		mounts_remove(&k->agent->mounts, m);
}

static void making_free(struct making *k)
{
	worker_job_free(&k->job);
	mount_options_free(&k->options);
	mount_unref(&k->agent->mounts, k->mount);
	agent_wake(k->agent);
}

json_t *mount_op(struct agent *a, const struct caller *c, const json_t *request, struct err *err)
{
	struct making k = { .agent = a, .caller = c };
	json_t *reply;
	char name[1600];

	k.mount = mount_new(a->settings.runtime_dir, NULL, err);
	if (!k.mount)
		return NULL;
	if (build(&k, request, err) < 0) {
		if (k.mount->account && k.mount->container && k.mount->blob) {
			mount_name(k.mount, name, sizeof(name));
			log_warn("%s could not be mounted for %s: %s", name, c->user, err->msg);
		}
		undo(&k);
		making_free(&k);
		return NULL;
	}
	mount_name(k.mount, name, sizeof(name));
	log_info("%s mounted at %s for %s", name, k.mount->mountpoint, c->user);
	reply = json_pack("{s:b, s:o}", "ok", true, "mount", mount_entry(a, k.mount));
	mounts_release(&a->mounts, k.mount);
	making_free(&k);
	if (!reply)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	return reply;
}

void mount_op_undo(struct agent *a, const json_t *reply)
{
	const char *at = json_string_value(
		json_object_get(json_object_get(reply, "mount"), "mountpoint"));
	struct mount *m = at ? mounts_find(&a->mounts, at, NULL, NULL, 0, NULL) : NULL;
	bool pending = false, gone = false;
	struct err err;

	if (!m)
		return;
	log_info("nobody waits for the mount at %s any more; taking it back", m->mountpoint);
	if (mounts_claim(&a->mounts, m)) {
		if (mount_end(a, m, true, NULL, &pending, &gone, &err) < 0)
			log_warn("%s: %s", m->mountpoint, err.msg);
		if (!gone)
			mounts_release(&a->mounts, m);
	}
	mount_unref(&a->mounts, m);
}
