/* view_contents.c - what is in a blob. */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/view.h"

const char *content_name(enum content c)
{
	static const char *const names[] = { "file", "drive", "package", "zip" };

	return names[c];
}

/* 1: a drive, or what was to be one. */
static int read_footer(struct contents *c, struct blob_client *client, const struct blob_ref *ref,
		       const struct blob_props *props, struct err *err)
{
	uint8_t footer[VHD_FOOTER_SIZE];
	struct err why;

	if (props->type != BLOB_TYPE_PAGE || props->size < sizeof(footer))
		return 0;
	if (blob_get_range(client, ref, props->size - sizeof(footer), footer, sizeof(footer), props->etag,
			   err) < 0)
		return -1;
	if (!vhd_footer_has_cookie(footer))
		return 0;
	c->content = CONTENT_DRIVE;
	if (vhd_footer_check(footer, props->size, "it", &c->footer, &why) < 0)
		snprintf(c->problem, sizeof(c->problem), "%s", why.msg);
	return 1;
}

/* Anything may be called anything, but who calls a file .zip means it. */
static bool is_named_zip(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && !strcasecmp(name + len - 4, ".zip");
}

static int read_index(struct contents *c, const struct pack_blob *blob, struct err *err)
{
	struct pack_index index;
	struct err why;

	if (pack_index_open(&index, &blob->reader, NULL, err) < 0)
		return -1;
	c->content = index.opc ? CONTENT_OPC : CONTENT_ZIP;
	c->files = index.file_count;
	c->unpacked = index.unpacked;
	if (pack_index_check(&index, "it", 0, 0, &why) < 0)
		snprintf(c->problem, sizeof(c->problem), "%s", why.msg);
	pack_index_free(&index);
	return 0;
}

static int read_package(struct contents *c, struct blob_client *client, const struct blob_ref *ref,
			struct err *err)
{
	struct pack_blob blob;
	int rc;

	rc = pack_blob_open(&blob, client, ref, err);
	if (rc == 0) {
		rc = read_index(c, &blob, err);
		pack_blob_close(&blob);
	}
	if (rc == 0 || (err->code != ERR_FORMAT && err->code != ERR_UNSUPPORTED))
		return rc;
	if (err->code == ERR_UNSUPPORTED || is_named_zip(ref->blob))
		snprintf(c->problem, sizeof(c->problem), "%s", err->msg);
	return 0;
}

int contents_read(struct contents *out, struct blob_client *client, const struct blob_ref *ref,
		  const struct blob_props *props, struct err *err)
{
	int rc;

	*out = (struct contents){ .content = CONTENT_FILE };
	rc = read_footer(out, client, ref, props, err);
	if (rc == 0 && props->size)
		rc = read_package(out, client, ref, err);
	return rc < 0 ? -1 : 0;
}
