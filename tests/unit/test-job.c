/* The worker's job: there and back, its public part, and what can't be right. */
#include <config.h>

#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "fs/job.h"

#define KEY "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define SAS "sv=2021-12-02&sig=verysecretsignature"

static struct worker_job sample(void)
{
	struct worker_job job = {
		.account = { .kind = ACCOUNT_SHARED_KEY, .name = strdup("devstoreaccount1"),
			     .endpoint = strdup("http://127.0.0.1:10000/devstoreaccount1"),
			     .key = strdup(KEY), .ca_file = strdup("/ca.pem"),
			     .source = strdup("--key"), .reread = strdup("/etc/x.conf"),
			     .http_chosen = true },
		.container = strdup("drives"), .blob = strdup("a b/\xc3\xbc.vhd"),
		.dir = strdup("/run/hpcpack/mounts/1"), .fuse_dir = strdup("/home/joe/disk"),
		.io_deadline_ms = 5000, .connections = 5, .io_threads = 3, .cache_bytes = 8 << 20,
		.allow_other = true, .log_level = 3,
		.drive = { .wish = SNAPSHOT_AT, .snapshot = strdup("2026-11-21T03:26:09.1234567Z"),
			   .force = true, .sync_writes = true, .read_only = true, .lease_duration_s = 30,
			   .cache_dir = strdup("/var/cache/hpcpack"), .cache_dir_bytes = 1 << 30,
			   .holder = { .host = "node1", .user = "joe", .since = "2026-11-21T03:26:09Z",
				       .pid = 4711 } },
	};

	return job;
}

static void round_trip(void **state)
{
	struct worker_job in = sample(), out;
	json_t *obj = worker_job_to_json(&in), *again;
	struct err err;

	if (worker_job_from_json(obj, &out, &err) < 0)
		fail_msg("%s", err.msg);
	again = worker_job_to_json(&out);
	assert_true(json_equal(obj, again));
	assert_string_equal(out.account.key, KEY);
	assert_null(out.account.sas);
	assert_string_equal(out.account.reread, "/etc/x.conf");
	assert_true(out.account.http_chosen);
	assert_string_equal(out.blob, in.blob);
	assert_int_equal(out.drive.wish, SNAPSHOT_AT);
	assert_string_equal(out.drive.snapshot, in.drive.snapshot);
	assert_string_equal(out.fuse_dir, "/home/joe/disk");
	assert_int_equal(out.connections, 5);
	assert_int_equal(out.io_threads, 3);
	assert_string_equal(out.drive.holder.host, "node1");
	assert_int_equal(out.drive.holder.pid, 4711);
	assert_int_equal(out.drive.lease_duration_s, 30);
	assert_true(out.cache_bytes == 8 << 20);
	assert_string_equal(out.drive.cache_dir, "/var/cache/hpcpack");
	assert_true(out.drive.cache_dir_bytes == 1 << 30);
	assert_true(out.drive.force && out.drive.sync_writes && out.drive.read_only && out.allow_other);
	json_decref(obj);
	json_decref(again);
	worker_job_free(&in);
	worker_job_free(&out);
}

static struct worker_job package_sample(void)
{
	struct worker_job job = sample();

	free(job.drive.snapshot);
	free(job.drive.cache_dir);
	memset(&job.drive, 0, sizeof(job.drive));
	job.kind = JOB_PACKAGE;
	job.package = (struct package_job) { .refresh_s = 5, .unpack_bytes = 9 << 20,
					     .cache_dir = strdup("/scratch"), .opcparts = true };
	return job;
}

/* One without a blob is a container's; a drive has one. */
static void package(void **state)
{
	struct worker_job in = package_sample(), out;
	json_t *obj = worker_job_to_json(&in), *again;
	struct err err;

	assert_null(json_object_get(obj, "holder"));
	if (worker_job_from_json(obj, &out, &err) < 0)
		fail_msg("%s", err.msg);
	again = worker_job_to_json(&out);
	assert_true(json_equal(obj, again));
	assert_int_equal(out.kind, JOB_PACKAGE);
	assert_int_equal(out.package.refresh_s, 5);
	assert_true(out.package.unpack_bytes == 9 << 20);
	assert_string_equal(out.package.cache_dir, "/scratch");
	assert_true(out.package.opcparts);
	worker_job_free(&out);
	json_object_set_new(obj, "blob", json_null());
	json_object_del(obj, "refresh");
	assert_int_equal(worker_job_from_json(obj, &out, &err), 0);
	assert_null(out.blob);
	assert_int_equal(out.package.refresh_s, 30);
	worker_job_free(&out);
	json_object_set_new(obj, "cache_dir", json_string("scratch"));
	assert_int_equal(worker_job_from_json(obj, &out, &err), -1);
	assert_non_null(strstr(err.msg, "cache_dir"));
	json_decref(obj);
	json_decref(again);
	worker_job_free(&in);
}

static void public_part(void **state)
{
	struct worker_job job = sample();
	json_t *obj;
	char *text;

	job.account.sas = strdup(SAS);
	free(job.account.endpoint);
	job.account.endpoint = strdup("https://a.blob.core.windows.net?" SAS);
	obj = worker_job_public(&job);
	text = json_dumps(obj, 0);
	assert_null(strstr(text, KEY));
	assert_null(strstr(text, "Eby8"));
	assert_null(strstr(text, "secret"));
	assert_null(strstr(text, "sig"));
	assert_string_equal(json_string_value(json_object_get(obj, "account")), "devstoreaccount1");
	assert_string_equal(json_string_value(json_object_get(obj, "endpoint")),
			    "https://a.blob.core.windows.net");
	assert_string_equal(json_string_value(json_object_get(obj, "container")), "drives");
	free(text);
	json_decref(obj);
	worker_job_free(&job);
}

/* A good job with one value changed (NULL: taken out) is refused, and why is
 * said by the key's name. */
static void expect_refused(const char *parent, const char *key, json_t *value)
{
	struct worker_job job = sample(), out;
	json_t *obj = worker_job_to_json(&job), *where = parent ? json_object_get(obj, parent) : obj;
	struct err err;

	if (value)
		json_object_set_new(where, key, value);
	else
		json_object_del(where, key);
	if (worker_job_from_json(obj, &out, &err) == 0)
		fail_msg("a job with a wrong %s was taken", key);
	if (!strstr(err.msg, key))
		fail_msg("\"%s\" does not name %s", err.msg, key);
	json_decref(obj);
	worker_job_free(&job);
}

static json_t *long_text(size_t len)
{
	char *text = calloc(1, len + 1);
	json_t *value;

	memset(text, 'a', len);
	value = json_string(text);
	free(text);
	return value;
}

static void hostile(void **state)
{
	struct worker_job out;
	struct err err;
	json_t *list = json_array(), *empty = json_object();

	assert_int_equal(worker_job_from_json(NULL, &out, &err), -1);
	assert_int_equal(worker_job_from_json(list, &out, &err), -1);
	assert_int_equal(worker_job_from_json(empty, &out, &err), -1);
	json_decref(list);
	json_decref(empty);
	expect_refused(NULL, "account", NULL);
	expect_refused(NULL, "account", json_string("x"));
	expect_refused("account", "kind", json_string("magic"));
	expect_refused("account", "kind", json_integer(1));
	expect_refused("account", "key", json_null());
	expect_refused("account", "key", json_true());
	expect_refused("account", "name", NULL);
	expect_refused("account", "endpoint", long_text(5000));
	expect_refused("account", "http_chosen", json_string("yes"));
	expect_refused(NULL, "kind", NULL);
	expect_refused(NULL, "kind", json_string("tape"));
	expect_refused(NULL, "container", NULL);
	expect_refused(NULL, "container", json_integer(3));
	expect_refused(NULL, "container", json_string("../x"));
	expect_refused(NULL, "blob", json_null());
	expect_refused(NULL, "blob", long_text(5000));
	expect_refused(NULL, "wish", json_string("old"));
	expect_refused(NULL, "snapshot", NULL);
	expect_refused(NULL, "snapshot", long_text(100));
	expect_refused(NULL, "dir", json_string("relative/path"));
	expect_refused(NULL, "dir", NULL);
	expect_refused(NULL, "fuse_dir", json_string("mnt"));
	expect_refused(NULL, "fuse_dir", json_string(""));
	expect_refused(NULL, "fuse_dir", json_true());
	expect_refused(NULL, "fuse_dir", long_text(5000));
	expect_refused(NULL, "holder", json_integer(1));
	expect_refused("holder", "host", long_text(256));
	expect_refused("holder", "user", long_text(64));
	expect_refused("holder", "pid", json_integer(-1));
	expect_refused(NULL, "force", json_integer(1));
	expect_refused(NULL, "lease_duration", json_integer(14));
	expect_refused(NULL, "lease_duration", json_integer(61));
	expect_refused(NULL, "lease_duration", json_real(30));
	expect_refused(NULL, "io_deadline_ms", json_integer(-1));
	expect_refused(NULL, "cache_bytes", json_integer(1000));
	expect_refused(NULL, "cache_bytes", json_integer(INT64_MAX));
	expect_refused(NULL, "cache_dir", json_string("var/cache"));
	expect_refused(NULL, "cache_dir_bytes", json_integer(1 << 20));
	expect_refused(NULL, "log_level", json_integer(9));
}

static void defaults(void **state)
{
	struct worker_job job = sample(), out;
	json_t *obj = worker_job_to_json(&job);
	struct err err;

	json_object_del(obj, "force");
	json_object_del(json_object_get(obj, "account"), "http_chosen");
	json_object_del(obj, "fuse_dir");
	json_object_del(obj, "lease_duration");
	json_object_del(obj, "io_deadline_ms");
	json_object_del(obj, "cache_bytes");
	json_object_set_new(obj, "something_new", json_true());
	assert_int_equal(worker_job_from_json(obj, &out, &err), 0);
	assert_false(out.drive.force);
	assert_false(out.account.http_chosen);
	assert_null(out.fuse_dir);
	assert_int_equal(out.drive.lease_duration_s, 60);
	assert_int_equal(out.io_deadline_ms, 120000);
	assert_true(out.cache_bytes == 0);
	json_decref(obj);
	worker_job_free(&job);
	worker_job_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(package), cmocka_unit_test(public_part),
		cmocka_unit_test(hostile), cmocka_unit_test(defaults),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
