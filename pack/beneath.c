#include <config.h>

#include "pack/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blob/base/cleanup.h"

static atomic_bool no_openat2;

void beneath_walk(bool walk)
{
	atomic_store(&no_openat2, walk);
}

/* -2: there is no such system call here. A sandbox says EPERM for what it does not
 * know, which opening a path never does otherwise. */
static int by_kernel(int root, const char *path, int flags, unsigned resolve)
{
	const struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC, .resolve = resolve,
	};
	long fd;
	int tries = 100;

	if (atomic_load(&no_openat2))
		return -2;
	/* EAGAIN: somebody renamed something, anywhere, while ".." was looked at. */
	do
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || (errno == EAGAIN && tries-- > 0)));
	if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
		return (int)fd;
	atomic_store(&no_openat2, true);
	return -2;
}

static int by_walking(int root, const char *path, int flags)
{
	cleanup_close int at = -1;
	char part[NAME_MAX + 1];
	int next;

	for (;;) {
		size_t len = strcspn(path, "/");

		if (len > NAME_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, path, len);
		part[len] = '\0';
		path += len + (path[len] == '/');
		next = openat(at < 0 ? root : at, part,
			      (*path ? O_PATH : flags) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 || !*path)
			return next;
		close(at);
		at = next;
	}
}

int beneath_open_dir(int root, const char *path, int flags)
{
	int fd;

	if (!*path)
		return openat(root, ".", flags | O_DIRECTORY | O_CLOEXEC);
	fd = by_kernel(root, path, flags | O_DIRECTORY,
		       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	return fd == -2 ? by_walking(root, path, flags) : fd;
}

bool beneath_link_stays(int root, const char *path)
{
	cleanup_close int fd = by_kernel(root, path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);

	if (fd == -2)
		return false;
	return fd >= 0 || (errno != EXDEV && errno != ELOOP && errno != EAGAIN);
}
