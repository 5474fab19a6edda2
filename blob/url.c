#include <config.h>

#include "blob/url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool unreserved(unsigned char c)
{
	/* Not isalnum(): that asks the locale. */
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static int add(struct buf *out, const char *text, char kept)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		char escaped[3] = { '%', hex[c >> 4], hex[c & 15] };
		bool plain = unreserved(c) || (kept && *text == kept);

		if (buf_add(out, plain ? text : escaped, plain ? 1 : 3) < 0)
			return -1;
	}
	return 0;
}

int url_add_encoded(struct buf *out, const char *text)
{
	return add(out, text, '\0');
}

int url_add_path(struct buf *out, const char *text)
{
	return add(out, text, '/');
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void url_decode(char *text)
{
	char *to = text;
	int high, low;

	while (*text) {
		high = *text == '%' ? hex_value(text[1]) : -1;
		low = high >= 0 ? hex_value(text[2]) : -1;
		if (low < 0 || high * 16 + low == 0) {
			*to++ = *text++;
			continue;
		}
		*to++ = (char)(high * 16 + low);
		text += 3;
	}
	*to = '\0';
}

/* The first byte of the authority; a URL without a scheme begins with it. */
static const char *authority(const char *url)
{
	const char *p = strstr(url, "://");

	return p ? p + 3 : url;
}

int url_add_address(struct buf *out, const char *endpoint, const struct blob_ref *ref, size_t *path)
{
	size_t start = out->len;
	const char *host = authority(endpoint);

	if (path)
		*path = start + (size_t)(host - endpoint) + strcspn(host, "/?#");
	if (buf_addstr(out, endpoint) < 0 || buf_add(out, "/", 1) < 0)
		return -1;
	if (ref->container && url_add_encoded(out, ref->container) < 0)
		return -1;
	if (ref->container && ref->blob &&
	    (buf_add(out, "/", 1) < 0 || url_add_path(out, ref->blob) < 0))
		return -1;
	return 0;
}

int url_add_query(struct buf *out, const struct pairs *query, const char *sas)
{
	const char *separator = "?";
	size_t i;

	for (i = 0; i < query->count; i++) {
		if (buf_addstr(out, separator) < 0 ||
		    url_add_encoded(out, query->items[i].name) < 0 || buf_add(out, "=", 1) < 0 ||
		    url_add_encoded(out, query->items[i].value) < 0)
			return -1;
		separator = "&";
	}
	if (!sas || !*sas)
		return 0;
	if (buf_addstr(out, separator) < 0)
		return -1;
	return buf_addstr(out, sas);
}

void url_host(const char *url, char out[URL_HOST_MAX])
{
	const char *host = authority(url);

	snprintf(out, URL_HOST_MAX, "%.*s", (int)strcspn(host, "/?#"), host);
}

bool url_is_loopback(const char *url)
{
	char host[URL_HOST_MAX];
	size_t len;

	url_host(url, host);
	if (!strncmp(host, "[::1]", 5))
		return true;
	host[strcspn(host, ":")] = '\0';
	len = strlen(host);
	if (!strcasecmp(host, "localhost") ||
	    (len > 10 && !strcasecmp(host + len - 10, ".localhost")))
		return true;
	/* 127.0.0.1, but not 127.example.com */
	return !strncmp(host, "127.", 4) && strspn(host, "0123456789.") == len;
}
