/*
 * xml.h - the XML documents of the service. The only file that knows expat.
 *
 * What comes in is hostile: no document type (so no entities of its own), bounded
 * depth, bounded text, numbers checked. Text is UTF-8 with references resolved.
 */
#ifndef HPCPACK_BLOB_XML_H
#define HPCPACK_BLOB_XML_H

#include <stddef.h>

#include "blob/base/err.h"
#include "blob/ops.h"

struct xml_ranges {
	struct blob_range *items; /* in the order of the document, page-aligned */
	size_t count, size;
};

/* <PageList>: append its <PageRange>s. *marker is the <NextMarker>, a fresh string
 * or NULL. ERR_PROTOCOL for what is no such document. 0 or -1. */
int xml_page_list(const char *text, size_t len, struct xml_ranges *ranges, char **marker,
		  struct err *err);
void xml_ranges_free(struct xml_ranges *ranges);

/* <EnumerationResults>: append its <Blob>s; ETags get their quotes. *marker as
 * above. */
int xml_blob_list(const char *text, size_t len, struct blob_list *list, char **marker,
		  struct err *err);

/* <Error>: <Code> and the first line of <Message>; "" where there is none. 0, or -1
 * when it is no such document; what came before the fault stays then. */
#define XML_CODE_MAX 64
#define XML_MESSAGE_MAX 400
int xml_error(const char *text, size_t len, char code[XML_CODE_MAX], char message[XML_MESSAGE_MAX]);

#endif
