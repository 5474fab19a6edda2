/*
 * drive_fuse.h - one virtual disk as the file `disk` in a FUSE mount, and part of
 * it as the file `part`.
 *
 * Handlers never block: each hands its I/O to the disk and returns; the reply is
 * sent from the disk's callback, exactly once. Reads go to the kernel straight
 * out of the disk's cache, writes stay in the buffer they came in until the disk
 * has taken them (fs/loop.h).
 */
#ifndef HPCPACK_FS_DRIVE_FUSE_H
#define HPCPACK_FS_DRIVE_FUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "blob/base/err.h"
#include "vhd/disk.h"

struct drive_fuse;

struct drive_fuse_options {
	const char *dir;         /* a folder to mount at */
	const char *source;      /* "account/container/blob", for mount(8) */
	bool read_only;          /* `disk` can't be opened for writing */
	bool allow_other;        /* others than the owner may come in */
	unsigned threads;        /* 0: 4 */
	/* The mount was taken away from outside. Once, on a FUSE thread. */
	void (*ended)(void *arg);
	void *arg;
};

/* Mount and serve `disk`, which is borrowed until drive_fuse_free(). As root by
 * mount(2), else through fusermount3. When this returns the file can be opened.
 * NULL and *err on failure. */
struct drive_fuse *drive_fuse_mount(struct disk *disk, const struct drive_fuse_options *o,
				    struct err *err);

/*
 * Show the bytes [offset, offset + size) of the disk as a second file, `part`. The
 * kernel caches the two files apart: what was written through one is seen in the
 * other when that is opened next. Never blocks; one thread at a time. 0, or -1:
 * ERR_USAGE outside of the disk or not whole sectors, ERR_BUSY when other bytes
 * are shown already.
 */
int drive_fuse_window(struct drive_fuse *f, uint64_t offset, uint64_t size, struct err *err);

/* Unmount; while somebody has the file open serve him and try again, for at most
 * `grace_ms`; then end the threads. False if it was still open: drive_fuse_free()
 * detaches it. Requests that were handed to the disk may be under way after this. */
bool drive_fuse_unmount(struct drive_fuse *f, unsigned grace_ms);

/* Detach if need be, free. To be called after disk_close(), which ends what is
 * under way; the file gives errors to whoever still has it open. */
void drive_fuse_free(struct drive_fuse *f);

#endif
