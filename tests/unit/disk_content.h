/*
 * disk_content.h - disks with known content, for the tests of what works: whatever goes
 * wrong in here fails the test.
 */
#ifndef TESTS_UNIT_DISK_CONTENT_H
#define TESTS_UNIT_DISK_CONTENT_H

#include "tests/unit/disk_rig.h"

#define KIB 1024u
#define MIB (1024u * 1024)
#define SIZE (8 * MIB)

/* Content by place, never 0. */
unsigned char byte_at(uint64_t offset);

/* For rig_options.fill and the like: byte_at() in a part of storage, or in all of it. */
void fill_range(struct rig *r, uint64_t offset, uint64_t len);
void fill_all(struct rig *r);
void fill_half(struct rig *r);

/* Are these the bytes of byte_at(), or all the same? */
void assert_content(const unsigned char *got, uint64_t offset, uint64_t len);
void assert_all(const unsigned char *got, uint64_t len, unsigned char c);

/* A disk of SIZE with a cache of 4 MiB; fill NULL: all holes. */
void open_filled(struct rig *r, void (*fill)(struct rig *r));

/* Calls that wait. */
void read_ok(struct rig *r, uint64_t offset, uint32_t len, void *into);
void write_ok(struct rig *r, uint64_t offset, uint32_t len, const void *data);

/* For rig_until(): nothing is dirty. */
bool clean(void *arg);

#endif
