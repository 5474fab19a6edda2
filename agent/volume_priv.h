/*
 * volume_priv.h - between the files of the volume: not for others.
 */
#ifndef HPCPACK_AGENT_VOLUME_PRIV_H
#define HPCPACK_AGENT_VOLUME_PRIV_H

#include "agent/volume.h"

/* volume_probe.c */
int volume_probe_fd(int fd, const char *what, struct volume_table *out, struct err *err);

/* volume_driver.c: a filesystem that we know how to mount. */
struct volume_fs {
	const char *type;       /* by libblkid's name */
	const char *kernel;     /* by the kernel's name, also of its module */
	const char *fuse;       /* program of the FUSE driver; NULL: none good enough */
	const char *package;    /* that brings it */
	const char *defaults;   /* mount options that it always gets; NULL: none */
};
const struct volume_fs *volume_fs_find(const char *type);
/* Does the kernel have it, or get it by modprobe? */
bool volume_fs_in_kernel(const struct volume_fs *fs);
/* Where the FUSE driver is, into `path`. */
bool volume_fs_in_fuse(const struct volume_fs *fs, char *path, size_t size);
/* ERR_UNSUPPORTED that says what is missing. */
int volume_fs_missing(const char *what, const struct volume_part *part, bool kernel_allowed,
		      struct err *err);

/* volume_loop.c */
int loop_attach(const struct volume_wish *w, int disk_fd, const struct volume_part *part,
		struct volume *v, struct err *err);
void loop_path(int number, char *out, size_t size);
/* Tell it to go: at once, or when its last user has. */
void loop_detach(const struct volume *v);
/* From now on the kernel detaches it with its last user: also when nobody of us is
 * left who would. To be called once it is mounted. */
void loop_let_go(const struct volume *v);
bool loop_attached(const struct volume *v);
/* The device, so that it stays attached; -1 if it is not. */
int loop_open(const struct volume *v);
/* A file of /sys/block/loopN, as text; -1: there is none. */
int loop_attribute(int number, const char *name, char *out, size_t size);
/* The loop device whose file lies below `dir`, if there is one. */
void loop_find(const char *dir, struct volume *v);

/* volume_loop_tune.c */
/* Our read-ahead and size of requests; with `writing` little waits in
 * the kernel, and writes are not throttled by how long reads take. Where a
 * kernel has no such thing, or not the memory for it, it is as it ever was. */
void loop_tune(const struct volume *v, bool writing);
/* The kernel's usual values, before the device is given back: it keeps what is set,
 * for whoever attaches it next. Was it set for writing? */
bool loop_untune(const struct volume *v);

/* volume_mount.c: the kernel's filesystem on the loop device. */
int kernel_mount(const struct volume_wish *w, const struct volume_fs *fs, struct volume *v,
		 struct err *err);

/* volume_fuse.c: on `image`, that is the disk or a window of it. */
int fuse_driver_mount(const struct volume_wish *w, const struct volume_fs *fs,
		      const char *program, const char *image, struct volume *v, struct err *err);

#endif
