/*
 * drive.h - one mounted drive: what the worker's main thread builds up and takes
 * down (drive_main.c, drive_open.c), and what its control thread looks at meanwhile
 * (drive_control.c, drive_state.c).
 *
 *   main thread      opens, mounts, waits for the end, closes: it may block
 *   control thread   signals, control socket, state, deadlines: it never blocks
 *   lease keeper     calls the disk through lease_hook
 *
 * Life: OPENING -> SERVING -> CLOSING, or OPENING -> CLOSING when it failed or was
 * given up. The main thread alone sets the pointers below `lock`, holding it, and
 * takes one out before it frees what it points to; so whoever holds `lock` may
 * use what is there. Nothing that a disk's callback does takes `lock`.
 */
#ifndef HPCPACK_FS_DRIVE_H
#define HPCPACK_FS_DRIVE_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "blob/client.h"
#include "blob/ops.h"
#include "fs/drive_fuse.h"
#include "fs/job.h"
#include "vhd/disk.h"

enum drive_phase { DRIVE_OPENING, DRIVE_SERVING, DRIVE_CLOSING };

struct control;

struct drive {
	/* Set before the second thread starts, then only read. */
	struct drive_job job;
	char name[1200];                /* "container/blob", for messages */
	int channel;                    /* the agent's end of it may be gone */
	struct control *control;

	pthread_mutex_t lock;
	pthread_cond_t changed;         /* `stop` was set */
	enum drive_phase phase;
	bool stop;                      /* it is to end */
	bool holding;                   /* a lease or snapshot is (being) taken */
	int64_t moved_at;               /* CLOSING: ms when storage last took something */
	uint64_t moved;                 /* bytes stored by then */
	struct blob_client *data, *control_client;
	struct lease_keeper *lease;
	struct disk *disk;
	struct pcache *pcache;          /* NULL: none, the job names no directory */
	bool read_only;                 /* what is mounted can't be changed */
	uint64_t size;                  /* bytes of the disk */
	char snapshot[BLOB_TIME_MAX];   /* "": none */
	bool snapshot_own;              /* made by this mount */
	char etag[BLOB_ETAG_MAX];
	json_t *last_stats;             /* of what is closed by now */
	struct drive_fuse *fuse;

	/* Main thread only. */
	struct store store;
	struct lease_etags etags;

	/* Lease keeper's way to the disk; cut before the disk goes. */
	pthread_mutex_t hook_lock;
	struct disk *hooked;
};

/* --- drive_open.c --- */

struct blob_ref drive_ref(const struct drive *d);

/* Clients, blob, footer, snapshot, lease, disk (DESIGN: a drive, step by step). On
 * failure what was got is left for drive_close(). */
int drive_open(struct drive *d, struct err *err);

/* --- drive_pcache.c --- */

/* The persistent cache, if the job names a directory; after the snapshot was taken
 * or the lease acquired. `base_etag`: the blob's when it was looked at first. */
int drive_pcache_open(struct drive *d, const char *base_etag, struct err *err);

/* After the lease was given back. `stored`: all that was written is in the blob. */
void drive_pcache_close(struct drive *d, bool stored);

/* --- drive_close.c --- */

/* Flush, unmount, give the lease and our snapshot back, free: what there is of
 * each. 0, or -1 and *err when data was lost; what else can't be done is logged. */
int drive_close(struct drive *d, struct err *err);

/* The 4 KiB at the start, through the mount at `dir`: both answer. */
int drive_try_read(struct drive *d, const char *dir, struct err *err);

/* --- drive_state.c --- */

enum drive_state { DRIVE_MOUNTING, DRIVE_READY, DRIVE_DEGRADED, DRIVE_LOST, DRIVE_FAILED };
struct drive_report {
	enum drive_state state;
	char reason[320];
};
const char *drive_state_name(enum drive_state s);

/* Both take d->lock. */
void drive_report(struct drive *d, struct drive_report *out);
json_t *drive_status(struct drive *d); /* the reply to {"op":"status"} */

/* {"op":"window"}: 0 or -1 and what is wrong with it. Takes d->lock. */
int drive_window(struct drive *d, const json_t *request, struct err *err);

/* The "stats" object; d->lock is held. */
json_t *drive_stats(struct drive *d);

/* --- drive_stop.c --- */

int64_t drive_now_ms(void);

/* True once somebody asked for the end. */
bool drive_stopping(struct drive *d);
void drive_wait_stop(struct drive *d);
void drive_begin_closing(struct drive *d);

/* Ask the main thread to end it; while it opens, give up what it waits for. Any
 * thread. */
void drive_ask_stop(struct drive *d, const char *why);

/* While closing: when storage has taken nothing for as long as an I/O may last,
 * all that still waits for it is given up. Called now and then by the control
 * thread. */
void drive_enforce_deadline(struct drive *d);

/* --- drive_control.c --- */

/* Make the control socket DIR/control, start the thread. */
int control_start(struct drive *d, struct err *err);

/* Before "ready" is said: from now on the agent may hang up. */
void control_commit(struct drive *d);

/* After it: changes of state are pushed from now on. */
void control_ready(struct drive *d);

/* Look at the state soon. Any thread. */
void control_kick(struct drive *d);

/* Answer whoever asked to stop (`reply` is borrowed), end the thread, remove the
 * socket. */
void control_finish(struct drive *d, const json_t *reply);

#endif
