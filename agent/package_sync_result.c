#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/json_file.h"
#include "agent/package_sync.h"
#include "blob/base/log.h"
#include "fs/channel.h"

#define FILE_NAME "sync.json"
#define FILE_MAX (64u << 20)
/* Of one package, in a report that can be believed; and of those that go into one
 * message, which holds the rest of the status, too. */
#define PACKAGE_MAX 16384
#define MESSAGE_MAX (CHANNEL_MAX / 2)

void sync_result_free(struct sync_result *r)
{
	json_decref(r->report);
	memset(r, 0, sizeof(*r));
}

bool sync_result_is_total_failure(const struct sync_result *r)
{
	return !r->ok && (!r->report || json_is_string(json_object_get(r->report, "error")));
}

static const json_t *packages_of(const json_t *report)
{
	return json_object_get(report, "packages");
}

/* What is passed on must be passed on whole. */
static bool believable(const json_t *report)
{
	const json_t *packages = packages_of(report), *package;
	size_t i;

	if (!json_is_object(report) || !json_is_array(packages))
		return false;
	json_array_foreach(packages, i, package)
		if (!json_is_object(package) ||
		    json_dumpb(package, NULL, 0, JSON_COMPACT) > PACKAGE_MAX)
			return false;
	return true;
}

static size_t count_failed(const json_t *report)
{
	const json_t *package;
	size_t i, failed = 0;

	json_array_foreach(packages_of(report), i, package) {
		const char *state = json_string_value(json_object_get(package, "state"));

		failed += state && !strcmp(state, "failed");
	}
	return failed;
}

/* In the words of whoever knows most. */
static void say_why(struct sync_result *r, int status, const char *last_words)
{
	const char *why = json_string_value(json_object_get(r->report, "error"));
	size_t failed = count_failed(r->report);

	if (why)
		snprintf(r->error, sizeof(r->error), "%s", why);
	else if (status == 1 && failed)
		snprintf(r->error, sizeof(r->error), "%zu of %zu packages failed", failed,
			 json_array_size(packages_of(r->report)));
	else if (*last_words)
		snprintf(r->error, sizeof(r->error), "%s", last_words);
	else if (status > 0)
		snprintf(r->error, sizeof(r->error), "hpcsync ended with status %d and did not say why",
			 status);
	else
		snprintf(r->error, sizeof(r->error), "hpcsync has printed nothing that can be understood");
}

void sync_result_read(struct sync_result *r, const char *text, size_t len, int status,
		      const char *last_words)
{
	json_t *report = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

	if (!believable(report)) {
		json_decref(report);
		report = NULL;
	}
	r->report = report;
	r->ok = status == 0 && report;
	r->error[0] = '\0';
	if (!r->ok)
		say_why(r, status, last_words);
}

/* --- the file --- */

static json_t *pack(const struct sync_result *r, json_t *report)
{
	return json_pack("{s:s, s:s, s:b, s:o, s:o}", "started", r->started, "ended", r->ended, "ok",
			 r->ok, "error", *r->error ? channel_text(r->error) : json_null(), "report",
			 report ? report : json_null());
}

void sync_result_save(const struct sync_result *r, const char *runtime_dir)
{
	json_t *obj = pack(r, json_incref(r->report));
	struct err err;

	if (!obj || json_file_write(runtime_dir, FILE_NAME, obj, &err) < 0)
		log_warn("the result of the package sync could not be kept: %s",
			 obj ? err.msg : "out of memory");
	json_decref(obj);
}

static bool unpack(const json_t *obj, struct sync_result *r)
{
	json_t *report = json_object_get(obj, "report");
	const char *started = json_string_value(json_object_get(obj, "started"));
	const char *ended = json_string_value(json_object_get(obj, "ended"));
	const char *error = json_string_value(json_object_get(obj, "error"));

	if (!started || !ended || (json_is_object(report) && !believable(report)))
		return false;
	snprintf(r->started, sizeof(r->started), "%s", started);
	snprintf(r->ended, sizeof(r->ended), "%s", ended);
	snprintf(r->error, sizeof(r->error), "%s", error ? error : "");
	r->ok = json_is_true(json_object_get(obj, "ok"));
	r->report = json_is_object(report) ? json_incref(report) : NULL;
	return true;
}

bool sync_result_load(struct sync_result *r, const char *runtime_dir)
{
	struct err err = { .code = ERR_NONE };
	char path[4200];
	bool there;
	json_t *obj;

	memset(r, 0, sizeof(*r));
	snprintf(path, sizeof(path), "%s/" FILE_NAME, runtime_dir);
	obj = json_file_read(path, FILE_MAX, &err);
	if (!obj && err.code != ERR_NOT_FOUND)
		log_warn("%s", err.msg);
	there = obj && unpack(obj, r);
	if (obj && !there)
		log_warn("%s is not the result of a package sync", path);
	json_decref(obj);
	return there;
}

/* --- for others --- */

/* The report with packages [from, *next) of its own. */
static json_t *pack_report(const json_t *report, size_t from, json_int_t *next)
{
	const json_t *packages = packages_of(report);
	json_t *part = json_array(), *copy = json_copy((json_t *)report);
	size_t count = json_array_size(packages), room = MESSAGE_MAX, i;

	for (i = from; i < count; i++) {
		json_t *package = json_array_get(packages, i);
		size_t len = json_dumpb(package, NULL, 0, JSON_COMPACT) + 1;

		if (len > room)
			break;
		room -= len;
		json_array_append(part, package);
	}
	*next = i < count ? (json_int_t)i : -1;
	if (json_object_set_new(copy, "packages", part) == 0)
		return copy;
	json_decref(copy);
	return NULL;
}

json_t *sync_result_pack(const struct sync_result *r, size_t from, json_int_t *next)
{
	*next = -1;
	return pack(r, r->report ? pack_report(r->report, from, next) : NULL);
}
