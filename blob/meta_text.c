#include <config.h>

#include "blob/meta_text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/buf.h"

char *meta_text_encode(const char *text, const char *what, struct err *err)
{
	struct buf out = BUF_INIT(BLOB_META_MAX - 512);   /* the rest is for other metadata */
	size_t len = strlen(text);
	char *encoded;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		bool at_edge = i == 0 || i == len - 1;

		if (c < 0x20 || c > 0x7e || c == '%' || (c == ' ' && at_edge))
			buf_addf(&out, "%%%02X", c);
		else
			buf_add(&out, &c, 1);
	}
	encoded = buf_steal(&out);
	if (!encoded)
		err_set(err, ERR_USAGE, "%s: too long: a blob's metadata holds 8 KiB", what);
	return encoded;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *meta_text_decode(const char *value)
{
	char *text = malloc(strlen(value) + 1), *out = text;

	if (!text)
		return NULL;
	while (*value) {
		int high = *value == '%' ? hex_digit(value[1]) : -1;
		int low = high >= 0 ? hex_digit(value[2]) : -1;

		if (low >= 0 && (high || low)) {
			*out++ = (char)(high << 4 | low);
			value += 3;
		} else {
			*out++ = *value++;
		}
	}
	*out = '\0';
	return text;
}
