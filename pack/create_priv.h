/*
 * create_priv.h - between the files of pack/create.h.
 */
#ifndef HPCPACK_PACK_CREATE_PRIV_H
#define HPCPACK_PACK_CREATE_PRIV_H

#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "pack/create.h"

/* Longest path in a package, bytes (pack/index.h: PACK_NAME_LONG). */
#define CREATE_PATH_MAX 4095

/* --- what goes in --- */

/* An argument. */
struct create_root {
	char *shown;        /* as it was typed */
	char *prefix;       /* what its items' paths begin with: "" or "name/" */
	int dir;            /* the folder; -1 for a file */
};

enum create_kind { CREATE_FILE, CREATE_LINK, CREATE_DIR, CREATE_TEXT };

/*
 * An item of the package. Folders are items only if they are empty. A file is
 * reached from its root: by path, without the prefix.
 */
struct create_item {
	enum create_kind kind;
	const struct create_root *root;   /* NULL: CREATE_TEXT */
	char *path;                       /* in the package, UTF-8 */
	char *name;                       /* of the zip item: encoded; of folders with '/' at its end */
	char *text;                       /* the target of a link, the content of CREATE_TEXT */
	uint64_t size;                    /* bytes of content */
	struct timespec mtime;
	dev_t dev;
	ino_t ino;
	mode_t mode;                      /* permissions */
};

struct create_list {
	const struct pack_create_options *options;
	const struct stat *package;       /* what is left out; NULL: there is none yet */
	struct create_root *roots;
	size_t root_count;
	struct create_item *items;
	size_t count, size;
};

/* An item at prefix + rel, with what the system says of it; NULL: no memory, or a name
 * that has no place in a package. */
struct create_item *create_list_add(struct create_list *list, const struct create_root *root,
				    enum create_kind kind, const char *rel, const struct stat *st,
				    struct err *err);
void create_list_free(struct create_list *list);

/* ERR_CANCELLED if it was asked for. */
int create_cancelled(const struct pack_create_options *o, struct err *err);

/* Is this the package itself? */
bool create_is_package(const struct create_list *list, const struct stat *st);

/* Not a file, folder or link: ERR_UNSUPPORTED. */
int create_refuse_special(mode_t mode, struct err *err);

/* How the user calls what lies there: "app/bin/x". Returns out. */
#define CREATE_SHOWN_MAX 900
const char *create_shown(const struct create_root *root, const char *rel, char out[CREATE_SHOWN_MAX]);
const char *create_item_shown(const struct create_item *item, char out[CREATE_SHOWN_MAX]);

/* Behind the prefix of its root. */
const char *create_item_rel(const struct create_item *item);

/* Fill in roots and items. */
int create_sources(struct create_list *list, const char *const *sources, size_t count, struct err *err);
int create_walk(struct create_list *list, const struct create_root *root, struct err *err);

/* Sort (a folder directly before its content: '/' before every other byte), then look
 * for what clashes and where links lead. */
int create_check(struct create_list *list, struct err *err);

/* Say what would break on Windows. The list is sorted. */
int create_warn_windows(const struct create_list *list, struct err *err);

/* --- OPC's own items --- */

#define CREATE_OWN_ITEMS 3
/* The content types, the relationships, the core properties. `out` is the caller's, to
 * be freed with create_parts_free() also on failure. */
int create_parts(const struct create_list *list, int64_t date, struct create_item out[CREATE_OWN_ITEMS],
		 struct err *err);
void create_parts_free(struct create_item parts[CREATE_OWN_ITEMS]);

/* The type of what has this extension (without the dot, lower case). */
const char *create_content_type(const char *extension);

/* --- reading --- */

struct create_input {
	const struct create_item *item;
	int fd;
	uint64_t done;
};
/* It must be the file that was found, and stay as it was: ERR_CONDITION. */
int create_input_open(struct create_input *in, const struct create_item *item, struct err *err);
/* Bytes read; 0 at the end; -1. */
ssize_t create_input_read(struct create_input *in, void *data, size_t len, struct err *err);
void create_input_close(struct create_input *in);

/* --- writing --- */

struct create_output {
	char *path;          /* of the package, for messages */
	char *base;          /* its last part */
	int dir;             /* its folder */
	bool exists;
	struct stat old;     /* if it exists */

	int fd;              /* the package-to-be */
	char temp[32];       /* its name in the folder; "" if it has none */
	uint64_t at;         /* where the next byte goes */
	uint64_t end;        /* bytes in all */
	uint8_t *window;     /* bytes from `base_at` on that are not written yet */
	uint64_t window_at;
	size_t window_len;
};
/* Look at what is there. */
int create_output_find(struct create_output *out, const char *package, struct err *err);
/* A file beside it: without a name where the file system has such. */
int create_output_open(struct create_output *out, struct err *err);
int create_output_write(struct create_output *out, const void *data, size_t len, struct err *err);
/* All on disk; then the name. */
int create_output_sync(struct create_output *out, struct err *err);
int create_output_commit(struct create_output *out, struct err *err);
/* Without a commit nothing is left of it. */
void create_output_close(struct create_output *out);

/* All items, in order, with dates no later than `latest`; links and folders, which are
 * nobody's work, have the date of the package. */
int create_zip(const struct create_list *list, const struct create_item own[CREATE_OWN_ITEMS], int64_t date,
	       struct create_output *out, struct err *err);

#endif
