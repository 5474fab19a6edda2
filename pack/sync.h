/*
 * sync.h - the packages of a container, installed below a package root.
 *
 * Every OPC package of the container is installed at its target (pack/target.h),
 * extracted beside it and put in place by one rename: whoever looks sees the old
 * version or the new one. What is unchanged since (ETag) is not fetched again; what
 * is no package is named and left alone; what fails does not stop the others.
 *
 *	ROOT/.hpcsync/lock      one sync at a time works on a root; others wait
 *	ROOT/.hpcsync/state/N   a record for each target: which blob, which version
 *	ROOT/.hpcsync/stage/    what is being extracted; emptied at the next start
 *	ROOT/.hpcsync/old/N.M   what was replaced: jobs inside it go on, and see one
 *	                        version; the newest keep_versions of each N stay
 *	ROOT/.hpcsync/trash/    what is being removed
 *
 * A package that was removed from storage is not taken from the root.
 *
 * `hpcsync --json` prints the report as one document; its keys are stable:
 *
 *	{ "root": "/var/lib/hpcpack/packages", "container": "hpcpackages",
 *	  "error": null,                   why there was no sync at all; or a line
 *	  "packages": [ {
 *	      "name": "app.zip",           the blob
 *	      "etag": "\"0x8DA...\"",      as HTTP has it, quotes included
 *	      "target": "/var/.../app",    absolute; null if there is none
 *	      "state": "installed",        | "unchanged" | "skipped" | "failed"
 *	      "bytes": 123, "files": 4,    of the installed tree; 0 if not known
 *	      "seconds": 0.5,              that it took
 *	      "error": null } ],           a line: why it failed or was skipped
 *	  "totals": { "installed": 1, "unchanged": 0, "skipped": 0, "failed": 0,
 *	              "bytes": 123,        unpacked, of what was installed now
 *	              "fetched": 100,      from storage, of packages
 *	              "files": 4, "seconds": 0.6 } }
 *
 * The exit status is 1 if "error" is set or anything failed.
 */
#ifndef HPCPACK_PACK_SYNC_H
#define HPCPACK_PACK_SYNC_H

#include <stdatomic.h>

#include "blob/config.h"
#include "blob/ops.h"
#include "pack/index.h"

enum sync_state {
	SYNC_PENDING,     /* only while it goes on */
	SYNC_INSTALLED,
	SYNC_UNCHANGED,
	SYNC_SKIPPED,     /* no OPC package */
	SYNC_FAILED,
};
const char *sync_state_name(enum sync_state s);   /* "installed"... */

struct sync_package {
	char *name;                /* of the blob */
	char etag[BLOB_ETAG_MAX];
	char *target;              /* below the root; NULL if it can have none */
	enum sync_state state;
	uint64_t bytes, fetched;   /* of the tree; of the package, now */
	uint32_t files;
	double seconds;
	struct err err;            /* why it failed (a line that names it) or was skipped */
};

struct sync_report {
	char *root;                /* absolute */
	struct sync_package *packages;  /* in the order of their names */
	size_t count;
};
void sync_report_free(struct sync_report *report);

struct sync_options {
	const char *filter;        /* names that match it only: '*' and '?', letters of
	                            * any case; NULL: all */
	size_t block_size;         /* bytes of one request at most; 0: 4 MiB */
	unsigned keep_versions;    /* older ones that stay */
	size_t max_path;           /* bytes of a path, the root's included; 0: the system's */
	struct pack_limits limits;
	const atomic_bool *cancel; /* set: it ends soon; or NULL */
	/* All on threads of the sync, never two at once; each may be NULL. `waiting`:
	 * somebody else (a process id, or 0) works on this root. `done` comes for every
	 * package, when its state is known. */
	void (*waiting)(void *arg, long pid);
	void (*done)(void *arg, const struct sync_package *package);
	void (*progress)(void *arg, uint64_t fetched, uint64_t to_fetch);
	void *arg;
};

/* What [packages] says; the rest is as it is. -1: a value that can't be. */
int sync_options_read(struct sync_options *o, const struct config *config, struct err *err);

/* The package root: `given` if it is not NULL, CCP_PACKAGE_ROOT, [packages] root, or
 * the usual place. Borrowed. */
const char *sync_root(const char *given, const struct config *config);

/*
 * Sync `container` into the folder `root`, which is made if it is missing. 0 with a
 * report, which may hold failures of single packages; -1 when there was no sync at
 * all (no such container, the root can't be written, cancelled), with nothing to free.
 */
int pack_sync(struct blob_client *client, const char *container, const char *root,
	      const struct sync_options *options, struct sync_report *report, struct err *err);

#endif
