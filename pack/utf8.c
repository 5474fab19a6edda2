/* utf8.c - is it UTF-8. */
#include <config.h>

#include "pack/utf8.h"

#include <stdint.h>

/* Length of the sequence that starts here, 0 if it is none. */
static size_t sequence(const uint8_t *s, size_t left)
{
	uint32_t c = s[0], least;
	size_t len, i;

	if (c < 0x80)
		return 1;
	len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (c < 0xc2 || c > 0xf4 || len > left)
		return 0;
	least = len == 4 ? 0x10000 : len == 3 ? 0x800 : 0x80;
	c &= 0xffu >> (len + 1);
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : len;
}

bool utf8_valid(const char *text, size_t len)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t n;

	for (; len; s += n, len -= n)
		if (!(n = sequence(s, len)))
			return false;
	return true;
}
