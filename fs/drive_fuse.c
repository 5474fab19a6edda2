#include <config.h>

#include "fs/drive_fuse.h"

#include <inttypes.h>
#include <stdlib.h>

#include "fs/drive_file.h"
#include "fs/fuse_mount.h"

#define MAX_IO (1u << 20)
#define PAGE 4096u
#define SECTOR 512

struct drive_fuse {
	struct drive_file file;
	struct fuse_mount *mount;
};

struct drive_fuse *drive_fuse_mount(struct disk *disk, const struct drive_fuse_options *o,
				    struct err *err)
{
	struct drive_fuse *f = calloc(1, sizeof(*f));
	struct fuse_mount_options m = { .dir = o->dir, .source = o->source, .program = "hpcpack-drive",
					.extra = "", .allow_other = o->allow_other, .ops = &drive_file_ops,
					.threads = o->threads, .spare = DRIVE_MAX_BACKGROUND,
					.ended = o->ended, .arg = o->arg };

	if (!f) {
		err_set(err, ERR_NO_MEMORY, "out of memory for the FUSE mount");
		return NULL;
	}
	f->file = (struct drive_file) { .disk = disk, .read_only = o->read_only,
					.allow_other = o->allow_other, .since = time(NULL) };
	f->file.max_io = disk_max_io(disk) < MAX_IO ? disk_max_io(disk) & ~(PAGE - 1) : MAX_IO;
	m.userdata = &f->file;
	m.max_io = f->file.max_io;
	f->mount = fuse_mount_new(&m, err);
	if (f->mount)
		return f;
	free(f);
	return NULL;
}

int drive_fuse_window(struct drive_fuse *f, uint64_t offset, uint64_t size, struct err *err)
{
	struct drive_window *w = &f->file.window;
	uint64_t end = disk_size(f->file.disk);

	if (!size || offset % SECTOR || size % SECTOR || offset > end || size > end - offset)
		return err_set(err, ERR_USAGE, "%" PRIu64 " bytes from %" PRIu64 " on are not whole sectors of "
			       "a disk of %" PRIu64 " bytes", size, offset, end);
	if (atomic_load(&w->open)) {
		if (w->offset == offset && w->size == size)
			return 0;
		return err_set(err, ERR_BUSY, "another part of the disk is shown already: %" PRIu64
			       " bytes from %" PRIu64, w->size, w->offset);
	}
	w->offset = offset;
	w->size = size;
	atomic_store(&w->open, true);
	return 0;
}

bool drive_fuse_unmount(struct drive_fuse *f, unsigned grace_ms)
{
	return fuse_mount_unmount(f->mount, grace_ms);
}

void drive_fuse_free(struct drive_fuse *f)
{
	fuse_mount_free(f->mount);
	free(f);
}
