/* create_source.c - what the arguments mean. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pack/create_priv.h"

/* Words that the caller frees. */
struct words {
	char **word;
	size_t count;
};

static int add_word(struct words *w, const char *text, size_t len, struct err *err)
{
	char **more = realloc(w->word, (w->count + 1) * sizeof(*more));

	if (more)
		w->word = more;
	if (!more || !(w->word[w->count] = strndup(text, len)))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	w->count++;
	return 0;
}

static void free_words(struct words *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->word[i]);
	free(w->word);
}

/* "a, b,c": the names in it. */
static int split(struct words *w, const char *text, struct err *err)
{
	for (;;) {
		size_t len = strcspn(text, ","), from = strspn(text, " "), to = len;

		while (to > from && text[to - 1] == ' ')
			to--;
		if (to > from && add_word(w, text + from, to - from, err) < 0)
			return -1;
		if (!text[len])
			return 0;
		text += len + 1;
	}
}

/* A list of files is longer than the name of one may be, sooner or later. */
static bool nothing_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 && (errno == ENOENT || errno == ENAMETOOLONG || errno == ENOTDIR);
}

static int expand(struct words *w, const char *const *sources, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		int rc;

		if (strchr(sources[i], ',') && nothing_there(sources[i]))
			rc = split(w, sources[i], err);
		else
			rc = add_word(w, sources[i], strlen(sources[i]), err);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* The last part of a path: "bin" of "app/bin/", and its length. */
static const char *last_part(const char *path, size_t *len)
{
	size_t end = strlen(path), start;

	while (end && path[end - 1] == '/')
		end--;
	for (start = end; start && path[start - 1] != '/'; start--)
		;
	*len = end - start;
	return path + start;
}

/* What the paths of a folder's content begin with, if there are other sources: its
 * name. "." and its kin have none. */
static char *prefix_of(const char *path, bool several)
{
	const char *name;
	size_t len;
	char *prefix;

	name = last_part(path, &len);
	if (!several || !len || (len <= 2 && !strncmp(name, "..", len)))
		return strdup("");
	return asprintf(&prefix, "%.*s/", (int)len, name) < 0 ? NULL : prefix;
}

static int same_folder_twice(const struct create_list *list, struct err *err)
{
	const struct create_root *root = &list->roots[list->root_count - 1];

	for (size_t i = 0; *root->prefix && i < list->root_count - 1; i++)
		if (list->roots[i].dir >= 0 && !strcmp(list->roots[i].prefix, root->prefix))
			return err_set(err, ERR_FORMAT, "%s and %s would both be %.*s in the package",
				       list->roots[i].shown, root->shown, (int)strlen(root->prefix) - 1,
				       root->prefix);
	return 0;
}

static int add_folder(struct create_list *list, struct create_root *root, bool several, struct err *err)
{
	free(root->prefix);
	root->prefix = prefix_of(root->shown, several);
	if (!root->prefix)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	root->dir = open(root->shown, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root->dir < 0)
		return err_set_errno(err, errno, "%s", root->shown);
	if (same_folder_twice(list, err) < 0)
		return -1;
	return create_walk(list, root, err);
}

static int add_file(struct create_list *list, const struct create_root *root, const struct stat *st,
		    struct err *err)
{
	const char *name;
	size_t len;

	if (create_is_package(list, st))
		return 0;
	if (!S_ISREG(st->st_mode))
		create_refuse_special(st->st_mode, err);
	else if (faccessat(AT_FDCWD, root->shown, R_OK, AT_EACCESS) < 0)
		return err_set_errno(err, errno, "%s", root->shown);
	else if (name = last_part(root->shown, &len),
		 create_list_add(list, root, CREATE_FILE, name, st, err))
		return 0;
	return err_prefix(err, "%s", root->shown);
}

static int add_source(struct create_list *list, const char *word, bool several, struct err *err)
{
	struct create_root *root = &list->roots[list->root_count];
	struct stat st;

	*root = (struct create_root){ .shown = strdup(word), .prefix = strdup(""), .dir = -1 };
	list->root_count++;
	if (!root->shown || !root->prefix)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (stat(word, &st) < 0)
		return err_set_errno(err, errno, "%s", *word ? word : "a source without a name");
	return S_ISDIR(st.st_mode) ? add_folder(list, root, several, err) : add_file(list, root, &st, err);
}

int create_sources(struct create_list *list, const char *const *sources, size_t count, struct err *err)
{
	struct words w = { .count = 0 };
	int rc = expand(&w, sources, count, err);

	if (rc == 0 && w.count) {
		/* Items point at their roots: the array never moves. */
		list->roots = calloc(w.count, sizeof(*list->roots));
		if (!list->roots)
			rc = err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	for (size_t i = 0; rc == 0 && i < w.count; i++)
		rc = add_source(list, w.word[i], w.count > 1, err);
	free_words(&w);
	return rc;
}
