#include <config.h>

#include "blob/sign.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "blob/base/cleanup.h"

#define KEY_MAX 512 /* bytes of base64; a storage key has 88 */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static int add_lower(struct buf *out, const char *s)
{
	for (; *s; s++) {
		char c = lower(*s);

		if (buf_add(out, &c, 1) < 0)
			return -1;
	}
	return 0;
}

/* The service sorts header names with '_' before the digits (and so before the
 * letters), which ASCII doesn't. */
static int rank(char c)
{
	return c == '_' ? '0' * 2 - 1 : (unsigned char)lower(c) * 2;
}

static int by_header_name(const void *va, const void *vb)
{
	const char *a = (*(const struct pair *const *)va)->name;
	const char *b = (*(const struct pair *const *)vb)->name;

	while (*a && rank(*a) == rank(*b)) {
		a++;
		b++;
	}
	return rank(*a) - rank(*b);
}

static int by_query_name(const void *va, const void *vb)
{
	return strcasecmp((*(const struct pair *const *)va)->name,
			  (*(const struct pair *const *)vb)->name);
}

/* Pointers to the pairs whose name begins with `prefix`, sorted; *count of them.
 * NULL when out of memory. */
static const struct pair **sorted(const struct pairs *pairs, const char *prefix,
				  int (*compare)(const void *, const void *), size_t *count)
{
	const struct pair **list = calloc(pairs->count + 1, sizeof(*list));
	size_t i;

	*count = 0;
	if (!list)
		return NULL;
	for (i = 0; i < pairs->count; i++)
		if (!strncasecmp(pairs->items[i].name, prefix, strlen(prefix)))
			list[(*count)++] = &pairs->items[i];
	if (*count > 1)
		qsort(list, *count, sizeof(*list), compare);
	return list;
}

static int add_trimmed(struct buf *out, const char *s)
{
	size_t len;

	s += strspn(s, " \t");
	len = strlen(s);
	while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	return buf_add(out, s, len);
}

static int add_canonical_headers(struct buf *out, const struct pairs *headers)
{
	size_t count, i;
	cleanup_free const struct pair **list = sorted(headers, "x-ms-", by_header_name, &count);

	if (!list)
		return -1;
	for (i = 0; i < count; i++)
		if (add_lower(out, list[i]->name) < 0 || buf_add(out, ":", 1) < 0 ||
		    add_trimmed(out, list[i]->value) < 0 || buf_add(out, "\n", 1) < 0)
			return -1;
	return 0;
}

static int add_canonical_resource(struct buf *out, const struct sign_request *r)
{
	size_t count, i;
	cleanup_free const struct pair **list = sorted(r->query, "", by_query_name, &count);

	if (!list)
		return -1;
	if (buf_addf(out, "/%s%s", r->account, r->path) < 0)
		return -1;
	for (i = 0; i < count; i++)
		if (buf_add(out, "\n", 1) < 0 || add_lower(out, list[i]->name) < 0 ||
		    buf_add(out, ":", 1) < 0 || buf_addstr(out, list[i]->value) < 0)
			return -1;
	return 0;
}

int sign_string(const struct sign_request *r, struct buf *out)
{
	static const char *const standard[] = {
		"Content-Encoding", "Content-Language", NULL /* Content-Length */, "Content-MD5",
		"Content-Type", "Date", "If-Modified-Since", "If-Match", "If-None-Match",
		"If-Unmodified-Since", "Range",
	};
	bool own_date = pairs_get(r->headers, "x-ms-date") != NULL;
	size_t i;

	buf_addf(out, "%s\n", r->method);
	for (i = 0; i < ARRAY_LEN(standard); i++) {
		const char *value;

		if (!standard[i]) {
			/* A length of 0 is signed as nothing, though "0" is sent. */
			if (r->content_length)
				buf_addf(out, "%llu", (unsigned long long)r->content_length);
		} else {
			value = pairs_get(r->headers, standard[i]);
			if (value && !(own_date && !strcmp(standard[i], "Date")))
				add_trimmed(out, value);
		}
		buf_add(out, "\n", 1);
	}
	if (add_canonical_headers(out, r->headers) < 0 || add_canonical_resource(out, r) < 0)
		return -1;
	return out->failed ? -1 : 0;
}

/* The bytes of a base64 key: their number, or -1. */
static int decode_key(const char *key, unsigned char bytes[KEY_MAX])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789+/";
	size_t len = strlen(key), digits = strspn(key, alphabet);
	size_t padding = len - digits;

	if (!len || len % 4 || len > KEY_MAX || padding > 2 ||
	    strspn(key + digits, "=") != padding ||
	    EVP_DecodeBlock(bytes, (const unsigned char *)key, (int)len) < 0)
		return -1;
	return (int)(len / 4 * 3 - padding);
}

int sign_authorization(const struct sign_request *r, const char *key, struct buf *out,
		       struct err *err)
{
	cleanup_buf struct buf text = BUF_INIT(1 << 20);
	unsigned char bytes[KEY_MAX], mac[EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;
	int key_len = decode_key(key, bytes);
	int rc = -1;

	if (key_len < 0)
		err_set(err, ERR_AUTH, "the key of account %s is not base64", r->account);
	else if (sign_string(r, &text) < 0 ||
		 !HMAC(EVP_sha256(), bytes, key_len, (const unsigned char *)text.data, text.len,
		       mac, &mac_len) ||
		 buf_addf(out, "SharedKey %s:", r->account) < 0 ||
		 sign_base64(out, mac, mac_len) < 0)
		err_set(err, ERR_NO_MEMORY, "not enough memory to sign a request");
	else
		rc = 0;
	explicit_bzero(bytes, sizeof(bytes));
	return rc;
}

int sign_base64(struct buf *out, const void *data, size_t len)
{
	const unsigned char *p = data;
	unsigned char quad[5];

	for (; len; p += len < 3 ? len : 3, len -= len < 3 ? len : 3) {
		EVP_EncodeBlock(quad, p, len < 3 ? (int)len : 3);
		if (buf_add(out, quad, 4) < 0)
			return -1;
	}
	return 0;
}
