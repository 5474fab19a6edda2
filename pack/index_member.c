/* index_member.c - one record of the central directory. */
#include <config.h>

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "pack/index_priv.h"
#include "pack/zip_format.h"

#define EXTRA_ZIP64 0x0001
#define EXTRA_NTFS 0x000a
#define EXTRA_TIMESTAMP 0x5455

#define HOST_UNIX 3
#define HOST_OSX 19

const uint8_t *zip_member_extra(const struct zip_member *m, uint16_t id, size_t *len)
{
	const uint8_t *p = m->extra;
	size_t left = m->extra_len, n;

	for (; left >= 4; p += 4 + n, left -= 4 + n) {
		n = zip_u16(p + 2);
		if (n > left - 4)
			break;
		if (zip_u16(p) == id) {
			*len = n;
			return p + 4;
		}
	}
	return NULL;
}

/* APPNOTE 4.5.3: those numbers are there that did not fit, in this order. */
static void complete(struct zip_member *m, uint32_t disk)
{
	size_t len = 0;
	const uint8_t *p = zip_member_extra(m, EXTRA_ZIP64, &len);
	uint64_t *numbers[] = { &m->size, &m->packed_size, &m->offset };

	for (size_t i = 0; i < 3; i++) {
		if (*numbers[i] != 0xffffffff)
			continue;
		/* Without the field it is just a number. */
		if (!p)
			break;
		if (len < 8) {
			m->broken = true;
			return;
		}
		*numbers[i] = zip_u64(p);
		p += 8;
		len -= 8;
	}
	if (disk == 0xffff && p && len >= 4)
		disk = zip_u32(p);
	if (disk)
		m->broken = true;
}

ssize_t zip_member_parse(struct zip_member *m, const uint8_t *p, size_t len)
{
	size_t length;

	if (len >= 4 && zip_u32(p) != ZIP_CENTRAL_SIG)
		return -1;
	if (len < ZIP_CENTRAL_SIZE)
		return 0;
	length = ZIP_CENTRAL_SIZE + (size_t)zip_u16(p + 28) + zip_u16(p + 30) + zip_u16(p + 32);
	if (len < length)
		return 0;
	*m = (struct zip_member){
		.host = p[5], .flags = zip_u16(p + 8), .method = zip_u16(p + 10),
		.dos_time = zip_u16(p + 12), .dos_date = zip_u16(p + 14), .crc = zip_u32(p + 16),
		.packed_size = zip_u32(p + 20), .size = zip_u32(p + 24), .offset = zip_u32(p + 42),
		.name_len = zip_u16(p + 28), .extra_len = zip_u16(p + 30),
		.attributes = zip_u32(p + 38), .name = p + ZIP_CENTRAL_SIZE,
		.extra = p + ZIP_CENTRAL_SIZE + zip_u16(p + 28),
	};
	complete(m, zip_u16(p + 34));
	return (ssize_t)length;
}

static int64_t dos_time(uint16_t date, uint16_t time)
{
	struct tm tm = {
		.tm_year = 80 + (date >> 9), .tm_mon = (date >> 5 & 15) - 1, .tm_mday = date & 31,
		.tm_hour = time >> 11, .tm_min = time >> 5 & 63, .tm_sec = (time & 31) * 2,
	};

	if (tm.tm_mon < 0 || tm.tm_mon > 11 || !tm.tm_mday || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 59)
		return 0;
	return timegm(&tm);
}

static int64_t mtime(const struct zip_member *m)
{
	const uint8_t *p;
	size_t len;

	p = zip_member_extra(m, EXTRA_TIMESTAMP, &len);
	if (p && len >= 5 && (p[0] & 1))
		return (int32_t)zip_u32(p + 1);
	p = zip_member_extra(m, EXTRA_NTFS, &len);
	/* 4 reserved bytes, then tag 1 of 24 bytes; 100 ns since 1601. */
	if (p && len >= 32 && zip_u16(p + 4) == 1 && zip_u16(p + 6) == 24 && zip_u64(p + 8) < INT64_MAX)
		return (int64_t)(zip_u64(p + 8) / 10000000) - 11644473600;
	return dos_time(m->dos_date, m->dos_time);
}

/* Permissions and type as Unix has them; 0 if it was written elsewhere. */
static unsigned unix_mode(const struct zip_member *m)
{
	return m->host == HOST_UNIX || m->host == HOST_OSX ? m->attributes >> 16 : 0;
}

static bool is_dir(const struct zip_member *m)
{
	return (m->name_len && m->name[m->name_len - 1] == '/') || S_ISDIR(unix_mode(m));
}

/* A fifo is what zip calls the file that it read from a pipe. */
bool zip_member_is_special(const struct zip_member *m)
{
	unsigned mode = unix_mode(m);

	return (S_ISCHR(mode) || S_ISBLK(mode) || S_ISSOCK(mode)) && !is_dir(m);
}

static enum pack_problem problem(const struct zip_member *m, enum pack_type type)
{
	if (m->flags & (ZIP_FLAG_ENCRYPTED | ZIP_FLAG_STRONG | ZIP_FLAG_MASKED) || m->method == ZIP_AES)
		return PACK_DATA_ENCRYPTED;
	if (m->broken || (type == PACK_DIR && m->size))
		return PACK_DATA_LIES;
	if (m->method != ZIP_STORED && m->method != ZIP_DEFLATED)
		return PACK_DATA_METHOD;
	if (m->method == ZIP_STORED && m->size != m->packed_size)
		return PACK_DATA_LIES;
	/* 258 bytes out of two bits is what deflate does at best. */
	if (m->method == ZIP_DEFLATED && m->size && (m->size - 1) / 1032 >= m->packed_size)
		return PACK_DATA_LIES;
	if (type == PACK_LINK && (!m->size || m->size > PACK_LINK_MAX))
		return PACK_DATA_LIES;
	return PACK_OK;
}

void zip_member_to_entry(const struct zip_member *m, struct pack_entry *e)
{
	unsigned mode = unix_mode(m);

	e->type = is_dir(m) ? PACK_DIR : S_ISLNK(mode) ? PACK_LINK : PACK_FILE;
	e->problem = (uint8_t)problem(m, (enum pack_type)e->type);
	e->header_offset = m->offset;
	e->packed_size = m->packed_size;
	e->size = m->size;
	e->crc = m->crc;
	e->method = m->method;
	e->mtime = mtime(m);
	e->mode = mode & 0777;
	if (!e->mode)
		e->mode = e->type == PACK_FILE ? 0644 : e->type == PACK_DIR ? 0755 : 0777;
	e->descriptor = m->flags & ZIP_FLAG_DESCRIPTOR;
}
