/*
 * meta_text.h - text of any kind as the value of blob metadata, which is a header:
 * ASCII, without control characters, trimmed at both ends by whoever reads it.
 *
 * The text stays readable: only bytes outside printable ASCII, spaces at its
 * ends, and '%' itself become %XX.
 */
#ifndef HPCPACK_BLOB_META_TEXT_H
#define HPCPACK_BLOB_META_TEXT_H

#include "blob/base/err.h"

/* All metadata of a blob, names included. */
#define BLOB_META_MAX 8192

/* A fresh string; NULL and ERR_USAGE (`what` names the value) when it is longer
 * than a blob's metadata may be. */
char *meta_text_encode(const char *text, const char *what, struct err *err);

/* The text that it stands for, a fresh string: a '%' that no two hex digits follow
 * (or "%00") is one, as others write metadata too. May be any bytes. NULL: out of
 * memory. */
char *meta_text_decode(const char *value);

#endif
