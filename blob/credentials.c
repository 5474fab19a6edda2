#include <config.h>

#include "blob/credentials.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"

#define DEFAULT_TEMPLATES HPCPACK_SYSCONFDIR "/hpcpack/templates"
#define DEFAULT_SCHEDULER_DIR "/net/%s/hpcpack/templates"

/* What every source is asked with. */
struct search {
	const struct credential_options *options;
	const struct config *config;
	const char *ca_file;   /* for sources that have none of their own */
};

/* A source of credentials: 1 and *out; 0 when it has nothing to say; -1. */
typedef int source_fn(struct blob_account *out, const struct search *s, struct err *err);

/* Empty counts as unset, as in most programs that look at such variables. */
static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* A fault in what the user did not type here is no fault of the command line. */
static int not_usage(struct err *err)
{
	if (err && err->code == ERR_USAGE)
		err->code = ERR_AUTH;
	return -1;
}

/* --- files: the configuration, and node templates --- */

static const char *file_ca(const struct config *c, const struct search *s)
{
	const char *own = config_string(c, "account", "ca_file", NULL);

	return own && !s->options->ca_file ? own : s->ca_file;
}

static int from_section(struct blob_account *out, const struct config *c, const char *source,
			const struct search *s, struct err *err)
{
	const char *cs = config_string(c, "account", "connection_string", NULL);
	struct account_parts parts = {
		.name = config_string(c, "account", "name", NULL),
		.key = config_string(c, "account", "key", NULL),
		.sas = config_string(c, "account", "sas", NULL),
		.endpoint = config_string(c, "account", "endpoint", NULL),
		.ca_file = file_ca(c, s),
		.use_http = s->options->use_http,
	};
	int rc;

	if (!cs && !parts.name && !parts.endpoint) {
		if (parts.key || parts.sas)
			return err_set(err, ERR_FORMAT, "%s: [account] needs name or endpoint",
				       config_path(c));
		return 0;
	}
	if ((cs || parts.key || parts.sas) && config_world_readable(c))
		return err_set(err, ERR_PERMISSION,
			       "%s holds a key and can be read by others: chmod 600 %s",
			       config_path(c), config_path(c));
	if (cs && (parts.name || parts.key || parts.sas || parts.endpoint))
		return err_set(err, ERR_FORMAT,
			       "%s: [account] has connection_string and other ways at once",
			       config_path(c));
	if (cs)
		rc = account_from_connection_string(out, cs, parts.use_http, parts.ca_file, source, err);
	else
		rc = account_from_parts(out, &parts, source, err);
	if (rc < 0)
		return not_usage(err);
	out->reread = strdup(config_path(c));
	if (!out->reread) {
		account_free(out);
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	return 1;
}

static int from_config(struct blob_account *out, const struct search *s, struct err *err)
{
	if (!config_path(s->config))
		return 0;
	return from_section(out, s->config, config_path(s->config), s, err);
}

/* Where the templates are; fresh string. */
static char *template_dir(const struct search *s, struct err *err)
{
	const char *host = s->options->scheduler, *pattern, *place;
	struct buf dir = BUF_INIT(4096);
	char *path;

	if (!host)
		pattern = config_string(s->config, "templates", "dir", DEFAULT_TEMPLATES);
	else if (strchr(host, '/'))
		pattern = host;
	else
		pattern = config_string(s->config, "templates", "scheduler_dir", DEFAULT_SCHEDULER_DIR);
	while (pattern != host && host && (place = strstr(pattern, "%s"))) {
		buf_add(&dir, pattern, (size_t)(place - pattern));
		buf_addstr(&dir, host);
		pattern = place + 2;
	}
	buf_addstr(&dir, pattern);
	path = buf_steal(&dir);
	if (!path)
		err_set(err, ERR_USAGE, "the folder of node templates has too long a name");
	return path;
}

/* "; there are: a, b", of the templates in the folder. */
static void name_templates(const char *dir, struct err *err)
{
	struct dirent **names;
	int n, shown = 0;

	n = scandir(dir, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		size_t len = strlen(names[i]->d_name);

		if (len > 5 && !strcmp(names[i]->d_name + len - 5, ".conf") && shown < 10)
			err_append(err, "%s%.*s", shown++ ? ", " : "; there are: ", (int)len - 5,
				   names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static int from_template(struct blob_account *out, const struct search *s, struct err *err)
{
	const char *name = s->options->node_template, *host = s->options->scheduler;
	cleanup_free char *dir = NULL, *path = NULL, *source = NULL;
	struct config *c;
	int rc;

	if (!name)
		return host ? err_set(err, ERR_USAGE, "--scheduler needs --node-template") : 0;
	if (!*name || *name == '.' || strchr(name, '/'))
		return err_set(err, ERR_USAGE, "'%s' is no name of a node template", name);
	if (host && (!*host || !strcmp(host, ".") || !strcmp(host, "..")))
		return err_set(err, ERR_USAGE, "--scheduler: '%s' is neither a host nor a folder", host);
	dir = template_dir(s, err);
	if (!dir)
		return -1;
	if (asprintf(&path, "%s/%s.conf", dir, name) < 0 ||
	    asprintf(&source, "node template %s", name) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	c = config_load(path, err);
	if (!c) {
		err_prefix(err, "%s", source);
		if (err && err->code == ERR_NOT_FOUND)
			name_templates(dir, err);
		return -1;
	}
	rc = from_section(out, c, source, s, err);
	if (rc == 0)
		rc = err_set(err, ERR_FORMAT, "%s: %s says nothing in [account]", source, path);
	config_free(c);
	return rc;
}

/* --- the environment --- */

static int from_env_string(struct blob_account *out, const struct search *s, const char *name,
			   struct err *err)
{
	const char *cs = env(name);

	if (!cs)
		return 0;
	if (account_from_connection_string(out, cs, s->options->use_http, s->ca_file, name, err) < 0)
		return not_usage(err);
	return 1;
}

static int from_ccp(struct blob_account *out, const struct search *s, struct err *err)
{
	return from_env_string(out, s, "CCP_AZURE_CONNECTIONSTRING", err);
}

static int from_azure_string(struct blob_account *out, const struct search *s, struct err *err)
{
	return from_env_string(out, s, "AZURE_STORAGE_CONNECTION_STRING", err);
}

static int from_azure_account(struct blob_account *out, const struct search *s, struct err *err)
{
	struct account_parts parts = {
		.name = env("AZURE_STORAGE_ACCOUNT"),
		.key = env("AZURE_STORAGE_KEY"),
		.ca_file = s->ca_file,
		.use_http = s->options->use_http,
	};

	/* A key and a SAS beside each other are common here: the key can do more. */
	if (!parts.key)
		parts.sas = env("AZURE_STORAGE_SAS_TOKEN");
	if (!parts.name || (!parts.key && !parts.sas))
		return 0;
	if (account_from_parts(out, &parts, "AZURE_STORAGE_ACCOUNT", err) < 0)
		return not_usage(err);
	return 1;
}

/* --- options --- */

static int check_options(const struct credential_options *o, struct err *err)
{
	if (o->connection_string && (o->account || o->key || o->sas || o->endpoint))
		return err_set(err, ERR_USAGE,
			       "--connection-string says it all: not together with --account, --key, --sas or --endpoint");
	if (o->key && o->sas)
		return err_set(err, ERR_USAGE, "--key and --sas: give one of them");
	if ((o->key || o->sas) && !o->account && !o->endpoint)
		return err_set(err, ERR_USAGE, "%s needs --account", o->key ? "--key" : "--sas");
	return 0;
}

static int from_options(struct blob_account *out, const struct search *s, struct err *err)
{
	const struct credential_options *o = s->options;
	struct account_parts parts = {
		.name = o->account,
		.key = o->key,
		.sas = o->sas,
		.endpoint = o->endpoint,
		.ca_file = s->ca_file,
		.use_http = o->use_http,
	};
	const char *source = o->key ? "--key" : o->sas ? "--sas" : o->account ? "--account" : "--endpoint";

	if (o->connection_string)
		return account_from_connection_string(out, o->connection_string, o->use_http, s->ca_file,
						      "--connection-string", err) < 0 ? -1 : 1;
	if (!o->account && !o->endpoint)
		return 0;
	if (account_from_parts(out, &parts, source, err) < 0)
		return -1;
	/* Beside an endpoint that is typed, --use-http can be typed as well. */
	out->http_chosen = o->use_http;
	return 1;
}

/* The first of the other sources that has something to say, or, if `name` is
 * given, that speaks of this account. */
static int from_others(struct blob_account *out, const struct search *s, const char *name,
		       struct err *err)
{
	static source_fn *const others[] = {
		from_template, from_ccp, from_azure_string, from_azure_account, from_config,
	};

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		int rc = others[i](out, s, err);

		if (rc < 0 || (rc > 0 && (!name || !strcmp(out->name, name))))
			return rc;
		if (rc > 0)
			account_free(out);
	}
	return 0;
}

/* A relative file name means nothing to the agent and its workers. */
static int absolute_ca(struct blob_account *a, struct err *err)
{
	char *path;

	if (!a->ca_file)
		return 0;
	path = realpath(a->ca_file, NULL);
	if (!path)
		return err_set_errno(err, errno, "CA file %s", a->ca_file);
	free(a->ca_file);
	a->ca_file = path;
	return 0;
}

int credentials_resolve(struct blob_account *out, const struct credential_options *options,
			const struct config *config, struct err *err)
{
	const struct credential_options *o = options;
	struct search s = { .options = o, .config = config };
	int rc = 0;

	memset(out, 0, sizeof(*out));
	s.ca_file = o->ca_file ? o->ca_file : config_string(config, "account", "ca_file", NULL);
	if (check_options(o, err) < 0)
		return -1;
	if (!(o->account && !o->key && !o->sas && !o->endpoint))
		rc = from_options(out, &s, err);
	if (rc == 0)
		rc = from_others(out, &s, o->account, err);
	if (rc == 0)
		rc = from_options(out, &s, err);
	if (rc == 0)
		return err_set(err, ERR_USAGE,
			       "no storage account: give --account with --key or --sas, --connection-string or --node-template, set CCP_AZURE_CONNECTIONSTRING, AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or write [account] into %s",
			       config_path(config) ? config_path(config)
						   : HPCPACK_SYSCONFDIR "/hpcpack/hpcpack.conf");
	if (rc > 0 && account_check_transport(out, out->http_chosen, err) == 0 &&
	    absolute_ca(out, err) == 0)
		return 0;
	account_free(out);
	return -1;
}

int credentials_reread(struct blob_account *out, const struct blob_account *old, struct err *err)
{
	static const struct credential_options none = { .account = NULL };
	struct search s = { .options = &none, .ca_file = old->ca_file };
	struct blob_account fresh;
	struct config *c;
	int rc;

	if (!old->reread)
		return err_set(err, ERR_NOT_FOUND, "%s: there is nothing to read it from again", old->source);
	c = config_load(old->reread, err);
	if (!c)
		return -1;
	rc = from_section(&fresh, c, old->source, &s, err);
	config_free(c);
	if (rc == 0)
		return err_set(err, ERR_AUTH, "%s says nothing in [account] any more", old->reread);
	if (rc < 0)
		return -1;
	if (strcmp(fresh.name, old->name)) {
		err_set(err, ERR_AUTH, "%s now speaks of account %s, not of %s", old->reread, fresh.name,
			old->name);
		account_free(&fresh);
		return -1;
	}
	rc = account_copy(out, old, err);
	if (rc == 0) {
		secret_free(out->key);
		secret_free(out->sas);
		out->kind = fresh.kind;
		out->key = steal_ptr(&fresh.key);
		out->sas = steal_ptr(&fresh.sas);
	}
	account_free(&fresh);
	return rc;
}
