/*
 * pcache.h - the persistent cache: what was read of a drive, kept in a directory
 * of the node's own disk, so that the next job reads it from there. Shared by all
 * mounts of one user that name the same directory, at the same time, without a
 * daemon: each worker has one `struct pcache`.
 *
 * It only ever saves requests. Whatever goes wrong with it (damaged, truncated,
 * gone, full, EIO) is a miss and at most one line in the log, never an error of a
 * read; and it never gives bytes other than those that the blob had.
 *
 * WHAT IS KEPT
 *
 * A version: the bytes of one blob at one moment. Its name says how we know:
 *
 *   "snapshot T E"  the snapshot T, whose ETag is E.
 *   "moment E"      the blob when its ETag was E. For snapshots that mounts take
 *                   themselves: E was the blob's ETag before and after.
 *   "lease E"       the same, but only for mounts that hold the lease ("owned"),
 *                   and so for one mount at a time.
 *
 * Versions never change, so nothing that is kept has to be taken back:
 *
 *   - A mount reads and fills the version that it has opened, but for chunks that
 *     it has changed itself (pcache_changed), from the moment before the first
 *     byte of one changes in memory. For those the cache is silent.
 *   - Snapshots are changed in memory only (the overlay): their version stays.
 *   - An owned mount opens "lease E1", E1 being the ETag that its own holder record
 *     gave the blob; it takes over what it needs from "lease E0", E0 being the ETag
 *     that the blob had when the lease was ours already and nothing was written
 *     yet. When it ends in order, the ETag of its very last request, made under the
 *     lease, is E2: then pcache_close() makes what it did not change "lease E2".
 *     When it does not, the ETag is not E1 any more if anything was written, and
 *     nobody ever asks for "lease E1" again; if nothing was, "lease E1" is right.
 *
 * LAYOUT
 *
 *   DIR/                      0700, the user's own
 *   DIR/drives/room           how much is used, about; its lock guards evictions
 *   DIR/drives/NAME/          a version: 32 hex digits, from its name and the drive
 *   DIR/drives/NAME/drive     whose it is: endpoint, account, container, blob, size
 *   DIR/drives/NAME/0123abcd  an extent: 1 MiB of it, as a sparse file:
 *        0     magic, format, drive, extent number, a random number, CRC of these
 *        1024  a CRC-32 for each of its 256 granules of 4 KiB; 0: not there
 *        4096  the bytes
 *
 * STATES OF A GRANULE
 *
 *   absent (CRC 0) -> bytes written -> CRC written -> (file removed) absent
 *
 * The CRC begins with the file's random number and the granule's: neither bytes
 * nor a table from anywhere else fit. A granule that does not fit its CRC when it
 * is read is absent, and its CRC is taken out. Therefore:
 *
 *   - A crash at any time, of the node too, in whatever order its writes got to
 *     the disk, leaves granules that fit or do not; none that fit and are wrong.
 *     Nothing is synced but at the end of an owned mount (below).
 *   - Two that fill the same granule write the same bytes: harmless.
 *   - A file appears under its name with its header complete (link), and is never
 *     shortened or emptied, only removed: who has it open reads on.
 *   - A file's bytes are of one version for ever. A file that covers something that
 *     an owned mount has changed is removed at its end, not carried over, and each
 *     owned mount has a directory of its own; so one that has lost its lease and
 *     does not know yet can't fill what a later mount reads.
 *   - At the end of an owned mount such files are removed, the directory synced,
 *     then renamed to the new version: the new name never shows the old files.
 *
 * SIZE
 *
 * All that lies in DIR/drives counts, whoever filled it. A process takes room in
 * slices of 1/256 of the size from the number in `room`; when that gets near to the
 * size, or the file system has less than 1/20 (at most 2 GiB) left, the process
 * counts what there is, and removes the files that were used longest ago (their
 * modification time: set when filled or read) until 1/8 of the size is free.
 *
 * THREADS
 *
 * Calls return at once and never touch the disk, but open and close. A few threads
 * read, one fills and evicts; callbacks come from them, with no lock held.
 */
#ifndef HPCPACK_VHD_PCACHE_H
#define HPCPACK_VHD_PCACHE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "blob/base/err.h"

#define PCACHE_GRANULE 4096u
#define PCACHE_DEFAULT_BYTES (UINT64_C(10) << 30)
#define PCACHE_MIN_BYTES (UINT64_C(16) << 20)

struct pcache;

/* Texts are copied. */
struct pcache_options {
	const char *dir;        /* absolute; its last component is made if need be */
	uint64_t max_bytes;     /* 0: PCACHE_DEFAULT_BYTES */
	uint64_t queue_bytes;   /* of callers that wait to be filled in at most */
	uint64_t size;          /* of the disk, a multiple of 512 */
	const char *drive;      /* which one: endpoint, account, container, blob */
	const char *version;    /* as above */
	const char *former;     /* owned: the version that it begins with; NULL
	                         * or "": none */
	bool owned;
};

/* NULL and *err when the directory can't be used: not there and can't be made, not
 * ours (ERR_PERMISSION), not writable. Blocking. */
struct pcache *pcache_open(const struct pcache_options *o, struct err *err);

/* Drops what is not filled in yet, ends the threads, frees. `version` (owned
 * mounts): what the drive is now, with the changes that pcache_changed() knows of,
 * all of them stored; NULL: not known. Blocking. */
void pcache_close(struct pcache *pc, const char *version);

/*
 * Read [offset, offset + the sum of iov) into iov, as far as it is kept. `done`:
 * still to be read from storage is [from, end), nothing if from == end; what of iov
 * lies within it has any contents. Called once, also from within the call.
 * Offset and end must be multiples of PCACHE_GRANULE (or the end of the disk) and
 * the memory too; else nothing is found. iov is borrowed until then.
 */
typedef void pcache_read_fn(void *arg, uint64_t from, uint64_t end);
void pcache_read(struct pcache *pc, uint64_t offset, const struct iovec *iov, int count,
		 pcache_read_fn *done, void *arg);

/*
 * Keep these bytes, which have come from storage, at this place. False: not now
 * (the queue is full, or the cache is left aside); `done` is not called. iov and the
 * bytes are borrowed until `done`, the bytes may be changed if pcache_changed() is
 * called before; `done` must synchronise with who calls that (take its lock).
 */
typedef void pcache_fill_fn(void *arg);
bool pcache_fill(struct pcache *pc, uint64_t offset, const struct iovec *iov, int count,
		 pcache_fill_fn *done, void *arg);

/* The chunks that these bytes touch are not what the version holds any more, or
 * will soon not be. Any thread; allocates nothing, waits for nothing. */
void pcache_changed(struct pcache *pc, uint64_t offset, uint64_t len);

struct pcache_stats {
	uint64_t read_bytes;     /* that storage was not asked for */
	uint64_t filled_bytes;
	uint64_t dropped_bytes;  /* not filled in: no time, no room */
	uint64_t evicted_bytes;  /* by this process */
	uint64_t damaged;        /* granules that did not fit their CRC */
	bool no_fill, off;       /* left aside after an error: for filling, for all */
};
void pcache_stats(struct pcache *pc, struct pcache_stats *out);

/* Wait until what was queued by now is filled in or dropped. For tests. */
void pcache_drain(struct pcache *pc);

#endif
