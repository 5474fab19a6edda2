/*
 * ops_rig.h - what the tests of blob/ops.h against a live Azurite share: its client, a
 * container of this run, and their parts (ops_*.c; test-ops-azurite.c runs them).
 */
#ifndef TESTS_UNIT_OPS_RIG_H
#define TESTS_UNIT_OPS_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/md5.h"
#include "blob/op.h"
#include "blob/ops.h"
#include "tests/unit/unit.h"
#include "tests/unit/wait.h"

/* Azurite's own. */
#define KEY "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

extern const char *endpoint;
extern struct blob_client *client;
extern char container[64];
extern struct err err; /* of the last call that failed */

#define ODD_NAMES 7
extern const char *const odd_names[ODD_NAMES]; /* of blobs, that have tripped up others */

#define ok(expr) do { \
	if ((expr) != 0) \
		fail_msg("%s: %s", #expr, err.msg); \
} while (0)

void refused(int rc, enum err_code code, const char *service_code);

struct blob_ref ref(const char *name); /* in the container */

/* A client of another account, or with other credentials. */
struct blob_client *client_with(struct blob_account account);

/* What a reply was: arg is a struct waited, or a struct sum. */
struct sum {
	struct waited w;
	char md5[MD5_TEXT_MAX];
};
void remember(void *arg, const struct blob_reply *reply);
void remember_md5(void *arg, const struct blob_reply *reply);

int put_pages(const struct blob_ref *r, uint64_t offset, const void *data, size_t len, const char *lease);
int clear_pages(const struct blob_ref *r, uint64_t offset, uint64_t len, const char *lease);
void fill(unsigned char *data, size_t len, unsigned seed);

/* ops_pages.c: pages and their ranges, metadata, what can't be */
void pages(void **state);
void what_cannot_be(void **state);
void beyond_the_end(void **state);
void metadata_and_etags(void **state);
void page_ranges(void **state);
void expect_ranges(const struct blob_ref *r, uint64_t offset, uint64_t len, const struct blob_range *wanted,
		   size_t count);

/* ops_blobs.c: leases, snapshots, lists, blocks, copies */
void leases(void **state);
void snapshots(void **state);
void listing(void **state);
void blocks(void **state);
void copying(void **state);

#endif
