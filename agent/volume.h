/*
 * volume.h - from the worker's `disk` file to files at a mount point: loop
 * device, partition, filesystem, driver; and the way back.
 *
 * Kernel drivers through a loop device in direct-I/O mode for root; FUSE drivers
 * (ntfs-3g, fuse2fs, exfat-fuse) on the `disk` file for everybody else and for
 * what the kernel lacks. Blocking; called on the thread of one request.
 */
#ifndef HPCPACK_AGENT_VOLUME_H
#define HPCPACK_AGENT_VOLUME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "blob/base/buf.h"
#include "blob/base/err.h"

/* What libblkid found on a disk. */
struct volume_part {
	int number;              /* as in the partition table; 0: the whole disk */
	uint64_t offset, size;   /* bytes */
	char type[32];           /* filesystem (or other content) by libblkid's name;
	                          * "" if none known */
	char label[128];
};
struct volume_table {
	struct volume_part parts[128];
	int count;
	char scheme[16];         /* "gpt", "dos", "" */
};
int volume_probe(const char *disk_path, struct volume_table *out, struct err *err);

/* The part to mount: number `wanted` (0: the only one with a filesystem). None,
 * several (the message lists them with number, filesystem, size, label) and no
 * such partition are errors of their own. */
const struct volume_part *volume_choose(const struct volume_table *t, int wanted,
					const char *what, struct err *err);

enum volume_driver {
	VOLUME_KERNEL,
	VOLUME_FUSE,
	VOLUME_BIND,    /* --raw for root: the worker's folder, bound to the mount point */
	VOLUME_DIRECT,  /* --raw for others: the worker mounts itself there */
};
const char *volume_driver_name(enum volume_driver d);   /* "kernel", "fuse", ... */

struct volume {
	char filesystem[32];
	enum volume_driver driver;
	int partition;
	int loop;                /* number of the loop device; -1: none */
	uint64_t loop_sequence;  /* the kernel's number for this attachment, so that
	                          * a loop device used anew is not taken for ours */
	pid_t helper;            /* the FUSE driver's keeper; 0: none */
	uint64_t helper_start;   /* its start time: pids are used anew */
	dev_t device;            /* st_dev of the mounted filesystem */
	char mountpoint[4096];   /* "": nothing is attached */
};

struct volume_wish {
	const char *disk_path;   /* RUNTIME/mounts/ID/fs/disk */
	const char *what;        /* the blob, for messages */
	const char *mountpoint;  /* exists, is a directory, is not in use */
	const char *options;     /* further mount options or NULL */
	int partition;
	bool read_only;
	bool snapshot;           /* read-only for people, but the journal is replayed
	                          * (into the worker's overlay) */
	uid_t uid; gid_t gid;    /* who asked: a FUSE driver runs as that */
	bool kernel_allowed;     /* root, or the configuration lets users */
	const char *driver_path; /* the program hpcpack-fusedriver */
	const char *log_path;    /* what a FUSE driver prints goes there */
	/* Have the worker show part of the disk as the file `window_path`, for FUSE
	 * drivers that know nothing of partitions. */
	int (*window)(void *arg, uint64_t offset, uint64_t size, struct err *err);
	void *window_arg;
	const char *window_path;
};

/* Attach and mount. On failure nothing stays attached or mounted. */
int volume_attach(const struct volume_wish *w, struct volume *out, struct err *err);

/* --raw: `fs_dir` is the worker's FUSE mount. Bind it to the mount point, unless
 * it is the mount point. */
int volume_attach_raw(const char *fs_dir, const char *mountpoint, bool read_only,
		      struct volume *out, struct err *err);

/*
 * Sync (unless lazy) and unmount, and tell loop device and driver to go. Busy: ERR_BUSY, the
 * message lists the processes (name and pid) that keep it so, at most five; then
 * nothing has changed. `lazy`: MNT_DETACH, and what is busy goes when its last
 * user does. What is gone already is no error. A sync that failed does not stop
 * the unmounting: then `unsynced` (ERR_NONE else) says so.
 */
int volume_detach(const struct volume *v, bool lazy, struct err *unsynced, struct err *err);

/* For a volume whose worker is dead: detach it lazily; where the agent is root, its
 * mount point is covered at the same time (agent/guard.h), for that user. -1: one
 * of both failed. */
int volume_give_up(const struct volume *v, uid_t uid, gid_t gid, struct err *err);

/* After volume_detach(): have the loop device and the driver gone? Until then the
 * worker must stay. volume_wait_released() waits at most so long. */
bool volume_released(const struct volume *v);
bool volume_wait_released(const struct volume *v, unsigned timeout_ms);

/* Is something mounted there that is this volume? */
bool volume_mounted(const struct volume *v);

/* For what an agent left half done when it died: learn from the mount at
 * v->mountpoint, and from the loop devices whose file lies below `dir`, what there
 * is to detach. */
void volume_recognise(struct volume *v, const char *dir);

/* Who uses the filesystem with this st_dev, or has something mounted below
 * `mountpoint`: "bash (4711), less (4712)", at most five; the number found.
 * `out` may be NULL. */
int volume_users(dev_t device, const char *mountpoint, struct buf *out);

#endif
