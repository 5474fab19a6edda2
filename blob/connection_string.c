/* connection_string.c - "Name=Value;...", as the Azure portal hands it out. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "blob/account.h"
#include "blob/base/cleanup.h"

#define DEV_NAME "devstoreaccount1"
/* Published with the storage emulator: it protects nothing. */
#define DEV_KEY "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

struct settings {
	char *protocol, *name, *key, *endpoint, *suffix, *sas, *development, *proxy;
};

/* All the names that a connection string may hold; without a place: other
 * services' and the read-only secondary's, which are of no use here. */
static char **place_of(struct settings *s, const char *name, bool *known)
{
	static char *ignored;
	const struct { const char *name; char **place; } table[] = {
		{ "DefaultEndpointsProtocol", &s->protocol },
		{ "AccountName", &s->name },
		{ "AccountKey", &s->key },
		{ "BlobEndpoint", &s->endpoint },
		{ "EndpointSuffix", &s->suffix },
		{ "SharedAccessSignature", &s->sas },
		{ "UseDevelopmentStorage", &s->development },
		{ "DevelopmentStorageProxyUri", &s->proxy },
		{ "QueueEndpoint", &ignored },
		{ "TableEndpoint", &ignored },
		{ "FileEndpoint", &ignored },
		{ "DfsEndpoint", &ignored },
		{ "BlobSecondaryEndpoint", &ignored },
		{ "QueueSecondaryEndpoint", &ignored },
		{ "TableSecondaryEndpoint", &ignored },
		{ "FileSecondaryEndpoint", &ignored },
	};

	*known = false;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (!strcasecmp(table[i].name, name)) {
			*known = true;
			return table[i].place == &ignored ? NULL : table[i].place;
		}
	return NULL;
}

static char *trim(char *s)
{
	size_t len;

	s += strspn(s, " \t\r\n");
	len = strlen(s);
	while (len && strchr(" \t\r\n", s[len - 1]))
		s[--len] = '\0';
	return s;
}

/* Cut `text` up in place; the settings point into it. Values are never shown in
 * a message, and of an unknown name only what looks like a name is: what stands
 * there may be a piece of a key. */
static int split(char *text, struct settings *s, struct err *err)
{
	char *rest = text, *part;

	while ((part = strsep(&rest, ";"))) {
		char *value, **place;
		bool known;

		part = trim(part);
		if (!*part)
			continue;
		value = strchr(part, '=');   /* the first: keys end in '=' */
		if (!value)
			return err_set(err, ERR_USAGE,
				       "the connection string has a part without '=' (it is Name=Value;Name=Value...)");
		*value++ = '\0';
		part = trim(part);
		value = trim(value);
		place = place_of(s, part, &known);
		if (!known)
			return err_set(err, ERR_USAGE, "the connection string has an unknown setting '%.*s'",
				       strlen(part) <= 32 ? 32 : 0, part);
		if (!place)
			continue;
		if (*place)
			return err_set(err, ERR_USAGE, "the connection string sets %s twice", part);
		*place = value;
	}
	return 0;
}

static bool is_set(const char *s)
{
	return s && *s;
}

/* Azurite on this machine, or where the proxy setting says. */
static int development(struct blob_account *out, const struct settings *s, const char *ca_file,
		       const char *source, struct err *err)
{
	cleanup_free char *endpoint = NULL;
	struct account_parts parts = { .name = DEV_NAME, .key = DEV_KEY, .ca_file = ca_file };
	const char *base = is_set(s->proxy) ? s->proxy : "http://127.0.0.1";
	size_t len = strlen(base);

	while (len && base[len - 1] == '/')
		len--;
	if (asprintf(&endpoint, "%.*s:10000/" DEV_NAME, (int)len, base) < 0) {
		endpoint = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	parts.endpoint = endpoint;
	return account_from_parts(out, &parts, source, err);
}

/* <protocol>://<name>.blob.<suffix>, for which only --use-http counts as the
 * user's own choice of http. */
static int default_endpoint(struct blob_account *out, const struct settings *s,
			    struct account_parts *parts, const char *source, struct err *err)
{
	cleanup_free char *endpoint = NULL;
	const char *protocol = is_set(s->protocol) ? s->protocol : "https";

	if (strcasecmp(protocol, "http") && strcasecmp(protocol, "https"))
		return err_set(err, ERR_USAGE, "%s: DefaultEndpointsProtocol must be https or http", source);
	if (!is_set(s->name))
		return err_set(err, ERR_USAGE,
			       "%s: the connection string has neither AccountName nor BlobEndpoint", source);
	if (asprintf(&endpoint, "%s://%s.blob.%s", parts->use_http ? "http" : protocol, s->name,
		     is_set(s->suffix) ? s->suffix : "core.windows.net") < 0) {
		endpoint = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	parts->endpoint = endpoint;
	if (account_from_parts(out, parts, source, err) < 0)
		return -1;
	out->http_chosen = parts->use_http;
	return 0;
}

int account_from_connection_string(struct blob_account *out, const char *cs,
				   bool use_http, const char *ca_file,
				   const char *source, struct err *err)
{
	cleanup_free char *copy = strdup(cs);
	size_t len = strlen(cs);
	struct settings s = { .name = NULL };
	struct account_parts parts;
	int rc;

	memset(out, 0, sizeof(*out));
	if (!copy)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	rc = split(copy, &s, err);
	if (rc < 0) {
		err_prefix(err, "%s", source);
		goto out;
	}
	if (is_set(s.development) && !strcasecmp(s.development, "true")) {
		rc = development(out, &s, ca_file, source, err);
		goto out;
	}
	parts = (struct account_parts){
		.name = is_set(s.name) ? s.name : NULL,
		.key = is_set(s.key) ? s.key : NULL,
		.sas = is_set(s.sas) ? s.sas : NULL,
		.ca_file = ca_file,
		.use_http = use_http,
	};
	if (is_set(s.endpoint)) {
		parts.endpoint = s.endpoint;
		rc = account_from_parts(out, &parts, source, err);
	} else {
		rc = default_endpoint(out, &s, &parts, source, err);
	}
out:
	explicit_bzero(copy, len);   /* it is cut in pieces by now */
	return rc;
}
