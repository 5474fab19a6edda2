/* index_check.c - is all of a package as it should be. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "pack/index_priv.h"

const char *pack_problem_text(enum pack_problem p)
{
	static const char *const texts[] = {
		[PACK_OK] = "nothing is wrong with it",
		[PACK_NAME_EMPTY] = "it has no name",
		[PACK_NAME_ABSOLUTE] = "its name is an absolute path",
		[PACK_NAME_DOTDOT] = "its name leads out of the package",
		[PACK_NAME_BYTES] = "its name has characters that are not allowed in one",
		[PACK_NAME_LONG] = "its name is too long",
		[PACK_NAME_TWICE] = "this name is there more than once",
		[PACK_NAME_CONFLICT] = "it is a file, and another member needs a folder there",
		[PACK_NAME_SPECIAL] = "it is a device or socket",
		[PACK_DATA_ENCRYPTED] = "it is encrypted",
		[PACK_DATA_METHOD] = "it is neither stored nor deflated, and nothing else can be read",
		[PACK_DATA_OUTSIDE] = "its data would lie outside the archive",
		[PACK_DATA_OVERLAP] = "it shares its data with another member",
		[PACK_DATA_LIES] = "its sizes can't be true",
		[PACK_DATA_PIECE] = "it is a piece of an interleaved part, which can't be read",
	};

	return texts[p];
}

static bool is_unsupported(enum pack_problem p)
{
	return p == PACK_DATA_ENCRYPTED || p == PACK_DATA_METHOD || p == PACK_DATA_PIECE;
}

/* The first that is wrong, and how many there are. */
struct findings {
	const char *package;
	uint32_t count;
	struct err *err;
};

static void find(struct findings *f, const char *member, enum pack_problem p)
{
	if (!f->count++)
		err_set(f->err, is_unsupported(p) ? ERR_UNSUPPORTED : ERR_FORMAT, "%s: %s: %s",
			f->package, *member ? member : "a member", pack_problem_text(p));
}

static void find_in(struct findings *f, const struct pack_entry *e, size_t max_path, size_t prefix)
{
	size_t len = prefix + (prefix > 0) + strlen(e->path);
	bool too_long = max_path && !e->own && len > max_path;
	cleanup_free char *path = NULL;

	if (!e->problem && !too_long)
		return;
	if (!f->count)
		path = pack_printable(e->path, strlen(e->path));
	if (e->problem)
		find(f, path ? path : "", (enum pack_problem)e->problem);
	else if (!f->count++)
		err_set(f->err, ERR_FORMAT, "%s: %s: its path has %zu characters, and %zu is the limit",
			f->package, path ? path : "", len, max_path);
}

int pack_index_check(const struct pack_index *index, const char *name, size_t max_path,
		     size_t prefix, struct err *err)
{
	struct findings f = { .package = name, .err = err };

	if (index->bad_count) {
		find(&f, index->bad[0].name, index->bad[0].problem);
		f.count = index->bad_count;
	}
	for (uint32_t i = 1; i < index->count; i++)
		find_in(&f, &index->entries[i], max_path, prefix);
	if (f.count > 1)
		err_append(err, " (and %u more that can't be used)", f.count - 1);
	return f.count ? -1 : 0;
}
