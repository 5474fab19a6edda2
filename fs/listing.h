/*
 * listing.h - the blobs of a container as a tree: '/' in their names makes
 * directories.
 *
 * Blobs may be named what no file can be. Where a name (the part between two
 * slashes) is none, it is shown as:
 *
 *   "." and ".."     "%2E", "%2E%2E"
 *   "" (a//b, a/)    "%2F"
 *   over 255 bytes   the first 240 or so, '~' and 8 hexadecimal digits
 *   not UTF-8, or with control characters: those bytes as %XX
 *
 * A blob `a` beside blobs `a/b`: the directory has the name, the blob is `a~blob`.
 * What is taken already gets `~2`, `~3`... behind it.
 *
 * The nodes are in one array, sorted so that a directory's content directly follows
 * it ('/' before every other byte); node 0 is the root. Children of d: n = d + 1;
 * while n < nodes[d].end: n is a child; n = nodes[n].end.
 *
 * A listing does not change; it is freed with its last reference.
 */
#ifndef HPCPACK_FS_LISTING_H
#define HPCPACK_FS_LISTING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct listing_node {
	char *path;        /* as shown, "" for the root */
	const char *name;  /* its last part */
	void *item;        /* of a blob; NULL: a directory */
	uint32_t id;       /* of a directory: not 0, stable; the root's is 1 */
	uint32_t parent, end;
};

struct listing {
	atomic_uint refs;
	struct listing_node *nodes;
	uint32_t count;
	uint32_t *by_id;   /* the directories, by id */
	uint32_t dirs;
	void (*release)(void *item);
};

/* A fresh one, with a reference, of `count` blobs in any order; it takes over the
 * items and gives each back with release() at its end, also on failure: NULL when out
 * of memory. */
struct listing *listing_new(const char *const *names, void *const *items, size_t count,
			    void (*release)(void *item));
struct listing *listing_ref(struct listing *l);
void listing_unref(struct listing *l);

/* Node numbers, or -1. */
ssize_t listing_child(const struct listing *l, uint32_t dir, const char *name);
ssize_t listing_find(const struct listing *l, const char *path);
ssize_t listing_dir(const struct listing *l, uint32_t id);

#endif
