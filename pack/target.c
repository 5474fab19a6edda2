#include <config.h>

#include "pack/target.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "blob/clock.h"
#include "blob/meta_text.h"
#include "pack/utf8.h"

#define PATH_BYTES 4095
#define PART_BYTES 255

int pack_upload_time(const char *last_modified, char out[PACK_UPLOAD_TIME_MAX], struct err *err)
{
	struct tm tm;
	time_t when;

	if (http_date_parse(last_modified, &when) < 0 || !gmtime_r(&when, &tm) ||
	    strftime(out, PACK_UPLOAD_TIME_MAX, "%Y-%m-%dT%H%M%SZ", &tm) != strlen("2026-11-21T071500Z"))
		return err_set(err, ERR_PROTOCOL, "the time of its upload can't be read: '%.40s'",
			       last_modified);
	return 0;
}

static int check_part(const char *part, size_t len, struct err *err)
{
	if (!len)
		return err_set(err, ERR_FORMAT, "it has an empty part");
	if ((len == 1 && *part == '.') || (len == 2 && !strncmp(part, "..", 2)))
		return err_set(err, ERR_FORMAT, "it has a part '%.*s'", (int)len, part);
	if (len > PART_BYTES)
		return err_set(err, ERR_FORMAT, "it has a part of more than %d bytes", PART_BYTES);
	if (!strncasecmp(part, PACK_TARGET_OWN, strlen(PACK_TARGET_OWN)))
		return err_set(err, ERR_FORMAT, "it has a part '%.*s': hpcsync keeps such names for itself",
			       (int)len, part);
	return 0;
}

/* Backslashes become slashes; those at the end go. */
static int check_path(char *path, struct err *err)
{
	size_t len = strlen(path);

	if (len > PATH_BYTES)
		return err_set(err, ERR_FORMAT, "it has more than %d bytes", PATH_BYTES);
	if (!utf8_valid(path, len))
		return err_set(err, ERR_FORMAT, "it is not UTF-8");
	for (char *c = path; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return err_set(err, ERR_FORMAT, "it has a control character");
		if (*c == '\\')
			*c = '/';
	}
	if (*path == '/')
		return err_set(err, ERR_FORMAT, "it begins with a slash");
	if (len > 1 && path[len - 1] == '/')
		path[len - 1] = '\0';
	for (const char *part = path;; part++) {
		size_t n = strcspn(part, "/");

		if (check_part(part, n, err) < 0)
			return -1;
		part += n;
		if (!*part)
			return 0;
	}
}

int pack_relative_path(char *path, struct err *err)
{
	if (!*path)
		return err_set(err, ERR_FORMAT, "it is empty");
	if (strchr(path, ':'))
		return err_set(err, ERR_FORMAT, "it has a colon");
	return check_path(path, err);
}

/* NAME/UPLOADTIME */
static char *by_name(const char *name, const char *last_modified, struct err *err)
{
	const char *last = strrchr(name, '/'), *dot;
	char when[PACK_UPLOAD_TIME_MAX];
	cleanup_buf struct buf out = BUF_INIT(PATH_BYTES);
	char *target;

	last = last ? last + 1 : name;
	dot = strrchr(last, '.');
	if (pack_upload_time(last_modified, when, err) < 0)
		return NULL;
	/* ".zip" has no extension but a name. */
	buf_addf(&out, "%.*s/%s", (int)(dot && dot > last ? (size_t)(dot - name) : strlen(name)), name,
		 when);
	target = buf_steal(&out);
	if (!target)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	return target;
}

char *pack_target(const char *name, const char *relative, const char *last_modified, struct err *err)
{
	cleanup_free char *path = NULL;

	if (!relative || !*relative) {
		path = by_name(name, last_modified, err);
		if (!path)
			return NULL;
		if (check_path(path, err) < 0) {
			err_prefix(err, "no directory can be named after it");
			return NULL;
		}
		return steal_ptr(&path);
	}
	path = meta_text_decode(relative);
	if (!path) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	if (pack_relative_path(path, err) < 0) {
		err_prefix(err, "no use can be made of its relative path");
		return NULL;
	}
	return steal_ptr(&path);
}
