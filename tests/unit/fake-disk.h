/*
 * fake-disk.h - vhd/disk.h over plain memory, for tests of what stands on it.
 *
 * With no delay a call completes within itself, with one on a thread of its own
 * kind and out of order; both are what the real disk does.
 */
#ifndef HPCPACK_TESTS_FAKE_DISK_H
#define HPCPACK_TESTS_FAKE_DISK_H

#include "vhd/disk.h"

struct disk *fake_disk_new(uint64_t size, unsigned max_io);

/* Completions come so late, up to twice as late at random. 0: at once. */
void fake_disk_delay(struct disk *d, unsigned ms);

/* From now on these fail so (ERR_NONE: they work). */
void fake_disk_fail(struct disk *d, enum err_code reads, enum err_code writes, enum err_code flushes);

/* The disk's bytes. */
unsigned char *fake_disk_bytes(struct disk *d);

/* The most I/O that was under way at a time. */
unsigned fake_disk_most(struct disk *d);

#endif
