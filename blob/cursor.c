#include <config.h>

#include "blob/cursor.h"

#include <string.h>

/* The next piece of memory, of at most *len bytes; *len is set to its size, 0 at
 * the end. The cursor moves behind it. */
static char *next_piece(struct cursor *c, size_t *len)
{
	char *piece;
	size_t left;

	while (c->count && c->at == c->iov->iov_len) {
		c->iov++;
		c->count--;
		c->at = 0;
	}
	if (!c->count) {
		*len = 0;
		return NULL;
	}
	piece = (char *)c->iov->iov_base + c->at;
	left = c->iov->iov_len - c->at;
	if (*len > left)
		*len = left;
	c->at += *len;
	return piece;
}

size_t cursor_put(struct cursor *c, const void *data, size_t len)
{
	size_t done = 0, n;
	char *piece;

	while (done < len) {
		n = len - done;
		piece = next_piece(c, &n);
		if (!piece)
			break;
		memcpy(piece, (const char *)data + done, n);
		done += n;
	}
	return done;
}

size_t cursor_get(struct cursor *c, void *data, size_t len)
{
	size_t done = 0, n;
	const char *piece;

	while (done < len) {
		n = len - done;
		piece = next_piece(c, &n);
		if (!piece)
			break;
		memcpy((char *)data + done, piece, n);
		done += n;
	}
	return done;
}

int cursor_pieces(const struct cursor *c, uint64_t len, struct iovec *pieces, int max)
{
	struct cursor at = *c;
	int count = 0;

	while (len && count < max) {
		size_t n = len < SIZE_MAX ? (size_t)len : SIZE_MAX;
		char *piece = next_piece(&at, &n);

		if (!piece)
			break;
		pieces[count++] = (struct iovec){ piece, n };
		len -= n;
	}
	return count;
}

void cursor_skip(struct cursor *c, size_t len)
{
	size_t n = len;

	while (len && next_piece(c, &n)) {
		len -= n;
		n = len;
	}
}

size_t iov_length(const struct iovec *iov, int count)
{
	size_t len = 0;

	while (count-- > 0)
		len += (iov++)->iov_len;
	return len;
}
