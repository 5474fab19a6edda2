/*
 * sync_trash.h - removing trees; for sync_root.c and who prunes.
 *
 * A tree is first moved into the trash, which takes it away at once, and then taken
 * apart there: every folder in it is moved up into the trash as well before it is
 * emptied, so that neither depth nor length of a path is a limit. A sync that is
 * killed leaves the rest to the next one.
 */
#ifndef HPCPACK_PACK_SYNC_TRASH_H
#define HPCPACK_PACK_SYNC_TRASH_H

#include "pack/sync_root.h"

/* Move one, or all that is in a folder, into the trash. */
void sync_trash_take(struct sync_root *r, int dir, const char *name);
void sync_trash_take_all(struct sync_root *r, int dir);

void sync_trash_empty(struct sync_root *r);

#endif
