/* extract_links.c - symlinks, when everything else is there; see extraction.h. */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "pack/beneath.h"
#include "pack/extraction.h"

/*
 * A target of leading ".." and then names can be judged by itself: folders that are
 * folders lead up, and each name leads down or through another symlink of the package.
 * Where a ".." stands behind a name, that name may be a symlink, and the ".." leads
 * up from somewhere else: then the kernel is asked.
 */
static bool turns_back(const char *target)
{
	bool name = false;

	while (*target) {
		size_t len = strcspn(target, "/");

		if (len == 2 && !strncmp(target, "..", 2)) {
			if (name)
				return true;
		} else if (len && !(len == 1 && *target == '.')) {
			name = true;
		}
		target += len + strspn(target + len, "/");
	}
	return false;
}

static int leads_out(const struct extraction *x, const struct extract_link *link, struct err *err)
{
	return err_set(err, ERR_FORMAT, "%s: %s: a symlink that leads out of the package",
		       x->reader->name, x->index->entries[link->entry].path);
}

int extract_make_links(struct extraction *x, struct err *err)
{
	struct extract_dir dir = { .fd = -1 };
	int rc = 0;

	for (struct extract_link *l = x->links; rc == 0 && l; l = l->next) {
		if (!*l->target || !pack_link_stays(x->index->entries[l->entry].path, l->target))
			rc = leads_out(x, l, err);
		else
			rc = extract_symlink(&x->tree, &dir, l->entry, l->target, err);
	}
	for (struct extract_link *l = x->links; rc == 0 && l; l = l->next)
		if (turns_back(l->target) && !beneath_link_stays(x->tree.root, x->index->entries[l->entry].path))
			rc = leads_out(x, l, err);
	if (dir.fd >= 0)
		close(dir.fd);
	return rc;
}
