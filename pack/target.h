/*
 * target.h - where on a node a package is installed, below the package root:
 *
 *	RELATIVEPATH          what its metadata says, or without that
 *	NAME/UPLOADTIME       the blob's name without its extension, and when it was
 *	                      uploaded: "2026-11-21T071500Z"
 *
 * SOA hosts take the subdirectory of NAME that sorts highest, so the time is UTC, of
 * fixed width, and without colons, which Windows would not take.
 *
 * Names and metadata come from storage and are hostile: a target never leads out of
 * the root, or to what hpcsync keeps there for itself. Pure functions.
 */
#ifndef HPCPACK_PACK_TARGET_H
#define HPCPACK_PACK_TARGET_H

#include "blob/base/err.h"

/* Metadata of a package's blob (values as in blob/meta_text.h). */
#define PACK_META_PATH "relativepath"
#define PACK_META_DESCRIPTION "description"
#define PACK_META_LENGTH "contentlength"

/* No part of a target begins so, in any case of letters: hpcsync's own files do. */
#define PACK_TARGET_OWN ".hpcsync"

#define PACK_UPLOAD_TIME_MAX 24

/* The time of `last_modified` (RFC 1123, as the service sends it). 0, or -1 with
 * ERR_PROTOCOL when it is none. */
int pack_upload_time(const char *last_modified, char out[PACK_UPLOAD_TIME_MAX], struct err *err);

/*
 * The target of the blob `name`: a fresh string of one or more parts with '/' between
 * them, none of them empty, "." or "..". `relative` is the metadata's value, or NULL
 * (empty counts as none). NULL and ERR_FORMAT when there can't be one; the message
 * does not name the blob.
 */
char *pack_target(const char *name, const char *relative, const char *last_modified,
		  struct err *err);

/*
 * Make a relative path one of '/', without one at its end, in place. 0, or -1 with
 * ERR_FORMAT for what does not lie below the package root: empty, absolute, a drive
 * letter, "." or ".." or empty parts, control characters, a part of more than 255
 * bytes or of hpcsync's own, a path of more than 4095 bytes.
 */
int pack_relative_path(char *path, struct err *err);

#endif
