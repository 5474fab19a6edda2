/*
 * sign.h - Shared Key authorization, as pure functions over a description of
 * the request. It and blob/md5.c are the only files that know libcrypto.
 *
 * Ground truth: REST reference "Authorize with Shared Key" for x-ms-version
 * 2015-02-21 and later.
 */
#ifndef HPCPACK_BLOB_SIGN_H
#define HPCPACK_BLOB_SIGN_H

#include <stdint.h>

#include "blob/base/buf.h"
#include "blob/base/err.h"
#include "blob/pairs.h"

struct sign_request {
	const char *method;
	const char *account;
	const char *path;            /* of the URL, percent-encoded as on the wire; with a
	                              * path-style endpoint it holds the account already,
	                              * which is then in the string twice, and must be */
	const struct pairs *query;   /* decoded, no name twice, no SAS */
	const struct pairs *headers; /* all that go out and might count */
	uint64_t content_length;     /* bytes of the body */
};

/* The string to sign, appended to `out`. 0 or -1. */
int sign_string(const struct sign_request *r, struct buf *out);

/* "SharedKey account:signature", appended to `out`. ERR_AUTH if the key (base64)
 * can't be used, ERR_NO_MEMORY. */
int sign_authorization(const struct sign_request *r, const char *key, struct buf *out,
		       struct err *err);

/* Append the base64 of `len` bytes. 0 or -1. */
int sign_base64(struct buf *out, const void *data, size_t len);

#endif
