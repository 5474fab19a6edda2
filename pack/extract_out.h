/*
 * extract_out.h - what is made below the folder: folders, files, symlinks; and how
 * it is taken away again.
 */
#ifndef HPCPACK_PACK_EXTRACT_OUT_H
#define HPCPACK_PACK_EXTRACT_OUT_H

#include <sys/types.h>

#include "pack/extract_plan.h"

struct extract_tree {
	const struct pack_index *index;
	const char *name;         /* of the package, for messages */
	int root;                 /* borrowed */
	uint8_t *made;            /* of each entry: we made it */
	uint32_t dirs;            /* made */
};

int extract_tree_init(struct extract_tree *t, const struct pack_index *index, const char *name,
		      int root, struct err *err);
void extract_tree_free(struct extract_tree *t);

/* Is there room for it? ERR_NO_SPACE says how much is missing. */
int extract_check_space(const struct extract_tree *t, const struct extract_plan *plan,
			struct err *err);

/* All folders that are wanted. */
int extract_make_dirs(struct extract_tree *t, const bool *wanted, struct err *err);

/* Their permissions and times, after all that is in them was made. */
int extract_finish_dirs(const struct extract_tree *t, struct err *err);

/* Remove what was made. What can't be removed is logged. */
void extract_undo(const struct extract_tree *t);

/* The folder that a thread made its last file in, kept open: the next file is
 * mostly in the same one. */
struct extract_dir {
	int fd;                   /* -1: none yet */
	uint32_t entry;
};

/* A descriptor (borrowed) to make `entry` in. -1. */
int extract_dir_of(const struct extract_tree *t, struct extract_dir *dir, uint32_t entry,
		   struct err *err);

/* Make the file and open it for writing; its descriptor or -1. */
int extract_create(struct extract_tree *t, struct extract_dir *dir, uint32_t entry, struct err *err);

int extract_write(const struct extract_tree *t, uint32_t entry, int fd, const void *data,
		  size_t len, struct err *err);

/* Set its time and close it, in any case. */
int extract_finish(const struct extract_tree *t, uint32_t entry, int fd, struct err *err);

int extract_symlink(struct extract_tree *t, struct extract_dir *dir, uint32_t entry,
		    const char *target, struct err *err);

#endif
