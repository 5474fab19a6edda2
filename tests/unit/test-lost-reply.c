/* Operations whose first reply is lost after they were carried out: the rules of
 * each, against a server that swallows a reply and remembers what it did. */
#include <config.h>

#include <stdlib.h>

#include "tests/unit/client_fixture.h"

static struct fixture f;
static struct err err;
static struct blob_client_options options = { .deadline_ms = 20000 };

/* What the service holds. */
static struct service {
	pthread_mutex_t lock;
	bool exists, theirs;      /* theirs: somebody else's blob of other size */
	char tag[64];             /* of the snapshot; "" when there is none */
	unsigned puts, snapshots, lost;
	char condition[80];       /* of the newest PUT */
	char copied_from[512];
} service = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void begin(void)
{
	service = (struct service){ .lock = PTHREAD_MUTEX_INITIALIZER };
}

static void now(char out[64])
{
	time_t t = time(NULL);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 64, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

static void answer(int fd, int status, const char *headers, const char *body)
{
	char all[2048], date[64];

	now(date);
	snprintf(all, sizeof(all), "Date: %s\r\n%s", date, headers);
	httpd_reply(fd, status, all, body, strlen(body));
}

static void answer_head(int fd)
{
	char headers[1500], date[64];

	now(date);
	if (!service.exists) {
		answer(fd, 404, "x-ms-error-code: BlobNotFound\r\n", "");
		return;
	}
	snprintf(headers, sizeof(headers), "HTTP/1.1 200 x\r\nContent-Length: %d\r\nETag: \"e\"\r\n"
		 "x-ms-blob-type: PageBlob\r\nLast-Modified: %s\r\nx-ms-meta-k: v\r\n"
		 "x-ms-copy-id: c-1\r\nx-ms-copy-status: success\r\nx-ms-copy-source: %s\r\n\r\n",
		 service.theirs ? 512 : 4096, date, service.copied_from);
	httpd_text(fd, headers);
}

/* Carries it out; the first one of each kind is not answered. */
static enum httpd_then blob_service(int fd, const struct httpd_request *r, void *arg)
{
	char value[512];
	enum httpd_then then = HTTPD_KEEP;

	pthread_mutex_lock(&service.lock);
	if (!strcmp(r->method, "HEAD")) {
		answer_head(fd);
	} else if (!strcmp(r->method, "DELETE")) {
		then = service.exists ? HTTPD_CLOSE : HTTPD_KEEP;
		if (!service.exists)
			answer(fd, 404, "x-ms-error-code: BlobNotFound\r\n", "");
		service.exists = false;
	} else if (strstr(r->target, "comp=snapshot")) {
		httpd_header(r, "x-ms-meta-tag", service.tag, sizeof(service.tag));
		service.snapshots++;
		then = HTTPD_CLOSE;
	} else if (strstr(r->target, "comp=list")) {
		snprintf(value, sizeof(value), "<EnumerationResults><Blobs><Blob><Name>dir/b.vhd</Name>"
			 "<Snapshot>2026-1</Snapshot><Properties/><Metadata><tag>%s</tag></Metadata>"
			 "</Blob></Blobs><NextMarker/></EnumerationResults>", service.tag);
		answer(fd, 200, "", value);
	} else {
		service.puts++;
		if (!httpd_header(r, "If-None-Match", service.condition, sizeof(service.condition)))
			httpd_header(r, "If-Match", service.condition, sizeof(service.condition));
		httpd_header(r, "x-ms-copy-source", service.copied_from,
			     sizeof(service.copied_from));
		if (service.puts == 1) {
			service.exists = true;
			then = HTTPD_CLOSE;
		} else if (!strcmp(service.condition, "*")) {
			answer(fd, 409, "x-ms-error-code: BlobAlreadyExists\r\n", "");
		} else {
			answer(fd, 412, "x-ms-error-code: ConditionNotMet\r\n", "");
		}
	}
	pthread_mutex_unlock(&service.lock);
	return then;
}

#define ok(expr) do { \
	if ((expr) != 0) \
		fail_msg("%s: %s", #expr, err.msg); \
} while (0)

static void deleted(void **state)
{
	begin();
	service.exists = true;
	fixture_start(&f, blob_service, &options);
	ok(blob_delete(f.client, &the_blob, NULL, &err));
	assert_int_equal(httpd_requests(&f.server), 2);
	/* But a first 404 is one. */
	assert_int_equal(blob_delete(f.client, &the_blob, NULL, &err), -1);
	assert_code(&err, ERR_NOT_FOUND);
	fixture_stop(&f);
}

static void created(void **state)
{
	struct blob_meta_list meta = { 0 };
	bool only_if_absent;
	int i;

	blob_meta_set(&meta, "K", "v");
	for (i = 0; i < 2; i++) {
		only_if_absent = i;
		begin();
		fixture_start(&f, blob_service, &options);
		ok(blob_create_page(f.client, &the_blob, 4096, &meta, only_if_absent, NULL, &err));
		assert_int_equal(service.puts, 2);
		assert_string_equal(service.condition, "*");
		fixture_stop(&f);
	}
	/* Over an old one: under its ETag, never blindly. */
	begin();
	service.exists = true;
	fixture_start(&f, blob_service, &options);
	ok(blob_create_page(f.client, &the_blob, 4096, &meta, false, NULL, &err));
	assert_int_equal(service.puts, 2);
	assert_string_equal(service.condition, "\"e\"");
	fixture_stop(&f);
	blob_meta_free(&meta);
}

static void created_by_somebody_else(void **state)
{
	begin();
	service.theirs = true;
	fixture_start(&f, blob_service, &options);
	assert_int_equal(blob_create_page(f.client, &the_blob, 4096, NULL, true, NULL, &err), -1);
	assert_code(&err, ERR_EXISTS);
	fixture_stop(&f);
	/* The same size, but other metadata. */
	begin();
	fixture_start(&f, blob_service, &options);
	assert_int_equal(blob_create_page(f.client, &the_blob, 4096, NULL, true, NULL, &err), -1);
	assert_code(&err, ERR_EXISTS);
	fixture_stop(&f);
}

static void snapshot_found_again(void **state)
{
	char time[BLOB_TIME_MAX];

	begin();
	service.exists = true;
	fixture_start(&f, blob_service, &options);
	ok(blob_snapshot(f.client, &the_blob, "tag", "t-1", time, &err));
	assert_string_equal(time, "2026-1");
	assert_int_equal(service.snapshots, 1);
	fixture_stop(&f);
}

static void copied(void **state)
{
	static const struct blob_ref from = { "c", "from", NULL };

	begin();
	fixture_start(&f, blob_service, &options);
	ok(blob_copy(f.client, &from, &the_blob, NULL, NULL, 20000, &err));
	assert_int_equal(service.puts, 2);
	assert_string_equal(service.condition, "*");
	fixture_stop(&f);
}

/* The two sides of a lease that is gone. */
static enum httpd_then lease_gone(int fd, const struct httpd_request *r, void *arg)
{
	if (r->number == 1)
		return HTTPD_CLOSE;
	answer(fd, 409, "x-ms-error-code: LeaseIdMismatchWithLeaseOperation\r\n", "");
	return HTTPD_KEEP;
}

static void released(void **state)
{
	fixture_start(&f, lease_gone, &options);
	ok(blob_lease_release(f.client, &the_blob, "id", 0, &err));
	assert_int_equal(httpd_requests(&f.server), 2);
	assert_int_equal(blob_lease_renew(f.client, &the_blob, "id", 0, &err), -1);
	assert_code(&err, ERR_LEASE_HELD);
	fixture_stop(&f);
}

static enum httpd_then renews_for_anybody(int fd, const struct httpd_request *r, void *arg)
{
	answer(fd, 200, "x-ms-lease-id: another\r\n", "");
	return HTTPD_KEEP;
}

static void renewed_for_another(void **state)
{
	fixture_start(&f, renews_for_anybody, &options);
	assert_int_equal(blob_lease_renew(f.client, &the_blob, "id", 0, &err), -1);
	assert_code(&err, ERR_LEASE_LOST);
	ok(blob_lease_renew(f.client, &the_blob, "ANOTHER", 0, &err));
	fixture_stop(&f);
}

static enum httpd_then container_there(int fd, const struct httpd_request *r, void *arg)
{
	if (r->number == 1)
		return HTTPD_CLOSE;
	answer(fd, 409, "x-ms-error-code: ContainerAlreadyExists\r\n", "");
	return HTTPD_KEEP;
}

static void container_made(void **state)
{
	fixture_start(&f, container_there, &options);
	ok(blob_container_create(f.client, "ccc", &err));
	assert_int_equal(httpd_requests(&f.server), 2);
	assert_int_equal(blob_container_create(f.client, "ccc", &err), -1);
	assert_code(&err, ERR_EXISTS);
	fixture_stop(&f);
}

/* --- long lists --- */

static enum httpd_then pages_in_parts(int fd, const struct httpd_request *r, void *arg)
{
	const char *marker = strstr(r->target, "marker=");
	const char *text = !marker ?
		"<PageList><PageRange><Start>4096</Start><End>8191</End></PageRange>"
		"<NextMarker>m 1</NextMarker></PageList>" :
		!strncmp(marker, "marker=m%201", 12) ?
		"<PageList><PageRange><Start>8192</Start><End>8703</End></PageRange>"
		"<PageRange><Start>0</Start><End>511</End></PageRange>"
		"<PageRange><Start>65536</Start><End>1048575</End></PageRange></PageList>" : "";

	answer(fd, 200, "", text);
	return HTTPD_KEEP;
}

static enum httpd_then pages_without_end(int fd, const struct httpd_request *r, void *arg)
{
	answer(fd, 200, "", "<PageList><NextMarker>m</NextMarker></PageList>");
	return HTTPD_KEEP;
}

struct seen {
	struct waited w;
	struct blob_range ranges[8];
	size_t count;
};

static void see(void *arg, const struct err *e, const struct blob_range *ranges, size_t count)
{
	struct seen *s = arg;

	if (e)
		s->w.err = *e;
	s->count = count;
	if (count)
		memcpy(s->ranges, ranges, (count < 8 ? count : 8) * sizeof(*ranges));
	waited_signal(&s->w);
}

static void page_list_in_parts(void **state)
{
	static const struct blob_range wanted[] = { { 0, 512 }, { 4096, 4608 }, { 65536, 4096 } };
	struct seen s = { .w = WAITED_INIT }, t = { .w = WAITED_INIT };

	fixture_start(&f, pages_in_parts, &options);
	blob_page_ranges_start(f.client, &the_blob, 0, 69632, see, &s);
	waited_wait(&s.w);
	assert_code(&s.w.err, ERR_NONE);
	assert_int_equal(s.count, 3);
	assert_memory_equal(s.ranges, wanted, sizeof(wanted));
	fixture_stop(&f);

	fixture_start(&f, pages_without_end, &options);
	blob_page_ranges_start(f.client, &the_blob, 0, 69632, see, &t);
	waited_wait(&t.w);
	assert_code(&t.w.err, ERR_PROTOCOL);
	assert_int_equal(httpd_requests(&f.server), 2);
	fixture_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deleted),
		cmocka_unit_test(created),
		cmocka_unit_test(created_by_somebody_else),
		cmocka_unit_test(snapshot_found_again),
		cmocka_unit_test(copied),
		cmocka_unit_test(released),
		cmocka_unit_test(renewed_for_another),
		cmocka_unit_test(container_made),
		cmocka_unit_test(page_list_in_parts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
