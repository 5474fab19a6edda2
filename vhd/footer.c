#include <config.h>

#include "vhd/footer.h"

#include <errno.h>
#include <endian.h>
#include <inttypes.h>
#include <libvhdi.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blob/base/cleanup.h"

/* Where the fields lie, and what they must hold in a fixed disk's footer. */
enum {
	OFF_COOKIE = 0,
	OFF_FEATURES = 8,
	OFF_VERSION = 12,
	OFF_DATA_OFFSET = 16,
	OFF_CREATED = 24,
	OFF_CREATOR = 28,
	OFF_CREATOR_VERSION = 32,
	OFF_CREATOR_OS = 36,
	OFF_ORIGINAL_SIZE = 40,
	OFF_CURRENT_SIZE = 48,
	OFF_CYLINDERS = 56,
	OFF_HEADS = 58,
	OFF_SECTORS = 59,
	OFF_TYPE = 60,
	OFF_CHECKSUM = 64,
	OFF_UUID = 68,
	OFF_SAVED_STATE = 84,
};

#define COOKIE "conectix"
#define COOKIE_LEN 8
#define FEATURES_RESERVED 2u /* always set */
#define VERSION_1_0 0x00010000u
#define NO_DATA_OFFSET UINT64_MAX
#define SECTOR 512u

enum { TYPE_FIXED = 2, TYPE_DYNAMIC = 3, TYPE_DIFFERENCING = 4 };

#define CONVERT "qemu-img convert -f vpc -O vpc -o subformat=fixed,force_size=on OLD NEW"

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static void put16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

/* One's complement of the sum of all bytes but the checksum's own four. */
static uint32_t checksum(const uint8_t *f)
{
	uint32_t sum = 0;
	unsigned i;

	for (i = 0; i < VHD_FOOTER_SIZE; i++)
		if (i < OFF_CHECKSUM || i >= OFF_CHECKSUM + 4)
			sum += f[i];
	return ~sum;
}

bool vhd_footer_has_cookie(const void *footer)
{
	return !memcmp(footer, COOKIE, COOKIE_LEN);
}

/* Said before anything else is looked at: what a converter will write anew need
 * not be right. */
static int check_type_convertible(const uint8_t *f, const char *what, struct err *err)
{
	switch (get32(f + OFF_TYPE)) {
	case TYPE_DYNAMIC:
		return err_set(err, ERR_UNSUPPORTED,
			       "%s: is a dynamic VHD and can't be used in place; convert it: " CONVERT, what);
	case TYPE_DIFFERENCING:
		return err_set(err, ERR_UNSUPPORTED,
			       "%s: is a differencing VHD, which holds only what changed since its parent; "
			       "merge it into the parent (Merge-VHD), then convert that: " CONVERT, what);
	default:
		return 0;
	}
}

static int check_fields(const uint8_t *f, const char *what, struct err *err)
{
	uint32_t version = get32(f + OFF_VERSION), type = get32(f + OFF_TYPE);
	uint32_t stored = get32(f + OFF_CHECKSUM), sum = checksum(f);

	if (!vhd_footer_has_cookie(f))
		return err_set(err, ERR_FORMAT, "%s: is not a VHD, or was cut short: its last %u bytes "
			       "do not begin with \"" COOKIE "\"", what, VHD_FOOTER_SIZE);
	if (check_type_convertible(f, what, err) < 0)
		return -1;
	if (stored != sum)
		return err_set(err, ERR_FORMAT, "%s: the VHD footer is damaged: its checksum is %08" PRIx32
			       ", its bytes add up to %08" PRIx32, what, stored, sum);
	if (version != VERSION_1_0)
		return err_set(err, ERR_FORMAT, "%s: the VHD footer has format version %u.%u, only 1.0 exists",
			       what, version >> 16, version & 0xffff);
	if (type != TYPE_FIXED)
		return err_set(err, ERR_FORMAT, "%s: the VHD footer has disk type %" PRIu32
			       ", only 2 (fixed) can be used", what, type);
	if (get64(f + OFF_DATA_OFFSET) != NO_DATA_OFFSET)
		return err_set(err, ERR_FORMAT, "%s: the VHD footer of a fixed disk has data offset %016" PRIx64
			       " in place of all ones", what, get64(f + OFF_DATA_OFFSET));
	if (f[OFF_SAVED_STATE])
		return err_set(err, ERR_FORMAT, "%s: the VHD belongs to a virtual machine in saved state; "
			       "shut that machine down first", what);
	return 0;
}

/* The current size decides; the CHS geometry, mostly a little smaller, never. */
static int check_size(uint64_t size, uint64_t image_size, const char *what, struct err *err)
{
	if (!size || size % SECTOR)
		return err_set(err, ERR_FORMAT, "%s: the VHD footer has disk size %" PRIu64
			       ", which is not a positive multiple of %u", what, size, SECTOR);
	if (image_size < VHD_FOOTER_SIZE || size > image_size - VHD_FOOTER_SIZE)
		return err_set(err, ERR_FORMAT, "%s: cut short: the VHD footer has disk size %" PRIu64
			       ", the image holds only %" PRIu64 " bytes", what, size, image_size);
	if (size != image_size - VHD_FOOTER_SIZE)
		return err_set(err, ERR_FORMAT, "%s: the VHD footer has disk size %" PRIu64 ", but %" PRIu64
			       " bytes stand before it", what, size, image_size - VHD_FOOTER_SIZE);
	return 0;
}

static int vhdi_failed(libvhdi_error_t **error, const char *what, struct err *err)
{
	char text[512] = "";

	libvhdi_error_sprint(*error, text, sizeof(text));
	libvhdi_error_free(error);
	return err_set(err, ERR_FORMAT, "%s: libvhdi refuses the VHD footer: %s", what, text);
}

/* libvhdi reads files: give it one as large as the image that is all hole but
 * for the footer. Its media size is the footer's original size. */
static int check_with_vhdi(const uint8_t *f, uint64_t image_size, const char *what, struct err *err)
{
	cleanup_close int fd = memfd_create("vhd-footer", MFD_CLOEXEC);
	libvhdi_error_t *error = NULL;
	libvhdi_file_t *file = NULL;
	size64_t media_size = 0;
	uint32_t type = 0;
	char path[64];
	int rc = -1;

	if (fd < 0 || ftruncate(fd, (off_t)image_size) < 0 ||
	    pwrite(fd, f, VHD_FOOTER_SIZE, (off_t)(image_size - VHD_FOOTER_SIZE)) != VHD_FOOTER_SIZE)
		return err_set_errno(err, errno, "%s: can't lay the VHD footer out for libvhdi", what);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

	if (libvhdi_file_initialize(&file, &error) != 1 ||
	    libvhdi_file_open(file, path, LIBVHDI_OPEN_READ, &error) != 1 ||
	    libvhdi_file_get_disk_type(file, &type, &error) != 1 ||
	    libvhdi_file_get_media_size(file, &media_size, &error) != 1)
		vhdi_failed(&error, what, err);
	else if (type != LIBVHDI_DISK_TYPE_FIXED || media_size != get64(f + OFF_ORIGINAL_SIZE))
		err_set(err, ERR_FORMAT, "%s: libvhdi reads the VHD footer as disk type %" PRIu32
			" of %" PRIu64 " bytes", what, type, (uint64_t)media_size);
	else
		rc = 0;
	if (file)
		libvhdi_file_free(&file, NULL);
	return rc;
}

int vhd_footer_check(const void *footer, uint64_t image_size, const char *what,
		     struct vhd_footer *out, struct err *err)
{
	const uint8_t *f = footer;
	uint64_t size = get64(f + OFF_CURRENT_SIZE);

	if (check_fields(f, what, err) < 0 || check_size(size, image_size, what, err) < 0 ||
	    check_with_vhdi(f, image_size, what, err) < 0)
		return -1;
	memset(out, 0, sizeof(*out));
	out->disk_size = size;
	out->original_size = get64(f + OFF_ORIGINAL_SIZE);
	out->created = get32(f + OFF_CREATED);
	memcpy(out->creator, f + OFF_CREATOR, 4);
	memcpy(out->uuid, f + OFF_UUID, sizeof(out->uuid));
	return 0;
}

/* Cylinders, heads and sectors per track: the specification's appendix. */
static void put_geometry(uint8_t *f, uint64_t disk_size)
{
	const uint32_t most = 65535u * 16 * 255;
	uint64_t sectors = disk_size / SECTOR;
	uint32_t total = sectors > most ? most : (uint32_t)sectors;
	uint32_t per_track, heads, cylinder_heads;

	if (total >= 65535u * 16 * 63) {
		per_track = 255;
		heads = 16;
		cylinder_heads = total / per_track;
	} else {
		per_track = 17;
		cylinder_heads = total / per_track;
		heads = (cylinder_heads + 1023) / 1024;
		if (heads < 4)
			heads = 4;
		if (cylinder_heads >= heads * 1024 || heads > 16) {
			per_track = 31;
			heads = 16;
			cylinder_heads = total / per_track;
		}
		if (cylinder_heads >= heads * 1024) {
			per_track = 63;
			heads = 16;
			cylinder_heads = total / per_track;
		}
	}
	put16(f + OFF_CYLINDERS, (uint16_t)(cylinder_heads / heads));
	f[OFF_HEADS] = (uint8_t)heads;
	f[OFF_SECTORS] = (uint8_t)per_track;
}

/* The creator is Windows: some versions of qemu believe the geometry rather than
 * the size of most others. */
void vhd_footer_build(void *footer, uint64_t disk_size, const uint8_t uuid[16], uint32_t created)
{
	uint8_t *f = footer;

	memset(f, 0, VHD_FOOTER_SIZE);
	memcpy(f + OFF_COOKIE, COOKIE, COOKIE_LEN);
	put32(f + OFF_FEATURES, FEATURES_RESERVED);
	put32(f + OFF_VERSION, VERSION_1_0);
	put64(f + OFF_DATA_OFFSET, NO_DATA_OFFSET);
	put32(f + OFF_CREATED, created);
	memcpy(f + OFF_CREATOR, "win ", 4);
	put32(f + OFF_CREATOR_VERSION, 0x000a0000);
	memcpy(f + OFF_CREATOR_OS, "Wi2k", 4);
	put64(f + OFF_ORIGINAL_SIZE, disk_size);
	put64(f + OFF_CURRENT_SIZE, disk_size);
	put_geometry(f, disk_size);
	put32(f + OFF_TYPE, TYPE_FIXED);
	memcpy(f + OFF_UUID, uuid, 16);
	put32(f + OFF_CHECKSUM, checksum(f));
}

static int read_at(int fd, const char *path, void *data, size_t len, uint64_t offset, struct err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)data + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(err, errno, "%s: can't read", path);
		if (!n)
			return err_set(err, ERR_FORMAT, "%s: shrank while it was read", path);
		done += (size_t)n;
	}
	return 0;
}

/* A dynamic disk has a copy of its footer at its start; when its end is lost,
 * this is still the better thing to say. */
static int check_head(int fd, const char *path, uint64_t size, struct err *err)
{
	uint8_t head[VHD_FOOTER_SIZE];

	if (size < sizeof(head))
		return 0;
	if (read_at(fd, path, head, sizeof(head), 0, err) < 0)
		return -1;
	return vhd_footer_has_cookie(head) ? check_type_convertible(head, path, err) : 0;
}

int vhd_footer_of_file(int fd, const char *path, struct vhd_footer *out,
		       uint8_t footer[VHD_FOOTER_SIZE], uint64_t *image_size, struct err *err)
{
	off_t end = lseek(fd, 0, SEEK_END);
	uint64_t size = (uint64_t)end;
	size_t len = VHD_FOOTER_SIZE;

	memset(footer, 0, VHD_FOOTER_SIZE);
	if (end < 0)
		return err_set_errno(err, errno, "%s: can't find its end", path);
	if (size % SECTOR == SECTOR - 1)
		len = VHD_FOOTER_SIZE - 1;
	if (size >= len && read_at(fd, path, footer, len, size - len, err) < 0)
		return -1;
	if (!vhd_footer_has_cookie(footer) && check_head(fd, path, size, err) < 0)
		return -1;
	*image_size = size < len ? size : size - len + VHD_FOOTER_SIZE;
	return vhd_footer_check(footer, *image_size, path, out, err);
}
