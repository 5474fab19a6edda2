#include <config.h>

#include "cli/blob_facts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "blob/clock.h"
#include "blob/config.h"
#include "blob/meta_text.h"
#include "pack/target.h"
#include "pack/utf8.h"

#define TEXT_MAX (1u << 20)

char *text_clean(const char *text)
{
	struct buf out = BUF_INIT(TEXT_MAX);

	while (*text) {
		size_t len = 1;

		while (len < 4 && text[len] && !utf8_valid(text, len))
			len++;
		if (utf8_valid(text, len)) {
			buf_add(&out, text, len);
			text += len;
		} else {
			buf_addstr(&out, "\xef\xbf\xbd");
			text++;
		}
	}
	return buf_steal(&out);
}

uint64_t blob_true_size(const struct blob_props *props)
{
	const char *text = blob_meta_get(&props->meta, PACK_META_LENGTH);
	uint64_t length;

	if (props->type == BLOB_TYPE_PAGE && text && parse_size(text, &length) == 0 &&
	    length <= props->size && props->size - length < BLOB_PAGE)
		return length;
	return props->size;
}

/* Metadata as text: *out stays NULL where there is none, or an empty one. */
static int get_text(char **out, const struct blob_props *props, const char *name)
{
	const char *value = blob_meta_get(&props->meta, name);
	cleanup_free char *text = NULL;

	if (!value || !*value)
		return 0;
	text = meta_text_decode(value);
	*out = text ? text_clean(text) : NULL;
	return *out ? 0 : -1;
}

static const char *type_name(enum blob_type type)
{
	switch (type) {
	case BLOB_TYPE_BLOCK:
		return "block";
	case BLOB_TYPE_PAGE:
		return "page";
	case BLOB_TYPE_APPEND:
		return "append";
	default:
		return "unknown";
	}
}

int blob_facts_get(struct blob_facts *f, const char *name, const struct blob_props *props, struct err *err)
{
	struct tm tm;
	time_t t;

	*f = (struct blob_facts){ .name = name, .props = props, .type = type_name(props->type),
				  .size = blob_true_size(props) };
	if (http_date_parse(props->last_modified, &t) == 0) {
		if (gmtime_r(&t, &tm))
			strftime(f->uploaded, sizeof(f->uploaded), "%Y-%m-%dT%H:%M:%SZ", &tm);
		if (localtime_r(&t, &tm))
			strftime(f->when, sizeof(f->when), "%Y-%m-%d %H:%M:%S", &tm);
	}
	if (get_text(&f->relative_path, props, PACK_META_PATH) == 0 &&
	    get_text(&f->description, props, PACK_META_DESCRIPTION) == 0)
		return 0;
	blob_facts_free(f);
	return err_set(err, ERR_NO_MEMORY, "out of memory");
}

void blob_facts_free(struct blob_facts *f)
{
	free(f->relative_path);
	free(f->description);
	f->relative_path = f->description = NULL;
}

json_t *blob_facts_json(const struct blob_facts *f)
{
	cleanup_free char *name = text_clean(f->name);

	return json_pack("{s:s*, s:I, s:I, s:s, s:s, s:s, s:s?, s:s?}", "name", name, "size",
			 (json_int_t)f->size, "stored_size", (json_int_t)f->props->size, "type", f->type,
			 "uploaded", f->uploaded, "etag", f->props->etag, "relative_path", f->relative_path,
			 "description", f->description);
}
