/*
 * create.h - making a package: an OPC zip out of files and folders.
 *
 *	create.c          the steps, in their order
 *	create_source.c   what the arguments mean
 *	create_walk.c     what is in a folder
 *	create_check.c    names that clash, links that lead out
 *	create_windows.c  what would break on Windows nodes
 *	create_parts.c    content types, relationships, core properties
 *	create_input.c    reading a file that must not change meanwhile
 *	create_zip.c      the zip, by libzip
 *	create_output.c   the package beside its place, and then in it
 *
 * The same input gives the same bytes: the names, contents, permissions and
 * modification times (whole seconds) of files, the targets of links, and nothing
 * else. Not the order of directories, the name of the package, the user, the time.
 */
#ifndef HPCPACK_PACK_CREATE_H
#define HPCPACK_PACK_CREATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blob/base/err.h"

struct pack_create_options {
	int level;                  /* 0: stored; 1 (fast) to 9 (best): deflated */
	bool no_recurse;            /* leave subfolders out */
	const int64_t *date;        /* seconds since 1970: the date of the package, and
	                             * no file is younger (SOURCE_DATE_EPOCH); NULL: the
	                             * package has the date of its youngest file */
	const atomic_bool *cancel;  /* set by another thread: give up; may be NULL */
	/* May be NULL. Called by the thread that creates. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);   /* bytes read */
	void (*warn)(void *arg, const char *text);                    /* one line */
	void *arg;
};

struct pack_create_stats {
	uint64_t files;             /* links are files, too */
	uint64_t bytes;             /* of the files */
	uint64_t packed;            /* size of the package, bytes */
};

/*
 * Create `package` from `count` sources.
 *
 * A source is a file, a folder, or a list of those behind commas; it is taken for a
 * list only if nothing has that name. Spaces around the names in a list, and names
 * that are empty, don't count. What a folder holds lies at the root of the package if
 * it is the only source, else below the folder's own name; files lie at the root.
 * A source that is a symlink is followed; symlinks in folders stay what they are.
 *
 * The package appears under its name when it is complete and on disk; until then, and
 * whenever this fails, what had the name before keeps it. It is left out where it lies
 * in a source itself.
 *
 * 0; or -1: ERR_FORMAT (a name that has no place in a package, a link that leads out,
 * two of a name), ERR_UNSUPPORTED (devices and their kin), ERR_CONDITION (a file
 * changed, vanished or grew meanwhile), ERR_NO_SPACE, ERR_CANCELLED, and what the
 * system says of files that can't be read or written. The message names the file.
 *
 * Sets the time zone of the process to UTC: libzip writes local time.
 */
int pack_create(const char *package, const char *const *sources, size_t count,
		const struct pack_create_options *options, struct pack_create_stats *stats,
		struct err *err);

#endif
