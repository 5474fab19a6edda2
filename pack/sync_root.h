/*
 * sync_root.h - a package root and what hpcsync keeps in it; see sync.h for the
 * layout. All work goes through descriptors: nothing that others do to the names
 * meanwhile leads out of it.
 */
#ifndef HPCPACK_PACK_SYNC_ROOT_H
#define HPCPACK_PACK_SYNC_ROOT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "blob/base/err.h"

struct sync_root {
	char *path;               /* absolute */
	int fd;
	int own, state, stage, old, trash, lock;   /* .hpcsync and what is in it */
	_Atomic unsigned next;    /* for names in stage and trash */
	pthread_mutex_t removing; /* one thread at a time empties the trash */
};

/*
 * Make what is missing, wait for the lock (`waiting`, may be NULL, is called once if
 * somebody else has it; `cancel`, may be NULL, ends the wait), and clean up what a
 * sync that was killed has left.
 */
int sync_root_open(struct sync_root *r, const char *path, const atomic_bool *cancel,
		   void (*waiting)(void *arg, long pid), void *arg, struct err *err);
void sync_root_close(struct sync_root *r);

/* A new empty folder in stage: its name, and a descriptor of it or -1. */
#define SYNC_STAGE_NAME_MAX 16
int sync_root_stage(struct sync_root *r, char name[SYNC_STAGE_NAME_MAX], struct err *err);

/* Remove `name` in the folder `dir` with all that is in it, however deep; at once
 * for whoever looks there. What can't be removed is logged. Any thread. */
void sync_root_remove(struct sync_root *r, int dir, const char *name);

/* Is there nothing at all in the folder? -1: it can't be read. */
int sync_dir_is_empty(int root, const char *path);

#endif
