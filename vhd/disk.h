/*
 * disk.h - the virtual disk: 512-byte sectors over a page blob, with allocation
 * map, chunk cache, read-ahead, write-back and, for snapshots, a private overlay.
 *
 * Nothing here blocks on the network but disk_open-time calls and disk_close():
 * each I/O has a callback, called exactly once, from within the call (a hit) or
 * later on an I/O thread, with no lock held. `done` may start further I/O.
 *
 * Writes have the meaning of a disk's volatile cache: complete when in memory;
 * durable when a later flush has completed without error. With `sync_writes`
 * each is durable before it completes. Errors of write-back come out of the
 * next flush (once) and, when the lease is lost, of every write.
 *
 * Memory is a fixed arena of `cache_bytes`, allocated and touched at open: when
 * all chunks are dirty or in flight, writes wait in a queue (their data stays
 * with the caller until done) and reads of what is not cached wait too.
 *
 * With an overlay what is written stays in memory, dirty for good, until close:
 * each chunk that is first written to adds one beside the arena, so that the cache
 * for reads keeps its size, up to `overlay_bytes` in all.
 */
#ifndef HPCPACK_VHD_DISK_H
#define HPCPACK_VHD_DISK_H

#include "vhd/lease.h"
#include "vhd/pcache.h"
#include "vhd/store.h"

struct disk;

struct disk_options {
	uint64_t size;             /* payload bytes, multiple of 512 */
	uint64_t cache_bytes;      /* 0: 256 MiB; at least 1 MiB */
	bool read_only;            /* writes are ERR_READ_ONLY */
	bool overlay;              /* writes stay in memory, private to this disk, and are
	                            * dropped at close (snapshots): none reaches the
	                            * store, flushes complete at once, no lease is needed */
	uint64_t overlay_bytes;    /* at most so much, in whole chunks of 64 KiB; 0: 1 GiB;
	                            * beyond: ERR_NO_SPACE */
	bool sync_writes;
	unsigned fetch_bytes;      /* random read; 0: by the distance (vhd/fetch_size.h) */
	unsigned window_bytes;     /* of a stream at most in flight; 0: 64 MiB, bounded
	                            * by half the cache */
	unsigned max_requests;     /* reads in flight; 0: 16. Writes likewise */
	struct pcache *pcache;     /* what this blob was like at open, on the node's own
	                            * disk; borrowed until disk_close(). NULL: none */
	unsigned io_deadline_ms;   /* how long a flush or waiting write waits; 0: 120000 */
	uint64_t (*clock_us)(void); /* with which requests are measured, from any thread and
	                            * without the disk's lock; NULL: the monotonic clock */
};

/* For pcache_options.queue_bytes: so much of a cache of this size (0: the default)
 * may wait to be kept. */
uint64_t disk_pcache_queue_bytes(uint64_t cache_bytes);

/* `store` is copied (its impl borrowed); `lease` NULL for what is not written to
 * storage. The disk hooks itself up to lease changes through
 * disk_lease_changed(), which the owner of the keeper calls. */
struct disk *disk_open(const struct store *store, struct lease_keeper *lease,
		       const struct disk_options *o, struct err *err);

/* To be called from lease_options.changed. LOST: drop all dirty data, log its
 * size, fail what waits. HELD: send what waits. */
void disk_lease_changed(struct disk *d, enum lease_state state);

uint64_t disk_size(const struct disk *d);

/* The largest single read or write that this cache serves (at least 64 KiB). */
unsigned disk_max_io(const struct disk *d);

/* Read [offset, offset+len), any alignment, within the disk. On success the
 * callback gets the bytes as an iovec into the cache (valid, and pinned, only
 * during the callback): copy or send them there. */
typedef void disk_read_fn(void *arg, const struct err *err, const struct iovec *iov, int count);
void disk_read(struct disk *d, uint64_t offset, uint32_t len, disk_read_fn *done, void *arg);

/* Write; any alignment (an unaligned edge reads its sector first). `data` is
 * borrowed until `done`. */
typedef void disk_done_fn(void *arg, const struct err *err);
void disk_write(struct disk *d, uint64_t offset, const void *data, uint32_t len,
		disk_done_fn *done, void *arg);

/* Durable: everything whose write completed before this call is in the blob. */
void disk_flush(struct disk *d, disk_done_fn *done, void *arg);

/* Zero a range without sending bytes (Clear Page); edges are written. Same
 * durability as a write. With an overlay ERR_UNSUPPORTED. */
void disk_discard(struct disk *d, uint64_t offset, uint64_t len, disk_done_fn *done, void *arg);

struct disk_stats {
	uint64_t read_bytes, write_bytes;       /* by the user of the disk */
	uint64_t fetched_bytes, stored_bytes;   /* over the network */
	uint64_t reads, writes, flushes, fetches, stores, clears;
	uint64_t cache_bytes, cached_bytes, dirty_bytes;
	uint64_t dropped_bytes;                 /* dirty data lost with the lease */
	bool failed;                            /* storage says 404: blob or snapshot gone */
	char failure[256];
};
void disk_stats(struct disk *d, struct disk_stats *out);

/* Flush (unless lost), end all I/O, free. 0, or -1 and *err when data that was
 * written could not be made durable (how much is in the message). Blocking. */
int disk_close(struct disk *d, struct err *err);

#endif
