/*
 * index_name.c - from the bytes of a name to a path in the tree.
 *
 * First every name becomes text; only when all were seen it is known whether this
 * is an OPC package, whose names are decoded once more. Then each becomes a path
 * without empty parts and ".", or is refused.
 */
#include <config.h>

#include <isa-l/crc.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "pack/cp437.h"
#include "pack/index_priv.h"
#include "pack/opc_name.h"
#include "pack/utf8.h"
#include "pack/zip_format.h"

#define EXTRA_UNICODE_PATH 0x7075

#define BAD_NAME_MAX 200u /* bytes of a name in a message */

/* APPNOTE 4.6.9: version 1, the CRC of the other name, the name. */
static const uint8_t *unicode_path(const struct zip_member *m, size_t *len)
{
	size_t n;
	const uint8_t *p = zip_member_extra(m, EXTRA_UNICODE_PATH, &n);

	if (!p || n < 6 || p[0] != 1 || zip_u32(p + 1) != crc32_gzip_refl(0, m->name, m->name_len) ||
	    !utf8_valid((const char *)p + 5, n - 5))
		return NULL;
	*len = n - 5;
	return p + 5;
}

static const char *copy(struct arena *arena, const void *text, size_t len)
{
	char *out = arena_text(arena, len + 1);

	if (!out)
		return NULL;
	if (len)
		memcpy(out, text, len);
	out[len] = '\0';
	return out;
}

const char *index_text(struct arena *arena, const struct zip_member *m)
{
	const uint8_t *unicode;
	size_t len;
	char *out;

	/* A bit that says UTF-8 may lie; then it is what it was before that bit. */
	if (!(m->flags & ZIP_FLAG_UTF8) && (unicode = unicode_path(m, &len)))
		return copy(arena, unicode, len);
	if (utf8_valid((const char *)m->name, m->name_len))
		return copy(arena, m->name, m->name_len);
	out = arena_text(arena, CP437_MAX * (size_t)m->name_len + 1);
	if (!out)
		return NULL;
	len = cp437_to_utf8(out, m->name, m->name_len);
	out[len] = '\0';
	arena_shrink(arena, out, len + 1);
	return out;
}

char *pack_printable(const char *raw, size_t len)
{
	bool text = utf8_valid(raw, len);
	struct buf out = BUF_INIT(SIZE_MAX);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)raw[i];

		if (out.len >= BAD_NAME_MAX && (c & 0xc0) != 0x80) {
			buf_addstr(&out, "...");
			break;
		}
		if (c < 0x20 || c == 0x7f || (c >= 0x80 && !text))
			buf_addf(&out, "\\x%02x", c);
		else
			buf_add(&out, raw + i, 1);
	}
	return buf_steal(&out);
}

int index_add_bad(struct pack_index *index, const char *raw, size_t len, enum pack_problem problem)
{
	char *name;

	index->bad_count++;
	if (index->bad_count > PACK_BAD_KEPT)
		return 0;
	if (!index->bad) {
		index->bad = calloc(PACK_BAD_KEPT, sizeof(*index->bad));
		if (!index->bad)
			return -1;
	}
	name = pack_printable(raw, len);
	if (!name)
		return -1;
	index->bad[index->bad_count - 1] = (struct pack_bad){ .name = name, .problem = problem };
	return 0;
}

static bool is_drive(const char *s)
{
	return ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z')) && s[1] == ':';
}

/* ".." between separators of any kind: what is a part of a name here may be a path
 * for whoever copies the tree to Windows. */
static bool has_dotdot(const char *s)
{
	for (;;) {
		size_t len = strcspn(s, "/\\");

		if (len == 2 && s[0] == '.' && s[1] == '.')
			return true;
		if (!s[len])
			return false;
		s += len + 1;
	}
}

static bool has_long_part(const char *s)
{
	size_t len;

	for (; *s; s += len + (s[len] == '/')) {
		len = strcspn(s, "/");
		if (len > PART_MAX)
			return true;
	}
	return false;
}

static enum pack_problem look_at(const char *path)
{
	if (*path == '/' || *path == '\\' || is_drive(path))
		return PACK_NAME_ABSOLUTE;
	if (has_dotdot(path))
		return PACK_NAME_DOTDOT;
	return PACK_OK;
}

/* In place: without empty parts and ".". Its new length. */
static size_t tidy(char *path)
{
	const char *s = path;
	char *to = path;
	size_t len;

	for (; *s; s += len + (s[len] == '/')) {
		len = strcspn(s, "/");
		if (!len || (len == 1 && *s == '.'))
			continue;
		if (to != path)
			*to++ = '/';
		memmove(to, s, len);
		to += len;
	}
	*to = '\0';
	return (size_t)(to - path);
}

/* The name as the text of the path, percent-decoded if it is a part's. */
static enum pack_problem decode(struct pack_entry *e)
{
	cleanup_free char *decoded = NULL;
	struct err err;

	if (opc_is_piece(e->path))
		e->problem = PACK_DATA_PIECE;
	e->own = opc_is_own(e->path);
	if (strchr(e->path, '\\'))
		return PACK_NAME_BYTES;
	if (!strchr(e->path, '%'))
		return PACK_OK;
	decoded = opc_name_decode(e->path, &err);
	if (!decoded)
		return PACK_NAME_BYTES;
	strcpy((char *)(uintptr_t)e->path, decoded); /* never longer */
	return PACK_OK;
}

/* PACK_NAME_EMPTY and *root: the root itself, which needs no entry. */
static enum pack_problem make_path(const struct builder *b, struct pack_entry *e, bool *root)
{
	char *path = (char *)(uintptr_t)e->path; /* in our arena */
	enum pack_problem p;
	size_t len;

	*root = false;
	if (!*path)
		return PACK_NAME_EMPTY;
	/* First as it stands: "..\\x" is no mere matter of characters. */
	p = look_at(path);
	if (!p && b->index->opc)
		p = decode(e);
	if (!p)
		p = look_at(path);
	if (p)
		return p;
	if (has_long_part(path))
		return PACK_NAME_LONG;
	len = tidy(path);
	if (len > PATH_LEN_MAX)
		return PACK_NAME_LONG;
	*root = e->type == PACK_DIR;
	return len ? PACK_OK : PACK_NAME_EMPTY;
}

int index_paths(struct builder *b, struct err *err)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->count; i++) {
		struct pack_entry *e = &b->members[i];
		bool root;
		enum pack_problem p = make_path(b, e, &root);

		if (!p)
			b->members[kept++] = *e;
		else if (!(p == PACK_NAME_EMPTY && root) &&
			 index_add_bad(b->index, e->path, strlen(e->path), p) < 0)
			return index_no_memory(b, err);
	}
	b->count = kept;
	return 0;
}
