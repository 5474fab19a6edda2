/* drive_fixture.h - a drive in a FUSE mount of its own over a disk in memory. */
#ifndef HPCPACK_TESTS_DRIVE_FIXTURE_H
#define HPCPACK_TESTS_DRIVE_FIXTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "fake-disk.h"
#include "fs/drive_fuse.h"

#define MIB (1u << 20)
#define SIZE (64 * MIB)

struct fixture {
	char dir[64], path[80];
	struct disk *disk;
	struct drive_fuse *fuse;
	atomic_uint ended;
};

/* Can FUSE be mounted here? If not the test is skipped and that has been said. To
 * be called first. */
bool fixture_can_mount(void);

void start_with(struct fixture *fx, bool read_only, bool allow_other, unsigned max_io);
void start(struct fixture *fx);
void stop(struct fixture *fx);

/* After drive_fuse_unmount(): free both. stop() does all of it. */
void finish(struct fixture *fx);
int open_disk(const struct fixture *fx, int flags);
bool all_are(const unsigned char *p, unsigned char c, size_t len);

/* cmocka's: unmount what a failed test left. */
int clean_up(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, NULL, clean_up)

#endif
