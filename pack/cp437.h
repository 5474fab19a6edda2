/*
 * cp437.h - IBM code page 437, which zip names are in when nothing says otherwise
 * (APPNOTE appendix D). Bytes below 0x80 are ASCII, control characters included.
 */
#ifndef HPCPACK_PACK_CP437_H
#define HPCPACK_PACK_CP437_H

#include <stddef.h>
#include <stdint.h>

#define CP437_MAX 3 /* bytes of UTF-8 for a byte */

/* Write it as UTF-8 (not terminated); how many bytes these are. `out` has room for
 * CP437_MAX * len. */
size_t cp437_to_utf8(char *out, const uint8_t *text, size_t len);

#endif
