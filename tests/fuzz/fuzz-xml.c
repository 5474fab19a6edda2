/* The input is what a service answered: a list of blobs, of page ranges, or an error. */
#include <config.h>

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "blob/xml.h"

static void blobs(const char *text, size_t len)
{
	struct blob_list list = { 0 };
	char *marker = NULL;
	struct err err;

	if (xml_blob_list(text, len, &list, &marker, &err) < 0)
		must(!marker && !strchr(err.msg, '\n'));
	else
		must(!marker || *marker);
	for (size_t i = 0; i < list.count; i++) {
		must(list.items[i].name || !marker);
		must(memchr(list.items[i].props.etag, 0, BLOB_ETAG_MAX));
		must(memchr(list.items[i].props.last_modified, 0, BLOB_TIME_MAX));
		blob_meta_get(&list.items[i].props.meta, "contentlength");
	}
	blob_list_free(&list);
	free(marker);
}

static void ranges(const char *text, size_t len)
{
	struct xml_ranges r = { 0 };
	char *marker = NULL;
	struct err err;

	if (xml_page_list(text, len, &r, &marker, &err) < 0)
		must(!marker && !strchr(err.msg, '\n'));
	for (size_t i = 0; i < r.count; i++)
		must(r.items[i].len && r.items[i].len % BLOB_PAGE == 0 && r.items[i].offset % BLOB_PAGE == 0 &&
		     r.items[i].offset + r.items[i].len > r.items[i].offset);
	xml_ranges_free(&r);
	free(marker);
}

static void error(const char *text, size_t len)
{
	char code[XML_CODE_MAX], message[XML_MESSAGE_MAX];

	xml_error(text, len, code, message);
	must(memchr(code, 0, sizeof(code)) && memchr(message, 0, sizeof(message)));
	must(!strchr(message, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;

	blobs(text, len);
	ranges(text, len);
	error(text, len);
	return 0;
}
