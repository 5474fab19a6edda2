#include <config.h>

#include "blob/reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "blob/ops.h"

#define META_PREFIX "x-ms-meta-"

int reply_parse_head(struct pairs *out, const char *head)
{
	const char *line, *end, *colon, *value, *tail;

	for (line = head; *line; line = end + strspn(end, "\r\n")) {
		end = line + strcspn(line, "\r\n");
		colon = memchr(line, ':', (size_t)(end - line));
		if (!colon || colon == line || !strncmp(line, "HTTP/", 5))
			continue;
		value = colon + 1;
		while (value < end && (*value == ' ' || *value == '\t'))
			value++;
		for (tail = end; tail > value && (tail[-1] == ' ' || tail[-1] == '\t'); tail--)
			;
		if (pairs_add_len(out, line, (size_t)(colon - line), value,
				  (size_t)(tail - value)) < 0)
			return -1;
	}
	return 0;
}

int reply_meta(struct blob_meta_list *out, const struct pairs *head)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < head->count; i++) {
		const struct pair *h = &head->items[i];

		if (strncasecmp(h->name, META_PREFIX, strlen(META_PREFIX)) != 0)
			continue;
		if (blob_meta_set(out, h->name + strlen(META_PREFIX), h->value) < 0) {
			blob_meta_free(out);
			return -1;
		}
	}
	return 0;
}

/* Digits at *p; moves *p behind them. */
static int take_number(const char **p, uint64_t *out)
{
	unsigned long long n;
	char *end;

	if (**p < '0' || **p > '9')
		return -1;
	errno = 0;
	n = strtoull(*p, &end, 10);
	if (errno)
		return -1;
	*p = end;
	*out = n;
	return 0;
}

int reply_number(const char *value, uint64_t *out)
{
	if (!value || take_number(&value, out) < 0)
		return -1;
	return *value ? -1 : 0;
}

int reply_content_range(const char *value, uint64_t *first, uint64_t *last, uint64_t *total)
{
	const char *p = value;

	if (!p || strncasecmp(p, "bytes ", 6) != 0)
		return -1;
	p += 6;
	if (take_number(&p, first) < 0 || *p++ != '-' || take_number(&p, last) < 0 || *p++ != '/')
		return -1;
	if (*last < *first)
		*last = *first - 1;
	if (!strcmp(p, "*")) {
		*total = UINT64_MAX;
		return 0;
	}
	return reply_number(p, total);
}
