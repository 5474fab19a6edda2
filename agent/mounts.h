/*
 * mounts.h - the table of mounts.
 *
 * States of a mount:
 *
 *   MOUNTING  a mount request has it; it is in the table so that a second request
 *             for the same drive or mount point is refused
 *   READY     files can be read
 *   DEGRADED  its worker has trouble reaching storage, does not answer, or it is
 *             detached lazily and waits for its last user
 *   LOST      the lease is gone: reads go on, writes fail
 *   FAILED    the worker is dead and the volume detached; only the entry is left,
 *             for people to see, and the guard at its mount point, until it is
 *             unmounted or its mount point is used anew
 *
 *   MOUNTING -> READY; READY <-> DEGRADED; READY, DEGRADED -> LOST, FAILED;
 *   LOST -> FAILED. Any of them -> gone.
 *
 * Who may touch what: fields above the line in the struct are set before the
 * mount is shared and constant then. Those below are under the table's lock,
 * except that `volume` and `worker` change only while a mount request has it, and
 * that `channel` is its watch's once there is one. Whoever holds `busy` may take
 * it apart: one operation at a time (mount, unmount, or the watch of a dead one).
 */
#ifndef HPCPACK_AGENT_MOUNTS_H
#define HPCPACK_AGENT_MOUNTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/volume.h"
#include "blob/base/err.h"

enum mount_state { MOUNT_MOUNTING, MOUNT_READY, MOUNT_DEGRADED, MOUNT_LOST, MOUNT_FAILED };
const char *mount_state_name(enum mount_state s);
/* The state of that name; MOUNT_DEGRADED for one that we don't know. */
enum mount_state mount_state_from_name(const char *name);

#define MOUNT_ID_MAX 17

/* What is mounted. Of a blob whose kind nobody knows yet: what its name suggests. */
enum mount_kind { MOUNT_DRIVE, MOUNT_PACKAGE, MOUNT_CONTAINER };
const char *mount_kind_name(enum mount_kind k);
bool mount_kind_from_name(const char *name, enum mount_kind *out);

struct mount {
	char id[MOUNT_ID_MAX];       /* random, hexadecimal */
	enum mount_kind kind;        /* changes only while a mount request has it */
	char *account, *container, *blob; /* blob "": the whole container */
	char *wanted_snapshot;       /* "new", "latest", a time; NULL: the blob itself */
	char *dir;                   /* RUNTIME/mounts/ID */
	char *mountpoint;
	bool mountpoint_made;        /* by us: remove it at the end */
	bool read_only, raw;
	uid_t uid;                   /* who mounted it */
	gid_t gid;
	char user[64];
	char since[32];
	/* ------------------------------------------------------------------ */
	char *snapshot;              /* its time, once the worker is ready */
	uint64_t size;               /* of the disk, bytes */
	struct volume volume;
	pid_t worker;                /* 0: none (yet, or any more) */
	uint64_t worker_start;
	int pidfd, channel;          /* -1: none */
	enum mount_state state;
	char reason[512];            /* why it is not READY; "" else */
	bool busy;
	bool guarded;                /* failed, with a guard at its mount point */
	bool lingering;              /* detached lazily: the watch finishes it */
	bool gone;                   /* taken out of the table */
	int wake_fd;                 /* eventfd: the watch looks again */
	int status_fd;               /* list_op.c: on which the worker owes us an answer;
	                              * -1: none. Under list_op.c's own lock */
	unsigned refs;
	struct mount *next;
};

struct mounts {
	pthread_mutex_t lock;
	pthread_cond_t changed;      /* broadcast when busy ends or one is gone */
	struct mount *first;
	unsigned count;
};

void mounts_init(struct mounts *t);
void mounts_destroy(struct mounts *t);

/* The files are those of the worker's own FUSE mount: no volume lies between. */
static inline bool mount_is_bare(const struct mount *m)
{
	return m->raw || m->kind != MOUNT_DRIVE;
}

/* A mount with a fresh id and one reference, not in the table. */
struct mount *mount_new(const char *runtime_dir, const char *id, struct err *err);
void mount_ref(struct mounts *t, struct mount *m);
void mount_unref(struct mounts *t, struct mount *m);

/* "account/container/blob", for messages; with the snapshot if it has one. Also of
 * a mount whose request could not be read. */
void mount_name(const struct mount *m, char *out, size_t size);

/* Put it into the table (which takes a reference), busy. Refused when the mount
 * point is taken, or the same drive is mounted for writing already and this would
 * be so too. */
int mounts_add(struct mounts *t, struct mount *m, struct err *err);

/* Take it out; the table's reference is dropped. */
void mounts_remove(struct mounts *t, struct mount *m);

/* What was taken for another kind is a drive after all: refused like mounts_add(). */
int mounts_is_drive(struct mounts *t, struct mount *m, struct err *err);

/* A failed mount at the same mount point, with a reference; NULL: none. */
struct mount *mounts_superseded(struct mounts *t, const struct mount *by);

/* Become the one that may work on it: waits until nobody else does. False when
 * it is gone. */
bool mounts_claim(struct mounts *t, struct mount *m);
void mounts_release(struct mounts *t, struct mount *m);

void mounts_set_state(struct mounts *t, struct mount *m, enum mount_state state,
		      const char *reason);

/* Lingering: the watch finishes it, and is woken to do so. */
bool mounts_lingering(struct mounts *t, struct mount *m);
void mounts_linger(struct mounts *t, struct mount *m, const char *reason);

/*
 * The mount that `target` means, with a reference: an absolute mount point, or
 * blob, container/blob, account/container/blob, narrowed down by `account` and
 * `container` (may be NULL). Only those of `uid`; root: all. Living ones before
 * failed ones. None and several are errors.
 */
struct mount *mounts_find(struct mounts *t, const char *target, const char *account,
			  const char *container, uid_t uid, struct err *err);

/* All that `uid` may see, each with a reference, as an array that ends with NULL
 * and that the caller frees; NULL when out of memory. */
struct mount **mounts_all(struct mounts *t, uid_t uid);

#endif
