/*
 * fuse_mount.h - a FUSE mount of a worker: session, threads (fs/loop.h), and its
 * end, whatever operations it serves.
 */
#ifndef HPCPACK_FS_FUSE_MOUNT_H
#define HPCPACK_FS_FUSE_MOUNT_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>
#include <stddef.h>

#include "blob/base/err.h"

struct fuse_mount;

struct fuse_mount_options {
	const char *dir;         /* a folder to mount at */
	const char *source;      /* "account/container/blob", for mount(8) */
	const char *program;     /* for messages */
	const char *extra;       /* further options, ",ro"; "": none */
	bool allow_other;        /* others than the owner may come in */
	const struct fuse_lowlevel_ops *ops;
	void *userdata;          /* of the session */
	unsigned max_io;         /* of one request, bytes */
	unsigned threads;        /* 0: 4 */
	unsigned spare;          /* buffers for requests that are held (fs/loop.h) */
	/* The mount was taken away from outside. Once, on a FUSE thread. */
	void (*ended)(void *arg);
	void *arg;
};

/* Mount and serve. As root by mount(2), else through fusermount3. When this returns
 * the files can be opened. NULL and *err on failure. */
struct fuse_mount *fuse_mount_new(const struct fuse_mount_options *o, struct err *err);

struct fuse_session *fuse_mount_session(struct fuse_mount *f);

/* How far the kernel reads ahead of who reads a file in sequence, KiB, for root: libfuse
 * can only lower what is usual (128). Once the mount answers. Where /sys does not let
 * it, it stays as it is. */
void fuse_mount_read_ahead(const struct fuse_mount *f, unsigned kib);

/* Unmount; while somebody has a file open serve him and try again, for at most
 * `grace_ms`; then end the threads. False if it was still open: fuse_mount_free()
 * detaches it. Requests that wait for their replies may be under way after this. */
bool fuse_mount_unmount(struct fuse_mount *f, unsigned grace_ms);

/* Detach if need be, free. Every request must have been replied to; files give
 * errors to whoever still has them open. */
void fuse_mount_free(struct fuse_mount *f);

#endif
