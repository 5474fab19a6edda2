/* opc_name.c - names of files and names of parts. */
#include <config.h>

#include "pack/opc_name.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "blob/base/buf.h"
#include "pack/utf8.h"

/* pchar without the escapes (RFC 3986 section 3.3): these stay as they are. */
static bool stays(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~!$&'()*+,;=:@/", c));
}

static int check_segment(const char *s, size_t len, struct err *err)
{
	if (!len)
		return err_set(err, ERR_FORMAT, "its name has an empty part");
	if ((len == 1 && *s == '.') || (len == 2 && !strncmp(s, "..", 2)))
		return err_set(err, ERR_FORMAT, "its name has a part '.' or '..'");
	if (s[len - 1] == '.')
		return err_set(err, ERR_FORMAT, "a part of its name ends in a dot, which OPC does not allow");
	if (memchr(s, '\\', len))
		return err_set(err, ERR_FORMAT, "its name has a '\\', which OPC does not allow");
	return 0;
}

char *opc_name_encode(const char *path, struct err *err)
{
	struct buf out = BUF_INIT(SIZE_MAX);
	const char *s = path;
	char *text;

	if (!utf8_valid(path, strlen(path))) {
		err_set(err, ERR_FORMAT, "its name is not UTF-8");
		return NULL;
	}
	if (opc_is_own(path)) {
		err_set(err, ERR_FORMAT, "OPC keeps this name for itself");
		return NULL;
	}
	for (;;) {
		size_t len = strcspn(s, "/");

		if (check_segment(s, len, err) < 0)
			return NULL;
		if (!s[len])
			break;
		s += len + 1;
	}
	for (s = path; *s; s++)
		if (stays((unsigned char)*s))
			buf_add(&out, s, 1);
		else
			buf_addf(&out, "%%%02X", (unsigned char)*s);
	text = buf_steal(&out);
	if (!text)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	return text;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

char *opc_name_decode(const char *item, struct err *err)
{
	char *text = malloc(strlen(item) + 1), *out = text;

	if (!text) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	for (const char *s = item; *s; out++) {
		int high, low;

		if (*s != '%') {
			*out = *s++;
			continue;
		}
		high = hex(s[1]);
		low = high < 0 ? -1 : hex(s[2]);
		if (low < 0) {
			err_set(err, ERR_FORMAT, "its name has a '%%' that is no escape");
			goto bad;
		}
		*out = (char)(high << 4 | low);
		if (!*out || *out == '/' || *out == '\\') {
			err_set(err, ERR_FORMAT, "its name has the forbidden escape %.3s", s);
			goto bad;
		}
		s += 3;
	}
	*out = '\0';
	if (utf8_valid(text, (size_t)(out - text)))
		return text;
	err_set(err, ERR_FORMAT, "its name is not UTF-8 once it is decoded");
bad:
	free(text);
	return NULL;
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), n = strlen(end);

	return len > n && !strcasecmp(s + len - n, end);
}

/* DIR/_rels/NAME.rels, and _rels/.rels at the root. */
static bool is_relationships(const char *item)
{
	const char *name = strrchr(item, '/');
	size_t dir;

	if (!name || !(ends_with(name, ".rels") || !strcasecmp(name, "/.rels")))
		return false;
	dir = (size_t)(name - item);
	return dir >= 5 && !strncasecmp(name - 5, "_rels", 5) && (dir == 5 || name[-6] == '/');
}

bool opc_is_piece(const char *item)
{
	const char *name = strrchr(item, '/');
	size_t digits;

	name = name ? name + 1 : item;
	if (*name != '[')
		return false;
	digits = strspn(name + 1, "0123456789");
	return digits && (!strcasecmp(name + 1 + digits, "].piece") ||
			  !strcasecmp(name + 1 + digits, "].last.piece"));
}

bool opc_is_own(const char *item)
{
	static const char core[] = "package/services/metadata/core-properties/";

	return !strcasecmp(item, OPC_CONTENT_TYPES) || is_relationships(item) || opc_is_piece(item) ||
	       (!strncasecmp(item, core, sizeof(core) - 1) && ends_with(item, ".psmdcp"));
}
