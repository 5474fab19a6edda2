/*
 * unpack_priv.h - the inside of unpack, shared by:
 *
 *   unpack.c         open, close, reads
 *   unpack_table.c   the members: found, queued, reset
 *   unpack_answer.c  requests: which can be served, and out of what
 *   unpack_thread.c  the threads: one member step by step
 *   unpack_inflate.c from packed bytes to content
 *   unpack_here.c    the same on the thread that asks, for what is small
 *   unpack_place.c   where content is kept: memory, a file, a window
 *
 * One mutex protects all; content is made, and copied out, without it:
 *
 *   IDLE      nothing of it is there, nobody waits
 *   QUEUED    for a thread
 *   RUNNING   a thread (or who asked: unpack_here()) has it: `inflater`, and the bytes from `made` on, are its own
 *   PARKED    a window that waits for its next reader
 *   COMPLETE  whole and right
 *   DAMAGED   every read fails
 *
 *   IDLE -> QUEUED -> RUNNING -> COMPLETE, DAMAGED, PARKED (windows), or IDLE after
 *   a network error; PARKED -> QUEUED; COMPLETE, PARKED -> IDLE (evicted).
 *
 * Bytes [low, made) are there. `pins` counts who copies some of them out: they are
 * neither overwritten nor given back meanwhile. IDLE members without waiters leave
 * the table at once; DAMAGED ones stay, they are small.
 */
#ifndef HPCPACK_FS_UNPACK_PRIV_H
#define HPCPACK_FS_UNPACK_PRIV_H

#include <pthread.h>

#include "fs/unpack.h"
#include "pack/decoder.h"

#define PIECE (256u << 10)
#define UNPACK_BUCKETS 4096u

struct unpack_req {
	struct unpack_req *next;
	uint64_t offset;
	uint32_t len;
	object_read_fn *done;
	void *arg;
};

/* Where a decoder is in its input. */
struct inflater {
	struct inflater *next;      /* among those that nobody uses */
	struct pack_decoder *decoder;
	uint64_t pos, end;          /* of the next bytes to get, in the object */
	const uint8_t *in;
	size_t in_len;
	uint8_t buffer[PIECE];
};

enum member_state { IDLE, QUEUED, RUNNING, PARKED, COMPLETE, DAMAGED };

struct member {
	struct unpack *u;
	struct object *object;
	struct pack_entry entry;    /* path is ours */
	char *name;
	uint64_t directory;

	enum member_state state;
	bool window;
	bool right;                 /* its end was reached, and the CRC fits */
	uint64_t low, made;
	uint64_t served;            /* the end of what was given out furthest */
	unsigned pins;
	uint64_t charge;            /* bytes of the budget (not windows) */
	uint8_t *data;              /* content, or the window's ring */
	int fd;                     /* content; -1: in memory */
	struct inflater *inflater;  /* while RUNNING, and of a window */
	struct err err;             /* why DAMAGED */
	struct unpack_req *waiting;
	struct member *hash_next, *queue_next;
	struct member *lru_prev, *lru_next; /* COMPLETE and PARKED; NULL when not on it */
};

struct unpack {
	pthread_mutex_t lock;
	pthread_cond_t work;        /* something is queued, or the end */
	pthread_cond_t unpinned;    /* a member is not copied out any more, or a window parked */
	struct unpack_options o;
	int dir_fd;                 /* -1: memory */
	uint64_t room;              /* for members that are whole */
	unsigned window_bytes, windows, windows_max;
	bool stopping;
	struct member *queue, **queue_end;
	struct member lru;          /* ring; lru.lru_next goes first */
	struct member *buckets[UNPACK_BUCKETS];
	pthread_t *threads;
	unsigned started;
	struct inflater *inflaters; /* to be used again; at most one for each thread */
	unsigned ninflaters;
	unsigned here;              /* askers at work; `unpinned` tells of the last */
	struct unpack_stats stats;
};

/* --- unpack_table.c; with the lock --- */

struct member *unpack_find(struct unpack *u, uint32_t object, uint64_t header);
/* IDLE. NULL: no memory. */
struct member *unpack_add(struct unpack *u, const struct unpack_member *face);
/* Out of the table and free it. */
void unpack_drop(struct member *m);
void unpack_enqueue(struct unpack *u, struct member *m);
/* Make it IDLE, and forget it if nobody waits. */
void unpack_reset(struct member *m);
void unpack_lru_add(struct member *m);
void unpack_lru_remove(struct member *m);

/* --- unpack_answer.c; with the lock --- */

/* Take those out that can be served, or all, as a list. */
struct unpack_req *unpack_take_ready(struct member *m);
struct unpack_req *unpack_take_all(struct member *m);
/* Can it be served from what is there? */
bool unpack_is_there(const struct member *m, const struct unpack_req *r);
/* Without the lock: call them back and free them. `err` NULL: out of m, which is
 * pinned. */
void unpack_answer(struct member *m, struct unpack_req *list, const struct err *err);

/* --- unpack_place.c; with the lock --- */

/* Find a place for a member that is to begin: whole or a window. False: no memory. */
bool unpack_place(struct member *m);
/* The same, but only whole. */
bool unpack_place_whole(struct member *m);
/* Evict until `bytes` more fit. */
bool unpack_make_room(struct unpack *u, uint64_t bytes);
/* Give back what it keeps. */
void unpack_vacate(struct member *m);
/* Not any more a whole one: the disk is full. Waits while all windows are in use. */
bool unpack_place_window(struct member *m);

/* --- unpack_place.c; without --- */

/* Put content at m->made, evicting others when the disk is full. 0 or an errno. */
int unpack_put(struct member *m, const uint8_t *data, size_t len);
/* Where content of up to *len bytes can be made in place (NULL: nowhere, it must be
 * put); *len becomes how much. */
uint8_t *unpack_space(struct member *m, size_t *len);

/* --- unpack_thread.c --- */

void *unpack_thread(void *unpack);

/* --- unpack_inflate.c; with the lock --- */

/* One for this member, to be reset; NULL and *err: no memory. */
struct inflater *inflater_get(struct member *m, struct err *err);
/* It is not needed any more (NULL: there is none). */
void inflater_put(struct unpack *u, struct inflater *f);
/* To the member's beginning, with an inflater if it has none. */
int inflater_rewind(struct member *m, struct err *err);
void inflater_free(struct inflater *f);

/* --- unpack_inflate.c; without --- */

/* Bytes from the member's beginning on in which all of it lies, if its local header is
 * as long as is usual. */
uint64_t unpack_packed_guess(const struct member *m);
/* Make up to `len` bytes: what comes out of the input at hand, so that it is given out
 * before the network is waited for; of new input if that is nothing. */
enum pack_step inflater_make(struct member *m, uint8_t *out, size_t len, size_t *made, struct err *err);

/* --- unpack_here.c; with the lock, which is given back meanwhile --- */

/* Inflate an IDLE member at once, if it is small and its packed bytes are there. True:
 * it is COMPLETE. False: it is IDLE; the threads will find out why. */
bool unpack_here(struct member *m);

#endif
