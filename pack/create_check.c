/* create_check.c - names that clash, links that lead out of the package. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pack/create_priv.h"
#include "pack/index.h"

/* The order of bytes in paths: '/' before everything else, so that what is in a folder
 * directly follows it. */
static unsigned rank(char c)
{
	return c == '/' ? 1 : c ? (unsigned char)c + 1u : 0;
}

static int compare_paths(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (int)rank(*a) - (int)rank(*b);
}

static int compare_items(const void *a, const void *b)
{
	const struct create_item *one = a, *other = b;

	return compare_paths(one->path, other->path);
}

static bool is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return !strncmp(path, folder, len) && path[len] == '/';
}

static int clash(const struct create_item *a, const struct create_item *b, struct err *err)
{
	char one[400], other[400], shown[CREATE_SHOWN_MAX];

	snprintf(one, sizeof(one), "%.*s", (int)sizeof(one) - 1, create_item_shown(a, shown));
	snprintf(other, sizeof(other), "%.*s", (int)sizeof(other) - 1, create_item_shown(b, shown));
	if (strcmp(a->path, b->path))
		return err_set(err, ERR_FORMAT, "%s and %s can't both be in the package: %s would be a file and a folder",
			       one, other, a->path);
	return err_set(err, ERR_FORMAT, "%s and %s would both be %s in the package", one, other, a->path);
}

/* Sources may meet in a folder: it need not be kept as an empty one then. The rest of
 * what has the same name, or needs a folder where there is a file, is an error. */
static int drop_doubles(struct create_list *list, struct err *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		struct create_item *last = kept ? &list->items[kept - 1] : NULL;
		const struct create_item *item = &list->items[i];
		bool same = last && !strcmp(last->path, item->path);

		if (last && (same || is_below(item->path, last->path))) {
			if (last->kind != CREATE_DIR || (same && item->kind != CREATE_DIR))
				return clash(last, item, err);
			free(last->path);
			free(last->name);
			kept--;
		}
		list->items[kept++] = *item;
	}
	list->count = kept;
	return 0;
}

/* By the rule that hpcsync installs by. */
static int check_links(const struct create_list *list, struct err *err)
{
	char shown[CREATE_SHOWN_MAX];

	for (size_t i = 0; i < list->count; i++) {
		const struct create_item *item = &list->items[i];

		if (item->kind == CREATE_LINK && !pack_link_stays(item->path, item->text))
			return err_set(err, ERR_FORMAT, "%s: this symlink leads to %.200s, %s; make it a relative "
				       "one to something in the package, or put a copy in its place",
				       create_item_shown(item, shown), item->text,
				       *item->text == '/' ? "an absolute path"
							  : "outside the package");
	}
	return 0;
}

int create_check(struct create_list *list, struct err *err)
{
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), compare_items);
	if (drop_doubles(list, err) < 0)
		return -1;
	return check_links(list, err);
}
