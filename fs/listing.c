#include <config.h>

#include "fs/listing.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "pack/utf8.h"

#define PATH_BYTES 65536u

static uint32_t hash(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

/* '/' before every other byte. */
static int path_cmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return 0;
	if (!*a || !*b)
		return *a ? 1 : -1;
	if (*a == '/' || *b == '/')
		return *a == '/' ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int node_cmp(const void *a, const void *b)
{
	return path_cmp(((const struct listing_node *)a)->path, ((const struct listing_node *)b)->path);
}

/* --- names --- */

static void add_byte(struct buf *b, unsigned char c, bool plain)
{
	if (plain && c >= 0x20 && c != 0x7f)
		buf_add(b, &c, 1);
	else
		buf_addf(b, "%%%02X", c);
}

/* Cut between characters. */
static void shorten(struct buf *b, size_t start, const char *name, size_t len)
{
	cleanup_free char *whole = strndup(name, len);
	size_t cut = start + 240;

	while (((unsigned char)b->data[cut] & 0xc0) == 0x80)
		cut--;
	b->len = cut;
	b->data[cut] = '\0';
	buf_addf(b, "~%08x", whole ? hash(whole) : 0);
}

static void add_part(struct buf *b, const char *name, size_t len)
{
	bool plain = utf8_valid(name, len);
	size_t start = b->len;

	if (!len)
		buf_addstr(b, "%2F");
	else if (len <= 2 && !strncmp(name, "..", len))
		buf_addstr(b, len == 1 ? "%2E" : "%2E%2E");
	else
		for (size_t i = 0; i < len; i++)
			add_byte(b, (unsigned char)name[i], plain || !(name[i] & 0x80));
	if (!b->failed && b->len - start > NAME_MAX)
		shorten(b, start, name, len);
}

static char *shown(const char *name)
{
	cleanup_buf struct buf b = BUF_INIT(PATH_BYTES);

	for (;;) {
		size_t len = strcspn(name, "/");

		add_part(&b, name, len);
		if (!name[len])
			break;
		buf_addstr(&b, "/");
		name += len + 1;
	}
	return buf_steal(&b);
}

/* --- conflicts --- */

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/';
}

static bool is_taken(const struct listing_node *nodes, size_t count, const char *path)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int rc = path_cmp(path, nodes[middle].path);

		if (!rc || (rc < 0 && is_below(nodes[middle].path, path)))
			return true;
		if (rc < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low < count && is_below(nodes[low].path, path);
}

static int rename_node(struct listing_node *nodes, size_t count, struct listing_node *n, bool dir)
{
	char *path = NULL;

	for (unsigned try = dir ? 1 : 2; try < 10000; try++) {
		int rc = try == 1 ? asprintf(&path, "%s~blob", n->path)
				  : asprintf(&path, "%s%s~%u", n->path, dir ? "~blob" : "", try);

		if (rc < 0)
			return -1;
		if (!is_taken(nodes, count, path)) {
			free(n->path);
			n->path = path;
			return 1;
		}
		free(path);
	}
	return -1;
}

/* One conflict at a time: what is renamed is sorted in before the next one is looked
 * for. There are few, if any. */
static int resolve(struct listing_node *nodes, size_t count)
{
	for (;;) {
		int rc = 0;

		qsort(nodes, count, sizeof(*nodes), node_cmp);
		for (size_t i = 0; i + 1 < count && !rc; i++) {
			if (!strcmp(nodes[i].path, nodes[i + 1].path))
				rc = rename_node(nodes, count, &nodes[i + 1], false);
			else if (is_below(nodes[i + 1].path, nodes[i].path))
				rc = rename_node(nodes, count, &nodes[i], true);
		}
		if (rc <= 0)
			return rc;
	}
}

/* --- the tree --- */

static struct listing_node *push(struct listing *l, size_t *room, char *path, void *item)
{
	struct listing_node *n;

	if (l->count == *room) {
		*room = *room ? *room * 2 : 64;
		n = realloc(l->nodes, *room * sizeof(*n));
		if (!n)
			return NULL;
		l->nodes = n;
	}
	n = &l->nodes[l->count];
	*n = (struct listing_node) { .path = path, .item = item, .end = l->count + 1 };
	l->count++;
	return n;
}

static void close_dirs(struct listing *l, uint32_t *dir, const char *path)
{
	while (*dir && !is_below(path, l->nodes[*dir].path)) {
		l->nodes[*dir].end = l->count;
		*dir = l->nodes[*dir].parent;
	}
}

/* The directories on the way to `path`, then itself. */
static int add(struct listing *l, size_t *room, uint32_t *dir, char *path, void *item)
{
	struct listing_node *n;

	close_dirs(l, dir, path);
	for (;;) {
		size_t at = *dir ? strlen(l->nodes[*dir].path) + 1 : 0;
		char *slash = strchr(path + at, '/'), *copy;

		if (!slash)
			break;
		copy = strndup(path, (size_t)(slash - path));
		n = copy ? push(l, room, copy, NULL) : NULL;
		if (!n) {
			free(copy);
			return -1;
		}
		n->parent = *dir;
		*dir = l->count - 1;
		l->dirs++;
	}
	n = push(l, room, path, item);
	if (!n)
		return -1;
	n->parent = *dir;
	return 0;
}

static int id_cmp(const void *va, const void *vb, void *arg)
{
	const struct listing *l = arg;
	uint32_t a = l->nodes[*(const uint32_t *)va].id, b = l->nodes[*(const uint32_t *)vb].id;

	return a < b ? -1 : a > b;
}

/* Ids come from the paths, so that they are the same in the next listing; those that
 * are the same by chance are moved apart. */
static int number_dirs(struct listing *l)
{
	uint32_t n = 0;

	l->by_id = calloc(l->dirs, sizeof(*l->by_id));
	if (!l->by_id)
		return -1;
	for (uint32_t i = 0; i < l->count; i++) {
		struct listing_node *node = &l->nodes[i];
		const char *slash = strrchr(node->path, '/');

		node->name = slash ? slash + 1 : node->path;
		if (node->item)
			continue;
		node->id = i ? (hash(node->path) & 0x3fffffff) + 2 : 1;
		l->by_id[n++] = i;
	}
	for (bool moved = true; moved;) {
		moved = false;
		qsort_r(l->by_id, l->dirs, sizeof(*l->by_id), id_cmp, l);
		for (uint32_t i = 0; i + 1 < l->dirs; i++)
			if (l->nodes[l->by_id[i]].id == l->nodes[l->by_id[i + 1]].id) {
				l->nodes[l->by_id[i + 1]].id++;
				moved = true;
			}
	}
	return 0;
}

static int build(struct listing *l, struct listing_node *blobs, size_t count)
{
	char *root = strdup("");
	size_t room = 0;
	uint32_t dir = 0;

	if (!root || !push(l, &room, root, NULL)) {
		free(root);
		return -1;
	}
	l->dirs = 1;
	for (size_t i = 0; i < count; i++) {
		if (add(l, &room, &dir, blobs[i].path, blobs[i].item) < 0)
			return -1;
		blobs[i].path = NULL;
		blobs[i].item = NULL;
	}
	while (dir) {
		l->nodes[dir].end = l->count;
		dir = l->nodes[dir].parent;
	}
	l->nodes[0].end = l->count;
	return number_dirs(l);
}

struct listing *listing_new(const char *const *names, void *const *items, size_t count,
			    void (*release)(void *item))
{
	struct listing *l = calloc(1, sizeof(*l));
	struct listing_node *blobs = calloc(count + 1, sizeof(*blobs));
	bool ok = l && blobs;

	for (size_t i = 0; ok && i < count; i++) {
		blobs[i].item = items[i];
		blobs[i].path = shown(names[i]);
		ok = blobs[i].path != NULL;
	}
	if (l) {
		atomic_init(&l->refs, 1);
		l->release = release;
	}
	ok = ok && resolve(blobs, count) == 0 && build(l, blobs, count) == 0;
	for (size_t i = 0; i < count; i++) {
		if (blobs && blobs[i].path)
			free(blobs[i].path);
		if (!blobs || (!ok && blobs[i].item))
			release(blobs ? blobs[i].item : items[i]);
	}
	free(blobs);
	if (ok)
		return l;
	if (l)
		listing_unref(l);
	return NULL;
}

struct listing *listing_ref(struct listing *l)
{
	atomic_fetch_add(&l->refs, 1);
	return l;
}

void listing_unref(struct listing *l)
{
	if (atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	for (uint32_t i = 0; i < l->count; i++) {
		if (l->nodes[i].item)
			l->release(l->nodes[i].item);
		free(l->nodes[i].path);
	}
	free(l->nodes);
	free(l->by_id);
	free(l);
}

ssize_t listing_find(const struct listing *l, const char *path)
{
	uint32_t low = 0, high = l->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int rc = path_cmp(path, l->nodes[middle].path);

		if (!rc)
			return middle;
		if (rc < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

ssize_t listing_child(const struct listing *l, uint32_t dir, const char *name)
{
	const char *parent = l->nodes[dir].path;
	cleanup_free char *path = NULL;

	if (l->nodes[dir].item || !*name || strchr(name, '/'))
		return -1;
	if (asprintf(&path, "%s%s%s", parent, *parent ? "/" : "", name) < 0) {
		path = NULL;
		return -1;
	}
	return listing_find(l, path);
}

ssize_t listing_dir(const struct listing *l, uint32_t id)
{
	uint32_t low = 0, high = l->dirs;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2, at = l->nodes[l->by_id[middle]].id;

		if (at == id)
			return l->by_id[middle];
		if (id < at)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}
