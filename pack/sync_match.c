#include <config.h>

#include "pack/sync_match.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static size_t character(const char *s)
{
	size_t n = 1;

	while (((unsigned char)s[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* On a mismatch only the last '*' has to give way: an earlier one could take no more
 * than it can. */
static bool matches(const char *filter, const char *name, size_t len)
{
	const char *end = name + len, *star = NULL, *from = NULL;

	while (name < end) {
		if (*filter == '*') {
			star = ++filter;
			from = name;
		} else if (*filter == '?') {
			filter++;
			name += character(name);
		} else if (*filter && !strncasecmp(filter, name, 1)) {
			filter++;
			name++;
		} else if (star) {
			filter = star;
			from += character(from);
			name = from;
		} else {
			return false;
		}
	}
	filter += strspn(filter, "*");
	return !*filter && name == end;
}

bool sync_filter_matches(const char *filter, const char *name)
{
	const char *last = strrchr(name, '/'), *dot;

	if (!filter || matches(filter, name, strlen(name)))
		return true;
	last = last ? last + 1 : name;
	dot = strrchr(last, '.');
	return dot && dot > last && matches(filter, name, (size_t)(dot - name));
}

enum sync_overlap sync_overlap(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);

	if (!strncmp(a, b, a_len < b_len ? a_len : b_len)) {
		if (a_len == b_len)
			return SYNC_SAME;
		if (a_len > b_len && a[b_len] == '/')
			return SYNC_INSIDE;
		if (b_len > a_len && b[a_len] == '/')
			return SYNC_AROUND;
	}
	return SYNC_APART;
}
