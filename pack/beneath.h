/*
 * beneath.h - opening below a folder, and nowhere else: no symlink is followed on
 * the way, nothing above the folder is reached, whatever is done to it meanwhile.
 *
 * By openat2(2). Where that is missing (an old kernel, a strict sandbox) the path is
 * walked part by part with O_NOFOLLOW, which is the same for the paths we have: they
 * hold no "..".
 *
 * Any thread.
 */
#ifndef HPCPACK_PACK_BENEATH_H
#define HPCPACK_PACK_BENEATH_H

#include <stdbool.h>

/* The folder `path` ("" is `root` itself) as a new descriptor, opened with `flags`
 * besides O_DIRECTORY and O_CLOEXEC; -1 and errno. */
int beneath_open_dir(int root, const char *path, int flags);

/* Does the symlink `path` lead to a place below `root`, by way of whatever other
 * symlinks there are? One that leads to nothing at all does. Only for links whose
 * target has a ".." behind a name; where the kernel can't tell: false. */
bool beneath_link_stays(int root, const char *path);

/* For tests: from now on without openat2(2), or with it again. */
void beneath_walk(bool walk);

#endif
