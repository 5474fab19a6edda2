/*
 * What is on a disk: partitions and filesystems, by libblkid (its only user).
 */
#include <config.h>

#include <blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/volume_priv.h"
#include "blob/base/cleanup.h"

static void free_probep(blkid_probe *pr)
{
	blkid_free_probe(*pr);
}
#define cleanup_probe cleanup_with(free_probep)

static void copy_value(blkid_probe pr, const char *name, char *out, size_t size)
{
	const char *value;

	if (blkid_probe_lookup_value(pr, name, &value, NULL) < 0)
		value = "";
	snprintf(out, size, "%s", value);
}

/* The content of one stretch of the disk; none known is not a failure. */
static int probe_part(int fd, const char *what, struct volume_part *p, struct err *err)
{
	cleanup_probe blkid_probe pr = blkid_new_probe();
	int rc;

	if (!pr)
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", what);
	if (blkid_probe_set_device(pr, fd, (blkid_loff_t)p->offset, (blkid_loff_t)p->size) < 0)
		return err_set_errno(err, errno, "%s: could not read the disk", what);
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL);
	errno = 0;
	rc = blkid_do_safeprobe(pr);
	if (rc == -2)
		return err_set(err, ERR_FORMAT,
			       "%s: partition %d holds the marks of more than one filesystem; "
			       "remove the old one with wipefs", what, p->number);
	if (rc < 0)
		return err_set_errno(err, errno ? errno : EIO, "%s: could not read the disk", what);
	copy_value(pr, "TYPE", p->type, sizeof(p->type));
	copy_value(pr, "LABEL", p->label, sizeof(p->label));
	return 0;
}

static int probe_partitions(int fd, blkid_partlist list, const char *what,
			    struct volume_table *out, struct err *err)
{
	int count = blkid_partlist_numof_partitions(list);

	for (int i = 0; i < count && out->count < (int)ARRAY_LEN(out->parts); i++) {
		blkid_partition found = blkid_partlist_get_partition(list, i);
		struct volume_part *p = &out->parts[out->count];

		if (!found || blkid_partition_is_extended(found))
			continue;
		p->number = blkid_partition_get_partno(found);
		p->offset = (uint64_t)blkid_partition_get_start(found) * 512;
		p->size = (uint64_t)blkid_partition_get_size(found) * 512;
		if (!p->size)
			continue;
		if (probe_part(fd, what, p, err) < 0)
			return -1;
		out->count++;
	}
	return 0;
}

static bool any_content(const struct volume_table *t)
{
	for (int i = 0; i < t->count; i++)
		if (t->parts[i].type[0])
			return true;
	return false;
}

/*
 * The partition table counts when one of its partitions holds something: a disk
 * may carry the superblock of an older life in its first sectors. With no table,
 * or an empty one, the whole disk is looked at as one part.
 */
int volume_probe_fd(int fd, const char *what, struct volume_table *out, struct err *err)
{
	cleanup_probe blkid_probe pr = blkid_new_probe();
	blkid_partlist list;
	blkid_parttable table;
	struct volume_part whole;

	memset(out, 0, sizeof(*out));
	if (!pr)
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", what);
	if (blkid_probe_set_device(pr, fd, 0, 0) < 0)
		return err_set_errno(err, errno, "%s: could not read the disk", what);
	blkid_probe_enable_partitions(pr, 1);
	list = blkid_probe_get_partitions(pr);
	table = list ? blkid_partlist_get_table(list) : NULL;
	if (table) {
		snprintf(out->scheme, sizeof(out->scheme), "%s", blkid_parttable_get_type(table));
		if (probe_partitions(fd, list, what, out, err) < 0)
			return -1;
		if (any_content(out))
			return 0;
	}
	memset(&whole, 0, sizeof(whole));
	whole.size = (uint64_t)blkid_probe_get_size(pr);
	if (probe_part(fd, what, &whole, err) < 0)
		return -1;
	if (whole.type[0] || !out->count) {
		out->parts[0] = whole;
		out->count = 1;
		out->scheme[0] = '\0';
	}
	return 0;
}

int volume_probe(const char *disk_path, struct volume_table *out, struct err *err)
{
	cleanup_close int fd = open(disk_path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set_errno(err, errno, "%s", disk_path);
	return volume_probe_fd(fd, disk_path, out, err);
}
