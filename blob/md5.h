/*
 * md5.h - the checksum of the Blob service, as base64: it proves that bytes were
 * not damaged on their way, and nothing about who sent them.
 */
#ifndef HPCPACK_BLOB_MD5_H
#define HPCPACK_BLOB_MD5_H

#include <stddef.h>

#include "blob/base/err.h"

#define MD5_TEXT_MAX 25 /* bytes, NUL included */

/* Of these bytes. 0, or -1 and *err when there is no MD5 here. */
int md5_of(const void *data, size_t len, char out[MD5_TEXT_MAX], struct err *err);

/* Of bytes that come one after the other. Not from two threads at once. NULL on
 * failure; md5_end() frees it and may be given `out` NULL. */
struct md5;
struct md5 *md5_new(struct err *err);
void md5_add(struct md5 *m, const void *data, size_t len);
void md5_end(struct md5 *m, char out[MD5_TEXT_MAX]);

/*
 * The same on a thread of its own, for whoever has something else to do with the
 * bytes meanwhile: they are borrowed until md5_thread_wait(), which comes before the
 * next md5_thread_add(). md5_thread_end() waits, too.
 */
struct md5_thread;
struct md5_thread *md5_thread_new(struct err *err);
void md5_thread_add(struct md5_thread *t, const void *data, size_t len);
void md5_thread_wait(struct md5_thread *t);
void md5_thread_end(struct md5_thread *t, char out[MD5_TEXT_MAX]);

#endif
