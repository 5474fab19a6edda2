/*
 * sync_place.h - putting a complete tree in its place, and what becomes of the one
 * that was there; see sync.h for the layout.
 */
#ifndef HPCPACK_PACK_SYNC_PLACE_H
#define HPCPACK_PACK_SYNC_PLACE_H

#include "pack/sync_root.h"

enum sync_there {
	SYNC_THERE_NOTHING,
	SYNC_THERE_EMPTY,      /* an empty folder */
	SYNC_THERE_FOLDER,
	SYNC_THERE_ELSE,       /* a file, a symlink, what can't be looked at; or one of
	                        * these where a folder on the way should be */
};
enum sync_there sync_look(const struct sync_root *r, const char *target);

/*
 * Put stage/`name` at `target`, in one step for whoever looks. What is there is moved
 * to old/`number`.M and stays complete: `replace` says that it may be one that is not
 * empty (ERR_EXISTS otherwise). -1: all is as it was.
 */
int sync_place(struct sync_root *r, const char *name, const char *target, unsigned number,
	       bool replace, struct err *err);

/* Take the tree at `target` away, and folders above it that are empty then. */
void sync_take_away(struct sync_root *r, const char *target);

/* Of the trees in old/ keep the newest `keep` of each number; `known` says which
 * numbers there are. */
void sync_prune_old(struct sync_root *r, unsigned keep, bool (*known)(void *arg, unsigned number),
		    void *arg);

#endif
