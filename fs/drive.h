/*
 * drive.h - one mounted drive: what its worker (fs/worker.h) builds up
 * (drive_open.c), takes down (drive_close.c), and shows of itself (drive_state.c).
 *
 * Beside the worker's threads the lease keeper's calls the disk through lease_hook.
 * Nothing that a disk's callback does takes the worker's lock.
 */
#ifndef HPCPACK_FS_DRIVE_H
#define HPCPACK_FS_DRIVE_H

#include "fs/drive_fuse.h"
#include "fs/worker.h"
#include "vhd/disk.h"

struct drive {
	struct worker w;                /* first */

	/* Under its lock. */
	bool holding;                   /* a lease or snapshot is (being) taken */
	struct lease_keeper *lease;
	struct disk *disk;
	struct pcache *pcache;          /* NULL: none, the job names no directory */
	bool read_only;                 /* what is mounted can't be changed */
	uint64_t size;                  /* bytes of the disk */
	char snapshot[BLOB_TIME_MAX];   /* "": none */
	bool snapshot_own;              /* made by this mount */
	struct drive_fuse *fuse;

	/* Main thread only. */
	struct store store;
	struct lease_etags etags;

	/* Lease keeper's way to the disk; cut before the disk goes. */
	pthread_mutex_t hook_lock;
	struct disk *hooked;
};

static inline struct drive *drive_of(struct worker *w)
{
	return (struct drive *)w;
}

/* --- drive_open.c --- */

struct blob_ref drive_ref(const struct drive *d);

/* Clients, blob, footer, snapshot, lease, disk (DESIGN: a drive, step by step), and
 * the mount at `dir`. On failure what was got is left for drive_close(). */
int drive_open(struct worker *w, const char *dir, struct err *err);

/* --- drive_snapshot.c --- */

/* The one that the job wishes for, taken if need be. Nothing if it wishes for none. */
int drive_choose_snapshot(struct drive *d, struct err *err);

/* Delete the one that this mount took. */
void drive_delete_snapshot(struct drive *d);

/* Delete those of this blob that mounts on this host took which were killed. Blocks;
 * ends early when the drive is to stop. */
void drive_sweep_snapshots(struct drive *d);

/* --- drive_pcache.c --- */

/* The persistent cache, if the job names a directory; after the snapshot was taken
 * or the lease acquired. `base_etag`: the blob's when it was looked at first. */
int drive_pcache_open(struct drive *d, const char *base_etag, struct err *err);

/* After the lease was given back. `stored`: all that was written is in the blob. */
void drive_pcache_close(struct drive *d, bool stored);

/* --- drive_close.c --- */

/* Flush, unmount, give the lease and our snapshot back, free: what there is of
 * each. 0, or -1 and *err when data was lost; what else can't be done is logged. */
int drive_close(struct worker *w, struct err *err);

/* --- drive_state.c: the rest of struct worker_ops --- */

void drive_ready(struct worker *w, json_t *event);
void drive_status(struct worker *w, json_t *status);
json_t *drive_stats(struct worker *w);
void drive_report(struct worker *w, struct worker_report *out);
uint64_t drive_moved(struct worker *w);
bool drive_sync(struct worker *w, worker_done_fn *done, void *arg);
/* {"op":"window"}. */
int drive_request(struct worker *w, const char *op, const json_t *msg, struct err *err);

#endif
