/*
 * errno_map.h - the one place where an err_code becomes an errno: what a job
 * sees when its read or write could not be done.
 */
#ifndef HPCPACK_FS_ERRNO_MAP_H
#define HPCPACK_FS_ERRNO_MAP_H

#include "blob/base/err.h"

/* A positive errno; EIO for what has no better one; 0 for ERR_NONE. */
int errno_of(enum err_code code);

#endif
