#include <config.h>

#include "agent/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "blob/config.h"

#define SYNC_INTERVAL_MAX_MS 2592000000u /* 30 days */

static void free_configp(struct config **c)
{
	config_free(*c);
}
#define cleanup_config cleanup_with(free_configp)

static int copy(char **to, const char *from, struct err *err)
{
	free(*to);
	*to = from ? strdup(from) : NULL;
	return from && !*to ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

static int read_log_level(struct settings *s, const struct config *c, struct err *err)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	const char *text = config_string(c, "agent", "log_level", "info");

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(text, names[i])) {
			s->log_level = i;
			return 0;
		}
	return err_set(err, ERR_USAGE, "%s: [agent] log_level is \"%s\"; it must be error, warning, "
		       "info or debug", config_path(c), text);
}

static int read_drive(struct settings *s, const struct config *c, struct err *err)
{
	uint64_t connections, threads;
	unsigned lease_ms;

	if (config_time_ms(c, "drive", "lease_duration", 60000, 15000, 60000, &lease_ms, err) < 0 ||
	    config_time_ms(c, "drive", "io_deadline", 120000, 1000, 3600000, &s->io_deadline_ms,
			   err) < 0 ||
	    config_size(c, "drive", "cache", 256ull << 20, 1ull << 20, 1ull << 40, &s->cache_bytes,
			err) < 0 ||
	    config_size(c, "drive", "connections", 0, 1, 256, &connections, err) < 0 ||
	    config_size(c, "drive", "io_threads", 0, 1, 64, &threads, err) < 0)
		return -1;
	if (config_size(c, "drive", "cache_size", 0, 16ull << 20, 1ull << 50, &s->cache_dir_bytes, err) < 0 ||
	    copy(&s->cache_dir, config_string(c, "drive", "cache_dir", NULL), err) < 0)
		return -1;
	if (s->cache_dir && s->cache_dir[0] != '/')
		return err_set(err, ERR_USAGE, "%s: [drive] cache_dir must be an absolute path",
			       config_path(c));
	s->connections = (unsigned)connections;
	s->io_threads = (unsigned)threads;
	s->lease_duration_s = lease_ms / 1000;
	return 0;
}

/* Is there anything that hpcsync could find an account in? */
static bool has_account(const struct config *c)
{
	static const char *const keys[] = { "name", "endpoint", "connection_string" };
	const char *from_env = getenv("CCP_AZURE_CONNECTIONSTRING");

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (config_string(c, "account", keys[i], NULL))
			return true;
	return from_env && *from_env;
}

static int read_packages(struct settings *s, const struct config *c, struct err *err)
{
	const char *folder = getenv("HPCPACK_LIBEXEC"), *root = getenv("CCP_PACKAGE_ROOT");

	free(s->sync_program);
	if (asprintf(&s->sync_program, "%s/hpcsync", folder && *folder ? folder : HPCPACK_BINDIR) < 0) {
		s->sync_program = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	if (copy(&s->package_root, root && *root ? root : config_string(c, "packages", "root", NULL), err) < 0)
		return -1;
	if (config_bool(c, "packages", "sync_at_start", geteuid() == 0 && has_account(c),
			&s->sync_at_start, err) < 0 ||
	    config_bool(c, "packages", "sync_required", false, &s->sync_required, err) < 0)
		return -1;
	return config_time_ms(c, "packages", "sync_interval", 0, 0, SYNC_INTERVAL_MAX_MS,
			      &s->sync_interval_ms, err);
}

int settings_load(struct settings *s, const char *path, struct err *err)
{
	cleanup_config struct config *c = config_load(path, err);
	const char *programs = getenv("HPCPACK_LIBEXEC");

	if (!c)
		return -1;
	if (copy(&s->programs, programs && *programs ? programs : HPCPACK_WORKERDIR, err) < 0 ||
	    copy(&s->config, config_path(c), err) < 0 ||
	    copy(&s->mount_root, config_string(c, "mount", "root", NULL), err) < 0 ||
	    copy(&s->socket_group, config_string(c, "agent", "socket_group", NULL), err) < 0)
		return -1;
	if (s->mount_root && s->mount_root[0] != '/')
		return err_set(err, ERR_USAGE, "%s: [mount] root must be an absolute path",
			       config_path(c));
	if (config_bool(c, "agent", "users_may_use_kernel_drivers", false,
			&s->users_may_use_kernel_drivers, err) < 0 ||
	    config_bool(c, "agent", "stop_leaves_mounts", false, &s->stop_leaves_mounts, err) < 0)
		return -1;
	if (read_log_level(s, c, err) < 0 || read_packages(s, c, err) < 0)
		return -1;
	return read_drive(s, c, err);
}

void settings_free(struct settings *s)
{
	free(s->runtime_dir);
	free(s->programs);
	free(s->sync_program);
	free(s->config);
	free(s->package_root);
	free(s->mount_root);
	free(s->socket_group);
	free(s->cache_dir);
	memset(s, 0, sizeof(*s));
}
