/*
 * buf.h - the one growable buffer, always with a maximum.
 *
 * The bytes are kept terminated by a NUL beyond `len`, so text can be read as
 * a C string. Not for use from two threads at once.
 */
#ifndef HPCPACK_BLOB_BASE_BUF_H
#define HPCPACK_BLOB_BASE_BUF_H

#include <stddef.h>

struct buf {
	char *data;    /* NULL until the first byte; owned by the buffer */
	size_t len;    /* bytes, without the final NUL */
	size_t size;   /* bytes allocated */
	size_t max;    /* bytes that len may reach */
	int failed;    /* sticky: an append did not fit or memory ran out */
};

#define BUF_INIT(maximum) { .data = NULL, .len = 0, .size = 0, .max = (maximum), .failed = 0 }

/* Append; 0, or -1 (and `failed` set) when it would pass max or memory is out. */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_addstr(struct buf *b, const char *s);
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The text, "" when empty. Valid until the next change. */
const char *buf_str(const struct buf *b);

/* Empty it and clear `failed`, keeping the memory. */
void buf_reset(struct buf *b);

/* Hand the text to the caller, who frees it; NULL if `failed` or out of memory. */
char *buf_steal(struct buf *b);

/* Give the memory back; buf_wipe zeroes it first (keys, SAS). */
void buf_free(struct buf *b);
void buf_wipe(struct buf *b);

#define cleanup_buf __attribute__((cleanup(buf_free)))

#endif
