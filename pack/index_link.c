/* index_link.c - where symlinks lead. */
#include <config.h>

#include <string.h>

#include "pack/index_priv.h"

/* Follow `target` from the directory of `path`, as text. `at` is where we are: bytes of
 * `walk`, a path without a final '/'. */
struct walk {
	char text[2 * PATH_LEN_MAX];
	size_t at;
};

static bool begin(struct walk *w, const char *path)
{
	const char *slash = strrchr(path, '/');

	w->at = slash ? (size_t)(slash - path) : 0;
	if (w->at > PATH_LEN_MAX)
		return false;
	memcpy(w->text, path, w->at);
	w->text[w->at] = '\0';
	return true;
}

static bool down(struct walk *w, const char *name, size_t len)
{
	if (len > PART_MAX || w->at + len + 2 > sizeof(w->text))
		return false;
	if (w->at)
		w->text[w->at++] = '/';
	memcpy(w->text + w->at, name, len);
	w->at += len;
	w->text[w->at] = '\0';
	return true;
}

static bool up(struct walk *w)
{
	if (!w->at)
		return false;
	while (w->at && w->text[w->at - 1] != '/')
		w->at--;
	w->at -= w->at > 0;
	w->text[w->at] = '\0';
	return true;
}

static bool is_dir(const struct pack_index *index, const char *path)
{
	ssize_t n = pack_index_find(index, path);

	return n >= 0 && index->entries[n].type == PACK_DIR;
}

/* `index` may be NULL: then names are taken for directories. */
static bool follow(const struct pack_index *index, const char *path, const char *target)
{
	struct walk w;

	if (!*target || *target == '/' || !begin(&w, path))
		return false;
	for (;;) {
		size_t len = strcspn(target, "/");

		if (len == 2 && target[0] == '.' && target[1] == '.') {
			if ((index && !is_dir(index, w.text)) || !up(&w))
				return false;
		} else if (len && !(len == 1 && *target == '.') && !down(&w, target, len)) {
			return false;
		}
		if (!target[len])
			return true;
		target += len + 1;
	}
}

bool pack_link_stays(const char *path, const char *target)
{
	return follow(NULL, path, target);
}

bool pack_link_inside(const struct pack_index *index, const char *path, const char *target)
{
	return follow(index, path, target);
}
