#include <config.h>

#include "blob/account.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "blob/base/cleanup.h"

static int no_memory(struct err *err)
{
	return err_set(err, ERR_NO_MEMORY, "out of memory");
}

void secret_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void account_free(struct blob_account *a)
{
	secret_free(a->key);
	secret_free(a->sas);
	free(a->name);
	free(a->endpoint);
	free(a->ca_file);
	free(a->source);
	free(a->reread);
	memset(a, 0, sizeof(*a));
}

static int copy_string(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -1 : 0;
}

int account_copy(struct blob_account *to, const struct blob_account *from, struct err *err)
{
	memset(to, 0, sizeof(*to));
	to->kind = from->kind;
	to->http_chosen = from->http_chosen;
	if (copy_string(&to->name, from->name) < 0 ||
	    copy_string(&to->endpoint, from->endpoint) < 0 ||
	    copy_string(&to->key, from->key) < 0 || copy_string(&to->sas, from->sas) < 0 ||
	    copy_string(&to->ca_file, from->ca_file) < 0 ||
	    copy_string(&to->source, from->source) < 0 ||
	    copy_string(&to->reread, from->reread) < 0) {
		account_free(to);
		return no_memory(err);
	}
	return 0;
}

static bool is_account_name(const char *s, size_t len)
{
	if (len < 3 || len > 24)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') && !(s[i] >= '0' && s[i] <= '9'))
			return false;
	return true;
}

static bool is_base64(const char *s)
{
	size_t len = strlen(s), digits;

	digits = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	return digits > 0 && len % 4 == 0 && len - digits <= 2 &&
	       strspn(s + digits, "=") == len - digits;
}

/* --- endpoints: scheme://host[:port][/path] --- */

struct endpoint {
	bool http;
	const char *host;  /* without brackets */
	size_t host_len;
	const char *path;  /* from the '/' behind host and port, or "" */
};

static int split_endpoint(const char *text, struct endpoint *out)
{
	const char *rest, *end;

	if (!strncasecmp(text, "http://", 7))
		out->http = true;
	else if (!strncasecmp(text, "https://", 8))
		out->http = false;
	else
		return -1;
	rest = text + (out->http ? 7 : 8);
	if (*rest == '[') {
		out->host = rest + 1;
		out->host_len = strcspn(rest + 1, "]/");
		end = out->host + out->host_len;
		if (*end++ != ']')
			return -1;
	} else {
		out->host = rest;
		out->host_len = strcspn(rest, ":/");
		end = rest + out->host_len;
	}
	if (*end == ':') {
		size_t digits = strspn(end + 1, "0123456789");
		long port = strtol(end + 1, NULL, 10);

		if (digits < 1 || digits > 5 || port < 1 || port > 65535)
			return -1;
		end += 1 + digits;
	}
	out->path = end;
	return out->host_len && (*end == '\0' || *end == '/') ? 0 : -1;
}

static bool is_address(const struct endpoint *e)
{
	return memchr(e->host, ':', e->host_len) ||
	       strspn(e->host, "0123456789.") >= e->host_len;
}

static bool is_loopback(const struct endpoint *e)
{
	static const char local[] = "localhost";
	const size_t n = sizeof(local) - 1;

	if (e->host_len >= n && !strncasecmp(e->host + e->host_len - n, local, n) &&
	    (e->host_len == n || e->host[e->host_len - n - 1] == '.'))
		return true;
	if (is_address(e) && e->host_len > 4 && !strncmp(e->host, "127.", 4))
		return true;
	return e->host_len == 3 && !strncmp(e->host, "::1", 3);
}

/* A copy of `text` without slashes at its end; NULL and *err when it is no
 * endpoint. User, query and fragment have no place in one, and are not shown:
 * they may hold a SAS. */
static char *normalise_endpoint(const char *text, struct endpoint *e, struct err *err)
{
	size_t len = strlen(text);
	char *copy;

	for (const char *p = text; *p; p++)
		if (isspace((unsigned char)*p) || iscntrl((unsigned char)*p) || strchr("?#@\"<>\\", *p)) {
			err_set(err, ERR_USAGE,
				"endpoint %.*s...: must be scheme://host[:port][/path] and nothing else",
				(int)strcspn(text, "?#@\"<>\\ "), text);
			return NULL;
		}
	while (len && text[len - 1] == '/')
		len--;
	copy = strndup(text, len);
	if (!copy) {
		no_memory(err);
		return NULL;
	}
	if (split_endpoint(copy, e) < 0 || strstr(e->path, "//")) {
		err_set(err, ERR_USAGE,
			"endpoint %s: must be http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]",
			text);
		free(copy);
		return NULL;
	}
	return copy;
}

/* The account that an endpoint speaks of: the first part of its path (as
 * Azurite and other local services have it), or the first label of its host. */
static char *name_of_endpoint(const struct endpoint *e)
{
	const char *name = *e->path ? e->path + 1 : e->host;
	size_t len = *e->path ? strcspn(name, "/") : strcspn(name, ".:/");

	if ((!*e->path && (is_address(e) || len == e->host_len)) || !is_account_name(name, len))
		return strdup("");
	return strndup(name, len);
}

/* --- the parts --- */

static int take_credential(struct blob_account *a, const struct account_parts *p, struct err *err)
{
	const char *sas = p->sas;

	if (p->key && sas)
		return err_set(err, ERR_USAGE, "an account key and a SAS at once: give one of them");
	if (p->key) {
		if (!is_base64(p->key))
			return err_set(err, ERR_USAGE,
				       "the account key is not base64: copy the whole of it, with the = at its end");
		a->kind = ACCOUNT_SHARED_KEY;
		return copy_string(&a->key, p->key) < 0 ? no_memory(err) : 0;
	}
	if (!sas)
		return 0;
	if (*sas == '?')
		sas++;
	if (strncmp(sas, "sig=", 4) && !strstr(sas, "&sig="))
		return err_set(err, ERR_USAGE,
			       "that is no SAS token: it has no sig= (quote it, the shell ends a word at &)");
	for (const char *c = sas; *c; c++)
		if (isspace((unsigned char)*c) || iscntrl((unsigned char)*c) || *c == '#')
			return err_set(err, ERR_USAGE,
				       "the SAS token holds a space or another character that no token has");
	a->kind = ACCOUNT_SAS;
	return copy_string(&a->sas, sas) < 0 ? no_memory(err) : 0;
}

static int take_endpoint(struct blob_account *a, const struct account_parts *p, struct err *err)
{
	struct endpoint e;

	if (!p->endpoint) {
		if (asprintf(&a->endpoint, "%s://%s.blob.core.windows.net",
			     p->use_http ? "http" : "https", a->name) < 0) {
			a->endpoint = NULL;
			return no_memory(err);
		}
		a->http_chosen = p->use_http;
		return 0;
	}
	a->endpoint = normalise_endpoint(p->endpoint, &e, err);
	if (!a->endpoint)
		return -1;
	if (p->use_http && !e.http)
		return err_set(err, ERR_USAGE, "--use-http contradicts the endpoint %s", a->endpoint);
	a->http_chosen = e.http;
	if (a->name)
		return 0;
	a->name = name_of_endpoint(&e);
	if (!a->name)
		return no_memory(err);
	if (!*a->name && p->key)
		return err_set(err, ERR_USAGE,
			       "%s does not tell the account's name, which a key needs: give it as well",
			       a->endpoint);
	return 0;
}

int account_from_parts(struct blob_account *out, const struct account_parts *parts,
		       const char *source, struct err *err)
{
	struct blob_account a = { .kind = ACCOUNT_ANONYMOUS };

	memset(out, 0, sizeof(*out));
	if (!parts->name && !parts->endpoint)
		return err_set(err, ERR_USAGE, "%s: the account's name is missing", source);
	if (parts->name && !is_account_name(parts->name, strlen(parts->name)))
		return err_set(err, ERR_USAGE,
			       "%s: '%s' is no account name: 3 to 24 lower-case letters and digits",
			       source, parts->name);
	if (copy_string(&a.name, parts->name) < 0 || copy_string(&a.source, source) < 0 ||
	    copy_string(&a.ca_file, parts->ca_file) < 0) {
		no_memory(err);
		goto fail;
	}
	if (take_credential(&a, parts, err) < 0 || take_endpoint(&a, parts, err) < 0) {
		err_prefix(err, "%s", source);
		goto fail;
	}
	*out = a;
	return 0;
fail:
	account_free(&a);
	return -1;
}

int account_check_transport(const struct blob_account *a, bool allowed, struct err *err)
{
	struct endpoint e;

	if (allowed || a->kind == ACCOUNT_ANONYMOUS || split_endpoint(a->endpoint, &e) < 0 ||
	    !e.http || is_loopback(&e))
		return 0;
	return err_set(err, ERR_USAGE,
		       "%s: the %s would travel unencrypted to %.*s: use https, or say --use-http",
		       a->source ? a->source : a->name, a->kind == ACCOUNT_SAS ? "SAS" : "data signed with the account key",
		       (int)e.host_len, e.host);
}
