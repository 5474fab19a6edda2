/*
 * One thread for each mount that has a living worker.
 */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/guard.h"
#include "agent/record.h"
#include "agent/worker.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "blob/base/process.h"
#include "fs/channel.h"

/* How often a volume that was detached lazily is looked at. */
#define LINGER_MS 250

struct watch {
	struct agent *agent;
	struct mount *mount;
	int helper_fd;       /* of the FUSE driver; -1: none, or ended */
};

/* The worker is dead: what it served is of no use to anybody any more. */
static void take_apart(struct watch *w)
{
	struct mounts *t = &w->agent->mounts;
	struct mount *m = w->mount;
	char how[200], name[1600];
	struct err err;

	mount_name(m, name, sizeof(name));
	if (!mounts_claim(t, m))
		return; /* it was unmounted: this end was asked for */
	worker_describe_end(m, how, sizeof(how));
	log_error("%s at %s: %s", name, m->mountpoint, how);
	if (volume_give_up(&m->volume, m->uid, m->gid, &err) < 0)
		log_warn("%s: %s", name, err.msg);
	m->guarded = guard_at(m->mountpoint);
	volume_wait_released(&m->volume, 5000);
	worker_unmount(m);
	mounts_set_state(t, m, MOUNT_FAILED, how);
	if (record_write(m, &err) < 0)
		log_warn("%s", err.msg);
	mounts_release(t, m);
}

/* A lazily detached volume has lost its last user, or its worker has gone. */
static bool finish(struct watch *w)
{
	struct mount *m = w->mount;
	struct err err;
	char name[1600];

	mount_name(m, name, sizeof(name));
	if (!volume_released(&m->volume) || !mounts_claim(&w->agent->mounts, m))
		return false;
	if (mount_finish(w->agent, m, NULL, &err) < 0)
		log_error("%s: %s", name, err.msg);
	else
		log_info("%s: unmounted from %s, now that its last user has gone", name, m->mountpoint);
	return true;
}

static void hear(struct watch *w, bool lingering)
{
	struct mount *m = w->mount;
	json_t *msg = channel_receive(m->channel, 0, NULL);
	const char *event, *state, *reason;
	char name[1600];

	if (!msg)
		return;
	event = json_string_value(json_object_get(msg, "event"));
	state = json_string_value(json_object_get(msg, "state"));
	reason = json_string_value(json_object_get(msg, "reason"));
	mount_name(m, name, sizeof(name));
	if (event && !strcmp(event, "state") && state && !lingering) {
		log_info("%s: %s%s%s", name, state, reason && *reason ? ": " : "",
			 reason ? reason : "");
		mounts_set_state(&w->agent->mounts, m, mount_state_from_name(state),
				 reason ? reason : "");
	}
	json_decref(msg);
}

static void driver_ended(struct watch *w, bool lingering)
{
	struct mount *m = w->mount;
	bool told;
	char reason[128];

	close(steal_fd(&w->helper_fd));
	process_alive(m->volume.helper, m->volume.helper_start); /* reaps it */
	pthread_mutex_lock(&w->agent->mounts.lock);
	told = lingering || m->busy || m->gone;
	pthread_mutex_unlock(&w->agent->mounts.lock);
	if (told)
		return;
	snprintf(reason, sizeof(reason), "the driver of its %s (pid %d) ended; unmount it",
		 m->volume.filesystem, (int)m->volume.helper);
	log_error("%s at %s: %s", m->blob, m->mountpoint, reason);
	mounts_set_state(&w->agent->mounts, m, MOUNT_DEGRADED, reason);
}

/* True when there is nothing left to watch. */
static bool turn(struct watch *w)
{
	struct mount *m = w->mount;
	struct pollfd p[4] = {
		{ .fd = m->pidfd, .events = POLLIN },
		{ .fd = m->channel, .events = POLLIN },
		{ .fd = w->helper_fd, .events = POLLIN },
		{ .fd = m->wake_fd, .events = POLLIN },
	};
	bool lingering = mounts_lingering(&w->agent->mounts, m);
	uint64_t count;

	if (poll(p, 4, lingering ? LINGER_MS : -1) < 0 && errno != EINTR)
		return true;
	if (p[3].revents && read(m->wake_fd, &count, sizeof(count)) < 0)
		log_debug("%s: woken for nothing", m->id);
	if (p[1].revents & POLLIN)
		hear(w, lingering);
	if (p[2].revents)
		driver_ended(w, lingering);
	if (lingering && finish(w))
		return true;
	if (!p[0].revents) {
		/* A hung-up channel would wake us for ever. */
		if (p[1].revents & ~POLLIN)
			close(steal_fd(&m->channel));
		return false;
	}
	if (lingering) {
		/* What still uses the volume gets errors; the rest is cleaning up. */
		poll(NULL, 0, LINGER_MS);
		return false;
	}
	take_apart(w);
	return true;
}

static void *watch_thread(void *arg)
{
	struct watch *w = arg;

	while (!turn(w))
		;
	if (w->helper_fd >= 0)
		close(w->helper_fd);
	mount_unref(&w->agent->mounts, w->mount);
	free(w);
	return NULL;
}

int watch_start(struct agent *a, struct mount *m, struct err *err)
{
	struct watch *w = calloc(1, sizeof(*w));
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (!w)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	w->agent = a;
	w->mount = m;
	w->helper_fd = m->volume.helper ? (int)syscall(SYS_pidfd_open, m->volume.helper, 0) : -1;
	mount_ref(&a->mounts, m);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, watch_thread, w);
	pthread_attr_destroy(&attr);
	if (rc) {
		if (w->helper_fd >= 0)
			close(w->helper_fd);
		mount_unref(&a->mounts, m);
		free(w);
		return err_set_errno(err, rc, "could not watch the worker");
	}
	return 0;
}
