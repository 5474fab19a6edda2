/*
 * fusermount.h - FUSE mounts through fusermount3, the only privilege that an
 * ordinary user needs.
 */
#ifndef HPCPACK_AGENT_FUSERMOUNT_H
#define HPCPACK_AGENT_FUSERMOUNT_H

#include <stdbool.h>

#include "blob/base/err.h"

/* Mount at `mountpoint` with `options` ("ro,fsname=x,..."). The descriptor of
 * the new connection (close-on-exec), or -1. */
int fusermount_mount(const char *mountpoint, const char *options, struct err *err);

/* Take the mount away; `lazy` also when it is in use. 0 or -1: ERR_BUSY when it
 * is. */
int fusermount_unmount(const char *mountpoint, bool lazy, struct err *err);

#endif
