#include <config.h>

#include "agent/options.h"

#include <stdlib.h>
#include <string.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "blob/config.h"

#define CACHE_MIN (1ull << 20)
#define UNPACK_MIN (16ull << 20)
#define CACHE_MAX (1ull << 40)
#define CACHE_DIR_MIN (16ull << 20)
#define CACHE_DIR_MAX (1ull << 50)

static int parse_cache(const char *value, struct mount_options *out, struct err *err)
{
	if (parse_size(value, &out->cache_bytes) < 0 || out->cache_bytes < CACHE_MIN ||
	    out->cache_bytes > CACHE_MAX)
		return err_set(err, ERR_USAGE, "-o cache=%s: a size from 1M to 1T is needed, like "
			       "cache=256M", value);
	return 0;
}

static int parse_cache_dir(const char *value, struct mount_options *out, struct err *err)
{
	if (value[0] != '/')
		return err_set(err, ERR_USAGE, "-o cache-dir=%s: an absolute path is needed, like "
			       "cache-dir=/var/cache/hpcpack", value);
	free(out->cache_dir);
	out->cache_dir = strdup(value);
	return out->cache_dir ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}

static int parse_cache_size(const char *value, struct mount_options *out, struct err *err)
{
	if (parse_size(value, &out->cache_dir_bytes) < 0 || out->cache_dir_bytes < CACHE_DIR_MIN ||
	    out->cache_dir_bytes > CACHE_DIR_MAX)
		return err_set(err, ERR_USAGE, "-o cache-size=%s: a size from 16M to 1024T is needed, like "
			       "cache-size=10G", value);
	return 0;
}

static int parse_deadline(const char *value, struct mount_options *out, struct err *err)
{
	if (parse_time_ms(value, &out->io_deadline_ms) < 0 || out->io_deadline_ms < 1000)
		return err_set(err, ERR_USAGE, "-o deadline=%s: a time of at least 1s is needed, like "
			       "deadline=120s", value);
	return 0;
}

static int parse_refresh(const char *value, struct mount_options *out, struct err *err)
{
	unsigned ms;

	if (parse_time_ms(value, &ms) < 0 || ms < 1000 || ms > 86400000)
		return err_set(err, ERR_USAGE, "-o refresh=%s: a time from 1s to 24h is needed, like "
			       "refresh=30s", value);
	out->refresh_s = ms / 1000;
	out->package_only = "refresh";
	return 0;
}

static int parse_unpack_cache(const char *value, struct mount_options *out, struct err *err)
{
	if (parse_size(value, &out->unpack_bytes) < 0 || out->unpack_bytes < UNPACK_MIN ||
	    out->unpack_bytes > CACHE_MAX)
		return err_set(err, ERR_USAGE, "-o unpack-cache=%s: a size from 16M to 1T is needed, like "
			       "unpack-cache=1G", value);
	out->package_only = "unpack-cache";
	return 0;
}

static int parse_one(const char *o, struct mount_options *out, struct buf *rest, struct err *err)
{
	if (!strncmp(o, "cache=", 6))
		return parse_cache(o + 6, out, err);
	if (!strncmp(o, "cache-dir=", 10))
		return parse_cache_dir(o + 10, out, err);
	if (!strncmp(o, "cache-size=", 11))
		return parse_cache_size(o + 11, out, err);
	if (!strncmp(o, "deadline=", 9))
		return parse_deadline(o + 9, out, err);
	if (!strncmp(o, "refresh=", 8))
		return parse_refresh(o + 8, out, err);
	if (!strncmp(o, "unpack-cache=", 13))
		return parse_unpack_cache(o + 13, out, err);
	if (!strcmp(o, "opcparts")) {
		out->opcparts = true;
		out->package_only = "opcparts";
		return 0;
	}
	if (!strcmp(o, "sync"))
		out->sync = true;
	else if (!strcmp(o, "ro"))
		out->read_only = true;
	else if (!strcmp(o, "rw"))
		out->read_only = false;
	else if (!strcmp(o, "allow_other"))
		out->allow_other = true;
	else
		buf_addf(rest, "%s%s", rest->len ? "," : "", o);
	return 0;
}

static int parse_all(const char *text, struct mount_options *out, struct err *err)
{
	cleanup_free char *copy = strdup(text ? text : "");
	cleanup_buf struct buf rest = BUF_INIT(4096);
	char *save = NULL;

	memset(out, 0, sizeof(*out));
	if (!copy)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (char *o = strtok_r(copy, ",", &save); o; o = strtok_r(NULL, ",", &save))
		if (parse_one(o, out, &rest, err) < 0)
			goto failed;
	if (rest.failed) {
		err_set(err, ERR_USAGE, "-o: the options are too long");
		goto failed;
	}
	if (!rest.len)
		return 0;
	out->rest = buf_steal(&rest);
	if (out->rest)
		return 0;
	err_set(err, ERR_NO_MEMORY, "out of memory");
failed:
	mount_options_free(out);
	return -1;
}

int mount_options_parse(const char *text, struct mount_options *out, struct err *err)
{
	int rc = parse_all(text, out, err);

	if (rc < 0)
		mount_options_free(out);
	return rc;
}

void mount_options_free(struct mount_options *o)
{
	free(o->cache_dir);
	free(o->rest);
	o->cache_dir = o->rest = NULL;
}
