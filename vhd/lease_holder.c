#include <config.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "vhd/lease.h"

/* Five values of up to 255 bytes, each byte at worst "%XX". */
#define HOLDER_TEXT_MAX 4096

/* Metadata values travel as HTTP headers: printable ASCII, no blank at either
 * end. ';' separates our fields, '%' is the escape. */
static int add_value(struct buf *b, const char *name, const char *value)
{
	const unsigned char *p;

	if (buf_addf(b, "%s%s=", b->len ? ";" : "", name) < 0)
		return -1;
	for (p = (const unsigned char *)value; *p; p++) {
		int plain = *p > 0x20 && *p < 0x7f && *p != ';' && *p != '%';

		if ((plain ? buf_add(b, p, 1) : buf_addf(b, "%%%02X", *p)) < 0)
			return -1;
	}
	return 0;
}

char *lease_holder_format(const struct lease_holder *h)
{
	cleanup_buf struct buf b = BUF_INIT(HOLDER_TEXT_MAX);
	char pid[24];

	snprintf(pid, sizeof(pid), "%ld", h->pid);
	if (add_value(&b, "host", h->host) < 0 || add_value(&b, "user", h->user) < 0 ||
	    add_value(&b, "pid", pid) < 0 || add_value(&b, "since", h->since) < 0 ||
	    add_value(&b, "id", h->id) < 0)
		return NULL;
	return buf_steal(&b);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The record goes into messages and terminals: whatever it holds, what comes
 * out of here is text without control characters. -1 when it does not fit. */
static int take_value(const char *from, size_t len, char *out, size_t size)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		int c = (unsigned char)from[i];

		if (c == '%') {
			int hi = i + 2 < len ? hex_digit(from[i + 1]) : -1;
			int lo = i + 2 < len ? hex_digit(from[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return -1;
			c = hi << 4 | lo;
			i += 2;
		}
		if (n + 1 >= size || c == 0)
			return -1;
		out[n++] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
	}
	out[n] = '\0';
	return 0;
}

int lease_holder_parse(const char *text, struct lease_holder *out)
{
	char pid[24] = "";
	const struct {
		const char *name;
		char *to;
		size_t size;
	} fields[] = {
		{ "host", out->host, sizeof(out->host) },
		{ "user", out->user, sizeof(out->user) },
		{ "pid", pid, sizeof(pid) },
		{ "since", out->since, sizeof(out->since) },
		{ "id", out->id, sizeof(out->id) },
	};
	char *end;

	memset(out, 0, sizeof(*out));
	while (*text) {
		size_t len = strcspn(text, ";"), name_len = strcspn(text, "=;"), i;

		if (text[name_len] != '=')
			return -1;
		for (i = 0; i < ARRAY_LEN(fields); i++)
			if (name_len == strlen(fields[i].name) &&
			    !strncmp(text, fields[i].name, name_len) &&
			    take_value(text + name_len + 1, len - name_len - 1, fields[i].to,
				       fields[i].size) < 0)
				return -1;
		text += len;
		if (*text)
			text++;
	}
	out->pid = strtol(pid, &end, 10);
	if (!pid[0] || *end || out->pid < 0 || !out->host[0] || !out->id[0])
		return -1;
	return 0;
}
