#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "blob/account.h"

#define KEY "c2VjcmV0IGtleSBvZiBhIHRlc3Q="
#define SAS "sv=2021-12-02&sp=rl&sig=abc%2Bdef%3D"

static void check(const struct blob_account *a, enum account_kind kind, const char *name,
		  const char *endpoint)
{
	assert_int_equal(a->kind, kind);
	assert_string_equal(a->name, name);
	assert_string_equal(a->endpoint, endpoint);
	assert_true((a->key != NULL) == (kind == ACCOUNT_SHARED_KEY));
	assert_true((a->sas != NULL) == (kind == ACCOUNT_SAS));
}

static void good_parts(struct account_parts parts, enum account_kind kind, const char *name,
		       const char *endpoint)
{
	struct blob_account a;
	struct err err;

	if (account_from_parts(&a, &parts, "here", &err) < 0)
		fail_msg("%s", err.msg);
	check(&a, kind, name, endpoint);
	assert_string_equal(a.source, "here");
	account_free(&a);
}

static void bad_parts(struct account_parts parts, const char *message)
{
	struct blob_account a;
	struct err err;

	assert_int_equal(account_from_parts(&a, &parts, "here", &err), -1);
	assert_int_equal(err.code, ERR_USAGE);
	if (!strstr(err.msg, message))
		fail_msg("'%s' is not in '%s'", message, err.msg);
	/* What failed left nothing to free. */
	assert_null(a.name);
	assert_null(a.key);
}

#define PARTS(...) ((struct account_parts){ __VA_ARGS__ })

static void parts(void **state)
{
	good_parts(PARTS(.name = "abc", .key = KEY), ACCOUNT_SHARED_KEY, "abc",
		   "https://abc.blob.core.windows.net");
	good_parts(PARTS(.name = "abc", .key = KEY, .use_http = true), ACCOUNT_SHARED_KEY, "abc",
		   "http://abc.blob.core.windows.net");
	good_parts(PARTS(.name = "abc"), ACCOUNT_ANONYMOUS, "abc", "https://abc.blob.core.windows.net");
	good_parts(PARTS(.name = "abc", .sas = "?" SAS), ACCOUNT_SAS, "abc",
		   "https://abc.blob.core.windows.net");
	good_parts(PARTS(.endpoint = "http://127.0.0.1:10000/devstoreaccount1///", .key = KEY),
		   ACCOUNT_SHARED_KEY, "devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1");
	good_parts(PARTS(.endpoint = "HTTPS://abc.blob.example.org:8443/", .key = KEY),
		   ACCOUNT_SHARED_KEY, "abc", "HTTPS://abc.blob.example.org:8443");
	good_parts(PARTS(.endpoint = "http://[::1]:80/abc", .key = KEY), ACCOUNT_SHARED_KEY, "abc",
		   "http://[::1]:80/abc");
	good_parts(PARTS(.endpoint = "http://127.0.0.1:8080"), ACCOUNT_ANONYMOUS, "",
		   "http://127.0.0.1:8080");
	good_parts(PARTS(.name = "abc", .endpoint = "https://h/some/path"), ACCOUNT_ANONYMOUS, "abc",
		   "https://h/some/path");
	good_parts(PARTS(.endpoint = "http://h/abc", .use_http = true), ACCOUNT_ANONYMOUS, "abc",
		   "http://h/abc");
}

static void wrong_parts(void **state)
{
	bad_parts(PARTS(.key = KEY), "name is missing");
	bad_parts(PARTS(.name = "ab"), "'ab' is no account name");
	bad_parts(PARTS(.name = "Abc"), "is no account name");
	bad_parts(PARTS(.name = "a.evil.com/x"), "is no account name");
	bad_parts(PARTS(.name = "abcdefghijklmnopqrstuvwxy"), "is no account name");
	bad_parts(PARTS(.name = "abc", .key = KEY, .sas = SAS), "at once");
	bad_parts(PARTS(.name = "abc", .key = ""), "not base64");
	bad_parts(PARTS(.name = "abc", .key = "abc"), "not base64");
	bad_parts(PARTS(.name = "abc", .key = "ab=c"), "not base64");
	bad_parts(PARTS(.name = "abc", .key = "a==="), "not base64");
	bad_parts(PARTS(.name = "abc", .key = "abc\n"), "not base64");
	bad_parts(PARTS(.name = "abc", .sas = "sv=1"), "no sig=");
	bad_parts(PARTS(.name = "abc", .sas = "xsig=1"), "no sig=");
	bad_parts(PARTS(.name = "abc", .sas = "sig=1 2"), "holds a space");
	bad_parts(PARTS(.name = "abc", .sas = "sig=1\r\nHost:x"), "holds a space");
	bad_parts(PARTS(.endpoint = "ftp://h/abc"), "must be http://");
	bad_parts(PARTS(.endpoint = "https://"), "must be http://");
	bad_parts(PARTS(.endpoint = "https:///abc"), "must be http://");
	bad_parts(PARTS(.endpoint = "https://h:0/abc"), "must be http://");
	bad_parts(PARTS(.endpoint = "https://h:99999/abc"), "must be http://");
	bad_parts(PARTS(.endpoint = "https://h:x/abc"), "must be http://");
	bad_parts(PARTS(.endpoint = "https://[::1/abc"), "must be http://");
	bad_parts(PARTS(.endpoint = "https://h//abc"), "must be http://");
	bad_parts(PARTS(.endpoint = "https://user@h/abc"), "nothing else");
	bad_parts(PARTS(.endpoint = "https://h/abc?sig=SECRET"), "https://h/abc...");
	bad_parts(PARTS(.endpoint = "https://h /abc"), "nothing else");
	bad_parts(PARTS(.endpoint = "https://h.org/abc", .use_http = true), "--use-http contradicts");
	bad_parts(PARTS(.endpoint = "https://10.0.0.1", .key = KEY), "does not tell the account's name");
}

static void good_string(const char *cs, enum account_kind kind, const char *name, const char *endpoint)
{
	struct blob_account a;
	struct err err;

	if (account_from_connection_string(&a, cs, false, NULL, "here", &err) < 0)
		fail_msg("%s: %s", cs, err.msg);
	check(&a, kind, name, endpoint);
	account_free(&a);
}

static void bad_string(const char *cs, const char *message)
{
	struct blob_account a;
	struct err err;

	assert_int_equal(account_from_connection_string(&a, cs, false, NULL, "here", &err), -1);
	assert_int_equal(err.code, ERR_USAGE);
	if (!strstr(err.msg, message))
		fail_msg("'%s' is not in '%s'", message, err.msg);
	assert_null(strstr(err.msg, "SECRET"));
}

static void connection_strings(void **state)
{
	struct blob_account a;

	good_string("DefaultEndpointsProtocol=https;AccountName=abc;AccountKey=" KEY
		    ";EndpointSuffix=core.windows.net",
		    ACCOUNT_SHARED_KEY, "abc", "https://abc.blob.core.windows.net");
	/* Any order, any case, spaces and empty parts; the key's '=' belong to it. */
	good_string(" accountKEY = " KEY " ;; accountname=abc;;", ACCOUNT_SHARED_KEY, "abc",
		    "https://abc.blob.core.windows.net");
	good_string("AccountName=abc;AccountKey=" KEY ";EndpointSuffix=core.chinacloudapi.cn",
		    ACCOUNT_SHARED_KEY, "abc", "https://abc.blob.core.chinacloudapi.cn");
	/* BlobEndpoint wins over protocol and suffix. */
	good_string("DefaultEndpointsProtocol=https;AccountName=abc;AccountKey=" KEY
		    ";BlobEndpoint=http://127.0.0.1:10001/abc/;EndpointSuffix=x",
		    ACCOUNT_SHARED_KEY, "abc", "http://127.0.0.1:10001/abc");
	good_string("BlobEndpoint=https://abc.blob.core.windows.net/;SharedAccessSignature=?" SAS,
		    ACCOUNT_SAS, "abc", "https://abc.blob.core.windows.net");
	good_string("BlobEndpoint=https://abc.blob.core.windows.net/;QueueEndpoint=https://q;"
		    "FileEndpoint=https://f;TableEndpoint=https://t;SharedAccessSignature=" SAS,
		    ACCOUNT_SAS, "abc", "https://abc.blob.core.windows.net");
	good_string("BlobEndpoint=https://abc.blob.core.windows.net", ACCOUNT_ANONYMOUS, "abc",
		    "https://abc.blob.core.windows.net");
	good_string("UseDevelopmentStorage=true", ACCOUNT_SHARED_KEY, "devstoreaccount1",
		    "http://127.0.0.1:10000/devstoreaccount1");
	good_string("usedevelopmentstorage=TRUE;DevelopmentStorageProxyUri=http://azurite/;",
		    ACCOUNT_SHARED_KEY, "devstoreaccount1", "http://azurite:10000/devstoreaccount1");
	good_string("UseDevelopmentStorage=false;AccountName=abc;AccountKey=" KEY, ACCOUNT_SHARED_KEY,
		    "abc", "https://abc.blob.core.windows.net");

	assert_int_equal(account_from_connection_string(&a,
			 "DefaultEndpointsProtocol=https;AccountName=abc;AccountKey=" KEY, true,
			 "/ca.pem", "here", NULL), 0);
	assert_string_equal(a.endpoint, "http://abc.blob.core.windows.net");
	assert_string_equal(a.ca_file, "/ca.pem");
	assert_true(a.http_chosen);
	account_free(&a);
}

static void wrong_connection_strings(void **state)
{
	bad_string("", "neither AccountName nor BlobEndpoint");
	bad_string("AccountKey=" KEY, "neither AccountName nor BlobEndpoint");
	bad_string("AccountName=abc;SECRET", "a part without '='");
	bad_string("AccountName=abc;AcountKey=SECRET", "unknown setting 'AcountKey'");
	bad_string("AccountName=abc;SECRETSECRETSECRETSECRETSECRETSECRETSECRET==", "unknown setting ''");
	bad_string("AccountName=abc;accountname=abd", "sets accountname twice");
	bad_string("DefaultEndpointsProtocol=ftp;AccountName=abc", "must be https or http");
	bad_string("AccountName=abc;AccountKey=SECRET*", "not base64");
	bad_string("AccountName=abc;AccountKey=" KEY ";SharedAccessSignature=" SAS, "at once");
	bad_string("BlobEndpoint=127.0.0.1:10000/abc", "must be http://");
}

static void transport(void **state)
{
	static const struct { const char *cs; int rc; } cases[] = {
		{ "AccountName=abc;AccountKey=" KEY, 0 },
		{ "DefaultEndpointsProtocol=http;AccountName=abc;AccountKey=" KEY, -1 },
		{ "DefaultEndpointsProtocol=http;AccountName=abc;SharedAccessSignature=" SAS, -1 },
		{ "DefaultEndpointsProtocol=http;AccountName=abc", 0 },
		{ "BlobEndpoint=http://storage.example.org/abc;AccountKey=" KEY, 0 },
		{ "UseDevelopmentStorage=true", 0 },
		{ "DefaultEndpointsProtocol=http;AccountName=abc;EndpointSuffix=localhost;AccountKey=" KEY, 0 },
		{ "DefaultEndpointsProtocol=http;AccountName=abc;EndpointSuffix=notlocalhost;AccountKey=" KEY, -1 },
	};
	static const struct { const char *endpoint; int rc; } hosts[] = {
		{ "http://127.0.0.1/abc", 0 }, { "http://127.8.9.1:1/abc", 0 }, { "http://[::1]/abc", 0 },
		{ "http://LocalHost:7/abc", 0 }, { "http://abc.localhost", 0 },
		{ "http://127.0.0.1.example.org/abc", -1 }, { "http://evil-localhost/abc", -1 },
		{ "http://localhost.example.org/abc", -1 }, { "http://[::2]/abc", -1 },
		{ "http://10.0.0.1/abc", -1 }, { "https://10.0.0.1/abc", 0 },
	};
	struct blob_account a;
	struct err err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(account_from_connection_string(&a, cases[i].cs, false, NULL, "here", &err), 0);
		if (account_check_transport(&a, a.http_chosen, &err) != cases[i].rc)
			fail_msg("%s", cases[i].cs);
		assert_int_equal(account_check_transport(&a, true, &err), 0);
		account_free(&a);
	}
	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
		assert_int_equal(account_from_parts(&a, &PARTS(.endpoint = hosts[i].endpoint, .key = KEY),
						    "here", &err), 0);
		if (account_check_transport(&a, false, &err) != hosts[i].rc)
			fail_msg("%s", hosts[i].endpoint);
		account_free(&a);
	}
	assert_non_null(strstr(err.msg, "--use-http"));
}

static void copies(void **state)
{
	struct blob_account a, b;

	assert_int_equal(account_from_parts(&a, &PARTS(.name = "abc", .key = KEY, .ca_file = "/ca"),
					    "here", NULL), 0);
	assert_int_equal(account_copy(&b, &a, NULL), 0);
	account_free(&a);
	check(&b, ACCOUNT_SHARED_KEY, "abc", "https://abc.blob.core.windows.net");
	assert_string_equal(b.key, KEY);
	assert_string_equal(b.ca_file, "/ca");
	account_free(&b);
	assert_null(b.key);
	account_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts),
		cmocka_unit_test(wrong_parts),
		cmocka_unit_test(connection_strings),
		cmocka_unit_test(wrong_connection_strings),
		cmocka_unit_test(transport),
		cmocka_unit_test(copies),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
