/*
 * unpack_merge.h - the files of one folder into another one of the same filesystem.
 */
#ifndef HPCPACK_CLI_UNPACK_MERGE_H
#define HPCPACK_CLI_UNPACK_MERGE_H

#include "blob/base/err.h"
#include "pack/index.h"

/* Could all files of the package be put below `dirfd`: no folder is where a file of
 * it goes, and nothing else where a folder goes? ERR_EXISTS names the first. */
int unpack_check(const struct pack_index *index, int dirfd, const char *path, struct err *err);

/* Move what is in `from` into `to`: a file that is there is replaced, a folder that is
 * there keeps what else is in it. No symlink is followed. `path` names `to`. */
int unpack_merge(int from, int to, const char *path, struct err *err);

/* Remove what is in a folder, not itself. */
int unpack_clear(int dirfd, const char *path, struct err *err);

#endif
