/* The vectors are those of BLOB-REST.md section 1, each accepted by a service. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "blob/sign.h"
#include "tests/unit/unit.h"

#define ACCOUNT "devstoreaccount1"
#define KEY "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define DATE "Fri, 26 Jun 2026 23:39:12 GMT"
#define DATE_LINE "x-ms-date:" DATE "\n"
#define VERSION_LINE "x-ms-version:2021-12-02\n"
#define TWELVE "\n\n\n\n\n\n\n\n\n\n\n\n"

struct vector {
	const char *method, *path;
	const char *query[16], *headers[16]; /* names and values in turn, then NULL */
	uint64_t length;
	const char *text, *signature;
};

static void fill(struct pairs *pairs, const char *const *list)
{
	for (; *list; list += 2)
		assert_int_equal(pairs_add(pairs, list[0], list[1]), 0);
}

static void check(const struct vector *v)
{
	struct pairs query = { 0 }, headers = { 0 };
	struct sign_request r = { .method = v->method, .account = ACCOUNT, .path = v->path,
				  .query = &query, .headers = &headers,
				  .content_length = v->length };
	cleanup_buf struct buf text = BUF_INIT(4096), authorization = BUF_INIT(4096);
	char wanted[256];
	struct err err;

	fill(&query, v->query);
	fill(&headers, v->headers);
	assert_int_equal(sign_string(&r, &text), 0);
	assert_string_equal(buf_str(&text), v->text);
	if (v->signature) {
		assert_int_equal(sign_authorization(&r, KEY, &authorization, &err), 0);
		snprintf(wanted, sizeof(wanted), "SharedKey " ACCOUNT ":%s", v->signature);
		assert_string_equal(buf_str(&authorization), wanted);
	}
	pairs_free(&query);
	pairs_free(&headers);
	buf_free(&text);
	buf_free(&authorization);
}

static void put_page(void **state)
{
	check(&(struct vector){
		.method = "PUT", .path = "/devstoreaccount1/sem-a/d.vhd", .length = 512,
		.query = { "comp", "page" },
		.headers = { "x-ms-version", "2021-12-02", "x-ms-date", DATE,
			     "Content-Type", "application/octet-stream",
			     "x-ms-range", "bytes=0-511", "x-ms-page-write", "update",
			     "x-ms-client-request-id", "vector-1" },
		.text = "PUT\n\n\n512\n\napplication/octet-stream\n\n\n\n\n\n\n"
			"x-ms-client-request-id:vector-1\n" DATE_LINE "x-ms-page-write:update\n"
			"x-ms-range:bytes=0-511\n" VERSION_LINE
			"/devstoreaccount1/devstoreaccount1/sem-a/d.vhd\ncomp:page",
		.signature = "amKcEy4k9DLxB22XNobmM4ZV8cVXtZcAXQI6MAkv8Yo=",
	});
}

static void list(void **state)
{
	check(&(struct vector){
		.method = "GET", .path = "/devstoreaccount1/sem-a",
		.query = { "restype", "container", "comp", "list", "prefix", "a b/ü",
			   "include", "snapshots,metadata", "maxresults", "3", "timeout", "30" },
		.headers = { "x-ms-date", DATE, "x-ms-version", "2021-12-02" },
		.text = "GET" TWELVE DATE_LINE VERSION_LINE
			"/devstoreaccount1/devstoreaccount1/sem-a\ncomp:list\n"
			"include:snapshots,metadata\nmaxresults:3\nprefix:a b/ü\n"
			"restype:container\ntimeout:30",
		.signature = "Tm7FbKZ1/GqRBuOQvR9Z6ebMLQM4kFytnFmw+5Tn810=",
	});
}

static void lease(void **state)
{
	check(&(struct vector){
		.method = "PUT", .path = "/devstoreaccount1/sem-a/d.vhd",
		.query = { "comp", "lease" },
		.headers = { "x-ms-lease-duration", "15", "x-ms-lease-action", "acquire",
			     "x-ms-proposed-lease-id", "1f812371-a41d-49e6-b123-f4b542e85144",
			     "x-ms-date", DATE, "x-ms-version", "2021-12-02" },
		.text = "PUT" TWELVE DATE_LINE "x-ms-lease-action:acquire\nx-ms-lease-duration:15\n"
			"x-ms-proposed-lease-id:1f812371-a41d-49e6-b123-f4b542e85144\n" VERSION_LINE
			"/devstoreaccount1/devstoreaccount1/sem-a/d.vhd\ncomp:lease",
		.signature = "GYhT+1jdkp2PuPWP/ca4/qgj20xknSUeGNNcVi/4Um0=",
	});
}

static void get_path_style(void **state)
{
	check(&(struct vector){
		.method = "GET", .path = "/devstoreaccount1/sem-a/d.vhd",
		.headers = { "x-ms-range", "bytes=0-511", "x-ms-date", DATE,
			     "x-ms-version", "2021-12-02" },
		.text = "GET" TWELVE DATE_LINE "x-ms-range:bytes=0-511\n" VERSION_LINE
			"/devstoreaccount1/devstoreaccount1/sem-a/d.vhd",
		.signature = "AJAS/aIlH9BeJba4WwI4kwHRq4CsQ4/nANpaSliuaHw=",
	});
}

static void get_host_style(void **state)
{
	check(&(struct vector){
		.method = "GET", .path = "/sem-a/d.vhd",
		.headers = { "x-ms-range", "bytes=0-511", "x-ms-date", DATE,
			     "x-ms-version", "2021-12-02" },
		.text = "GET" TWELVE DATE_LINE "x-ms-range:bytes=0-511\n" VERSION_LINE
			"/devstoreaccount1/sem-a/d.vhd",
		.signature = "Nh3XDwUrdv4UzbXDG5+NGamsd4Wf9AD28bGooNujdyI=",
	});
}

static void underscore_before_digits(void **state)
{
	check(&(struct vector){
		.method = "PUT", .path = "/c/b", .query = { "comp", "metadata" },
		.headers = { "x-ms-meta-a1", "2", "X-Ms-Meta-A_", " 1 ", "x-ms-meta-ab", "4",
			     "x-ms-meta-a", "0", "x-ms-meta-aB0", "5", "x-ms-meta-a2", "3" },
		.text = "PUT" TWELVE "x-ms-meta-a:0\nx-ms-meta-a_:1\nx-ms-meta-a1:2\n"
			"x-ms-meta-a2:3\nx-ms-meta-ab:4\nx-ms-meta-ab0:5\n"
			"/devstoreaccount1/c/b\ncomp:metadata",
	});
}

static void every_line_has_its_place(void **state)
{
	check(&(struct vector){
		.method = "PUT", .path = "/", .length = 7,
		.headers = { "Range", "11", "If-Unmodified-Since", "10", "If-None-Match", "9",
			     "If-Match", "8", "If-Modified-Since", "7", "Date", "6",
			     "Content-Type", "5" },
		.text = "PUT\n\n\n7\n\n5\n6\n7\n8\n9\n10\n11\n/devstoreaccount1/",
	});
	check(&(struct vector){
		.method = "PUT", .path = "/",
		.headers = { "Content-Encoding", "1", "Content-Language", "2", "content-md5", "4",
			     "Date", "gone", "x-ms-date", DATE },
		.text = "PUT\n1\n2\n\n4\n\n\n\n\n\n\n\n" DATE_LINE "/devstoreaccount1/",
	});
}

static void bad_keys(void **state)
{
	static const char *const keys[] = { "", "abc", "a=b=", "!!!!", "####AAAA" };
	struct pairs none = { 0 };
	struct sign_request r = { .method = "GET", .account = ACCOUNT, .path = "/",
				  .query = &none, .headers = &none };
	cleanup_buf struct buf out = BUF_INIT(4096);
	struct err err;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		assert_int_equal(sign_authorization(&r, keys[i], &out, &err), -1);
		assert_int_equal(err.code, ERR_AUTH);
		assert_non_null(strstr(err.msg, "not base64"));
	}
}

static void base64(void **state)
{
	static const char *const texts[][2] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foobar", "Zm9vYmFy" }, { "block-0000001", "YmxvY2stMDAwMDAwMQ==" },
	};
	cleanup_buf struct buf out = BUF_INIT(64);
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		buf_reset(&out);
		assert_int_equal(sign_base64(&out, texts[i][0], strlen(texts[i][0])), 0);
		assert_string_equal(buf_str(&out), texts[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_page),
		cmocka_unit_test(list),
		cmocka_unit_test(lease),
		cmocka_unit_test(get_path_style),
		cmocka_unit_test(get_host_style),
		cmocka_unit_test(underscore_before_digits),
		cmocka_unit_test(every_line_has_its_place),
		cmocka_unit_test(bad_keys),
		cmocka_unit_test(base64),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
