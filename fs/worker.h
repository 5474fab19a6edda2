/*
 * worker.h - what any mount worker is: a process with a channel to the agent, a
 * control socket, signals, a state and an end; two clients of the storage. What it
 * mounts is the business of its ops (fs/drive.h, fs/package.h).
 *
 *   main thread      opens, mounts, waits for the end, closes: it may block
 *   control thread   signals, control socket, state, deadlines: it never blocks
 *
 * Life: OPENING -> SERVING -> CLOSING, or OPENING -> CLOSING when it failed or was
 * given up. The main thread alone sets the pointers below `lock` (here, and in the
 * struct that this one is the first member of), holding it, and takes one out
 * before it frees what it points to; so whoever holds `lock` may use what is there.
 */
#ifndef HPCPACK_FS_WORKER_H
#define HPCPACK_FS_WORKER_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "blob/client.h"
#include "blob/ops.h"
#include "fs/job.h"

enum worker_phase { WORKER_OPENING, WORKER_SERVING, WORKER_CLOSING };

enum worker_state { WORKER_MOUNTING, WORKER_READY, WORKER_DEGRADED, WORKER_LOST, WORKER_FAILED };
struct worker_report {
	enum worker_state state;
	char reason[320];
};

struct worker;
typedef void worker_done_fn(void *arg, const struct err *err);

/* "L": called with the lock held, from any thread, and must not block. */
struct worker_ops {
	const char *program;            /* "hpcpack-drive" */
	enum job_kind kind;             /* of job that it does */
	bool storage;                   /* the kernel may write dirty pages through it */

	/* Main thread: everything up to the files being there below `dir`. On failure
	 * what was got is left for close(). */
	int (*open)(struct worker *w, const char *dir, struct err *err);
	/* Main thread, once "ready" is said; may block, ends early on a stop. NULL: no. */
	void (*serving)(struct worker *w);
	/* Main thread: back; what there is. -1 and *err when data was lost. */
	int (*close)(struct worker *w, struct err *err);

	/* Put what is its own into the "ready" event, and the reply to "status" (L). */
	void (*ready)(struct worker *w, json_t *event);
	void (*status)(struct worker *w, json_t *status);
	json_t *(*stats)(struct worker *w);                              /* L */
	/* What is wrong, worse than what worker_report_clients() finds. L. */
	void (*report)(struct worker *w, struct worker_report *out);

	/* Still OPENING, and to end: what must not be waited for? L. */
	void (*give_up)(struct worker *w);
	/* A number that changes whenever storage takes something while it closes; NULL:
	 * there is nothing to store. L. */
	uint64_t (*moved)(struct worker *w);

	/* {"op":"sync"}: false if there is nothing to sync (any more); else `done`, once.
	 * L; `done` takes no lock. */
	bool (*sync)(struct worker *w, worker_done_fn *done, void *arg);
	/* A request that only this kind knows: 1 it is done, 0 not known, -1 *err. */
	int (*request)(struct worker *w, const char *op, const json_t *msg, struct err *err);
	const char *requests;           /* "status, sync and stop", for messages */
};

struct control;

struct worker {
	/* Set before the second thread starts, then only read. */
	const struct worker_ops *ops;
	struct worker_job job;
	char name[1200];                /* "container/blob", for messages */
	int channel;                    /* the agent's end of it may be gone */
	struct control *control;

	pthread_mutex_t lock;
	pthread_cond_t changed;         /* `stop` was set */
	enum worker_phase phase;
	bool stop;                      /* it is to end */
	int64_t moved_at;               /* CLOSING: ms when storage last took something */
	uint64_t moved;                 /* ops->moved() then */
	struct blob_client *data, *control_client;
	char etag[BLOB_ETAG_MAX];       /* of what is mounted; "" where that is several */
	bool other;                     /* open() failed: it may be one for another worker */
	json_t *last_stats;             /* once there is nothing left to count */
};

/* --- worker_main.c --- */

/* The whole life of the process; its exit status. `w` is zero but for `ops`. */
int worker_main(struct worker *w, int argc, char **argv);

/* While it opens: a line for the person who waits. */
void worker_progress(const struct worker *w, const char *text);

/* For loop_options.ended: the FUSE mount was taken away. */
void worker_fuse_ended(void *worker);

/* --- worker_client.c --- */

/* Two, so that what must not wait (a lease renewal, a listing) never queues behind
 * data. */
int worker_open_clients(struct worker *w, struct err *err);
void worker_free_clients(struct worker *w);
unsigned worker_connections(const struct worker *w);
/* Requests and retries of both. L. */
void worker_count_requests(struct worker *w, uint64_t *requests, uint64_t *retries);
/* READY, or DEGRADED when the last request to storage failed. L. */
void worker_report_clients(struct worker *w, struct worker_report *out);

/* --- worker_state.c --- */

const char *worker_state_name(enum worker_state s);
void worker_set(struct worker_report *out, enum worker_state state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* All take the lock. */
void worker_report(struct worker *w, struct worker_report *out);
json_t *worker_status(struct worker *w); /* the reply to {"op":"status"} */
json_t *worker_receipt(struct worker *w);

/* --- worker_stop.c --- */

int64_t worker_now_ms(void);

/* True once somebody asked for the end. */
bool worker_stopping(struct worker *w);
/* -1, ERR_CANCELLED if so. */
int worker_check_stop(struct worker *w, struct err *err);
void worker_wait_stop(struct worker *w);
void worker_begin_closing(struct worker *w);

/* Ask the main thread to end it; while it opens, give up what it waits for. Any
 * thread. */
void worker_ask_stop(struct worker *w, const char *why);

/* While closing: when storage has taken nothing for as long as an I/O may last,
 * all that still waits for it is given up. Called now and then by the control
 * thread. */
void worker_enforce_deadline(struct worker *w);

/* --- worker_control.c --- */

/* Make the control socket DIR/control, start the thread. */
int control_start(struct worker *w, struct err *err);

/* Before "ready" is said: from now on the agent may hang up. */
void control_commit(struct worker *w);

/* After it: changes of state are pushed from now on. */
void control_ready(struct worker *w);

/* Look at the state soon. Any thread. */
void control_kick(struct worker *w);

/* Answer whoever asked to stop (`reply` is borrowed), end the thread, remove the
 * socket. */
void control_finish(struct worker *w, const json_t *reply);

#endif
