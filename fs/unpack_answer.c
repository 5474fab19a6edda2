/* Requests: which can be served, and out of what. */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "fs/unpack_priv.h"

bool unpack_is_there(const struct member *m, const struct unpack_req *r)
{
	/* What is small is not given out before all of it is known to be right. It fits into
	 * a window, too. */
	bool whole = m->entry.size <= UNPACK_SMALL;

	return m->state != DAMAGED && r->offset >= m->low && r->offset + r->len <= m->made &&
	       (m->right || !whole);
}

struct unpack_req *unpack_take_ready(struct member *m)
{
	struct unpack_req **p = &m->waiting, *r, *list = NULL;

	while ((r = *p)) {
		if (!unpack_is_there(m, r)) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		if (r->offset + r->len > m->served)
			m->served = r->offset + r->len;
		r->next = list;
		list = r;
	}
	return list;
}

struct unpack_req *unpack_take_all(struct member *m)
{
	struct unpack_req *list = m->waiting;

	m->waiting = NULL;
	return list;
}

static void answer_from_file(const struct member *m, const struct unpack_req *r)
{
	cleanup_free uint8_t *data = malloc(r->len);
	struct iovec iov = { data, r->len };
	struct err err;
	uint32_t got = 0;

	while (data && got < r->len) {
		ssize_t n = pread(m->fd, data + got, r->len - got, (off_t)(r->offset + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += (uint32_t)n;
	}
	if (got == r->len) {
		r->done(r->arg, NULL, &iov, 1);
		return;
	}
	err_set(&err, data ? ERR_SYSTEM : ERR_NO_MEMORY, "%s: can't read back %s: %s", m->u->o.dir,
		m->entry.path, data ? strerror(errno) : "out of memory");
	r->done(r->arg, &err, NULL, 0);
}

static void answer_from_memory(const struct member *m, const struct unpack_req *r)
{
	size_t most = m->window ? m->u->window_bytes : m->entry.size;
	size_t within = (size_t)(m->window ? r->offset % most : r->offset);
	size_t first = r->len < most - within ? r->len : most - within;
	struct iovec iov[2] = { { m->data + within, first }, { m->data, r->len - first } };

	r->done(r->arg, NULL, iov, first < r->len ? 2 : 1);
}

void unpack_answer(struct member *m, struct unpack_req *list, const struct err *err)
{
	struct unpack_req *r;

	while ((r = list)) {
		list = r->next;
		if (err)
			r->done(r->arg, err, NULL, 0);
		else if (m->fd >= 0)
			answer_from_file(m, r);
		else
			answer_from_memory(m, r);
		free(r);
	}
}
