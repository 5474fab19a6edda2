/*
 * index_tree.c - members, sorted, as a tree.
 *
 * Sorting brings members of the same path together, and what is in a directory
 * right behind it. So one pass with the directory that is open at the moment makes
 * the tree, the directories that nobody listed included.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "pack/index_priv.h"

/* Names of a few thousand parts each imply more directories than memory holds:
 * bytes that these may take, beside four times the size of the zip's directory. */
#define IMPLIED_FREE (16u << 20)

struct tree {
	struct builder *b;
	struct pack_index *index;
	uint32_t size;          /* entries allocated */
	uint32_t open;          /* the directory that is open */
	uint64_t implied_left;  /* bytes */
};

/* The end, then '/', then everything else. */
static unsigned rank(unsigned char c)
{
	return c == '/' ? 1 : c ? c + 1u : 0;
}

int index_path_cmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (int)rank((unsigned char)*a) - (int)rank((unsigned char)*b);
}

static int by_path(const void *va, const void *vb, void *arg)
{
	const struct pack_entry *members = arg;
	const struct pack_entry *a = &members[*(const uint32_t *)va], *b = &members[*(const uint32_t *)vb];
	int rc = index_path_cmp(a->path, b->path);

	return rc ? rc : a->parent < b->parent ? -1 : a->parent > b->parent;
}

static int append(struct tree *t, const struct pack_entry *from, struct err *err)
{
	struct pack_index *index = t->index;
	struct pack_entry *e;

	if (index->count == t->size) {
		uint32_t size = t->size + t->size / 4 + 16;

		e = reallocarray(index->entries, size, sizeof(*e));
		if (!e)
			return index_no_memory(t->b, err);
		index->entries = e;
		t->size = size;
	}
	e = &index->entries[index->count];
	*e = *from;
	e->parent = t->open;
	e->end = index->count + 1;
	if (e->type == PACK_DIR)
		t->open = index->count;
	index->count++;
	return 0;
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !len || (!strncmp(path, dir, len) && path[len] == '/');
}

static void close_dir(struct tree *t)
{
	struct pack_entry *dir = &t->index->entries[t->open];

	dir->end = t->index->count;
	t->open = dir->parent;
}

static int imply_dir(struct tree *t, const char *path, size_t len, struct err *err)
{
	struct pack_entry dir = { .type = PACK_DIR, .mode = 0755, .implied = true };
	char *text;

	if (t->implied_left < sizeof(dir) + len)
		return err_set(err, ERR_UNSUPPORTED, "%s: its names are nested too deeply: they make more folders than memory holds",
			       t->b->name);
	t->implied_left -= sizeof(dir) + len;
	text = arena_text(t->b->arena, len + 1);
	if (!text)
		return index_no_memory(t->b, err);
	memcpy(text, path, len);
	text[len] = '\0';
	dir.path = text;
	return append(t, &dir, err);
}

/* Open the directory that `path` is in. */
static int open_parent(struct tree *t, const char *path, struct err *err)
{
	const char *slash;
	size_t len;

	while (!is_below(path, t->index->entries[t->open].path))
		close_dir(t);
	len = strlen(t->index->entries[t->open].path);
	for (slash = strchr(path + len + (len > 0), '/'); slash; slash = strchr(slash + 1, '/'))
		if (imply_dir(t, path, (size_t)(slash - path), err) < 0)
			return -1;
	return 0;
}

/* Members of one path, order[0..n). Of several one counts: a directory, if what
 * follows needs one, else the first. */
static int add_group(struct tree *t, const uint32_t *order, uint32_t n, bool need_dir, struct err *err)
{
	const struct pack_entry *members = t->b->members, *chosen = NULL;
	uint32_t i;

	for (i = 0; i < n; i++)
		if (members[order[i]].type == PACK_DIR) {
			need_dir = true;
			break;
		}
	if (!need_dir)
		chosen = &members[order[0]];
	else if (i < n)
		chosen = &members[order[i]];
	for (i = 0; i < n; i++) {
		const struct pack_entry *e = &members[order[i]];

		if (e == chosen || (need_dir && e->type == PACK_DIR))
			continue;
		if (index_add_bad(t->index, e->path, strlen(e->path),
				  need_dir ? PACK_NAME_CONFLICT : PACK_NAME_TWICE) < 0)
			return index_no_memory(t->b, err);
	}
	if (!chosen)
		return 0;
	if (open_parent(t, chosen->path, err) < 0)
		return -1;
	return append(t, chosen, err);
}

/* A directory with nothing but OPC's own items is one of these, too. */
static void mark_own_dirs(struct pack_index *index)
{
	for (uint32_t i = 1; i < index->count; i++)
		if (index->entries[i].type == PACK_DIR)
			index->entries[i].own = index->entries[i].end > i + 1;
	for (uint32_t i = index->count; i-- > 1;)
		if (!index->entries[i].own)
			index->entries[index->entries[i].parent].own = false;
}

static int add_all(struct tree *t, const uint32_t *order, struct err *err)
{
	static const struct pack_entry root = { .path = "", .type = PACK_DIR, .mode = 0755, .implied = true };
	const struct pack_entry *members = t->b->members;
	uint32_t count = t->b->count, n;

	if (append(t, &root, err) < 0)
		return -1;
	for (uint32_t i = 0; i < count; i += n) {
		const char *path = members[order[i]].path;

		for (n = 1; i + n < count && !strcmp(members[order[i + n]].path, path);)
			n++;
		if (add_group(t, order + i, n, i + n < count && is_below(members[order[i + n]].path, path),
			      err) < 0)
			return -1;
	}
	while (t->open)
		close_dir(t);
	close_dir(t);
	return 0;
}

int index_tree(struct builder *b, struct err *err)
{
	cleanup_free uint32_t *order = calloc(b->count ? b->count : 1, sizeof(*order));
	struct tree t = { .b = b, .index = b->index,
			  .implied_left = IMPLIED_FREE + 4 * b->end.directory_size };

	if (!order)
		return index_no_memory(b, err);
	for (uint32_t i = 0; i < b->count; i++)
		order[i] = i;
	qsort_r(order, b->count, sizeof(*order), by_path, b->members);
	/* Usually most are there: grown in quarters from here. */
	b->index->entries = reallocarray(NULL, (size_t)b->count + 1, sizeof(struct pack_entry));
	if (!b->index->entries)
		return index_no_memory(b, err);
	t.size = b->count + 1;
	if (add_all(&t, order, err) < 0)
		return -1;
	if (b->index->opc)
		mark_own_dirs(b->index);
	return 0;
}
