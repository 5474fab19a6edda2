#include <config.h>

#include <string.h>

#include "blob/url.h"
#include "tests/unit/unit.h"

static void names(void **state)
{
	static const char *const cases[][2] = {
		{ "plain-name_1.0~x", "plain-name_1.0~x" },
		{ "a b", "a%20b" },
		{ "100%", "100%25" },
		{ "1+1=2&3?#[]@!$'()*,;:", "1%2B1%3D2%263%3F%23%5B%5D%40%21%24%27%28%29%2A%2C%3B%3A" },
		{ "für/später.vhd", "f%C3%BCr/sp%C3%A4ter.vhd" },
		{ "a//b/", "a//b/" },
		{ "back\\slash", "back%5Cslash" },
	};
	cleanup_buf struct buf out = BUF_INIT(512);
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&out);
		assert_int_equal(url_add_path(&out, cases[i][0]), 0);
		assert_string_equal(buf_str(&out), cases[i][1]);
	}
	buf_reset(&out);
	assert_int_equal(url_add_encoded(&out, "a/b c"), 0);
	assert_string_equal(buf_str(&out), "a%2Fb%20c");
}

static void too_long(void **state)
{
	cleanup_buf struct buf out = BUF_INIT(4);

	assert_int_equal(url_add_path(&out, "ab%"), -1);
}

static void decoding(void **state)
{
	char text[] = "a%20b%C3%BC%2525%zz%4%00%41";

	url_decode(text);
	assert_string_equal(text, "a bü%25%zz%4%00A");
}

static void addresses(void **state)
{
	static const struct {
		const char *endpoint;
		struct blob_ref ref;
		const char *url, *path;
	} cases[] = {
		{ "https://x.blob.core.windows.net", { "c", "d/e f", NULL },
		  "https://x.blob.core.windows.net/c/d/e%20f", "/c/d/e%20f" },
		{ "http://127.0.0.1:10000/devstoreaccount1", { "c", "b", "2026" },
		  "http://127.0.0.1:10000/devstoreaccount1/c/b", "/devstoreaccount1/c/b" },
		{ "http://127.0.0.1:10000/dev", { "c", NULL, NULL },
		  "http://127.0.0.1:10000/dev/c", "/dev/c" },
		{ "https://h", { NULL, NULL, NULL }, "https://h/", "/" },
	};
	cleanup_buf struct buf out = BUF_INIT(512);
	size_t i, path;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&out);
		assert_int_equal(url_add_address(&out, cases[i].endpoint, &cases[i].ref, &path), 0);
		assert_string_equal(buf_str(&out), cases[i].url);
		assert_string_equal(buf_str(&out) + path, cases[i].path);
	}
}

static void queries(void **state)
{
	static const char sas[] = "sv=2021-12-02&sp=r&sig=a%2Bb%2Fc%3D";
	struct pairs query = { 0 };
	cleanup_buf struct buf out = BUF_INIT(512);

	assert_int_equal(url_add_query(&out, &query, NULL), 0);
	assert_string_equal(buf_str(&out), "");
	assert_int_equal(url_add_query(&out, &query, sas), 0);
	assert_string_equal(buf_str(&out), "?sv=2021-12-02&sp=r&sig=a%2Bb%2Fc%3D");
	buf_reset(&out);
	pairs_add(&query, "snapshot", "2026-06-26T23:39:12.1234567Z");
	pairs_add(&query, "prefix", "a b/ü&");
	assert_int_equal(url_add_query(&out, &query, sas), 0);
	assert_string_equal(buf_str(&out),
			    "?snapshot=2026-06-26T23%3A39%3A12.1234567Z&prefix=a%20b%2F%C3%BC%26"
			    "&sv=2021-12-02&sp=r&sig=a%2Bb%2Fc%3D");
	pairs_free(&query);
}

static void hosts(void **state)
{
	static const struct {
		const char *url, *host;
		bool loopback;
	} cases[] = {
		{ "http://127.0.0.1:10000/dev", "127.0.0.1:10000", true },
		{ "https://127.8.9.1", "127.8.9.1", true },
		{ "http://[::1]:80/x", "[::1]:80", true },
		{ "http://LocalHost/", "LocalHost", true },
		{ "http://dev.blob.localhost:1/", "dev.blob.localhost:1", true },
		{ "https://x.blob.core.windows.net/c?x=http://localhost", "x.blob.core.windows.net",
		  false },
		{ "https://127.evil.example", "127.evil.example", false },
		{ "https://notlocalhost", "notlocalhost", false },
		{ "https://localhost.example", "localhost.example", false },
		{ "http://10.0.0.1?x=1", "10.0.0.1", false },
	};
	char host[URL_HOST_MAX];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		url_host(cases[i].url, host);
		assert_string_equal(host, cases[i].host);
		assert_int_equal(url_is_loopback(cases[i].url), cases[i].loopback);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(too_long),
		cmocka_unit_test(decoding),
		cmocka_unit_test(addresses),
		cmocka_unit_test(queries),
		cmocka_unit_test(hosts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
