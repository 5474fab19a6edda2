#include <config.h>

#include "blob/wire_reply.h"

#include <stdio.h>
#include <string.h>

#include "blob/base/cleanup.h"

static int add(struct wire_reply *r, const char *data, size_t len)
{
	r->no_room = memchr(data, '\0', len) || buf_add(&r->x->head, data, len) < 0;
	return r->no_room;
}

/* What came before was an interim reply (1xx). */
static int on_begin(http_parser *p)
{
	struct wire_reply *r = p->data;

	buf_reset(&r->x->head);
	r->in_value = false;
	return 0;
}

static int end_line(struct wire_reply *r)
{
	r->in_value = false;
	return add(r, "\r\n", 2);
}

static int on_name(http_parser *p, const char *at, size_t len)
{
	struct wire_reply *r = p->data;

	return (r->in_value && end_line(r)) || add(r, at, len);
}

static int on_value(http_parser *p, const char *at, size_t len)
{
	struct wire_reply *r = p->data;

	if (!r->in_value && add(r, ": ", 2))
		return -1;
	r->in_value = true;
	return add(r, at, len);
}

static int on_head(http_parser *p)
{
	struct wire_reply *r = p->data;

	if (r->in_value && end_line(r))
		return -1;
	if (p->status_code == 101)
		return -1; /* another protocol: nobody has asked for one */
	if (p->status_code < 200)
		return 0;
	r->x->status = (int)p->status_code;
	r->in_body = true;
	return 0;
}

static bool is_good(const struct wire_reply *r)
{
	return r->x->status >= 200 && r->x->status <= 299;
}

static int on_body(http_parser *p, const char *at, size_t len)
{
	struct wire_reply *r = p->data;
	struct exchange *x = r->x;
	size_t n = len;

	if (!is_good(r)) {
		size_t room = x->error_body.max - x->error_body.len;

		buf_add(&x->error_body, at, len < room ? len : room);
		return 0;
	}
	if (!r->in_place && x->sink)
		n = cursor_put(&r->in, at, len);
	x->received += n;
	r->too_long = n < len;
	return r->too_long;
}

static int on_complete(http_parser *p)
{
	struct wire_reply *r = p->data;

	if (p->status_code < 200)
		return 0;
	r->complete = true;
	r->keep = http_should_keep_alive(p);
	http_parser_pause(p, 1); /* what comes behind it is nothing that was asked for */
	return 0;
}

static const http_parser_settings callbacks = {
	.on_message_begin = on_begin, .on_header_field = on_name, .on_header_value = on_value,
	.on_headers_complete = on_head, .on_body = on_body, .on_message_complete = on_complete,
};

void wire_reply_init(struct wire_reply *r, struct exchange *x)
{
	memset(r, 0, sizeof(*r));
	http_parser_init(&r->parser, HTTP_RESPONSE);
	r->parser.data = r;
	r->x = x;
	r->in = (struct cursor){ x->sink, x->sink ? x->sink_count : 0, 0 };
}

int wire_reply_room(const struct wire_reply *r, struct iovec *iov, int max)
{
	if (!r->in_body || !is_good(r) || r->parser.flags & F_CHUNKED)
		return 0;
	return cursor_pieces(&r->in, r->parser.content_length, iov, max);
}

size_t wire_reply_feed(struct wire_reply *r, const char *data, size_t len)
{
	uint64_t before = r->x->received + r->x->error_body.len;
	size_t n;

	r->begun = r->begun || len;
	n = http_parser_execute(&r->parser, &callbacks, data, len);
	r->header_bytes += len - (r->x->received + r->x->error_body.len - before);
	return n;
}

size_t wire_reply_feed_room(struct wire_reply *r, size_t len)
{
	struct iovec piece;
	size_t fed = 0, n = 1;

	r->in_place = true;
	while (fed < len && n && cursor_pieces(&r->in, len - fed, &piece, 1)) {
		cursor_skip(&r->in, piece.iov_len);
		n = wire_reply_feed(r, piece.iov_base, piece.iov_len);
		fed += n;
	}
	r->in_place = false;
	return fed;
}

void wire_reply_end(struct wire_reply *r)
{
	if (r->begun)
		http_parser_execute(&r->parser, &callbacks, NULL, 0);
}

const char *wire_reply_wrong(const struct wire_reply *r, enum wire_result *result)
{
	enum http_errno e = HTTP_PARSER_ERRNO(&r->parser);

	*result = WIRE_OK;
	if (r->complete || e == HPE_OK || e == HPE_PAUSED || e == HPE_INVALID_EOF_STATE)
		return NULL;
	*result = r->too_long ? WIRE_TOO_LONG : WIRE_GARBLED;
	return r->too_long ? "the body is longer than what was asked for" :
	       r->no_room ? "the reply's headers are too long, or no text" : http_errno_description(e);
}
