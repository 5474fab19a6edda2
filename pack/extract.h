/*
 * extract.h - the files of a package, straight from storage into a folder: no
 * temporary archive.
 *
 * Members are taken in the order in which they lie in the package and fetched by
 * large ranges, several at a time, into a fixed set of buffers; threads decode and
 * write them. Memory is bounded by the buffers, whatever the package holds.
 *
 * Nothing is ever written outside the folder: every path is resolved below its
 * descriptor without following a symlink (pack/beneath.h), no file that exists is
 * opened, symlinks are made last and only those that stay within the folder.
 *
 * Threads: pack_extract() blocks, and starts and ends threads of its own. Not from a
 * callback. Several may run at once, sharing one pool.
 */
#ifndef HPCPACK_PACK_EXTRACT_H
#define HPCPACK_PACK_EXTRACT_H

#include <stdatomic.h>

#include "pack/index.h"

/* The buffers that extractions share: `count` of `size` bytes, which are taken from
 * the system as they are used; 0, 0: what suits this machine, 48 MiB at most. Any
 * thread. */
struct pack_pool;
struct pack_pool *pack_pool_new(unsigned count, size_t size, struct err *err);
void pack_pool_free(struct pack_pool *pool);

/* How far it is; the sums only grow. Called on the extraction's threads, never two
 * at once, some ten times a second. */
struct extract_stats {
	uint64_t bytes;      /* written, unpacked */
	uint64_t fetched;    /* of the package */
	uint32_t files;      /* files and symlinks made */
	uint32_t dirs;       /* folders made */
};
typedef void extract_progress_fn(void *arg, const struct extract_stats *stats);

struct extract_options {
	unsigned threads;    /* that decode and write; 0: as many as CPUs, at most 8 */
	size_t block_size;   /* bytes of one request at most; 0: 4 MiB */
	struct pack_pool *pool;  /* NULL: one of its own */
	bool own_items;      /* OPC's own items, too (pack/opc_name.h) */
	size_t max_path;     /* see pack_index_check(); 0: no limit of ours */
	size_t prefix;       /* bytes of the folder's own path, for that */
	const atomic_bool *cancel;  /* set: it ends soon, with ERR_CANCELLED; or NULL */
	extract_progress_fn *progress;  /* or NULL */
	void *arg;
};

/*
 * Extract the package into the folder `dirfd`, which may hold other files: a folder
 * that is there already is used, a file that is there already is an error
 * (ERR_EXISTS). `reader` is what the index was read from; if it is a blob, pass
 * `blob` as well (reader is then &blob->reader): it is read by its client in
 * parallel, in the version that it had when it was opened.
 *
 * Permissions are those of the package within the umask, modification times are
 * kept. All or nothing: -1 when anything is wrong with any member, and then what was
 * made is removed. pack_index_check() is done first, before anything is fetched or
 * written; what is encrypted, damaged or unknown is ERR_FORMAT or ERR_UNSUPPORTED,
 * a full disk ERR_NO_SPACE, a package that was replaced meanwhile ERR_CONDITION.
 * `options` and `stats` may be NULL.
 */
int pack_extract(const struct pack_index *index, const struct pack_reader *reader,
		 const struct pack_blob *blob, int dirfd, const struct extract_options *options,
		 struct extract_stats *stats, struct err *err);

#endif
