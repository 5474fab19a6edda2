/*
 * package.h - a mounted package, or a container of blobs: what its worker
 * (fs/worker.h) builds up, and what its FUSE operations share.
 *
 * Handlers never wait for the network. A read is handed to vhd/object.h or
 * fs/unpack.h, which reply later. What needs the index of a package that is not in
 * memory, or a fresh listing, becomes a `struct call`, is queued, and is run by one of
 * a few threads (fs/package_load.c) that may wait, or by the refresher.
 *
 * Inode numbers. Of a mounted package: the number of the entry + 1. Of a container: a
 * directory has its id (fs/listing.h), what belongs to a blob VERSION_BIT, the id of
 * the version, and the number of the entry in it; the root is 1. They are derived from
 * names and ETags: a blob that is replaced has new ones, so nothing that the kernel
 * knows by number ever changes.
 *
 * Versions: one of these for each blob and ETag that the newest listing has, or that
 * the kernel or an open file still knows. `lock` of struct package protects the table,
 * the listing, and what stands below it in struct version. An index is loaded when it
 * is first needed; when all together take too much, those that were not used for
 * longest are dropped and loaded again when needed (If-Match: the same version or an
 * error).
 */
#ifndef HPCPACK_FS_PACKAGE_H
#define HPCPACK_FS_PACKAGE_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <limits.h>
#include <stdatomic.h>

#include "fs/fuse_mount.h"
#include "fs/listing.h"
#include "fs/unpack.h"
#include "fs/worker.h"
#include "pack/index.h"
#include "vhd/object.h"

#define VERSION_BIT (UINT64_C(1) << 62)
#define VERSION_BUCKETS 1024u
#define PACKAGE_MAX_BACKGROUND 64

struct package;
struct version;
struct call;
struct handle;

typedef void call_fn(struct call *c);

/* A request that may have to wait for its answer; each is replied to exactly once, by
 * run() or call_fail(). Copied to the heap when it waits. */
struct call {
	struct call *next;
	struct package *p;
	fuse_req_t req;
	call_fn *run;
	struct version *v;         /* of a package or blob: held while it runs or waits */
	uint32_t entry;            /* in it */
	fuse_ino_t ino;
	off_t offset;
	size_t size;
	int flags;                 /* of open */
	uint64_t fh;
	char name[NAME_MAX + 1];
};

enum version_kind { VERSION_UNKNOWN, VERSION_FILE, VERSION_PACKAGE };

struct version {
	struct package *p;
	uint32_t id;
	char *blob;                /* its name */
	char *label;               /* "container/blob", for messages */
	struct blob_props props;
	uint64_t size;             /* bytes of content: of a page blob, without padding if known */
	time_t mtime;
	struct object *object;     /* NULL: empty */
	/* --- */
	unsigned refs;             /* listing, calls, open files; one for all lookups */
	uint64_t lookups;          /* the kernel's */
	enum version_kind kind;
	bool loading;
	struct call *waiting;      /* for it to be loaded */
	struct version *load_next;
	unsigned users;            /* of the index: calls that run */
	uint64_t used;             /* for finding the least recently used one */
	bool loaded;
	struct pack_index index;
	uint8_t *told;             /* a bit for each entry: it was logged that it can't be read */
	struct version *hash_next;
};

struct package {
	struct worker w;           /* first */

	/* Set before FUSE is mounted, gone after it. */
	bool container;
	uid_t uid;
	gid_t gid;
	time_t since;
	unsigned max_io;
	struct objects *objects;
	struct unpack *unpack;
	struct loader *loader;
	struct refresher *refresher; /* of a container */
	struct fuse_mount *fuse;   /* under the worker's lock */
	struct version *only;      /* of a mounted package */
	bool unopened;             /* files of a package are read without being opened; see package_file.c */
	bool unopened_dirs;        /* directories of a package need not be opened either */
	atomic_uint *starts;       /* then: where the data of each entry begins (struct handle) */
	atomic_ullong read_bytes;

	pthread_mutex_t lock;
	struct listing *listing;
	struct version *versions[VERSION_BUCKETS]; /* of a container, by id */
	struct handle *handles;    /* what is open */
	uint64_t clock, index_bytes;
};

static inline struct package *package_of(struct worker *w)
{
	return (struct package *)w;
}

/* --- package_version.c --- */

/* A version with a reference; takes the properties over, also on failure. */
struct version *version_new(struct package *p, const char *blob, struct blob_props *props,
			    struct err *err);
/* That of a container with this name and ETag: the one that is known, or a new one. */
struct version *version_get(struct package *p, const char *blob, struct blob_props *props,
			    struct err *err);
struct version *version_ref(struct version *v);
void version_unref(struct version *v);
void version_release(void *version); /* the same, for a listing */
/* The kernel knows one more inode number of it, or `n` less. */
void version_looked_up(struct version *v);
void version_forgotten(struct version *v, uint64_t n);

/* What an inode number means: the version with a reference (*entry: in it), or NULL. */
struct version *version_of_ino(struct package *p, fuse_ino_t ino, uint32_t *entry);
fuse_ino_t version_ino(const struct version *v, uint32_t entry);

/* --- package_index.c --- */

/* Look what it is and read its index. Blocks. */
int version_load(struct version *v, struct err *err);
/* True once, for each entry. */
bool version_tell(struct version *v, uint32_t entry);

/* --- package_load.c --- */

struct loader *loader_new(struct package *p, struct err *err);
/* Fail what waits, and what comes; wait for the threads (and for the network, unless
 * the clients were aborted). */
void loader_stop(struct loader *l);
void loader_free(struct loader *l);

/* Run a call that belongs to a version: now if its index is there, else later. Takes
 * over c->v's reference. */
void call_with_index(struct call *c);
/* The index (there now) and the version stay until the second one, which any thread
 * may call. Both take the lock. */
void version_keep_index(struct version *v);
void version_let_index(struct version *v);
/* Reply with an error. */
void call_fail(struct call *c, const struct err *err);
/* The errno of a failed read. */
int package_errno(const struct package *p, const struct err *err);

/* --- package_refresh.c --- */

/* List the container for the first time, then in the background. */
struct refresher *refresher_new(struct package *p, struct err *err);
void refresher_stop(struct refresher *r);
void refresher_free(struct refresher *r);
/* Somebody looks at names of the container: run the call now, or when a listing has
 * come if the last one is too old. */
void refresher_look(struct refresher *r, struct call *c);
/* How long the kernel may keep what it was told of names, seconds. */
double refresher_timeout(const struct refresher *r);
/* Why there is no newer listing; "" if all is well. */
void refresher_trouble(struct refresher *r, char *out, size_t size);

/* The newest listing, with a reference. */
struct listing *package_listing(struct package *p);

/* --- package_ops.c --- */

extern const struct fuse_lowlevel_ops package_ops;

/* --- package_dir.c: with the index there --- */

void dir_lookup(struct call *c);
void dir_getattr(struct call *c);
void dir_readdir(struct call *c);
void dir_readdirplus(struct call *c);
void dir_statfs(struct call *c);
void version_stat(const struct version *v, uint32_t entry, struct stat *st);

/* --- package_file.c; open with the index there --- */

/* Can each member of a mounted package be read, and so need not be opened? 0, or -1: no
 * memory. */
int file_choose_unopened(struct package *p, struct err *err);
void file_open(struct call *c);
void file_read(struct call *c);
/* Why an entry can't be read, an errno or 0: in the log once. With the index there. */
int file_refusal(struct version *v, uint32_t entry);
/* A read of it failed for a reason that was not logged elsewhere. */
void file_log_failure(const struct version *v, const struct err *err);

/* --- package_link.c; with the index there --- */

void file_readlink(struct call *c);

/* --- package_handle.c: what is open, until it is released or all ends --- */

struct handle {
	struct package *p;
	struct version *v;         /* of a file */
	struct listing *listing;   /* of a directory of a container */
	bool member;               /* else the blob itself */
	struct pack_entry entry;   /* path is ours */
	uint64_t directory;        /* where the central directory begins */
	atomic_uint start;         /* of a stored member's data, after its header's; 0: not known */
	struct handle *prev, *next;
};

/* Takes a reference of each. NULL: out of memory. */
struct handle *handle_new_file(struct version *v, uint32_t entry);
struct handle *handle_new_dir(struct package *p, struct listing *l);
void handle_free(struct handle *h);
static inline struct handle *handle_of(uint64_t fh)
{
	return (struct handle *)(uintptr_t)fh;
}

/* --- package_names.c: the names of a container --- */

bool names_is_dir(const struct package *p, fuse_ino_t ino);
void names_lookup(struct call *c);
void names_getattr(struct call *c);
void names_opendir(struct call *c);
void names_readdir(struct call *c);
void names_readdirplus(struct call *c);
void names_statfs(struct call *c);
/* Have the kernel forget the names that mean something else in `now`. Blocks. */
void names_invalidate(struct package *p, const struct listing *before, const struct listing *now);

/* --- package_open.c, package_state.c: struct worker_ops --- */

int package_open(struct worker *w, const char *dir, struct err *err);
int package_close(struct worker *w, struct err *err);
void package_ready(struct worker *w, json_t *event);
void package_status(struct worker *w, json_t *status);
json_t *package_stats(struct worker *w);
void package_report(struct worker *w, struct worker_report *out);

#endif
