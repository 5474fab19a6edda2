/* Replies taken apart, and failures put into words. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "blob/explain.h"
#include "blob/ops.h"
#include "blob/reply.h"
#include "tests/unit/unit.h"

#define NOW 1782517152 /* Fri, 26 Jun 2026 23:39:12 GMT */

static struct err err;

static void heads(void **state)
{
	struct blob_meta_list meta;
	struct pairs head = { 0 };

	assert_int_equal(reply_parse_head(&head,
		"HTTP/1.1 200 OK: yes\r\nETag: \"0x8D\"\r\nx-ms-meta-CamelCase:  a: b \t\r\n"
		"X-Ms-Meta-empty:\r\nno header\r\n: no name\r\nContent-Length: 5\r\n\r\n"), 0);
	assert_int_equal(head.count, 4);
	assert_string_equal(pairs_get(&head, "etag"), "\"0x8D\"");
	assert_string_equal(pairs_get(&head, "CONTENT-LENGTH"), "5");
	assert_int_equal(reply_meta(&meta, &head), 0);
	assert_int_equal(meta.count, 2);
	assert_string_equal(meta.items[0].name, "CamelCase");
	assert_string_equal(meta.items[0].value, "a: b");
	assert_string_equal(meta.items[1].value, "");
	blob_meta_free(&meta);
	pairs_free(&head);
	assert_int_equal(reply_parse_head(&head, ""), 0);
	assert_int_equal(head.count, 0);
	pairs_free(&head);
}

static void numbers_and_ranges(void **state)
{
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x10", "x",
					   "18446744073709551616" };
	static const char *const bad_ranges[] = {
		"", "bytes", "bytes 0-511", "bytes */1024", "bytes 0-/5", "bytes 0-511/x",
		"bytes -1-5/6", "pages 0-511/1024",
	};
	uint64_t n, first, last, total;
	size_t i;

	assert_int_equal(reply_number("18446744073709551615", &n), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(reply_number(NULL, &n), -1);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(reply_number(bad[i], &n), -1);
	assert_int_equal(reply_content_range("bytes 512-1023/2048", &first, &last, &total), 0);
	assert_int_equal(first, 512);
	assert_int_equal(last, 1023);
	assert_int_equal(total, 2048);
	assert_int_equal(reply_content_range("Bytes 0-0/*", &first, &last, &total), 0);
	assert_true(total == UINT64_MAX);
	assert_int_equal(reply_content_range("bytes 2048-2047/2048", &first, &last, &total), 0);
	assert_int_equal(last - first + 1, 0);
	assert_int_equal(reply_content_range(NULL, &first, &last, &total), -1);
	for (i = 0; i < sizeof(bad_ranges) / sizeof(bad_ranges[0]); i++)
		assert_int_equal(reply_content_range(bad_ranges[i], &first, &last, &total), -1);
}

static void meta_lists(void **state)
{
	struct blob_meta_list a = { 0 }, b;

	assert_int_equal(blob_meta_set(&a, "One", "1"), 0);
	assert_int_equal(blob_meta_set(&a, "two", "2"), 0);
	assert_int_equal(blob_meta_set(&a, "three", "3"), 0);
	assert_int_equal(blob_meta_set(&a, "TWO", "22"), 0);
	assert_int_equal(blob_meta_set(&a, "one", NULL), 0);
	assert_int_equal(blob_meta_set(&a, "nothing", NULL), 0);
	assert_int_equal(a.count, 2);
	assert_string_equal(a.items[0].name, "two");
	assert_string_equal(blob_meta_get(&a, "Two"), "22");
	assert_null(blob_meta_get(&a, "one"));
	assert_int_equal(blob_meta_copy(&b, &a), 0);
	blob_meta_free(&a);
	assert_int_equal(b.count, 2);
	assert_string_equal(blob_meta_get(&b, "three"), "3");
	blob_meta_free(&b);
}

static const struct blob_ref blob = { "c", "dir/b.vhd", NULL };
static const struct blob_ref snapshot = { "c", "dir/b.vhd", "2026-01-01" };
static const struct blob_ref container = { "c", NULL, NULL };

static struct blob_account account = {
	.kind = ACCOUNT_SHARED_KEY, .name = (char[]){ "acc" }, .key = (char[]){ "c2VjcmV0" },
	.endpoint = (char[]){ "https://acc.blob.core.windows.net" }, .source = (char[]){ "--key" },
};

static void reply(const struct blob_ref *ref, int status, const char *code, const char *body,
		  const char *date)
{
	struct explain_request request = { &account, ref };
	struct pairs head = { 0 };

	if (code)
		pairs_add(&head, "x-ms-error-code", code);
	pairs_add(&head, "x-ms-request-id", "id-1");
	if (date)
		pairs_add(&head, "Date", date);
	assert_int_equal(explain_reply(&err, &request, &(struct explain_reply){
		.status = status, .head = &head, .body = body, .body_len = strlen(body), .now = NOW,
	}), -1);
	assert_int_equal(err.http_status, status);
	assert_string_equal(err.request_id, "id-1");
	pairs_free(&head);
}

static void codes(void **state)
{
	static const struct {
		const struct blob_ref *ref;
		int status;
		const char *service_code;
		enum err_code code;
		const char *msg;
	} cases[] = {
		{ &blob, 404, "BlobNotFound", ERR_NOT_FOUND,
		  "c/dir/b.vhd: no such blob (BlobNotFound, request id-1); check the name (upper "
		  "and lower case count) and --container" },
		{ &blob, 404, NULL, ERR_NOT_FOUND,
		  "c/dir/b.vhd: no such blob (status 404, request id-1); check the name (upper "
		  "and lower case count) and --container" },
		{ &blob, 404, "ContainerNotFound", ERR_NOT_FOUND,
		  "c: no such container (ContainerNotFound, request id-1); check --container and the "
		  "account" },
		{ &container, 404, "ContainerNotFound", ERR_NOT_FOUND,
		  "c: no such container (ContainerNotFound, request id-1); check --container and the "
		  "account" },
		{ &snapshot, 404, "BlobNotFound", ERR_NOT_FOUND,
		  "c/dir/b.vhd: no such snapshot (BlobNotFound, request id-1); it was deleted, or "
		  "never there" },
		{ &blob, 409, "BlobAlreadyExists", ERR_EXISTS, "c/dir/b.vhd: the blob exists already "
		  "(BlobAlreadyExists, request id-1)" },
		{ &container, 409, "ContainerAlreadyExists", ERR_EXISTS,
		  "c: the container exists already (ContainerAlreadyExists, request id-1)" },
		{ &blob, 409, "LeaseAlreadyPresent", ERR_LEASE_HELD,
		  "c/dir/b.vhd: somebody else holds the lease (LeaseAlreadyPresent, request id-1)" },
		{ &blob, 409, "LeaseIdMismatchWithLeaseOperation", ERR_LEASE_HELD, NULL },
		{ &blob, 409, "LeaseIsBrokenAndCannotBeRenewed", ERR_LEASE_HELD, NULL },
		{ &blob, 409, "LeaseNotPresentWithLeaseOperation", ERR_LEASE_HELD, NULL },
		{ &blob, 409, "SnapshotsPresent", ERR_BUSY, NULL },
		{ &blob, 409, "PendingCopyOperation", ERR_BUSY, NULL },
		{ &blob, 409, "InvalidBlobType", ERR_UNSUPPORTED, NULL },
		{ &blob, 409, "SomethingNew", ERR_BUSY, NULL },
		{ &blob, 412, "LeaseIdMissing", ERR_LEASE_LOST, NULL },
		{ &blob, 412, "LeaseIdMismatchWithBlobOperation", ERR_LEASE_LOST, NULL },
		{ &blob, 412, "LeaseNotPresentWithBlobOperation", ERR_LEASE_LOST, NULL },
		{ &blob, 412, "LeaseLost", ERR_LEASE_LOST, NULL },
		{ &blob, 412, "ConditionNotMet", ERR_CONDITION, NULL },
		{ &blob, 304, NULL, ERR_CONDITION, NULL },
		{ &blob, 416, "InvalidRange", ERR_RANGE, NULL },
		{ &blob, 416, "Requested Range Not Satisfiable", ERR_RANGE, NULL },
		{ &blob, 400, "InvalidHeaderValue", ERR_USAGE, NULL },
		{ &blob, 413, "RequestBodyTooLarge", ERR_USAGE, NULL },
		{ &blob, 500, "InternalError", ERR_SERVER, NULL },
		{ &blob, 503, "ServerBusy", ERR_SERVER,
		  "c/dir/b.vhd: the service can't do it now (ServerBusy, request id-1); try again "
		  "later" },
		{ &blob, 429, NULL, ERR_SERVER, NULL },
		{ &blob, 302, NULL, ERR_PROTOCOL, NULL },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reply(cases[i].ref, cases[i].status, cases[i].service_code, "", NULL);
		if (err.code != cases[i].code)
			fail_msg("%d %s is %s", cases[i].status, cases[i].service_code,
				 err_code_name(err.code));
		assert_string_equal(err.service_code,
				    cases[i].service_code ? cases[i].service_code : "");
		if (cases[i].msg)
			assert_string_equal(err.msg, cases[i].msg);
	}
}

/* The code may come in the body only, and the service's words are passed on where
 * we have none of our own. */
static void bodies(void **state)
{
	reply(&blob, 400, NULL, "<Error><Code>InvalidQuery</Code><Message>Value for one of the query "
	      "parameters is\x1b[31m invalid.\nRequestId:x</Message></Error>", NULL);
	/* no XML, as it turns out, but the code was good */
	assert_string_equal(err.service_code, "InvalidQuery");
	assert_null(strchr(err.msg, '\x1b'));
	reply(&blob, 400, NULL, "<Error><Code>InvalidQuery</Code><Message>Value for one of the query "
	      "parameters is invalid.\nRequestId:x</Message></Error>", NULL);
	assert_string_equal(err.service_code, "InvalidQuery");
	assert_string_equal(err.msg, "c/dir/b.vhd: the service refuses the request (InvalidQuery, "
			    "request id-1): Value for one of the query parameters is invalid.");
	reply(&blob, 500, NULL, "<html>Bad Gateway</html>", NULL);
	assert_int_equal(err.code, ERR_SERVER);
}

static void refusals(void **state)
{
	static const char body[] = "<Error><Code>AuthenticationFailed</Code><Message>Server failed to "
				   "authenticate the request.</Message></Error>";

	reply(&blob, 403, "AuthenticationFailed", body, "Fri, 26 Jun 2026 23:30:00 GMT");
	assert_int_equal(err.code, ERR_AUTH);
	assert_string_equal(err.msg,
		"c/dir/b.vhd: the service refuses the key of account acc (AuthenticationFailed, "
		"request id-1): Server failed to authenticate the request.; check --key");
	assert_null(strstr(err.msg, account.key));
	account.kind = ACCOUNT_SAS;
	reply(&blob, 403, "AuthorizationPermissionMismatch", "", NULL);
	assert_string_equal(err.msg,
		"c/dir/b.vhd: the service refuses the SAS token of account acc "
		"(AuthorizationPermissionMismatch, request id-1); check --key: its permissions and "
		"when it expires");
	account.kind = ACCOUNT_ANONYMOUS;
	reply(&blob, 401, "NoAuthenticationInformation", "", NULL);
	assert_string_equal(err.msg,
		"c/dir/b.vhd: the service refuses anonymous requests to account acc "
		"(NoAuthenticationInformation, request id-1); give a key or a SAS token, see "
		"hpcpack(1)");
	account.kind = ACCOUNT_SHARED_KEY;
}

static void clock_skew(void **state)
{
	reply(&blob, 403, "AuthenticationFailed", "", "Fri, 26 Jun 2026 23:54:13 GMT");
	assert_int_equal(err.code, ERR_AUTH);
	assert_string_equal(err.msg,
		"c/dir/b.vhd: the service refuses the request because the clocks differ by more than "
		"15 minutes (AuthenticationFailed, request id-1): it is Fri, 26 Jun 2026 23:54:13 GMT "
		"there and Fri, 26 Jun 2026 23:39:12 GMT here; set this machine's clock");
	reply(&blob, 403, "AuthenticationFailed", "", "Fri, 26 Jun 2026 23:24:11 GMT");
	assert_non_null(strstr(err.msg, "clocks differ"));
	reply(&blob, 403, "AuthenticationFailed", "", "Fri, 26 Jun 2026 23:54:12 GMT");
	assert_null(strstr(err.msg, "clocks differ"));
	reply(&blob, 403, "AuthenticationFailed", "", "yesterday");
	assert_null(strstr(err.msg, "clocks differ"));
}

static void wires(void **state)
{
	static const struct {
		enum wire_result result;
		enum err_code code;
		const char *part;
	} cases[] = {
		{ WIRE_RESOLVE, ERR_NETWORK,
		  "c/dir/b.vhd: the host name acc.blob.core.windows.net can't be resolved: why; check" },
		{ WIRE_CONNECT, ERR_NETWORK,
		  "c/dir/b.vhd: can't connect to acc.blob.core.windows.net: why; check" },
		{ WIRE_TLS, ERR_NETWORK, "can't trust the TLS certificate of "
		  "acc.blob.core.windows.net: why; if a private authority" },
		{ WIRE_BROKEN, ERR_NETWORK, "the connection to acc.blob.core.windows.net failed: why" },
		{ WIRE_STALLED, ERR_NETWORK, "why" }, { WIRE_SHORT, ERR_NETWORK, "why" },
		{ WIRE_TOO_LONG, ERR_PROTOCOL, "why" }, { WIRE_GARBLED, ERR_PROTOCOL, "why" },
		{ WIRE_CANCELLED, ERR_CANCELLED, "stopping" }, { WIRE_NO_MEMORY, ERR_NO_MEMORY, "why" },
	};
	struct explain_request request = { &account, &blob };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(explain_wire(&err, &request, cases[i].result, "why", 0), -1);
		assert_int_equal(err.code, cases[i].code);
		if (!strstr(err.msg, cases[i].part))
			fail_msg("'%s' does not say '%s'", err.msg, cases[i].part);
	}
	explain_wire(&err, &request, WIRE_CONNECT, "Connection refused", 120000);
	assert_int_equal(err.code, ERR_TIMEOUT);
	assert_string_equal(err.msg, "c/dir/b.vhd: no answer from acc.blob.core.windows.net within "
			    "120 s: Connection refused; check the network, and that the service runs");
}

static void names(void **state)
{
	static const char *const good[] = { "abc", "hpc-packages-1", "$root", "$web",
		"a23456789012345678901234567890123456789012345678901234567890123" };
	static const char *const bad[] = { "", "ab", "Abc", "a--b", "-ab", "ab-", "a_b", "a.b", "$x",
		"a234567890123456789012345678901234567890123456789012345678901234" };
	static const char *const good_blobs[] = { "a", "dir/b c+%ü.vhd", "a..b", ".hidden", "\xf0\x9f\x98\x80" };
	static const char *const bad_blobs[] = { "", "a/../b", "..", "./a", "a/.", "\xff", "\xc0\xaf",
		"\xed\xa0\x80", "a\nb", "\xe2\x82", "a\x7f" };
	char lengthy[1100];
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(blob_check_container_name(good[i], &err), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(blob_check_container_name(bad[i], &err), -1);
	for (i = 0; i < sizeof(good_blobs) / sizeof(good_blobs[0]); i++)
		assert_int_equal(blob_check_blob_name(good_blobs[i], &err), 0);
	for (i = 0; i < sizeof(bad_blobs) / sizeof(bad_blobs[0]); i++)
		assert_int_equal(blob_check_blob_name(bad_blobs[i], &err), -1);
	memset(lengthy, 'x', sizeof(lengthy));
	lengthy[1025] = '\0';
	assert_int_equal(blob_check_blob_name(lengthy, &err), -1);
	lengthy[1024] = '\0';
	assert_int_equal(blob_check_blob_name(lengthy, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads),
		cmocka_unit_test(numbers_and_ranges),
		cmocka_unit_test(meta_lists),
		cmocka_unit_test(codes),
		cmocka_unit_test(bodies),
		cmocka_unit_test(refusals),
		cmocka_unit_test(clock_skew),
		cmocka_unit_test(wires),
		cmocka_unit_test(names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
