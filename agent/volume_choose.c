/*
 * Which part of a disk to mount.
 */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/volume.h"
#include "blob/base/buf.h"
#include "blob/base/cleanup.h"

/* Content that libblkid knows and that no filesystem driver can mount. */
static bool is_filesystem(const char *type)
{
	static const char *const others[] = { "swap", "swsuspend", "BitLocker", "jbd", "xfs_log",
					      "bcache", "DM_snapshot_cow", "VMFS_volume_member" };
	size_t len = strlen(type);

	if (!len || !strncmp(type, "crypto_", 7))
		return false;
	if (len > 7 && !strcmp(type + len - 7, "_member"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (!strcmp(type, others[i]))
			return false;
	return true;
}

static void add_size(struct buf *out, uint64_t size)
{
	static const char units[] = "BKMGTP";
	double shown = (double)size;
	int unit = 0;

	while (shown >= 1024 && unit < 5) {
		shown /= 1024;
		unit++;
	}
	if (unit == 0)
		buf_addf(out, "%" PRIu64 " B", size);
	else
		buf_addf(out, "%.*f %ciB", shown < 10 ? 1 : 0, shown, units[unit]);
}

/* "1: vfat, 512 MiB, "EFI"; 2: ext4, 20 GiB" */
static void list_parts(const struct volume_table *t, bool all, struct buf *out)
{
	const char *between = "";

	for (int i = 0; i < t->count; i++) {
		const struct volume_part *p = &t->parts[i];

		if (!all && !is_filesystem(p->type))
			continue;
		buf_addf(out, "%s%d: %s, ", between, p->number, p->type[0] ? p->type : "unknown");
		add_size(out, p->size);
		if (p->label[0])
			buf_addf(out, ", \"%s\"", p->label);
		between = "; ";
	}
}

static const struct volume_part *find_number(const struct volume_table *t, int wanted,
					     const char *what, struct err *err)
{
	cleanup_buf struct buf list = BUF_INIT(900);

	for (int i = 0; i < t->count; i++) {
		const struct volume_part *p = &t->parts[i];

		if (p->number != wanted)
			continue;
		if (is_filesystem(p->type))
			return p;
		err_set(err, ERR_FORMAT, "%s: no filesystem in partition %d (it holds %s); "
			"--raw gives the bare disk", what, wanted,
			p->type[0] ? p->type : "nothing that is known");
		return NULL;
	}
	if (!t->scheme[0]) {
		err_set(err, ERR_NOT_FOUND, "%s: no partition %d: the disk has no partition table",
			what, wanted);
		return NULL;
	}
	list_parts(t, true, &list);
	err_set(err, ERR_NOT_FOUND, "%s: no partition %d; there are: %s", what, wanted,
		buf_str(&list));
	return NULL;
}

const struct volume_part *volume_choose(const struct volume_table *t, int wanted,
					const char *what, struct err *err)
{
	cleanup_buf struct buf list = BUF_INIT(900);
	const struct volume_part *found = NULL;
	int count = 0;

	if (wanted)
		return find_number(t, wanted, what, err);
	for (int i = 0; i < t->count; i++)
		if (is_filesystem(t->parts[i].type)) {
			found = &t->parts[i];
			count++;
		}
	if (count == 1)
		return found;
	if (count > 1) {
		list_parts(t, false, &list);
		err_set(err, ERR_USAGE, "%s: several partitions hold a filesystem (%s); "
			"choose one with --partition N", what, buf_str(&list));
		return NULL;
	}
	if (t->scheme[0] || (t->count && t->parts[0].type[0])) {
		list_parts(t, true, &list);
		err_set(err, ERR_FORMAT, "%s: no filesystem found on the disk (%s); "
			"--raw gives the bare disk", what, buf_str(&list));
	} else {
		err_set(err, ERR_FORMAT, "%s: no filesystem found on the disk, and no partition "
			"table; --raw gives the bare disk, to make one with mkfs", what);
	}
	return NULL;
}
