#include <config.h>

#include "agent/mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "blob/base/cleanup.h"

static const char *const state_names[] = {
	[MOUNT_MOUNTING] = "mounting", [MOUNT_READY] = "ready",   [MOUNT_DEGRADED] = "degraded",
	[MOUNT_LOST] = "lost",	       [MOUNT_FAILED] = "failed",
};

const char *mount_state_name(enum mount_state s)
{
	return state_names[s];
}

enum mount_state mount_state_from_name(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(state_names); i++)
		if (!strcmp(state_names[i], name))
			return (enum mount_state)i;
	return MOUNT_DEGRADED;
}

static const char *const kind_names[] = {
	[MOUNT_DRIVE] = "drive", [MOUNT_PACKAGE] = "package", [MOUNT_CONTAINER] = "container",
};

const char *mount_kind_name(enum mount_kind k)
{
	return kind_names[k];
}

bool mount_kind_from_name(const char *name, enum mount_kind *out)
{
	for (unsigned i = 0; i < ARRAY_LEN(kind_names); i++)
		if (!strcmp(kind_names[i], name)) {
			*out = (enum mount_kind)i;
			return true;
		}
	return false;
}

void mounts_init(struct mounts *t)
{
	memset(t, 0, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
}

static void mount_free(struct mount *m)
{
	if (m->pidfd >= 0)
		close(m->pidfd);
	if (m->channel >= 0)
		close(m->channel);
	if (m->wake_fd >= 0)
		close(m->wake_fd);
	if (m->status_fd >= 0)
		close(m->status_fd);
	free(m->account);
	free(m->container);
	free(m->blob);
	free(m->wanted_snapshot);
	free(m->snapshot);
	free(m->dir);
	free(m->mountpoint);
	free(m);
}

void mounts_destroy(struct mounts *t)
{
	while (t->first)
		mounts_remove(t, t->first);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->changed);
}

struct mount *mount_new(const char *runtime_dir, const char *id, struct err *err)
{
	struct mount *m = calloc(1, sizeof(*m));
	unsigned char random[8];

	if (!m) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	m->refs = 1;
	m->pidfd = m->channel = m->status_fd = -1;
	m->volume.loop = -1;
	m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (id) {
		snprintf(m->id, sizeof(m->id), "%s", id);
	} else if (getrandom(random, sizeof(random), 0) == sizeof(random)) {
		for (size_t i = 0; i < sizeof(random); i++)
			snprintf(m->id + 2 * i, 3, "%02x", random[i]);
	}
	if (m->wake_fd < 0 || !m->id[0] ||
	    asprintf(&m->dir, "%s/mounts/%s", runtime_dir, m->id) < 0) {
		err_set_errno(err, errno, "could not begin a mount");
		m->dir = NULL;
		mount_free(m);
		return NULL;
	}
	return m;
}

void mount_ref(struct mounts *t, struct mount *m)
{
	pthread_mutex_lock(&t->lock);
	m->refs++;
	pthread_mutex_unlock(&t->lock);
}

void mount_unref(struct mounts *t, struct mount *m)
{
	bool last;

	pthread_mutex_lock(&t->lock);
	last = --m->refs == 0;
	pthread_mutex_unlock(&t->lock);
	if (last)
		mount_free(m);
}

void mount_name(const struct mount *m, char *out, size_t size)
{
	/* A request that was refused early has none of them yet. */
	if (!m->account || !m->container || !m->blob) {
		snprintf(out, size, "a mount");
		return;
	}
	snprintf(out, size, "%s/%s%s%s%s%s", m->account, m->container, *m->blob ? "/" : "", m->blob,
		 m->snapshot ? "?snapshot=" : "", m->snapshot ? m->snapshot : "");
}

static bool same_drive(const struct mount *a, const struct mount *b)
{
	return !strcmp(a->account, b->account) && !strcmp(a->container, b->container) &&
	       !strcmp(a->blob, b->blob);
}

/* Only one of ours can hold the lease. */
static bool holds_lease(const struct mount *m)
{
	return m->kind == MOUNT_DRIVE && !m->wanted_snapshot && m->state != MOUNT_FAILED && m->state != MOUNT_LOST;
}

static int check_conflicts(const struct mounts *t, const struct mount *m, struct err *err)
{
	for (const struct mount *o = t->first; o; o = o->next) {
		char name[1600];

		if (o == m || o->state == MOUNT_FAILED)
			continue;
		mount_name(o, name, sizeof(name));
		if (!strcmp(o->mountpoint, m->mountpoint))
			return err_set(err, ERR_BUSY, "%s is already a mount point: %s is mounted there; "
				       "unmount that first, or take another place", m->mountpoint, name);
		if (holds_lease(o) && holds_lease(m) && same_drive(o, m))
			return err_set(err, ERR_BUSY, "%s is already mounted at %s by %s; unmount it "
				       "first, or mount a snapshot with --snapshot", name, o->mountpoint,
				       o->user);
	}
	return 0;
}

int mounts_add(struct mounts *t, struct mount *m, struct err *err)
{
	int rc;

	pthread_mutex_lock(&t->lock);
	rc = check_conflicts(t, m, err);
	if (rc == 0) {
		struct mount **at = &t->first;

		while (*at)
			at = &(*at)->next;
		*at = m;
		m->busy = true;
		m->refs++;
		t->count++;
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

int mounts_is_drive(struct mounts *t, struct mount *m, struct err *err)
{
	int rc;

	pthread_mutex_lock(&t->lock);
	m->kind = MOUNT_DRIVE;
	rc = check_conflicts(t, m, err);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

void mounts_remove(struct mounts *t, struct mount *m)
{
	pthread_mutex_lock(&t->lock);
	for (struct mount **at = &t->first; *at; at = &(*at)->next)
		if (*at == m) {
			*at = m->next;
			t->count--;
			break;
		}
	m->gone = true;
	m->busy = false;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	mount_unref(t, m);
}

struct mount *mounts_superseded(struct mounts *t, const struct mount *by)
{
	struct mount *m;

	pthread_mutex_lock(&t->lock);
	for (m = t->first; m; m = m->next)
		if (m != by && m->state == MOUNT_FAILED && !strcmp(m->mountpoint, by->mountpoint))
			break;
	if (m)
		m->refs++;
	pthread_mutex_unlock(&t->lock);
	return m;
}

bool mounts_claim(struct mounts *t, struct mount *m)
{
	bool ours;

	pthread_mutex_lock(&t->lock);
	while (m->busy && !m->gone)
		pthread_cond_wait(&t->changed, &t->lock);
	ours = !m->gone;
	if (ours)
		m->busy = true;
	pthread_mutex_unlock(&t->lock);
	return ours;
}

void mounts_release(struct mounts *t, struct mount *m)
{
	pthread_mutex_lock(&t->lock);
	m->busy = false;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

void mounts_set_state(struct mounts *t, struct mount *m, enum mount_state state,
		      const char *reason)
{
	pthread_mutex_lock(&t->lock);
	m->state = state;
	snprintf(m->reason, sizeof(m->reason), "%s", reason);
	pthread_mutex_unlock(&t->lock);
}

bool mounts_lingering(struct mounts *t, struct mount *m)
{
	bool lingering;

	pthread_mutex_lock(&t->lock);
	lingering = m->lingering;
	pthread_mutex_unlock(&t->lock);
	return lingering;
}

void mounts_linger(struct mounts *t, struct mount *m, const char *reason)
{
	uint64_t one = 1;

	mounts_set_state(t, m, MOUNT_DEGRADED, reason);
	pthread_mutex_lock(&t->lock);
	m->lingering = true;
	pthread_mutex_unlock(&t->lock);
	if (write(m->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: it is awake */
}

/* "blob", "container/blob" or "account/container/blob": a blob's own name may
 * hold slashes, so each reading is tried. */
static bool names(const struct mount *m, const char *target)
{
	size_t account = strlen(m->account), container = strlen(m->container);

	if (!*m->blob && !strcmp(target, m->container))
		return true;
	if (!*m->blob)
		return !strncmp(target, m->account, account) && target[account] == '/' &&
		       !strcmp(target + account + 1, m->container);
	if (!strcmp(target, m->blob))
		return true;
	if (!strncmp(target, m->account, account) && target[account] == '/' &&
	    !strncmp(target + account + 1, m->container, container) &&
	    target[account + 1 + container] == '/' &&
	    !strcmp(target + account + container + 2, m->blob))
		return true;
	return !strncmp(target, m->container, container) && target[container] == '/' &&
	       !strcmp(target + container + 1, m->blob);
}

static bool matches(const struct mount *m, const char *target, const char *account,
		    const char *container, uid_t uid)
{
	if (uid != 0 && m->uid != uid)
		return false;
	if (target[0] == '/')
		return !strcmp(m->mountpoint, target);
	if ((account && strcmp(account, m->account)) || (container && strcmp(container, m->container)))
		return false;
	return names(m, target);
}

struct mount *mounts_find(struct mounts *t, const char *target, const char *account,
			  const char *container, uid_t uid, struct err *err)
{
	cleanup_buf struct buf where = BUF_INIT(900);
	struct mount *found = NULL;
	unsigned count = 0;

	pthread_mutex_lock(&t->lock);
	/* First the living, then the dead; a mount point names the newest of those. */
	for (int dead = 0; dead < 2 && !count; dead++)
		for (struct mount *m = t->first; m; m = m->next) {
			if ((m->state == MOUNT_FAILED) != dead ||
			    !matches(m, target, account, container, uid))
				continue;
			found = m;
			if (target[0] == '/')
				count = 1;
			else if (count++ == 0 || !where.failed)
				buf_addf(&where, "%s%s", where.len ? ", " : "", m->mountpoint);
		}
	if (count == 1)
		found->refs++;
	pthread_mutex_unlock(&t->lock);
	if (count == 1)
		return found;
	if (count > 1)
		err_set(err, ERR_USAGE, "%s is mounted %u times: at %s; name the mount point", target,
			count, buf_str(&where));
	else
		err_set(err, ERR_NOT_FOUND, "%s is not mounted by this agent", target);
	return NULL;
}

struct mount **mounts_all(struct mounts *t, uid_t uid)
{
	struct mount **list;
	unsigned n = 0;

	pthread_mutex_lock(&t->lock);
	list = calloc(t->count + 1, sizeof(*list));
	for (struct mount *m = t->first; list && m; m = m->next)
		if (uid == 0 || m->uid == uid) {
			m->refs++;
			list[n++] = m;
		}
	pthread_mutex_unlock(&t->lock);
	return list;
}
