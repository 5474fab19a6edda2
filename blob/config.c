#include <config.h>

#include "blob/config.h"

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/cleanup.h"

/* Every section and key there is. A new one goes here and into
 * hpcpack.conf(5); tests/e2e/docs.sh compares the two. */
static const struct known {
	const char *section, *key;
} known[] = {
	{ "account", "name" },
	{ "account", "key" },
	{ "account", "sas" },
	{ "account", "connection_string" },
	{ "account", "endpoint" },
	{ "account", "ca_file" },
	{ "templates", "dir" },
	{ "templates", "scheduler_dir" },
	{ "drive", "lease_duration" },
	{ "drive", "io_deadline" },
	{ "drive", "cache" },
	{ "drive", "cache_dir" },
	{ "drive", "cache_size" },
	{ "drive", "connections" },
	{ "drive", "io_threads" },
	{ "agent", "socket_group" },
	{ "agent", "users_may_use_kernel_drivers" },
	{ "agent", "stop_leaves_mounts" },
	{ "agent", "log_level" },
	{ "mount", "root" },
	{ "packages", "root" },
	{ "packages", "max_path" },
	{ "packages", "keep_versions" },
	{ "packages", "max_unpacked" },
	{ "packages", "max_ratio" },
	{ "packages", "max_members" },
	{ "packages", "sync_at_start" },
	{ "packages", "sync_interval" },
	{ "packages", "sync_required" },
};

struct value {
	char *text;   /* NULL: not in the file */
	int line;
};

struct config {
	char *path;
	bool others_can_read;
	struct value values[ARRAY_LEN(known)];
};

/* A connection string with a SAS is the longest line that makes sense. */
enum { LINE_MAX_BYTES = 8192 };

struct parse {
	struct config *c;
	FILE *file;
	int line;
	struct err err;   /* the first thing wrong */
};

bool config_known(size_t i, const char **section, const char **key)
{
	if (i >= ARRAY_LEN(known))
		return false;
	*section = known[i].section;
	*key = known[i].key;
	return true;
}

static bool known_section(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strlen(known[i].section) == len && !strncmp(known[i].section, name, len))
			return true;
	return false;
}

static void complain(struct parse *p, const char *what, const char *name, int len)
{
	if (p->err.code == ERR_NONE)
		err_set(&p->err, ERR_FORMAT, "%s:%d: %s%.*s%s", p->c->path, p->line, what,
			len, name, len ? "'" : "");
}

/* inih tells its handler neither the line nor of a section without keys, and
 * drops the end of a long line: so all three are seen to here. */
static char *read_line(char *line, int size, void *arg)
{
	struct parse *p = arg;
	char *start, *end;

	if (!fgets(line, size, p->file))
		return NULL;
	p->line++;
	if (!strchr(line, '\n') && !feof(p->file)) {
		complain(p, "line too long", "", 0);
		return NULL;
	}
	start = line + strspn(line, " \t");
	end = *start == '[' ? strchr(start, ']') : NULL;
	if (end && !known_section(start + 1, (size_t)(end - start - 1)))
		complain(p, "unknown section '", start + 1, (int)(end - start - 1));
	return line;
}

static int handle(void *arg, const char *section, const char *key, const char *text)
{
	struct parse *p = arg;

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		struct value *v = &p->c->values[i];

		if (strcmp(known[i].section, section) || strcmp(known[i].key, key))
			continue;
		if (v->text) {
			complain(p, "set a second time: '", key, (int)strlen(key));
			return 0;
		}
		v->text = strdup(text);
		v->line = p->line;
		if (!v->text)
			err_set(&p->err, ERR_NO_MEMORY, "out of memory");
		return v->text != NULL;
	}
	if (!*section)
		complain(p, "no [section] stands above '", key, (int)strlen(key));
	else
		complain(p, "unknown key '", key, (int)strlen(key));
	return 0;
}

static int parse_file(struct config *c, FILE *file, struct err *err)
{
	struct parse p = { .c = c, .file = file };
	int rc;

	ini_max_line = LINE_MAX_BYTES;
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;   /* a connection string is full of ';' */
	rc = ini_parse_stream(read_line, &p, handle, &p);
	if (p.err.code != ERR_NONE) {
		if (err)
			*err = p.err;
		return -1;
	}
	if (rc > 0)
		return err_set(err, ERR_FORMAT, "%s:%d: neither [section] nor key = value",
			       c->path, rc);
	if (rc < 0 || ferror(file))
		return err_set(err, ERR_SYSTEM, "%s: can't be read", c->path);
	return 0;
}

static int read_config(struct config *c, const char *path, struct err *err)
{
	struct stat st;
	FILE *file;
	int rc;

	file = fopen(path, "re");
	if (!file)
		return err_set_errno(err, errno, "%s", path);
	/* Absolute: the node agent reads it again after a refused key. */
	c->path = realpath(path, NULL);
	if (!c->path || fstat(fileno(file), &st) < 0) {
		err_set_errno(err, errno, "%s", path);
		fclose(file);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		fclose(file);
		return err_set(err, ERR_FORMAT, "%s: not a regular file", path);
	}
	c->others_can_read = st.st_mode & (S_IRGRP | S_IROTH);
	rc = parse_file(c, file, err);
	fclose(file);
	return rc;
}

/* The first of the usual places that holds a file; fresh string. NULL without an
 * error: there is none. */
static char *find_file(struct err *err)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char *path = NULL;
	int n = 0;

	if (geteuid() != 0 && xdg && *xdg)
		n = asprintf(&path, "%s/hpcpack/hpcpack.conf", xdg);
	else if (geteuid() != 0 && home && *home)
		n = asprintf(&path, "%s/.config/hpcpack/hpcpack.conf", home);
	if (n < 0)
		goto no_memory;
	if (path && access(path, F_OK) == 0)
		return path;
	free(path);
	if (access(HPCPACK_SYSCONFDIR "/hpcpack/hpcpack.conf", F_OK) < 0)
		return NULL;
	path = strdup(HPCPACK_SYSCONFDIR "/hpcpack/hpcpack.conf");
	if (path)
		return path;
no_memory:
	err_set(err, ERR_NO_MEMORY, "out of memory");
	return NULL;
}

struct config *config_load(const char *path, struct err *err)
{
	struct config *c = calloc(1, sizeof(*c));
	cleanup_free char *found = NULL;
	struct err why = { .code = ERR_NONE };
	const char *env = getenv("HPCPACK_CONFIG");

	if (!c) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	if (!path && env && *env)
		path = env;
	if (!path)
		path = found = find_file(&why);
	if (path ? read_config(c, path, &why) < 0 : why.code != ERR_NONE) {
		if (err)
			*err = why;
		config_free(c);
		return NULL;
	}
	return c;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (c->values[i].text)
			explicit_bzero(c->values[i].text, strlen(c->values[i].text));
		free(c->values[i].text);
	}
	free(c->path);
	free(c);
}

const char *config_path(const struct config *c)
{
	return c->path;
}

bool config_world_readable(const struct config *c)
{
	return c->others_can_read;
}

static const struct value *lookup(const struct config *c, const char *section, const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i].section, section) && !strcmp(known[i].key, key))
			return &c->values[i];
	assert(!"config: a pair that is not in the table");
	abort();
}

const char *config_string(const struct config *c, const char *section, const char *key,
			  const char *fallback)
{
	const struct value *v = lookup(c, section, key);

	return v->text ? v->text : fallback;
}

int config_size(const struct config *c, const char *section, const char *key,
		uint64_t fallback, uint64_t min, uint64_t max, uint64_t *out, struct err *err)
{
	const struct value *v = lookup(c, section, key);

	*out = fallback;
	if (!v->text)
		return 0;
	if (parse_size(v->text, out) < 0 || *out < min || *out > max)
		return err_set(err, ERR_FORMAT,
			       "%s:%d: %s = %s: must be a whole number (K, M, G, T allowed) from %llu to %llu",
			       c->path, v->line, key, v->text, (unsigned long long)min,
			       (unsigned long long)max);
	return 0;
}

int config_time_ms(const struct config *c, const char *section, const char *key,
		   unsigned fallback, unsigned min, unsigned max, unsigned *out, struct err *err)
{
	const struct value *v = lookup(c, section, key);

	*out = fallback;
	if (!v->text)
		return 0;
	if (parse_time_ms(v->text, out) < 0 || *out < min || *out > max)
		return err_set(err, ERR_FORMAT,
			       "%s:%d: %s = %s: must be a time (ms, s, m, h allowed) from %.3g s to %.6g s",
			       c->path, v->line, key, v->text, min / 1000.0, max / 1000.0);
	return 0;
}

int config_bool(const struct config *c, const char *section, const char *key,
		bool fallback, bool *out, struct err *err)
{
	static const char *const words[][2] = {
		{ "no", "yes" }, { "false", "true" }, { "off", "on" }, { "0", "1" },
	};
	const struct value *v = lookup(c, section, key);

	*out = fallback;
	if (!v->text)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		for (int b = 0; b < 2; b++)
			if (!strcasecmp(v->text, words[i][b])) {
				*out = b;
				return 0;
			}
	return err_set(err, ERR_FORMAT, "%s:%d: %s = %s: must be yes or no", c->path, v->line, key,
		       v->text);
}
