/*
 * cleanup.h - give memory and descriptors back when the scope ends.
 *
 *	cleanup_free char *path = NULL;
 *	cleanup_close int fd = -1;
 *
 * Always initialise: the clean-up runs on every way out of the scope. To hand
 * the thing to a caller, take it out with steal_ptr() or steal_fd().
 */
#ifndef HPCPACK_BLOB_BASE_CLEANUP_H
#define HPCPACK_BLOB_BASE_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_closep(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

#define cleanup_with(fn) __attribute__((cleanup(fn)))
#define cleanup_free cleanup_with(cleanup_freep)
#define cleanup_close cleanup_with(cleanup_closep)

static inline void *steal_ptr_(void *p)
{
	void *v = *(void **)p;

	*(void **)p = NULL;
	return v;
}

#define steal_ptr(p) ((__typeof__(*(p)))steal_ptr_(p))

static inline int steal_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
