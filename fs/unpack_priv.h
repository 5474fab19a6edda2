/*
 * unpack_priv.h - the inside of unpack, shared by:
 *
 *   unpack.c         open, close, reads, the table, what goes when room is needed
 *   unpack_thread.c  the threads: from packed bytes to content
 *   unpack_place.c   where content is kept: memory, a file, a window
 *
 * One mutex protects all; content is made, and copied out, without it:
 *
 *   IDLE      nothing of it is there, nobody waits
 *   QUEUED    for a thread
 *   RUNNING   a thread has it: `inflater`, and the bytes from `made` on, are its own
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
	struct unpack_stats stats;
};

/* --- unpack.c; with the lock --- */

void unpack_enqueue(struct unpack *u, struct member *m);
/* Take those out that can be served or have to fail, as a list. */
struct unpack_req *unpack_take_ready(struct member *m);
struct unpack_req *unpack_take_all(struct member *m);
/* Can it be served from what is there? */
bool unpack_is_there(const struct member *m, const struct unpack_req *r);
/* Make it IDLE, and forget it if nobody waits. */
void unpack_reset(struct member *m);
void unpack_lru_add(struct member *m);
void unpack_lru_remove(struct member *m);
/* Without the lock: call them back and free them. `err` NULL: out of m, which is
 * pinned. */
void unpack_answer(struct member *m, struct unpack_req *list, const struct err *err);

/* --- unpack_place.c; with the lock --- */

/* Find a place for a member that is to begin: whole or a window. False: no memory. */
bool unpack_place(struct member *m);
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
void inflater_free(struct inflater *f);
/* With the lock: it is not needed any more (NULL: there is none). */
void inflater_put(struct unpack *u, struct inflater *f);

#endif
