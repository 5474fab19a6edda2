/* index_find.c - looking things up in an index. */
#include <config.h>

#include <string.h>

#include "pack/index_priv.h"

ssize_t pack_index_find(const struct pack_index *index, const char *path)
{
	uint32_t low = 0, high = index->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int rc = index_path_cmp(path, index->entries[middle].path);

		if (!rc)
			return middle;
		if (rc < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

ssize_t pack_index_child(const struct pack_index *index, uint32_t dir, const char *name, size_t len)
{
	const char *parent = index->entries[dir].path;
	size_t parent_len = strlen(parent);
	char path[2 * PATH_LEN_MAX], *to = path;

	if (index->entries[dir].type != PACK_DIR || !len || len > PART_MAX || memchr(name, '/', len) ||
	    memchr(name, 0, len))
		return -1;
	memcpy(to, parent, parent_len);
	to += parent_len;
	if (parent_len)
		*to++ = '/';
	memcpy(to, name, len);
	to[len] = '\0';
	return pack_index_find(index, path);
}

const char *pack_entry_name(const struct pack_entry *e)
{
	const char *slash = strrchr(e->path, '/');

	return slash ? slash + 1 : e->path;
}
