/*
 * utf8.h - is it UTF-8 (RFC 3629: no overlong forms, surrogates, or beyond
 * U+10FFFF).
 */
#ifndef HPCPACK_PACK_UTF8_H
#define HPCPACK_PACK_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const char *text, size_t len);

#endif
