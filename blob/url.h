/*
 * url.h - addresses of containers and blobs: percent-encoded and put together.
 */
#ifndef HPCPACK_BLOB_URL_H
#define HPCPACK_BLOB_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "blob/base/buf.h"
#include "blob/client.h"
#include "blob/pairs.h"

#define URL_HOST_MAX 300 /* bytes of "host:port", NUL included */

/* Append `text` with every byte but A-Z a-z 0-9 - . _ ~ as %XX; url_add_path
 * leaves '/' too. 0 or -1. */
int url_add_encoded(struct buf *out, const char *text);
int url_add_path(struct buf *out, const char *text);

/* Decode %XX in place, once; what is no such thing stays, %00 too. */
void url_decode(char *text);

/*
 * Append endpoint/container/blob. *path (may be NULL) is where in `out` the path
 * begins: that, up to the query, is what a signature covers. 0 or -1.
 */
int url_add_address(struct buf *out, const char *endpoint, const struct blob_ref *ref, size_t *path);

/* Append "?name=value&..." and then the SAS token (NULL: none) as it stands. */
int url_add_query(struct buf *out, const struct pairs *query, const char *sas);

/* "host" or "host:port" of a URL, for messages. */
void url_host(const char *url, char out[URL_HOST_MAX]);

/* Does the URL lead to this machine: 127.x.y.z, ::1, localhost, *.localhost? */
bool url_is_loopback(const char *url);

#endif
