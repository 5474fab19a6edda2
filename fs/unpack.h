/*
 * unpack.h - deflated members, inflated once in the background by a few threads, and
 * what of them is kept. One of up to 128 KiB whose packed bytes are in the chunk cache
 * is inflated by whoever asks for it: that takes less than to wake another thread.
 *
 * A member that fits is kept whole: in memory, or in a file without a name in a
 * directory of the node's disk. Readers get the part that is there while it grows;
 * one of at most UNPACK_SMALL bytes is given out when it is complete and its CRC
 * right. What is kept goes as a whole, least recently used first.
 *
 * A member that does not fit (larger than the cache, or than what others leave of it,
 * or the disk is full) is served through a window that moves along it: going forward
 * costs nothing, a read behind the window inflates from the beginning again. So size
 * is never a reason to fail, and memory is bounded always: `bytes`, of which an eighth
 * is for windows, and an inflater for each thread and window.
 *
 * A CRC that is wrong, or damaged data: one line in the log, and ERR_FORMAT for every
 * read from then on, of what was right so far too. A network error fails those who
 * wait; the next read tries again.
 *
 * Threads: any; nothing blocks on the network but the threads here. A callback is
 * called exactly once, from within the call or later, without a lock.
 */
#ifndef HPCPACK_FS_UNPACK_H
#define HPCPACK_FS_UNPACK_H

#include <stdint.h>

#include "pack/index.h"
#include "vhd/object.h"

#define UNPACK_SMALL (1u << 20)

struct unpack;

struct unpack_options {
	uint64_t bytes;          /* 0: 256 MiB, or 4 GiB in a directory */
	const char *dir;         /* NULL: memory */
	unsigned threads;        /* 0: 8 */
	/* Part of what was given out of this member is damaged; called once for each
	 * member, from a thread of unpack, while the member can't be read any more. */
	void (*damaged)(void *arg, struct object *object, const struct pack_entry *entry);
	void *arg;
};

/* NULL and *err: the directory can't be used (not there, not writable), or no
 * memory. `dir` is copied. */
struct unpack *unpack_new(const struct unpack_options *o, struct err *err);

/* Fail what waits with ERR_CANCELLED, and new reads; wait for the threads. Reads of
 * objects under way are ended by aborting their client before. */
void unpack_stop(struct unpack *u);
void unpack_free(struct unpack *u);

/* The largest single read, bytes. */
unsigned unpack_max_io(const struct unpack *u);

/*
 * Read [offset, offset + len) of a member, stored or deflated, within it, len from 1
 * to unpack_max_io(). `name` is the package, for messages; `directory` where its
 * central directory begins. Name and entry are copied. The bytes are valid during the
 * callback.
 */
struct unpack_member {
	struct object *object;
	const char *name;
	const struct pack_entry *entry;
	uint64_t directory;
};
void unpack_read(struct unpack *u, const struct unpack_member *m, uint64_t offset, uint32_t len,
		 object_read_fn *done, void *arg);

struct unpack_stats {
	uint64_t bytes, used;            /* of the cache; now */
	uint64_t inflated_bytes;         /* made */
	uint64_t members, restarts, damaged, evicted;
	bool disk_full;                  /* the directory had no room at last */
};
void unpack_stats(struct unpack *u, struct unpack_stats *out);

/* Forget all of an object that nobody waits for: it was replaced. */
void unpack_forget(struct unpack *u, uint32_t object_number);

#endif
