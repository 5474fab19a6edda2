/* Names by the service's rules, and ids. */
#include <config.h>

#include <uuid/uuid.h>

#include <string.h>

#include "blob/ops.h"

#define BLOB_NAME_MAX 1024u /* characters */

void blob_new_guid(char *out)
{
	uuid_t uuid;

	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, out);
}

int blob_check_container_name(const char *name, struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t len = strlen(name);

	/* The three that the service itself made. */
	if (!strcmp(name, "$root") || !strcmp(name, "$web") || !strcmp(name, "$logs"))
		return 0;
	if (len < 3 || len > 63 || name[strspn(name, allowed)] || name[0] == '-' ||
	    name[len - 1] == '-' || strstr(name, "--"))
		return err_set(err, ERR_USAGE,
			       "'%s' is no container name: 3 to 63 lower-case letters, digits and "
			       "single hyphens, with a letter or digit at both ends", name);
	return 0;
}

/* Length in bytes of the UTF-8 character at `s`; 0 for what is none. */
static size_t character(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len, i;

	if (p[0] < 0x80)
		return 1;
	len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	for (i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong, surrogates, beyond U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

/* A proxy on the way may resolve "." and "..", and then it is another blob. */
static int has_dot_segment(const char *name)
{
	size_t len;

	for (;; name += len + 1) {
		len = strcspn(name, "/");
		if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
			return 1;
		if (!name[len])
			return 0;
	}
}

int blob_check_blob_name(const char *name, struct err *err)
{
	size_t count = 0, len;
	const char *p;

	for (p = name; *p; p += len, count++) {
		len = character(p);
		if (!len)
			return err_set(err, ERR_USAGE, "'%s' is no blob name: it is not UTF-8", name);
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return err_set(err, ERR_USAGE,
				       "'%s' is no blob name: it holds a control character", name);
	}
	if (count < 1 || count > BLOB_NAME_MAX)
		return err_set(err, ERR_USAGE, "'%.64s' is no blob name: it must have 1 to %u "
			       "characters", name, BLOB_NAME_MAX);
	if (has_dot_segment(name))
		return err_set(err, ERR_USAGE,
			       "'%s' is no blob name: no part of it may be '.' or '..'", name);
	return 0;
}
