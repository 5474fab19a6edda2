/*
 * create_input.c - reading a file that must be, and stay, as it was found.
 *
 * Identity, size and modification time are compared when it is opened and when its
 * last byte was read: what is in the package was in the file at one moment, as far as
 * the file system tells.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "pack/create_priv.h"

static int fail(const struct create_item *item, const char *what, struct err *err)
{
	char shown[CREATE_SHOWN_MAX];

	return err_set(err, ERR_CONDITION, "%s: %s; create the package again when nobody writes there",
		       create_item_shown(item, shown), what);
}

static int check(const struct create_input *in, struct err *err)
{
	const struct create_item *item = in->item;
	char shown[CREATE_SHOWN_MAX];
	struct stat st;

	if (fstat(in->fd, &st) < 0)
		return err_set_errno(err, errno, "%s", create_item_shown(item, shown));
	if (!S_ISREG(st.st_mode) || st.st_dev != item->dev || st.st_ino != item->ino)
		return fail(item, "was replaced while the package was made", err);
	if ((uint64_t)st.st_size > item->size)
		return fail(item, "grew while the package was made", err);
	if ((uint64_t)st.st_size < item->size)
		return fail(item, "shrank while the package was made", err);
	if (st.st_mtim.tv_sec != item->mtime.tv_sec || st.st_mtim.tv_nsec != item->mtime.tv_nsec)
		return fail(item, "was changed while the package was made", err);
	return 0;
}

int create_input_open(struct create_input *in, const struct create_item *item, struct err *err)
{
	/* Whatever may lie there now must not hold us up. */
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	char shown[CREATE_SHOWN_MAX];

	*in = (struct create_input){ .item = item, .fd = -1 };
	if (item->root->dir >= 0)
		in->fd = openat(item->root->dir, create_item_rel(item), flags | O_NOFOLLOW);
	else
		in->fd = open(item->root->shown, flags);
	if (in->fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return fail(item, "vanished while the package was made", err);
	if (in->fd < 0 && errno == ELOOP)
		return fail(item, "was replaced while the package was made", err);
	if (in->fd < 0)
		return err_set_errno(err, errno, "%s", create_item_shown(item, shown));
	if (check(in, err) == 0)
		return 0;
	create_input_close(in);
	return -1;
}

ssize_t create_input_read(struct create_input *in, void *data, size_t len, struct err *err)
{
	uint64_t left = in->item->size - in->done;
	char shown[CREATE_SHOWN_MAX];
	ssize_t n;

	if (!left)
		return check(in, err);
	do
		n = read(in->fd, data, left < len ? (size_t)left : len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set_errno(err, errno, "%s: can't be read", create_item_shown(in->item, shown));
	if (n == 0)
		return fail(in->item, "shrank while the package was made", err);
	in->done += (uint64_t)n;
	return n;
}

void create_input_close(struct create_input *in)
{
	if (in->fd >= 0)
		close(in->fd);
	in->fd = -1;
}
