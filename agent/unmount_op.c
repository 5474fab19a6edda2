/*
 * {"op":"unmount"}: the way back.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/guard.h"
#include "agent/mountpoint.h"
#include "agent/record.h"
#include "agent/worker.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"

/* How long a loop device or driver may take to go after its filesystem is
 * unmounted: what is dirty is written to storage then. */
#define RELEASE_MS 60000
/* For a lazy unmount nobody waits. */
#define RELEASE_LAZY_MS 500

int mount_finish(struct agent *a, struct mount *m, json_t **receipt, struct err *err)
{
	int rc = 0;

	if (m->state != MOUNT_FAILED)
		rc = worker_stop(m, receipt, err);
	worker_clean_up(m);
	if (m->state == MOUNT_FAILED)
		guard_lower(m->mountpoint);
	if (m->mountpoint_made)
		mountpoint_remove(m->mountpoint, m->uid, m->gid);
	mounts_remove(&a->mounts, m);
	agent_wake(a);
	return rc;
}

/* Unmounted, and still used: by those who had it open when it was detached
 * lazily, or by another mount namespace that has a copy of the mount. */
static int linger(struct agent *a, struct mount *m, bool lazy, bool *pending, struct err *err)
{
	cleanup_buf struct buf users = BUF_INIT(900), reason = BUF_INIT(1000);

	if (!volume_users(m->volume.device, m->mountpoint, &users))
		buf_addstr(&users, "somebody that can't be seen from here");
	buf_addf(&reason, "unmounted, but still in use by %s", buf_str(&users));
	*pending = true;
	mounts_linger(&a->mounts, m, buf_str(&reason));
	if (record_write(m, err) < 0)
		log_warn("%s", err->msg);
	if (lazy)
		return 0;
	return err_set(err, ERR_BUSY, "%s is %s; it is released when they are done", m->mountpoint,
		       buf_str(&reason));
}

int mount_end(struct agent *a, struct mount *m, bool lazy, json_t **receipt, bool *pending,
	      bool *gone, struct err *err)
{
	struct err unsynced = { .code = ERR_NONE };

	*pending = *gone = false;
	/* Not in use, it needs no laziness, and its worker can give a receipt. */
	if (lazy && m->volume.driver == VOLUME_DIRECT && m->state != MOUNT_FAILED &&
	    volume_released(&m->volume))
		lazy = false;
	if (volume_detach(&m->volume, lazy || m->state == MOUNT_FAILED, &unsynced, err) < 0)
		return -1;
	if (m->state != MOUNT_FAILED &&
	    !volume_wait_released(&m->volume, lazy ? RELEASE_LAZY_MS : RELEASE_MS))
		return linger(a, m, lazy, pending, err);
	*gone = true;
	if (mount_finish(a, m, receipt, err) < 0)
		return -1;
	if (unsynced.code != ERR_NONE) {
		*err = unsynced;
		return err_append(err, "; it is unmounted, and what had not been written is lost");
	}
	return 0;
}

/* The folder above is resolved, the mount point itself is not touched: what is
 * mounted there may be dead. */
static char *resolve_parent(const char *target)
{
	cleanup_free char *copy = strdup(target);
	cleanup_free char *parent = NULL;
	char *slash, *out = NULL;
	size_t len = copy ? strlen(copy) : 0;

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	slash = copy ? strrchr(copy, '/') : NULL;
	if (!slash || !slash[1])
		return NULL;
	*slash = '\0';
	parent = realpath(slash == copy ? "/" : copy, NULL);
	if (!parent || asprintf(&out, "%s/%s", strcmp(parent, "/") ? parent : "", slash + 1) < 0)
		return NULL;
	return out;
}

static struct mount *find(struct agent *a, const struct caller *c, const json_t *request,
			  struct err *err)
{
	const char *target = json_string_value(json_object_get(request, "target"));
	const char *account = json_string_value(json_object_get(request, "account"));
	const char *container = json_string_value(json_object_get(request, "container"));
	cleanup_free char *path = NULL;
	struct mount *m;

	if (!target || !*target) {
		err_set(err, ERR_PROTOCOL, "the unmount request has no \"target\"");
		return NULL;
	}
	m = mounts_find(&a->mounts, target, account, container, c->uid, err);
	if (m || target[0] != '/')
		return m;
	path = resolve_parent(target);
	m = path ? mounts_find(&a->mounts, path, NULL, NULL, c->uid, NULL) : NULL;
	if (m)
		return m;
	free(path);
	path = realpath(target, NULL);
	return path ? mounts_find(&a->mounts, path, NULL, NULL, c->uid, NULL) : NULL;
}

static json_t *reply_of(const struct mount *m, json_t *receipt, bool pending, struct err *err)
{
	char source[1600];
	json_t *reply;

	mount_name(m, source, sizeof(source));
	log_info("%s unmounted from %s%s", source, m->mountpoint,
		 pending ? ", lazily: it is still in use" : "");
	reply = json_pack("{s:b, s:s, s:s, s:b, s:o}", "ok", true, "mountpoint", m->mountpoint,
			  "source", source, "pending", pending, "receipt",
			  receipt ? receipt : json_null());
	if (!reply)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	return reply;
}

json_t *unmount_op(struct agent *a, const struct caller *c, const json_t *request, struct err *err)
{
	bool lazy = json_is_true(json_object_get(request, "lazy"));
	struct mount *m = find(a, c, request, err);
	json_t *receipt = NULL, *reply = NULL;
	bool pending = false, gone = false;
	int rc;

	if (!m)
		return NULL;
	if (!mounts_claim(&a->mounts, m)) {
		err_set(err, ERR_NOT_FOUND, "%s was unmounted by another request", m->mountpoint);
		mount_unref(&a->mounts, m);
		return NULL;
	}
	rc = mount_end(a, m, lazy, &receipt, &pending, &gone, err);
	if (!gone)
		mounts_release(&a->mounts, m);
	if (rc == 0) {
		reply = reply_of(m, receipt, pending, err);
	} else {
		json_decref(receipt);
		log_warn("%s could not be unmounted in order: %s", m->mountpoint, err->msg);
	}
	mount_unref(&a->mounts, m);
	return reply;
}
