/*
 * disk_rig.h - a virtual disk on the model store, wired up as a drive worker
 * does it, and calls that wait. Nothing here waits longer than RIG_WATCHDOG_MS:
 * what hangs is named and the program aborted.
 */
#ifndef TESTS_UNIT_DISK_RIG_H
#define TESTS_UNIT_DISK_RIG_H

#include <pthread.h>

#include "tests/unit/model_store.h"
#include "vhd/disk.h"

#define RIG_WATCHDOG_MS 60000
#define RIG_FOOTER 0xF7   /* each byte of the page behind the disk */

struct rig {
	struct model *m;
	struct store store;
	struct lease_keeper *k;
	struct disk *d;
	uint64_t size;
	pthread_mutex_t lock;
	enum lease_state last;    /* that the disk was told */
	unsigned generation_changes;
};

struct rig_options {
	struct disk_options disk;
	unsigned unit_ms;         /* 0: 50 */
	unsigned lease_s;         /* 0: 60 */
	bool no_lease;
	uint64_t seed;
	/* Content before the lease is taken; NULL: all holes. */
	void (*fill)(struct rig *r);
};

void rig_open(struct rig *r, const struct rig_options *o);
/* disk_close(), unless done already, and the end of the rest. Aborts when the
 * disk did to storage what no disk may do. 0 or -1: what disk_close said. */
int rig_close(struct rig *r, struct err *err);

/* One call to the disk. */
struct io {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	const char *what;
	uint64_t offset, len;
	char *into;               /* reads: len bytes */
	unsigned called;
	bool in_call;             /* the callback came from within the call */
	int rc;
	struct err err;
};
void io_init(struct io *io);
void io_destroy(struct io *io);
void io_read(struct rig *r, struct io *io, uint64_t offset, uint32_t len, void *into);
void io_write(struct rig *r, struct io *io, uint64_t offset, uint32_t len, const void *data);
void io_flush(struct rig *r, struct io *io);
void io_discard(struct rig *r, struct io *io, uint64_t offset, uint64_t len);
bool io_done(struct io *io);
int io_wait(struct io *io);   /* 0 or -1 and io->err */

/* The same, waiting. 0 or -1 and *err. */
int rig_read(struct rig *r, uint64_t offset, uint32_t len, void *into, struct err *err);
int rig_write(struct rig *r, uint64_t offset, uint32_t len, const void *data, struct err *err);
int rig_flush(struct rig *r, struct err *err);
int rig_discard(struct rig *r, uint64_t offset, uint64_t len, struct err *err);

/* What storage holds. */
void rig_peek(struct rig *r, uint64_t offset, uint64_t len, void *into);

/* For rig_until(): nothing is on its way to storage, and every reply was taken. */
bool rig_quiet(void *rig);

unsigned rig_calls(struct rig *r, enum model_call call);

/* Poll until true; false after RIG_WATCHDOG_MS. */
bool rig_until(bool (*holds)(void *arg), void *arg);

/* rig_flush() and rig_close() that must succeed. */
void flush_ok(struct rig *r);
void close_ok(struct rig *r);

#endif
