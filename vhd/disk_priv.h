/*
 * disk_priv.h - the inside of the virtual disk, shared by the vhd/disk_*.c files:
 *
 *   disk.c          open, close, statistics, running of tasks
 *   disk_chunks.c   the chunks of a byte range
 *   disk_clock.c    the clock thread: deadlines, ageing, retries; time for measuring
 *   disk_read.c     reads: from the cache, or waiting for fetches
 *   disk_fetch.c    fetches from storage, read-ahead, loading of the map
 *   disk_pcache.c   fetches by way of the persistent cache
 *   disk_write.c    writes into the cache, and those that have to wait
 *   disk_store.c    write-back: dirty sectors to storage
 *   disk_flush.c    flushes, and what the loss of the lease means
 *   disk_discard.c  discards
 *
 * One mutex protects everything here. It is taken with disk_enter() and given
 * back with disk_leave(), which then runs the tasks that were queued meanwhile:
 * calls into storage and callbacks to the user never happen with the mutex held.
 *
 * Who holds what: a request that waits for bytes (read) holds pins on its chunks,
 * because its fetches are under way and will end. A request that waits for room
 * or for other requests (starved reads, blocked writes and discards) holds
 * nothing, so no two requests can wait for each other.
 */
#ifndef HPCPACK_VHD_DISK_PRIV_H
#define HPCPACK_VHD_DISK_PRIV_H

#include <pthread.h>

#include "vhd/cache.h"
#include "vhd/disk.h"
#include "vhd/fetch_size.h"
#include "vhd/map.h"
#include "vhd/readahead.h"

#define DISK_OBJECT 0
#define MAX_IO_BYTES (1u << 20)
#define MAX_IO_CHUNKS (MAX_IO_BYTES / CHUNK_BYTES + 1)
#define MAX_REQUEST_BYTES BLOB_MAX_PUT_PAGE
#define MAX_REQUEST_CHUNKS (MAX_REQUEST_BYTES / CHUNK_BYTES + 1)
#define FETCH_ALIGN FETCH_SIZE_LEAST

/* Something to do once the mutex is free. First member of what it belongs to. */
struct task {
	struct task *next;
	void (*run)(struct disk *d, struct task *t);
};

struct read_req {
	struct task task;
	struct read_req *next;
	uint64_t offset;
	uint32_t len;
	unsigned nchunks;          /* pinned ones in chunks[]; NULL: a hole */
	bool pinned, failed;
	bool sequential;           /* of a stream: what it had is not needed again */
	uint64_t deadline_ms;      /* while starved */
	uint64_t fetch_end;        /* how far its fetch may go beyond its own end */
	disk_read_fn *done;
	void *arg;
	struct chunk *chunks[MAX_IO_CHUNKS];
	struct iovec iov[MAX_IO_CHUNKS];
	struct err err;            /* if failed; else not initialised */
};

struct write_req {
	struct task task;
	struct write_req *next;
	uint64_t offset;
	uint32_t len;
	unsigned nchunks;
	bool needs_room;           /* what it waits for; later ones wait behind it */
	const uint8_t *data;
	uint64_t deadline_ms;
	disk_done_fn *done;
	void *arg;
	struct chunk *chunks[MAX_IO_CHUNKS];
	struct err err;
};

struct flush_req {
	struct task task;
	struct flush_req *next;
	uint64_t target;           /* done when nothing of this epoch or older is left */
	uint64_t deadline_ms;
	bool failed;
	disk_done_fn *done;
	void *arg;
	struct err err;
};

struct discard_req {
	struct task task;
	struct discard_req *next;
	struct disk *disk;
	uint64_t offset, end;      /* what the user asked for */
	uint64_t inner, inner_end; /* of it, whole sectors: cleared */
	unsigned stage;
	bool sent;                 /* under way now */
	uint64_t deadline_ms, generation;
	char lease_id[BLOB_LEASE_ID_MAX];
	disk_done_fn *done;
	void *arg;
	bool failed;
	struct err err;
};

/* A read from storage into adjacent chunks; each is pinned once. */
struct fetch {
	struct task task;
	struct disk *disk;
	uint64_t offset;
	uint32_t len;
	uint64_t started_us;       /* when storage was asked */
	bool prefetch;
	unsigned nchunks;
	struct chunk *chunks[MAX_REQUEST_CHUNKS];
	struct iovec iov[MAX_REQUEST_CHUNKS];
	/* What of it the persistent cache does not have; all, where there is none. */
	uint64_t rest_offset;
	uint32_t rest_len;
	int nrest;
	struct iovec rest[MAX_REQUEST_CHUNKS];
};

/* A write to storage from adjacent chunks; each is pinned once. The ops are made
 * at open: the write path allocates nothing. */
struct store_op {
	struct task task;
	struct disk *disk;
	bool busy, clear;
	uint64_t offset;
	uint32_t len;
	uint64_t epoch;            /* the oldest of its data */
	uint64_t generation;
	char lease_id[BLOB_LEASE_ID_MAX];
	unsigned nchunks;
	struct chunk *chunks[MAX_REQUEST_CHUNKS];
	struct iovec iov[MAX_REQUEST_CHUNKS];
};

struct disk {
	pthread_mutex_t lock;
	pthread_cond_t tick;       /* wakes the clock thread */
	pthread_cond_t quiet;      /* active fell to 0 */
	struct store store;
	struct lease_keeper *lease;
	struct disk_options o;
	unsigned max_io;

	struct cache *cache;
	struct map *map;
	struct readahead ra;
	struct fetch_size fetch_size;
	unsigned prefetches;       /* fetches under way that nobody asked for yet */

	struct task *tasks, **tasks_end;
	unsigned active;           /* tasks queued or running, requests under way */

	struct read_req *waiting;  /* for bytes; pinned */
	struct read_req *starved;  /* for room; FIFO */
	struct write_req *blocked; /* FIFO */
	struct flush_req *flushes;
	struct discard_req *discards_blocked;
	struct discard_req *discards; /* in their last stage: the range is theirs */

	/* Dirty chunks, oldest epoch first. */
	struct chunk dirty;        /* ring head */
	uint64_t dirty_sectors, writing_sectors;
	uint64_t epoch;            /* of what becomes dirty now */
	uint64_t overlay_chunks;
	struct store_op *stores;
	unsigned nstores;
	uint64_t store_retry_ms;   /* no store before this time */
	unsigned store_backoff_ms;
	bool stalled;              /* a flush ran out of time, and nothing was stored since */

	enum lease_state lease_state;
	bool closing, clock_runs;
	pthread_t clock;
	struct disk_stats stats;
};

/* disk.c */
void disk_enter(struct disk *d);
void disk_leave(struct disk *d);
void disk_queue(struct disk *d, struct task *t, void (*run)(struct disk *d, struct task *t));
void disk_active(struct disk *d);    /* one more thing that disk_close waits for */
void disk_inactive(struct disk *d);
uint64_t disk_now_ms(void);
void disk_need_clock(struct disk *d);
void disk_wake(struct disk *d);      /* something has become possible: try what waits */
void disk_note_failure(struct disk *d, const struct err *err);
bool disk_overlaps(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end);

/* disk_clock.c */
void *disk_clock_main(void *disk);         /* the clock thread */
uint64_t disk_now_us(const struct disk *d); /* for durations alone */

/* disk_chunks.c */
/* Pin the chunks of bytes [offset, offset + len), all or none. With `skip_holes` a
 * chunk that is a hole and not cached gets NULL. False: not enough room. */
bool disk_pin_range(struct disk *d, uint64_t offset, uint32_t len, bool skip_holes,
		    struct chunk **chunks, unsigned *count);
void disk_unpin_range(struct disk *d, struct chunk **chunks, unsigned count);
/* The sectors of [offset, offset + len) that lie in chunk number `index`. */
sector_set disk_sectors_of(uint64_t index, uint64_t offset, uint64_t len);
/* Sectors of a cached chunk that are missing but lie in a hole: zero them. */
void disk_fill_hole(struct disk *d, struct chunk *ch, sector_set need);

/* disk_read.c */
void disk_reads_arrived(struct disk *d, uint64_t offset, uint64_t end, const struct err *err);
void disk_reads_retry(struct disk *d);
void disk_reads_expire(struct disk *d, uint64_t now_ms);

/* disk_fetch.c: fetch what is missing in [offset, end); returns how far it got. */
uint64_t disk_fetch(struct disk *d, uint64_t offset, uint64_t end, bool prefetch);
/* Mutex not held: ask storage for the rest of the fetch, into this memory. */
void disk_fetch_rest(struct disk *d, struct fetch *f, const struct iovec *iov, int count);
void disk_fetch_done(void *fetch, const struct store_result *result); /* of its rest */
void disk_read_ahead(struct disk *d, struct stream *s);
void disk_map_touch(struct disk *d, uint64_t chunk);

/* disk_pcache.c: look the fetch up, read the rest from storage. Mutex not held. */
void disk_pcache_start(struct disk *d, struct fetch *f);
/* Mutex held: keep what has come from storage. True: the fetch, its pins and its
 * being active are given away. */
bool disk_pcache_keep(struct disk *d, struct fetch *f);

/* disk_write.c */
void disk_writes_retry(struct disk *d);
void disk_writes_unfetched(struct disk *d, uint64_t offset, uint64_t end, const struct err *err);
void disk_writes_fail(struct disk *d, const struct err *err);
void disk_writes_expire(struct disk *d, uint64_t now_ms);
void disk_check_writable(struct disk *d, struct err *err); /* err.code ERR_NONE: yes */

/* disk_store.c */
void disk_mark_dirty(struct disk *d, struct chunk *ch, sector_set sectors);
void disk_dirty_insert(struct disk *d, struct chunk *ch, uint64_t epoch, uint64_t since_ms);
void disk_dirty_remove(struct disk *d, struct chunk *ch);
void disk_forget_dirty(struct disk *d, struct chunk *ch, sector_set sectors);
void disk_store_kick(struct disk *d);
uint64_t disk_oldest_epoch(struct disk *d); /* of dirty or writing data; UINT64_MAX: none */

/* disk_flush.c */
void disk_flush_locked(struct disk *d, disk_done_fn *done, void *arg);
void disk_flushes_check(struct disk *d);
void disk_flushes_fail(struct disk *d, uint64_t epoch, const struct err *err);
void disk_flushes_expire(struct disk *d, uint64_t now_ms);

/* disk_discard.c */
void disk_discards_retry(struct disk *d);
void disk_discards_expire(struct disk *d, uint64_t now_ms);
bool disk_discarding(struct disk *d, uint64_t offset, uint64_t end);
sector_set disk_discarding_sectors(struct disk *d, uint64_t index); /* of a chunk */
void disk_discards_fail(struct disk *d, const struct err *err);

#endif
