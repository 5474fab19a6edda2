/*
 * index_end.c - where the central directory is.
 *
 * The end record is looked for from the end backwards, because a comment or other
 * bytes may stand behind it. Whatever looks like one must fit: the directory lies
 * right in front of it (or, if bytes in between don't count, where it says), and the
 * archive begins where the two agree that offset 0 is. Bytes in front of an archive
 * are fine, and bytes behind it; both at once is how a zip looks that is a member of
 * another one that was cut off, and is refused.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "pack/index_priv.h"
#include "pack/zip_format.h"

#define TAIL_FIRST (128u << 10) /* bytes at the end that are read first */
#define TAIL_MAX (1u << 20)     /* and if no end record is there */

struct tail {
	const uint8_t *data;
	size_t len;
	uint64_t start;      /* of data, in the reader */
	const char *name;
};

/* What an end record and its zip64 companion say. */
struct claim {
	uint64_t offset, size, count, count_here;
	uint32_t disk, directory_disk;
	uint64_t position;   /* where the directory should end, in the reader */
	bool zip64;
};

static bool has_signature(const struct tail *t, uint64_t at, uint32_t sig)
{
	return at >= t->start && at - t->start <= t->len && t->len - (at - t->start) >= 4 &&
	       zip_u32(t->data + (at - t->start)) == sig;
}

static int no_sense(const struct tail *t, const char *why, struct err *err)
{
	return err_set(err, ERR_FORMAT, "%s: its end record makes no sense (%s): not a zip or OPC package, or damaged",
		       t->name, why);
}

/* Numbers that did not fit the end record stand in the zip64 one. Other than its
 * own offset nothing is taken from the locator. */
static int read_zip64(const struct tail *t, size_t end, struct claim *c, struct err *err)
{
	const uint8_t *locator = t->data + end - ZIP_LOCATOR_SIZE, *p;
	uint64_t at, here;

	if (end < ZIP_LOCATOR_SIZE || zip_u32(locator) != ZIP_LOCATOR_SIG)
		return 0;
	here = t->start + end - ZIP_LOCATOR_SIZE;
	at = zip_u64(locator + 8);
	/* With bytes in front of the archive it is elsewhere: right in front, then. */
	if (at > here || !has_signature(t, at, ZIP_END64_SIG) || here - at < ZIP_END64_SIZE)
		at = here < ZIP_END64_SIZE ? 0 : here - ZIP_END64_SIZE;
	if (!has_signature(t, at, ZIP_END64_SIG) || here - at < ZIP_END64_SIZE)
		return no_sense(t, "there is no zip64 end record where it points to", err);
	p = t->data + (at - t->start);
	*c = (struct claim){
		.offset = zip_u64(p + 48), .size = zip_u64(p + 40), .count = zip_u64(p + 32),
		.count_here = zip_u64(p + 24), .disk = zip_u32(p + 16),
		.directory_disk = zip_u32(p + 20), .position = at, .zip64 = true,
	};
	return 0;
}

/* The zip64 record may only complete the other one, not contradict it: readers that
 * know only one of them would see another package. */
static bool agree(const uint8_t *end, const struct claim *c)
{
	return (zip_u16(end + 10) == 0xffff || zip_u16(end + 10) == c->count) &&
	       (zip_u32(end + 12) == 0xffffffff || zip_u32(end + 12) == c->size) &&
	       (zip_u32(end + 16) == 0xffffffff || zip_u32(end + 16) == c->offset);
}

static int place(const struct tail *t, const struct claim *c, struct zip_end *out, struct err *err)
{
	uint64_t start;

	if (c->size > c->position)
		return no_sense(t, "its directory would begin before the file", err);
	if (c->count > c->size / ZIP_CENTRAL_SIZE)
		return no_sense(t, "more members than its directory has room for", err);
	start = c->position - c->size;
	*out = (struct zip_end){ .directory_size = c->size, .count = c->count, .zip64 = c->zip64 };
	if (c->count && start >= t->start && !has_signature(t, start, ZIP_CENTRAL_SIG) &&
	    c->offset < start) {
		/* Something stands between the directory and the end record. */
		if (c->offset >= t->start && !has_signature(t, c->offset, ZIP_CENTRAL_SIG))
			return no_sense(t, "no directory where it points to", err);
		start = c->offset;
	}
	if (c->offset > start)
		return no_sense(t, "its directory would lie behind it", err);
	out->directory_offset = start;
	out->data_start = start - c->offset;
	return 0;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	return !len || (!*p && !memcmp(p, p + 1, len - 1));
}

/* Is it an end record that stands at t->data + end? */
static int try_end(const struct tail *t, size_t end, struct zip_end *out, struct err *err)
{
	const uint8_t *p = t->data + end;
	size_t length = ZIP_END_SIZE + (size_t)zip_u16(p + 20);
	struct claim c = {
		.offset = zip_u32(p + 16), .size = zip_u32(p + 12), .count = zip_u16(p + 10),
		.count_here = zip_u16(p + 8), .disk = zip_u16(p + 4),
		.directory_disk = zip_u16(p + 6), .position = t->start + end,
	};

	if (length > t->len - end)
		return no_sense(t, "its comment is cut off", err);
	if (read_zip64(t, end, &c, err) < 0)
		return -1;
	if (c.zip64 && !agree(p, &c))
		return no_sense(t, "the zip64 record says something else", err);
	if (c.disk || c.directory_disk || c.count != c.count_here)
		return err_set(err, ERR_UNSUPPORTED, "%s: a part of an archive that is split over several files",
			       t->name);
	if (place(t, &c, out, err) < 0)
		return -1;
	if (out->data_start && !all_zero(p + length, t->len - end - length))
		return no_sense(t, "the archive has foreign bytes in front of it and behind it", err);
	return 0;
}

static int search(const struct tail *t, struct zip_end *out, bool *seen, struct err *err)
{
	struct err why;

	for (size_t i = t->len - ZIP_END_SIZE + 1; i-- > 0;) {
		if (zip_u32(t->data + i) != ZIP_END_SIG)
			continue;
		if (try_end(t, i, out, &why) == 0)
			return 0;
		if (!*seen && err)
			*err = why;
		*seen = true;
	}
	return -1;
}

/* There is no end record: what is it, then? */
static int explain(const struct pack_reader *reader, struct err *err)
{
	uint8_t start[4];

	if (reader->read(reader, 0, start, sizeof(start), err) < 0)
		return -1;
	if (zip_u32(start) == ZIP_LOCAL_SIG)
		return err_set(err, ERR_FORMAT, "%s: truncated: it begins as a zip or OPC package, and its end is missing",
			       reader->name);
	return err_set(err, ERR_FORMAT, "%s: not a zip or OPC package", reader->name);
}

static int search_last(const struct pack_reader *reader, size_t len, struct zip_end *out,
		       bool *seen, struct err *err)
{
	cleanup_free uint8_t *data = malloc(len);
	struct tail t = { .data = data, .len = len, .start = reader->size - len, .name = reader->name };

	if (!data)
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", reader->name);
	if (reader->read(reader, t.start, data, len, err) < 0)
		return -1;
	if (search(&t, out, seen, err) < 0)
		return 0;
	out->tail_start = t.start;
	out->tail = steal_ptr(&data);
	return 1;
}

int index_find_end(struct zip_end *out, const struct pack_reader *reader, struct err *err)
{
	static const size_t lengths[] = { TAIL_FIRST, TAIL_MAX };
	bool seen = false;

	if (!reader->size)
		return err_set(err, ERR_FORMAT, "%s: empty, so not a zip or OPC package", reader->name);
	if (reader->size < ZIP_END_SIZE)
		return err_set(err, ERR_FORMAT, "%s: not a zip or OPC package", reader->name);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		size_t len = reader->size < lengths[i] ? (size_t)reader->size : lengths[i];
		int rc = search_last(reader, len, out, &seen, err);

		if (rc)
			return rc < 0 ? -1 : 0;
		if (len == reader->size)
			break;
	}
	return seen ? -1 : explain(reader, err);
}
