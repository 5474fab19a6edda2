/*
 * create_parts.c - what makes a zip an OPC package: the content types of all parts,
 * the relationships of the package, its core properties (ECMA-376 part 2).
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blob/base/buf.h"
#include "pack/create_priv.h"
#include "pack/opc_name.h"

#define CORE_PART "package/services/metadata/core-properties/hpcpack.psmdcp"
#define CORE_TYPE "application/vnd.openxmlformats-package.core-properties+xml"
#define RELS_TYPE "application/vnd.openxmlformats-package.relationships+xml"
#define NS "http://schemas.openxmlformats.org/package/2006/"
#define XML_HEAD "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"

#define UNKNOWN_TYPE "application/octet-stream"

static const struct { const char *extension, *type; } types[] = {
	{ "bmp", "image/bmp" },
	{ "c", "text/plain" },
	{ "cfg", "text/plain" },
	{ "conf", "text/plain" },
	{ "config", "application/xml" },
	{ "css", "text/css" },
	{ "csv", "text/csv" },
	{ "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
	{ "gif", "image/gif" },
	{ "gz", "application/gzip" },
	{ "h", "text/plain" },
	{ "htm", "text/html" },
	{ "html", "text/html" },
	{ "ini", "text/plain" },
	{ "jar", "application/java-archive" },
	{ "jpeg", "image/jpeg" },
	{ "jpg", "image/jpeg" },
	{ "js", "text/javascript" },
	{ "json", "application/json" },
	{ "log", "text/plain" },
	{ "md", "text/markdown" },
	{ "pdf", "application/pdf" },
	{ "png", "image/png" },
	{ "psmdcp", CORE_TYPE },
	{ "py", "text/x-python" },
	{ "rels", RELS_TYPE },
	{ "sh", "application/x-sh" },
	{ "svg", "image/svg+xml" },
	{ "tar", "application/x-tar" },
	{ "tif", "image/tiff" },
	{ "tiff", "image/tiff" },
	{ "txt", "text/plain" },
	{ "xaml", "application/xaml+xml" },
	{ "xls", "application/vnd.ms-excel" },
	{ "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
	{ "xml", "application/xml" },
	{ "xsd", "application/xml" },
	{ "xsl", "application/xml" },
	{ "yaml", "application/yaml" },
	{ "yml", "application/yaml" },
	{ "zip", "application/zip" },
};

const char *create_content_type(const char *extension)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(types[i].extension, extension))
			return types[i].type;
	return UNKNOWN_TYPE;
}

/* --- [Content_Types].xml --- */

/* What stands behind the last dot of the last part of the name; NULL: no dot. */
static const char *extension_of(const char *name)
{
	const char *slash = strrchr(name, '/'), *dot = strrchr(slash ? slash : name, '.');

	return dot ? dot + 1 : NULL;
}

/*
 * The extension, lower case, if all parts that have it can share a type; NULL: the
 * part gets a type of its own. That is so without an extension, with characters that
 * an extension in a Default may not have, and with the two that mean something to OPC
 * and don't here: what is ours has those types.
 */
static char *shared_extension(const char *name, struct err *err)
{
	const char *extension = extension_of(name);
	char *lower = strdup(extension ? extension : "");

	if (!lower) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	for (char *c = lower; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	if (lower[strspn(lower, "abcdefghijklmnopqrstuvwxyz0123456789!$&'()*+,:=@%-_~")] ||
	    !strcmp(lower, "rels") || !strcmp(lower, "psmdcp"))
		*lower = '\0';
	return lower;
}

/* Into an attribute. */
static void add_escaped(struct buf *out, const char *text)
{
	for (; *text; text++)
		if (*text == '&')
			buf_addstr(out, "&amp;");
		else
			buf_add(out, text, 1);
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_defaults(struct buf *out, char **extensions, size_t count)
{
	if (count)
		qsort(extensions, count, sizeof(*extensions), compare_strings);
	for (size_t i = 0; i < count; i++) {
		if (!*extensions[i] || (i && !strcmp(extensions[i], extensions[i - 1])))
			continue;
		buf_addstr(out, "<Default Extension=\"");
		add_escaped(out, extensions[i]);
		buf_addf(out, "\" ContentType=\"%s\"/>\n", create_content_type(extensions[i]));
	}
}

static void add_override(struct buf *out, const char *name)
{
	buf_addstr(out, "<Override PartName=\"/");
	add_escaped(out, name);
	buf_addstr(out, "\" ContentType=\"" UNKNOWN_TYPE "\"/>\n");
}

static int add_types(struct buf *out, const struct create_list *list, char **extensions, struct err *err)
{
	struct buf overrides = BUF_INIT(SIZE_MAX);
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++) {
		/* A folder is no part. */
		if (list->items[i].kind == CREATE_DIR)
			continue;
		extensions[count] = shared_extension(list->items[i].name, err);
		if (!extensions[count]) {
			buf_free(&overrides);
			return -1;
		}
		if (!*extensions[count++])
			add_override(&overrides, list->items[i].name);
	}
	add_defaults(out, extensions, count);
	buf_addstr(out, buf_str(&overrides));
	out->failed |= overrides.failed;
	buf_free(&overrides);
	return 0;
}

static char *content_types(const struct create_list *list, struct err *err)
{
	char **extensions = calloc(list->count + 1, sizeof(*extensions));
	struct buf out = BUF_INIT(SIZE_MAX);
	char *text = NULL;

	buf_addstr(&out, XML_HEAD "<Types xmlns=\"" NS "content-types\">\n"
		   "<Default Extension=\"rels\" ContentType=\"" RELS_TYPE "\"/>\n"
		   "<Default Extension=\"psmdcp\" ContentType=\"" CORE_TYPE "\"/>\n");
	if (extensions && add_types(&out, list, extensions, err) == 0) {
		buf_addstr(&out, "</Types>\n");
		text = buf_steal(&out);
	}
	buf_free(&out);
	for (size_t i = 0; extensions && i < list->count; i++)
		free(extensions[i]);
	free(extensions);
	if (!text)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	return text;
}

/* --- the other two --- */

static char *relationships(void)
{
	return strdup(XML_HEAD "<Relationships xmlns=\"" NS "relationships\">"
		      "<Relationship Type=\"" NS "relationships/metadata/core-properties\""
		      " Target=\"/" CORE_PART "\" Id=\"R1\"/></Relationships>\n");
}

static char *core_properties(int64_t date)
{
	time_t t = (time_t)date;
	char when[64] = "1980-01-01T00:00:00Z";
	struct buf out = BUF_INIT(2048);
	struct tm tm;

	if (gmtime_r(&t, &tm) && tm.tm_year < 8100)
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_addf(&out, XML_HEAD "<coreProperties xmlns=\"" NS "metadata/core-properties\""
		 " xmlns:dc=\"http://purl.org/dc/elements/1.1/\" xmlns:dcterms=\"http://purl.org/dc/terms/\""
		 " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"
		 "<dc:creator>hpcpack</dc:creator>"
		 "<dcterms:created xsi:type=\"dcterms:W3CDTF\">%s</dcterms:created>"
		 "<dcterms:modified xsi:type=\"dcterms:W3CDTF\">%s</dcterms:modified>"
		 "</coreProperties>\n", when, when);
	return buf_steal(&out);
}

static int fill(struct create_item *item, const char *name, char *text)
{
	item->kind = CREATE_TEXT;
	item->name = strdup(name);
	item->text = text;
	item->size = text ? strlen(text) : 0;
	item->mode = 0644;
	return item->name && text ? 0 : -1;
}

int create_parts(const struct create_list *list, int64_t date, struct create_item out[CREATE_OWN_ITEMS],
		 struct err *err)
{
	char *text;

	memset(out, 0, CREATE_OWN_ITEMS * sizeof(*out));
	text = content_types(list, err);
	if (!text)
		return -1;
	if (fill(&out[0], OPC_CONTENT_TYPES, text) < 0 || fill(&out[1], "_rels/.rels", relationships()) < 0 ||
	    fill(&out[2], CORE_PART, core_properties(date)) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	return 0;
}
