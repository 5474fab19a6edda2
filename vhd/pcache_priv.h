/*
 * pcache_priv.h - the inside of the persistent cache, shared by the vhd/pcache*.c:
 *
 *   pcache.c         open, close, the threads and their queues
 *   pcache_dir.c     the directories of versions
 *   pcache_extent.c  one extent's file: header, table of CRCs, bytes
 *   pcache_io.c      a read or fill, extent by extent
 *   pcache_room.c    how much there may be, and what goes first
 *
 * `lock` protects the queues, the table of open extents and the statistics; no
 * system call is made under it. `changed` is atomic, the rest is set at open or
 * belongs to the one filling thread.
 */
#ifndef HPCPACK_VHD_PCACHE_PRIV_H
#define HPCPACK_VHD_PCACHE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "vhd/pcache.h"
#include "vhd/sectors.h"

#define EXTENT_SHIFT 20
#define EXTENT_BYTES (UINT64_C(1) << EXTENT_SHIFT)
#define EXTENT_GRANULES 256u
#define EXTENT_HEADER 4096u
#define EXTENT_TABLE 1024u      /* where the CRCs are */
#define EXTENT_NAME_MAX 20
#define VERSION_NAME_MAX 40
#define OPEN_EXTENTS 48
#define READERS 4
#define READ_QUEUE 128          /* requests; beyond, the network is faster */

/* An open file. Pinned by who uses it; else on the table until it is pushed out. */
struct extent {
	uint64_t number, used;
	uint64_t nonce;
	unsigned pins;
	bool stale;             /* not in the table any more: the last pin closes it */
	int fd, direct_fd;      /* the same file; direct_fd -1: not possible here */
	_Atomic int64_t touched_ms;
};

struct pcache_req {
	struct pcache_req *next;
	uint64_t offset, len;
	const struct iovec *iov;
	int count;
	pcache_read_fn *read_done;
	pcache_fill_fn *fill_done;
	void *arg;
};

struct pcache_queue {
	struct pcache_req *first, **last;
	uint64_t bytes;         /* queued or at work */
	unsigned count, busy;
	pthread_cond_t cond;
};

struct pcache {
	pthread_mutex_t lock;
	pthread_cond_t idle;
	struct pcache_queue reads, fills;
	pthread_t threads[READERS + 1];
	unsigned nthreads;
	bool stopping;

	char *dir;              /* for messages */
	uint64_t size, drive_id, limit, queue_bytes;
	char *drive;
	bool owned;
	int drives_fd, own_fd, former_fd;       /* former_fd: -1 if there is none */
	char own_name[VERSION_NAME_MAX], former_name[VERSION_NAME_MAX];

	_Atomic uint64_t *changed;              /* a bit for each chunk */
	struct extent *open[OPEN_EXTENTS];
	uint64_t clock;

	int room_fd;
	uint64_t allowance;     /* taken, not used yet */
	unsigned drafts;        /* made by the filling thread */
	int64_t room_retry_ms;
	atomic_bool no_fill, off;
	struct pcache_stats stats;
};

/* --- pcache.c --- */
int64_t pcache_now_ms(void);
bool pcache_is_changed(const struct pcache *pc, uint64_t chunk);
/* Something went wrong: leave the cache aside, for filling or for all; one line. */
void pcache_give_up(struct pcache *pc, bool reading, const char *what, int why);
void pcache_add(struct pcache *pc, uint64_t *counter, uint64_t n);

/* --- pcache_dir.c --- */
int pcache_dir_open(struct pcache *pc, const struct pcache_options *o, struct err *err);
/* An owned mount has ended: what it left unchanged is `version` from now on. */
void pcache_dir_finish(struct pcache *pc, const char *version);
void pcache_dir_close(struct pcache *pc);
/* The number in a file's name; false if it is not an extent's. */
bool pcache_extent_number(const char *name, uint64_t *number);
void pcache_extent_name(uint64_t number, char out[EXTENT_NAME_MAX]);
/* FNV-1a, for names. */
uint64_t pcache_hash(uint64_t start, const char *text);

/* --- pcache_extent.c --- */

/* The extent's file, with a pin; NULL: there is none (with `create`: none can be
 * made, and errno says why). */
struct extent *pcache_extent_get(struct pcache *pc, uint64_t number, bool create);
void pcache_extent_put(struct pcache *pc, struct extent *e);
void pcache_extents_close(struct pcache *pc);

/* The CRCs of granules [first, first + count); -1: can't be read. */
int pcache_table_read(const struct extent *e, unsigned first, unsigned count, uint32_t *crc);
int pcache_table_write(const struct extent *e, unsigned first, unsigned count, const uint32_t *crc);
/* The CRC-32 of gzip: of what `crc` is of (0: nothing), followed by data. */
uint32_t pcache_crc32(uint32_t crc, const void *data, size_t len);
/* Of a granule in its place; never 0, which says that there is none. */
uint32_t pcache_crc(const struct extent *e, unsigned granule, const void *data, size_t len);

/* All of iov at `within` the extent's bytes. How much was moved, or -1 and errno. */
ssize_t pcache_extent_io(const struct extent *e, bool write, uint64_t within, const struct iovec *iov,
			 int count);
void pcache_extent_touch(struct extent *e);

/* --- pcache_io.c --- */
void pcache_do_read(struct pcache *pc, struct pcache_req *r);
void pcache_do_fill(struct pcache *pc, struct pcache_req *r);

/* --- pcache_room.c --- */

/* May `bytes` more be written? False: not now. Waits for another process for a tenth
 * of a second at most. */
bool pcache_room_take(struct pcache *pc, uint64_t bytes);
/* Count, and make room if there is too much: at the start. */
void pcache_room_check(struct pcache *pc);

#endif
