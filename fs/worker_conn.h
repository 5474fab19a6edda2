/*
 * worker_conn.h - the connections of a worker's control socket and their requests.
 *
 * Used by the control thread alone, which never blocks: a sync is answered after
 * its callback has kicked it, a stop is the main thread's work and answered
 * at the end.
 *
 *   FREE -> IDLE on accept; IDLE -> FREE on hang-up
 *   IDLE -> SYNCING on a sync; SYNCING -> SYNCED in its callback, which sets
 *   `failed` and `err` before; SYNCED -> IDLE when it was answered
 *   IDLE -> STOPPING on a stop, to the end
 */
#ifndef HPCPACK_FS_WORKER_CONN_H
#define HPCPACK_FS_WORKER_CONN_H

#include <poll.h>
#include <stdatomic.h>

#include "fs/worker.h"

#define CONNS_MAX 16

enum conn_state { CONN_FREE, CONN_IDLE, CONN_SYNCING, CONN_SYNCED, CONN_STOPPING };

struct conn {
	struct worker *w;
	int fd;
	_Atomic enum conn_state state;
	bool failed;
	struct err err;
};

struct conns {
	struct worker *w;
	struct conn list[CONNS_MAX];
};

/* Fill in CONNS_MAX of them. True if there is room for another connection. */
bool conns_poll(const struct conns *c, struct pollfd *p);

/* There is room: take the one that waits. */
void conns_accept(struct conns *c, int listener);

/* Requests that came in (by `p`) and syncs that were done. */
void conns_handle(struct conns *c, const struct pollfd *p);

/* Answer those who asked to stop, close all. Nothing syncs any more. */
void conns_finish(struct conns *c, const json_t *reply);

#endif
