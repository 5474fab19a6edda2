#include <config.h>

#include "blob/xml.h"

#include <expat.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "blob/reply.h"
#include "blob/url.h"

#define DEPTH_MAX 16
#define TEXT_MAX 65536u
#define ITEMS_MAX (4u << 20)

/* One document being read: which elements are open, and the text of the innermost.
 * `closed` is called at each end tag, `opened` (may be NULL) at each start tag;
 * both return -1 with *err to stop. */
struct reader {
	XML_Parser parser;
	const char *root;
	char path[DEPTH_MAX][32];  /* names of the open elements, cut short if need be */
	int depth;
	struct buf text;
	struct err *err;
	bool failed;
	int (*opened)(struct reader *r, const char *name, const char **attributes);
	int (*closed)(struct reader *r, const char *name);

	/* What the documents fill in. */
	struct xml_ranges *ranges;
	struct blob_range range;
	uint64_t range_end;
	struct blob_list *list;
	struct blob_item *item;    /* in the list; NULL: not inside a <Blob> */
	bool encoded;              /* its name is */
	char *marker;
	char *code, *message;
};

static void stop(struct reader *r)
{
	r->failed = true;
	XML_StopParser(r->parser, XML_FALSE);
}

static void fault(struct reader *r, enum err_code code, const char *why)
{
	err_set(r->err, code, "the service's XML can't be used: %s", why);
	stop(r);
}

static int out_of_memory(struct reader *r)
{
	return err_set(r->err, ERR_NO_MEMORY, "not enough memory for the service's XML");
}

/* Is the element that encloses the innermost one called that? */
static bool inside(const struct reader *r, const char *name)
{
	return r->depth >= 2 && !strcmp(r->path[r->depth - 2], name);
}

static void on_start(void *arg, const char *name, const char **attributes)
{
	struct reader *r = arg;

	if (r->failed)
		return;
	if (r->depth == 0 && strcmp(name, r->root) != 0) {
		fault(r, ERR_PROTOCOL, "it is another document");
		return;
	}
	if (r->depth == DEPTH_MAX) {
		fault(r, ERR_PROTOCOL, "it is nested too deeply");
		return;
	}
	snprintf(r->path[r->depth++], sizeof(r->path[0]), "%s", name);
	buf_reset(&r->text);
	if (r->opened && r->opened(r, name, attributes) < 0)
		stop(r);
}

static void on_end(void *arg, const char *name)
{
	struct reader *r = arg;

	if (r->failed)
		return;
	if (r->closed(r, name) < 0)
		stop(r);
	r->depth--;
	buf_reset(&r->text);
}

static void on_text(void *arg, const char *text, int len)
{
	struct reader *r = arg;

	if (!r->failed && buf_add(&r->text, text, (size_t)len) < 0)
		fault(r, ERR_PROTOCOL, "an element is too long");
}

static void on_doctype(void *arg, const char *name, const char *system_id, const char *public_id,
		       int has_internal_subset)
{
	fault(arg, ERR_PROTOCOL, "it has a document type");
}

static int parse(struct reader *r, const char *text, size_t len)
{
	int rc = -1;

	r->text = (struct buf)BUF_INIT(TEXT_MAX);
	r->parser = XML_ParserCreate("UTF-8");
	if (!r->parser)
		return out_of_memory(r);
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_start, on_end);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	if (len > INT_MAX)
		fault(r, ERR_PROTOCOL, "it is too long");
	else if (XML_Parse(r->parser, text, (int)len, 1) == XML_STATUS_OK && !r->failed)
		rc = 0;
	else if (!r->failed)
		err_set(r->err, ERR_PROTOCOL, "the service's XML can't be used: %s in line %lu",
			XML_ErrorString(XML_GetErrorCode(r->parser)),
			(unsigned long)XML_GetCurrentLineNumber(r->parser));
	XML_ParserFree(r->parser);
	buf_free(&r->text);
	return rc;
}

/* Room for one more at the end of an array. */
static int grow(void **items, size_t count, size_t *size, size_t each)
{
	size_t want = *size ? *size * 2 : 16;
	void *more;

	if (count < *size)
		return 0;
	more = realloc(*items, want * each);
	if (!more)
		return -1;
	*items = more;
	*size = want;
	return 0;
}

/* --- PageList --- */

static int take_marker(struct reader *r)
{
	if (!r->text.len)
		return 0;
	free(r->marker);
	r->marker = strdup(buf_str(&r->text));
	return r->marker ? 0 : out_of_memory(r);
}

static int bad_range(struct reader *r)
{
	return err_set(r->err, ERR_PROTOCOL,
		       "the service's XML can't be used: a page range that can't be");
}

static int add_range(struct reader *r)
{
	struct xml_ranges *ranges = r->ranges;

	if (r->range_end <= r->range.offset || r->range_end > INT64_MAX ||
	    r->range.offset % BLOB_PAGE || (r->range_end + 1) % BLOB_PAGE)
		return bad_range(r);
	r->range.len = r->range_end - r->range.offset + 1;
	if (ranges->count == ITEMS_MAX)
		return err_set(r->err, ERR_PROTOCOL, "the service's list of pages is too long");
	if (grow((void **)&ranges->items, ranges->count, &ranges->size, sizeof(*ranges->items)) < 0)
		return out_of_memory(r);
	ranges->items[ranges->count++] = r->range;
	return 0;
}

static int page_list_opened(struct reader *r, const char *name, const char **attributes)
{
	if (r->depth == 2) {
		r->range.offset = UINT64_MAX; /* neither is a page's: both must come */
		r->range_end = 0;
	}
	return 0;
}

static int page_list_closed(struct reader *r, const char *name)
{
	const char *text = buf_str(&r->text);

	if (r->depth == 3 && inside(r, "PageRange")) {
		if (!strcmp(name, "Start") && reply_number(text, &r->range.offset) < 0)
			return bad_range(r);
		if (!strcmp(name, "End") && reply_number(text, &r->range_end) < 0)
			return bad_range(r);
	} else if (r->depth == 2 && !strcmp(name, "PageRange")) {
		return add_range(r);
	} else if (r->depth == 2 && !strcmp(name, "NextMarker")) {
		return take_marker(r);
	}
	return 0;
}

int xml_page_list(const char *text, size_t len, struct xml_ranges *ranges, char **marker,
		  struct err *err)
{
	struct reader r = {
		.root = "PageList", .opened = page_list_opened, .closed = page_list_closed,
		.ranges = ranges, .err = err,
	};
	int rc = parse(&r, text, len);

	if (rc < 0)
		free(steal_ptr(&r.marker));
	*marker = r.marker;
	return rc;
}

void xml_ranges_free(struct xml_ranges *ranges)
{
	free(ranges->items);
	memset(ranges, 0, sizeof(*ranges));
}

/* --- EnumerationResults --- */

static int new_item(struct reader *r)
{
	struct blob_list *list = r->list;
	struct blob_item *more;

	if (list->count == ITEMS_MAX)
		return err_set(r->err, ERR_PROTOCOL, "the service's list of blobs is too long");
	/* Twice as large whenever the count is a power of two. */
	if (!(list->count & (list->count - 1))) {
		more = realloc(list->items, (list->count ? list->count * 2 : 1) * sizeof(*more));
		if (!more)
			return out_of_memory(r);
		list->items = more;
	}
	r->item = &list->items[list->count++];
	memset(r->item, 0, sizeof(*r->item));
	return 0;
}

static int take_text(struct reader *r, char **to)
{
	free(*to);
	*to = strdup(buf_str(&r->text));
	return *to ? 0 : out_of_memory(r);
}

static enum blob_type type_of(const char *text)
{
	if (!strcmp(text, "PageBlob"))
		return BLOB_TYPE_PAGE;
	if (!strcmp(text, "BlockBlob"))
		return BLOB_TYPE_BLOCK;
	return strcmp(text, "AppendBlob") ? BLOB_TYPE_NONE : BLOB_TYPE_APPEND;
}

static int take_property(struct reader *r, const char *name)
{
	struct blob_props *p = &r->item->props;
	const char *text = buf_str(&r->text);
	const char *quote = *text == '"' ? "" : "\"";

	if (!strcmp(name, "Content-Length") && reply_number(text, &p->size) < 0)
		return err_set(r->err, ERR_PROTOCOL, "the service's XML has a blob of no size");
	if (!strcmp(name, "BlobType"))
		p->type = type_of(text);
	else if (!strcmp(name, "Etag"))
		snprintf(p->etag, sizeof(p->etag), "%s%s%s", quote, text, quote);
	else if (!strcmp(name, "Last-Modified"))
		snprintf(p->last_modified, sizeof(p->last_modified), "%s", text);
	else if (!strcmp(name, "LeaseState"))
		snprintf(p->lease_state, sizeof(p->lease_state), "%s", text);
	else if (!strcmp(name, "CopyId"))
		snprintf(p->copy_id, sizeof(p->copy_id), "%s", text);
	else if (!strcmp(name, "CopyStatus"))
		snprintf(p->copy_status, sizeof(p->copy_status), "%s", text);
	return 0;
}

static int blob_list_opened(struct reader *r, const char *name, const char **attributes)
{
	if (r->depth == 3 && inside(r, "Blobs") && !strcmp(name, "Blob"))
		return new_item(r);
	/* A name that XML has no characters for comes percent-encoded. */
	if (r->item && r->depth == 4 && !strcmp(name, "Name"))
		r->encoded = attributes[0] && !strcmp(attributes[0], "Encoded") &&
			     !strcmp(attributes[1], "true");
	return 0;
}

static int close_item(struct reader *r)
{
	if (!r->item->name)
		return err_set(r->err, ERR_PROTOCOL, "the service's XML has a blob without a name");
	r->item = NULL;
	return 0;
}

static int blob_list_closed(struct reader *r, const char *name)
{
	int rc = 0;

	if (r->depth == 2 && !strcmp(name, "NextMarker")) {
		rc = take_marker(r);
	} else if (!r->item) {
		rc = 0;
	} else if (r->depth == 3) {
		rc = close_item(r);
	} else if (r->depth == 4 && !strcmp(name, "Name")) {
		rc = take_text(r, &r->item->name);
		if (rc == 0 && r->encoded)
			url_decode(r->item->name);
	} else if (r->depth == 4 && !strcmp(name, "Snapshot")) {
		rc = take_text(r, &r->item->snapshot);
	} else if (r->depth == 5 && inside(r, "Properties")) {
		rc = take_property(r, name);
	} else if (r->depth == 5 && inside(r, "Metadata")) {
		if (blob_meta_set(&r->item->props.meta, name, buf_str(&r->text)) < 0)
			rc = out_of_memory(r);
	}
	return rc;
}

int xml_blob_list(const char *text, size_t len, struct blob_list *list, char **marker,
		  struct err *err)
{
	struct reader r = {
		.root = "EnumerationResults", .opened = blob_list_opened,
		.closed = blob_list_closed, .list = list, .err = err,
	};
	int rc = parse(&r, text, len);

	if (rc < 0)
		free(steal_ptr(&r.marker));
	*marker = r.marker;
	return rc;
}

/* --- Error --- */

static int error_closed(struct reader *r, const char *name)
{
	const char *text = buf_str(&r->text);

	if (r->depth != 2)
		return 0;
	if (!strcmp(name, "Code"))
		snprintf(r->code, XML_CODE_MAX, "%s", text);
	else if (!strcmp(name, "Message"))
		snprintf(r->message, XML_MESSAGE_MAX, "%.*s", (int)strcspn(text, "\r\n"), text);
	return 0;
}

int xml_error(const char *text, size_t len, char code[XML_CODE_MAX], char message[XML_MESSAGE_MAX])
{
	struct reader r = {
		.root = "Error", .closed = error_closed, .code = code, .message = message,
	};

	code[0] = message[0] = '\0';
	return parse(&r, text, len);
}
