/*
 * reply.h - what a reply says: its headers, metadata, ranges.
 */
#ifndef HPCPACK_BLOB_REPLY_H
#define HPCPACK_BLOB_REPLY_H

#include <stdint.h>

#include "blob/base/buf.h"
#include "blob/client.h"
#include "blob/pairs.h"

/* Header lines as they came, status line first, to names and values. Lines that
 * are no headers are left out. 0, or -1 when out of memory. */
int reply_parse_head(struct pairs *out, const char *head);

/* The x-ms-meta-* among them, names without that prefix and otherwise as they
 * came. Free with blob_meta_free(). 0, or -1 when out of memory. */
int reply_meta(struct blob_meta_list *out, const struct pairs *head);

/* "bytes 0-511/1024": 0, or -1 when it is something else. *total is UINT64_MAX
 * for "*". A range that ends before it begins (Azurite sends that for an empty
 * one) has *last = *first - 1. */
int reply_content_range(const char *value, uint64_t *first, uint64_t *last, uint64_t *total);

/* A whole number, and nothing behind it. 0 or -1. */
int reply_number(const char *value, uint64_t *out);

#endif
