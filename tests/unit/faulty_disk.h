/*
 * faulty_disk.h - disks full of 'o' on a storage that fails. What goes wrong in here fails
 * the test.
 */
#ifndef TESTS_UNIT_FAULTY_DISK_H
#define TESTS_UNIT_FAULTY_DISK_H

#include "tests/unit/disk_rig.h"

#define KIB 1024u
#define MIB (1024u * 1024)
#define SIZE (8 * MIB)

/* For rig_options.fill. */
void fill_old(struct rig *r);

/* Of a disk of SIZE with a cache of 4 MiB. */
struct rig_options options(void);
void open_old(struct rig *r);

/* Calls that wait. */
void put(struct rig *r, uint64_t offset, uint32_t len, char c);
void assert_all(const char *got, uint64_t offset, uint64_t len, char c);

/* In storage there is nothing else; a read gives nothing else. */
void assert_stored(struct rig *r, uint64_t offset, uint32_t len, char c);
void assert_reads(struct rig *r, uint64_t offset, uint32_t len, char c);

/* What the disk was told of its lease last. */
enum lease_state lease_told(struct rig *r);

/* For rig_until(). */
bool is_lost(void *arg);

#endif
