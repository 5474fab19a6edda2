/*
 * drive_file.h - the FUSE operations of a drive's mount: a folder, the file `disk`
 * in it and, once there is a window, the file `part`. Between drive_fuse.c, which
 * mounts, and drive_file.c.
 */
#ifndef HPCPACK_FS_DRIVE_FILE_H
#define HPCPACK_FS_DRIVE_FILE_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "vhd/disk.h"

/* What `part` shows. Closed at first; set once, then `open`, and never changed. */
struct drive_window {
	uint64_t offset, size;
	atomic_bool open;
};

/* Userdata of the session. */
struct drive_file {
	struct disk *disk;       /* borrowed */
	bool read_only, allow_other;
	unsigned max_io;         /* of one request, bytes */
	time_t since;            /* all times of the files */
	struct drive_window window;
};

#define DRIVE_MAX_BACKGROUND 64

extern const struct fuse_lowlevel_ops drive_file_ops;

#endif
