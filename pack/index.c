/* index.c - reading the central directory. */
#include <config.h>

#include "pack/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "blob/base/cleanup.h"
#include "pack/index_priv.h"
#include "pack/opc_name.h"
#include "pack/zip_format.h"

#define DEFAULT_MEMBERS 4000000u
#define DEFAULT_DIRECTORY (1ull << 30)
#define MEMBERS_MAX (1u << 30)     /* what entry numbers hold, and then some */
#define WINDOW (16u << 20)         /* bytes of the directory at once */

int index_no_memory(const struct builder *b, struct err *err)
{
	return err_set(err, ERR_NO_MEMORY, "%s: out of memory", b->name);
}

static int bad_directory(const struct builder *b, const char *why, struct err *err)
{
	return err_set(err, ERR_FORMAT, "%s: its central directory %s: damaged, or not a zip or OPC package",
		       b->name, why);
}

static int add_member(struct builder *b, const struct zip_member *m, struct err *err)
{
	struct pack_index *index = b->index;
	uint32_t number = index->member_count++;
	struct pack_entry *e;

	if (index->member_count > b->limits.max_members)
		return err_set(err, ERR_UNSUPPORTED, "%s: more than %llu members, which is the limit",
			       b->name, (unsigned long long)b->limits.max_members);
	if (memchr(m->name, 0, m->name_len) || zip_member_is_special(m)) {
		if (index_add_bad(index, (const char *)m->name, m->name_len,
				  zip_member_is_special(m) ? PACK_NAME_SPECIAL : PACK_NAME_BYTES) < 0)
			return index_no_memory(b, err);
		return 0;
	}
	if (b->count == b->size) {
		uint32_t size = b->size + b->size / 2 + 16;

		e = reallocarray(b->members, size, sizeof(*e));
		if (!e)
			return index_no_memory(b, err);
		b->members = e;
		b->size = size;
	}
	e = &b->members[b->count];
	memset(e, 0, sizeof(*e));
	zip_member_to_entry(m, e);
	e->parent = number;
	e->end = m->name_len;
	e->path = index_text(b->arena, m);
	if (!e->path)
		return index_no_memory(b, err);
	if (!strcasecmp(e->path, OPC_CONTENT_TYPES))
		index->opc = true;
	b->count++;
	return 0;
}

/* What of it was read already with the end record is not read again. */
static int read_part(const struct builder *b, const struct pack_reader *reader, uint64_t at,
		     uint8_t *data, size_t len, struct err *err)
{
	const struct zip_end *end = &b->end;

	if (at < end->tail_start) {
		size_t n = end->tail_start - at < len ? (size_t)(end->tail_start - at) : len;

		if (reader->read(reader, at, data, n, err) < 0)
			return -1;
		at += n;
		data += n;
		len -= n;
	}
	if (len)
		memcpy(data, end->tail + (at - end->tail_start), len);
	return 0;
}

/* Members in the window; *used bytes of it are done with. */
static int parse_window(struct builder *b, const uint8_t *data, size_t len, size_t *used,
			struct err *err)
{
	struct zip_member m;
	ssize_t n;

	*used = 0;
	while (*used < len) {
		n = zip_member_parse(&m, data + *used, len - *used);
		if (n < 0)
			return bad_directory(b, "holds something else than members", err);
		if (!n)
			break;
		if (add_member(b, &m, err) < 0)
			return -1;
		*used += (size_t)n;
	}
	return 0;
}

static int read_directory(struct builder *b, const struct pack_reader *reader, struct err *err)
{
	uint64_t at = b->end.directory_offset, left = b->end.directory_size;
	size_t size = left < WINDOW ? (size_t)left : WINDOW, held = 0, used;
	cleanup_free uint8_t *data = malloc(size ? size : 1);

	if (!data)
		return index_no_memory(b, err);
	while (left || held) {
		size_t len = size - held < left ? size - held : (size_t)left;

		if (read_part(b, reader, at, data + held, len, err) < 0)
			return -1;
		at += len;
		left -= len;
		held += len;
		if (parse_window(b, data, held, &used, err) < 0)
			return -1;
		if (!used)
			return bad_directory(b, "ends in the middle of a member", err);
		held -= used;
		memmove(data, data + used, held);
	}
	/* Writers that know no zip64 count modulo 65536. */
	if (b->index->member_count != b->end.count &&
	    (b->end.zip64 || (uint16_t)b->index->member_count != b->end.count))
		return bad_directory(b, "holds another number of members than the end record says", err);
	return 0;
}

static int check_limits(const struct builder *b, struct err *err)
{
	const struct pack_limits *l = &b->limits;

	if (b->end.count > l->max_members)
		return err_set(err, ERR_UNSUPPORTED, "%s: %llu members, and %llu is the limit", b->name,
			       (unsigned long long)b->end.count, (unsigned long long)l->max_members);
	if (b->end.directory_size > l->max_directory)
		return err_set(err, ERR_UNSUPPORTED, "%s: its central directory has %llu bytes, and %llu is the limit",
			       b->name, (unsigned long long)b->end.directory_size,
			       (unsigned long long)l->max_directory);
	return 0;
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static int sum_up(const struct builder *b, struct err *err)
{
	struct pack_index *index = b->index;
	uint64_t unpacked = 0, packed = 0, ratio;

	for (uint32_t i = 0; i < index->count; i++) {
		const struct pack_entry *e = &index->entries[i];

		if (e->type == PACK_DIR)
			continue;
		index->file_count += !e->own;
		if (e->problem)
			continue;
		unpacked = add(unpacked, e->size);
		packed = add(packed, e->packed_size);
		if (!e->own)
			index->unpacked = add(index->unpacked, e->size);
	}
	if (b->limits.max_unpacked && unpacked > b->limits.max_unpacked)
		return err_set(err, ERR_UNSUPPORTED, "%s: it unpacks to %llu bytes, and %llu is the limit",
			       b->name, (unsigned long long)unpacked,
			       (unsigned long long)b->limits.max_unpacked);
	ratio = unpacked / (packed ? packed : 1);
	if (b->limits.max_ratio && unpacked > PACK_RATIO_FREE && ratio > b->limits.max_ratio)
		return err_set(err, ERR_UNSUPPORTED, "%s: it unpacks to %llu times its size (%llu bytes), and %llu times is the limit",
			       b->name, (unsigned long long)ratio, (unsigned long long)unpacked,
			       (unsigned long long)b->limits.max_ratio);
	return 0;
}

static int build(struct builder *b, const struct pack_reader *reader, struct err *err)
{
	struct pack_index *index = b->index;

	if (index_find_end(&b->end, reader, err) < 0)
		return -1;
	index->data_start = b->end.data_start;
	index->directory_offset = b->end.directory_offset;
	index->directory_size = b->end.directory_size;
	index->zip64 = b->end.zip64;
	if (check_limits(b, err) < 0 || read_directory(b, reader, err) < 0)
		return -1;
	free(steal_ptr(&b->end.tail));
	if (index_paths(b, err) < 0 || index_data(b, err) < 0 || index_tree(b, err) < 0)
		return -1;
	return sum_up(b, err);
}

int pack_index_open(struct pack_index *out, const struct pack_reader *reader,
		    const struct pack_limits *limits, struct err *err)
{
	struct builder b = { .index = out, .name = reader->name, .arena = arena_new() };
	int rc;

	memset(out, 0, sizeof(*out));
	out->arena = b.arena;
	if (!b.arena)
		return index_no_memory(&b, err);
	if (limits)
		b.limits = *limits;
	if (!b.limits.max_members)
		b.limits.max_members = DEFAULT_MEMBERS;
	if (b.limits.max_members > MEMBERS_MAX)
		b.limits.max_members = MEMBERS_MAX;
	if (!b.limits.max_directory)
		b.limits.max_directory = DEFAULT_DIRECTORY;
	rc = build(&b, reader, err);
	free(b.end.tail);
	free(b.members);
	if (rc < 0)
		pack_index_free(out);
	return rc;
}

void pack_index_free(struct pack_index *index)
{
	for (uint32_t i = 0; index->bad && i < PACK_BAD_KEPT; i++)
		free(index->bad[i].name);
	free(index->bad);
	free(index->entries);
	arena_free(index->arena);
	memset(index, 0, sizeof(*index));
}
