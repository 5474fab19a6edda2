/* XML of the service, good and hostile. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/buf.h"
#include "blob/xml.h"
#include "tests/unit/unit.h"

static int page_list(const char *text, struct xml_ranges *ranges, char **marker, struct err *err)
{
	return xml_page_list(text, strlen(text), ranges, marker, err);
}

static void ranges(void **state)
{
	struct xml_ranges r = { 0 };
	struct err err;
	char *marker;

	assert_int_equal(page_list("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<PageList>"
				   "<PageRange><Start>0</Start><End>511</End></PageRange>\n"
				   "<ClearRange><Start>512</Start><End>1023</End></ClearRange>"
				   "<PageRange><Start>1024</Start><End>8796093022207</End></PageRange>"
				   "</PageList>", &r, &marker, &err), 0);
	assert_null(marker);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.items[0].offset, 0);
	assert_int_equal(r.items[0].len, 512);
	assert_int_equal(r.items[1].offset, 1024);
	assert_int_equal(r.items[1].len, 8796093022208 - 1024);
	/* the next part of it is appended */
	assert_int_equal(page_list("\xef\xbb\xbf<PageList><PageRange><Start>512</Start><End>1023</End>"
				   "</PageRange><NextMarker>2!72!x</NextMarker></PageList>", &r,
				   &marker, &err), 0);
	assert_int_equal(r.count, 3);
	assert_string_equal(marker, "2!72!x");
	free(marker);
	xml_ranges_free(&r);
}

static void no_ranges(void **state)
{
	struct xml_ranges r = { 0 };
	struct err err;
	char *marker;

	assert_int_equal(page_list("<PageList/>", &r, &marker, &err), 0);
	assert_int_equal(page_list("<PageList><NextMarker /></PageList>", &r, &marker, &err), 0);
	assert_int_equal(r.count, 0);
	assert_null(marker);
}

static void bad_ranges(void **state)
{
	static const char *const inner[] = {
		"<Start>0</Start>", "<End>511</End>", "", "<Start>0</Start><End>510</End>",
		"<Start>1</Start><End>511</End>", "<Start>512</Start><End>511</End>",
		"<Start>-512</Start><End>511</End>", "<Start>x</Start><End>511</End>",
		"<Start>0</Start><End>511z</End>", "<Start></Start><End>511</End>",
		"<Start>0</Start><End>18446744073709551615</End>",
		"<Start>512</Start><End>18446744073709551615</End>",
		"<Start>0</Start><End>99999999999999999999999</End>",
		"<Start>0</Start><End>9223372036854775808</End>",
	};
	char text[256];
	size_t i;

	for (i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) {
		struct xml_ranges r = { 0 };
		struct err err;
		char *marker;

		snprintf(text, sizeof(text), "<PageList><PageRange>%s</PageRange></PageList>",
			 inner[i]);
		assert_int_equal(page_list(text, &r, &marker, &err), -1);
		assert_int_equal(err.code, ERR_PROTOCOL);
		assert_null(marker);
		xml_ranges_free(&r);
	}
}

static void expect_refused(const char *text, size_t len, const char *why)
{
	struct xml_ranges r = { 0 };
	struct blob_list list = { 0 };
	struct err err;
	char *marker;

	assert_int_equal(xml_page_list(text, len, &r, &marker, &err), -1);
	assert_int_equal(err.code, ERR_PROTOCOL);
	if (why && !strstr(err.msg, why))
		fail_msg("'%s' does not say '%s'", err.msg, why);
	assert_null(marker);
	assert_int_equal(xml_blob_list(text, len, &list, &marker, &err), -1);
	assert_int_equal(err.code, ERR_PROTOCOL);
	assert_null(marker);
	xml_ranges_free(&r);
	blob_list_free(&list);
}

static void hostile(void **state)
{
	static const char bomb[] =
		"<?xml version=\"1.0\"?><!DOCTYPE PageList [<!ENTITY a \"aaaaaaaaaa\">"
		"<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]><PageList>&b;</PageList>";
	static const char external[] =
		"<!DOCTYPE PageList SYSTEM \"file:///etc/passwd\"><PageList/>";
	cleanup_buf struct buf deep = BUF_INIT(1 << 20), lengthy = BUF_INIT(1 << 20);
	int i;

	expect_refused(bomb, strlen(bomb), "document type");
	expect_refused(external, strlen(external), "document type");
	expect_refused("", 0, NULL);
	expect_refused("<", 1, NULL);
	expect_refused("\0\0\0\0", 4, NULL);
	expect_refused("<PageList>", 10, NULL);
	expect_refused("<PageList></Wrong>", 18, NULL);
	expect_refused("<html><body>hello</body></html>", 31, "another document");
	expect_refused("<PageList/><PageList/>", 22, NULL);
	expect_refused("<PageList>\xff\xfe</PageList>", 23, NULL);
	expect_refused("<PageList>&nosuch;</PageList>", 29, NULL);
	for (i = 0; i < 1000; i++)
		buf_addstr(&deep, i ? "<x>" : "<PageList>");
	expect_refused(deep.data, deep.len, "nested");
	deep.len = 0;
	for (i = 0; i < 1000; i++)
		buf_addstr(&deep, i ? "<x>" : "<EnumerationResults>");
	expect_refused(deep.data, deep.len, NULL);
	buf_addstr(&lengthy, "<PageList><NextMarker>");
	for (i = 0; i < 100000; i++)
		buf_addstr(&lengthy, "x");
	buf_addstr(&lengthy, "</NextMarker></PageList>");
	expect_refused(lengthy.data, lengthy.len, "too long");
}

/* Every beginning of a good document is refused, and leaks nothing. */
static void cut_short(void **state)
{
	static const char text[] =
		"<EnumerationResults><Blobs><Blob><Name>n</Name><Snapshot>s</Snapshot><Properties>"
		"<Content-Length>1</Content-Length></Properties><Metadata><a>b</a></Metadata></Blob>"
		"</Blobs><NextMarker>m</NextMarker></EnumerationResults>";
	size_t len;

	for (len = 0; len < strlen(text); len++)
		expect_refused(text, len, NULL);
}

static void blobs(void **state)
{
	static const char text[] =
		"<?xml version=\"1.0\" encoding=\"utf-8\"?>"
		"<EnumerationResults ServiceEndpoint=\"http://x/\" ContainerName=\"c\"><Prefix>p</Prefix>"
		"<MaxResults>5000</MaxResults><Delimiter/><Blobs>"
		"<Blob><Name>dir/a &amp; b &#252;.vhd</Name><Snapshot>2026-06-26T23:39:12.1234567Z</Snapshot>"
		"<Properties><Last-Modified>Fri, 26 Jun 2026 23:39:12 GMT</Last-Modified>"
		"<Etag>0x8D</Etag><Content-Length>1073742336</Content-Length><BlobType>PageBlob</BlobType>"
		"<LeaseStatus>locked</LeaseStatus><LeaseState>leased</LeaseState><CopyId>id</CopyId>"
		"<CopyStatus>success</CopyStatus></Properties>"
		"<Metadata><RelativePath>x/y</RelativePath><empty/>"
		"<a_very_long_name_of_more_than_thirty_two_characters>v"
		"</a_very_long_name_of_more_than_thirty_two_characters></Metadata><OrMetadata/></Blob>"
		"<Blob><Name Encoded=\"true\">odd%EF%BF%BE%25</Name><Properties><Etag>\"0x8E\"</Etag>"
		"<Content-Length>0</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
		"<BlobPrefix><Name>not a blob</Name></BlobPrefix>"
		"</Blobs><NextMarker>2!8!x</NextMarker></EnumerationResults>";
	struct blob_list list = { 0 };
	const struct blob_item *item;
	struct err err;
	char *marker;

	assert_int_equal(xml_blob_list(text, strlen(text), &list, &marker, &err), 0);
	assert_string_equal(marker, "2!8!x");
	assert_int_equal(list.count, 2);
	item = &list.items[0];
	assert_string_equal(item->name, "dir/a & b ü.vhd");
	assert_string_equal(item->snapshot, "2026-06-26T23:39:12.1234567Z");
	assert_string_equal(item->props.etag, "\"0x8D\"");
	assert_string_equal(item->props.last_modified, "Fri, 26 Jun 2026 23:39:12 GMT");
	assert_string_equal(item->props.lease_state, "leased");
	assert_string_equal(item->props.copy_status, "success");
	assert_int_equal(item->props.size, 1073742336);
	assert_int_equal(item->props.type, BLOB_TYPE_PAGE);
	assert_int_equal(item->props.meta.count, 3);
	assert_string_equal(item->props.meta.items[0].name, "RelativePath");
	assert_string_equal(blob_meta_get(&item->props.meta, "relativepath"), "x/y");
	assert_string_equal(blob_meta_get(&item->props.meta, "empty"), "");
	assert_string_equal(blob_meta_get(&item->props.meta,
					  "a_very_long_name_of_more_than_thirty_two_characters"), "v");
	item = &list.items[1];
	assert_string_equal(item->name, "odd\xef\xbf\xbe%");
	assert_null(item->snapshot);
	assert_string_equal(item->props.etag, "\"0x8E\"");
	assert_int_equal(item->props.type, BLOB_TYPE_BLOCK);
	free(marker);
	blob_list_free(&list);
}

static void bad_blobs(void **state)
{
	static const char *const inner[] = {
		"<Blob/>", "<Blob><Properties/></Blob>",
		"<Blob><Name>a</Name><Properties><Content-Length>-1</Content-Length></Properties></Blob>",
		"<Blob><Name>a</Name><Properties><Content-Length/></Properties></Blob>",
	};
	char text[256];
	size_t i;

	for (i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) {
		struct blob_list list = { 0 };
		struct err err;
		char *marker;

		snprintf(text, sizeof(text),
			 "<EnumerationResults><Blobs>%s</Blobs></EnumerationResults>", inner[i]);
		assert_int_equal(xml_blob_list(text, strlen(text), &list, &marker, &err), -1);
		assert_int_equal(err.code, ERR_PROTOCOL);
		blob_list_free(&list);
	}
}

static void errors(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>BlobNotFound</Code>"
		"<Message>The specified blob does not exist.\nRequestId:1\nTime:2</Message>"
		"<Detail><Code>Inner</Code></Detail></Error>";
	char code[XML_CODE_MAX], message[XML_MESSAGE_MAX];

	assert_int_equal(xml_error(text, strlen(text), code, message), 0);
	assert_string_equal(code, "BlobNotFound");
	assert_string_equal(message, "The specified blob does not exist.");
	assert_int_equal(xml_error("<html/>", 7, code, message), -1);
	assert_string_equal(code, "");
	assert_int_equal(xml_error("", 0, code, message), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges),
		cmocka_unit_test(no_ranges),
		cmocka_unit_test(bad_ranges),
		cmocka_unit_test(hostile),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(blobs),
		cmocka_unit_test(bad_blobs),
		cmocka_unit_test(errors),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
