/*
 * Taking over what an earlier agent left in the runtime directory: mounts outlive
 * the agent, and its records are all that a new one has.
 */
#include <config.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/guard.h"
#include "agent/mountpoint.h"
#include "agent/record.h"
#include "agent/worker.h"
#include "blob/base/log.h"
#include "blob/base/process.h"

/* A descriptor that stands for the worker, if it still runs. */
static bool find_worker(struct mount *m)
{
	if (!process_alive(m->worker, m->worker_start))
		return false;
	m->pidfd = (int)syscall(SYS_pidfd_open, m->worker, 0);
	return m->pidfd >= 0 && process_alive(m->worker, m->worker_start);
}

static void forget(struct mount *m)
{
	worker_clean_up(m);
	if (m->mountpoint_made)
		mountpoint_remove(m->mountpoint, m->uid, m->gid);
}

/*
 * The earlier agent died while it mounted. Nobody waits for it any more, and how
 * far it got is not in the record: nothing but a guard was mounted at the mount
 * point before, so what else is there now is this.
 */
static void undo_half(struct mount *m)
{
	struct err err, unsynced;

	log_warn("%s: its mount was interrupted by the end of the earlier agent; undoing it", m->blob);
	snprintf(m->volume.mountpoint, sizeof(m->volume.mountpoint), "%s", m->mountpoint);
	volume_recognise(&m->volume, m->dir);
	if (volume_detach(&m->volume, true, &unsynced, &err) < 0)
		log_warn("%s", err.msg);
	volume_wait_released(&m->volume, 5000);
	if (find_worker(m) && worker_stop(m, NULL, &err) < 0)
		log_warn("%s", err.msg);
	forget(m);
}

/* The worker died when no agent looked. */
static void bury(struct mount *m)
{
	struct err err;

	log_error("%s at %s: its worker (pid %d) ended while no agent ran", m->blob, m->mountpoint,
		  (int)m->worker);
	if (volume_give_up(&m->volume, m->uid, m->gid, &err) < 0)
		log_warn("%s", err.msg);
	m->guarded = guard_at(m->mountpoint);
	volume_wait_released(&m->volume, 5000);
	worker_unmount(m);
	m->state = MOUNT_FAILED;
	snprintf(m->reason, sizeof(m->reason), "its worker (pid %d) ended while no agent ran",
		 (int)m->worker);
	if (record_write(m, &err) < 0)
		log_warn("%s", err.msg);
}

static void adopt_one(struct agent *a, struct mount *m)
{
	struct err err;
	bool alive;

	if (m->state == MOUNT_MOUNTING) {
		undo_half(m);
		return;
	}
	alive = m->state != MOUNT_FAILED && find_worker(m);
	if (!alive && m->state != MOUNT_FAILED) {
		if (m->lingering) {
			forget(m);
			return;
		}
		bury(m);
	}
	if (mounts_add(&a->mounts, m, &err) < 0) {
		log_error("%s", err.msg);
		return;
	}
	if (alive && watch_start(a, m, &err) < 0)
		log_error("%s: %s", m->blob, err.msg);
	if (alive)
		log_info("%s/%s/%s at %s goes on", m->account, m->container, m->blob, m->mountpoint);
	mounts_release(&a->mounts, m);
}

static void read_one(struct agent *a, const char *id)
{
	struct err err;
	bool same_boot;
	struct mount *m = record_read(a->settings.runtime_dir, id, &same_boot, &err);

	if (!m) {
		log_warn("%s; leaving it alone", err.msg);
		return;
	}
	if (same_boot)
		adopt_one(a, m);
	else
		forget(m);
	mount_unref(&a->mounts, m);
}

/* A mount that was interrupted may have taken the guard of a failed one away. */
static void guard_failed(struct agent *a)
{
	struct mount **all = mounts_all(&a->mounts, 0);
	struct err err;

	for (size_t i = 0; all && all[i]; i++) {
		const struct mount *m = all[i];

		if (m->guarded && guard_raise(m->mountpoint, m->uid, m->gid, &err) < 0)
			log_warn("%s", err.msg);
		mount_unref(&a->mounts, all[i]);
	}
	free(all);
}

void adopt_mounts(struct agent *a)
{
	char path[4200];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/mounts", a->settings.runtime_dir);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strlen(entry->d_name) < MOUNT_ID_MAX)
			read_one(a, entry->d_name);
	if (dir)
		closedir(dir);
	guard_failed(a);
}
