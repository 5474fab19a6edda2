/* create.c - making a package, step by step; see pack/create.h. */
#include <config.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pack/create_priv.h"
#include "pack/index.h"
#include "pack/opc_name.h"

/* What DOS times, which every zip item has, can say. */
#define FIRST_DATE 315532800    /* 1980-01-01 */

int create_cancelled(const struct pack_create_options *o, struct err *err)
{
	if (!o->cancel || !atomic_load(o->cancel))
		return 0;
	return err_set(err, ERR_CANCELLED, "interrupted");
}

bool create_is_package(const struct create_list *list, const struct stat *st)
{
	return list->package && list->package->st_dev == st->st_dev && list->package->st_ino == st->st_ino;
}

int create_refuse_special(mode_t mode, struct err *err)
{
	const char *what = S_ISFIFO(mode) ? "a fifo" : S_ISSOCK(mode) ? "a socket" : "a device";

	return err_set(err, ERR_UNSUPPORTED, "is %s: only files, folders and symlinks can be packed", what);
}

const char *create_shown(const struct create_root *root, const char *rel, char out[CREATE_SHOWN_MAX])
{
	size_t len = strlen(root->shown);

	if (root->dir < 0 || !*rel)
		snprintf(out, CREATE_SHOWN_MAX, "%s", root->shown);
	else if (!strcmp(root->shown, "."))
		snprintf(out, CREATE_SHOWN_MAX, "%s", rel);
	else
		snprintf(out, CREATE_SHOWN_MAX, "%s%s%s", root->shown, root->shown[len - 1] == '/' ? "" : "/", rel);
	return out;
}

const char *create_item_rel(const struct create_item *item)
{
	size_t len = strlen(item->root->prefix);

	/* The root itself, empty, is called like its prefix without the '/'. */
	return strlen(item->path) < len ? "" : item->path + len;
}

const char *create_item_shown(const struct create_item *item, char out[CREATE_SHOWN_MAX])
{
	return create_shown(item->root, create_item_rel(item), out);
}

static struct create_item *grow(struct create_list *list)
{
	if (list->count == list->size) {
		size_t size = list->size ? list->size * 2 : 64;
		struct create_item *more = realloc(list->items, size * sizeof(*more));

		if (!more)
			return NULL;
		list->items = more;
		list->size = size;
	}
	memset(&list->items[list->count], 0, sizeof(*list->items));
	return &list->items[list->count];
}

static int name_item(struct create_item *item, const char *rel, struct err *err)
{
	size_t len;

	if (asprintf(&item->path, "%s%s", item->root->prefix, rel) < 0) {
		item->path = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	len = strlen(item->path);
	if (!*rel && len)
		item->path[len - 1] = '\0';   /* an empty folder that was named: its prefix */
	if (len > CREATE_PATH_MAX)
		return err_set(err, ERR_FORMAT, "its path is longer than %d bytes", CREATE_PATH_MAX);
	/* pack/index.h refuses to install it. */
	if (isalpha((unsigned char)item->path[0]) && item->path[1] == ':')
		return err_set(err, ERR_FORMAT, "its name begins like a drive of Windows; rename it, or leave it out");
	item->name = opc_name_encode(item->path, err);
	if (!item->name)
		return err->code == ERR_FORMAT ? err_append(err, "; rename it, or leave it out") : -1;
	if (item->kind == CREATE_DIR) {
		char *name;

		if (asprintf(&name, "%s/", item->name) < 0)
			return err_set(err, ERR_NO_MEMORY, "out of memory");
		free(item->name);
		item->name = name;
	}
	return 0;
}

static void free_item(struct create_item *item)
{
	free(item->path);
	free(item->name);
	free(item->text);
}

struct create_item *create_list_add(struct create_list *list, const struct create_root *root,
				    enum create_kind kind, const char *rel, const struct stat *st,
				    struct err *err)
{
	struct create_item *item = grow(list);

	if (!item) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	item->kind = kind;
	item->root = root;
	item->size = kind == CREATE_FILE ? (uint64_t)st->st_size : 0;
	item->mtime = st->st_mtim;
	item->dev = st->st_dev;
	item->ino = st->st_ino;
	item->mode = st->st_mode & 0777;
	if (name_item(item, rel, err) < 0) {
		free_item(item);
		return NULL;
	}
	list->count++;
	return item;
}

void create_list_free(struct create_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free_item(&list->items[i]);
	for (size_t i = 0; i < list->root_count; i++) {
		free(list->roots[i].shown);
		free(list->roots[i].prefix);
		if (list->roots[i].dir >= 0)
			close(list->roots[i].dir);
	}
	free(list->items);
	free(list->roots);
}

void create_parts_free(struct create_item parts[CREATE_OWN_ITEMS])
{
	for (size_t i = 0; i < CREATE_OWN_ITEMS; i++)
		free_item(&parts[i]);
}

static int64_t package_date(const struct create_list *list)
{
	int64_t date = FIRST_DATE;

	if (list->options->date)
		return *list->options->date > date ? *list->options->date : date;
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].kind == CREATE_FILE && list->items[i].mtime.tv_sec > date)
			date = list->items[i].mtime.tv_sec;
	return date;
}

/*
 * What was written, seen with the eyes of those who install it: whatever libzip made
 * of sizes at the borders of zip64, or of anything, nothing gets the package's name
 * that can't be used.
 */
static int verify(const struct create_list *list, const struct create_output *out, struct err *err)
{
	struct pack_index index;
	struct pack_file file;
	int rc;

	if (pack_file_init(&file, out->path, out->fd, err) < 0)
		return -1;
	if (pack_index_open(&index, &file.reader, NULL, err) < 0)
		return err_prefix(err, "what was written can't be read back");
	rc = pack_index_check(&index, out->path, 0, 0, err);
	if (rc == 0 && (!index.opc || index.member_count != list->count + CREATE_OWN_ITEMS))
		rc = err_set(err, ERR_FORMAT, "%s: %u members, not %zu", out->path, index.member_count,
			     list->count + CREATE_OWN_ITEMS);
	pack_index_free(&index);
	return rc < 0 ? err_prefix(err, "what was written can't be read back") : 0;
}

static int write_package(const struct create_list *list, struct create_output *out, struct err *err)
{
	struct create_item own[CREATE_OWN_ITEMS] = { { .path = NULL } };
	int64_t date = package_date(list);
	int rc = create_parts(list, date, own, err);

	if (rc == 0)
		rc = create_output_open(out, err);
	if (rc == 0)
		rc = create_zip(list, own, date, out, err);
	create_parts_free(own);
	if (rc == 0)
		rc = create_output_sync(out, err);
	if (rc == 0)
		rc = verify(list, out, err);
	if (rc == 0)
		rc = create_cancelled(list->options, err);
	return rc < 0 ? -1 : create_output_commit(out, err);
}

static int gather(struct create_list *list, const char *const *sources, size_t count, struct err *err)
{
	if (create_sources(list, sources, count, err) < 0 || create_check(list, err) < 0)
		return -1;
	if (!list->count)
		return err_set(err, ERR_NOT_FOUND, "there is nothing to pack");
	return create_warn_windows(list, err);
}

static void count_up(const struct create_list *list, const struct create_output *out,
		     struct pack_create_stats *stats)
{
	*stats = (struct pack_create_stats){ .packed = out->end };
	for (size_t i = 0; i < list->count; i++) {
		stats->files += list->items[i].kind != CREATE_DIR;
		stats->bytes += list->items[i].kind == CREATE_FILE ? list->items[i].size : 0;
	}
}

int pack_create(const char *package, const char *const *sources, size_t count,
		const struct pack_create_options *options, struct pack_create_stats *stats,
		struct err *err)
{
	struct create_list list = { .options = options };
	struct create_output out;
	struct err unheard;
	int rc;

	err = err ? err : &unheard;
	rc = create_output_find(&out, package, err);
	list.package = rc == 0 && out.exists ? &out.old : NULL;
	if (rc == 0)
		rc = gather(&list, sources, count, err);
	if (rc == 0)
		rc = write_package(&list, &out, err);
	if (rc == 0)
		count_up(&list, &out, stats);
	create_output_close(&out);
	create_list_free(&list);
	return rc;
}
