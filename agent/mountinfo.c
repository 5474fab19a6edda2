#include <config.h>

#include "agent/mountinfo.h"

#include <libmount.h>
#include <stdio.h>
#include <string.h>

#include "blob/base/cleanup.h"

static void unref_tablep(struct libmnt_table **t)
{
	mnt_unref_table(*t);
}
#define cleanup_table cleanup_with(unref_tablep)

static void unref_iterp(struct libmnt_iter **it)
{
	mnt_free_iter(*it);
}
#define cleanup_iter cleanup_with(unref_iterp)

/* mnt_new_table_from_file() and no more: libmount's own look-ups resolve paths,
 * and that can hang on a mount whose server is gone. */
static struct libmnt_table *read_table(void)
{
	return mnt_new_table_from_file("/proc/self/mountinfo");
}

bool mountinfo_at(const char *path, struct mountinfo *out)
{
	cleanup_table struct libmnt_table *t = read_table();
	cleanup_iter struct libmnt_iter *it = mnt_new_iter(MNT_ITER_BACKWARD);
	struct libmnt_fs *fs;

	/* The last line for a target is the mount on top. */
	while (t && it && mnt_table_next_fs(t, it, &fs) == 0) {
		const char *target = mnt_fs_get_target(fs);
		const char *source = mnt_fs_get_source(fs);
		const char *type = mnt_fs_get_fstype(fs);

		if (!target || strcmp(target, path))
			continue;
		if (out) {
			out->device = mnt_fs_get_devno(fs);
			snprintf(out->source, sizeof(out->source), "%s", source ? source : "");
			snprintf(out->fstype, sizeof(out->fstype), "%s", type ? type : "");
		}
		return true;
	}
	return false;
}

int mountinfo_below(const char *path, int max, struct buf *out)
{
	cleanup_table struct libmnt_table *t = read_table();
	cleanup_iter struct libmnt_iter *it = mnt_new_iter(MNT_ITER_FORWARD);
	size_t len = strlen(path);
	struct libmnt_fs *fs;
	int count = 0;

	while (t && it && mnt_table_next_fs(t, it, &fs) == 0) {
		const char *target = mnt_fs_get_target(fs);

		if (!target || strncmp(target, path, len) || target[len] != '/')
			continue;
		if (count++ < max)
			buf_addf(out, "%s%s", out->len ? ", " : "", target);
	}
	return count;
}
