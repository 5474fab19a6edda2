/* Small members, on the thread that asks: what can be had without the network and in
 * less time than it takes to wake another thread. */
#include <config.h>

#include <string.h>

#include "fs/unpack_priv.h"

#define HERE_MAX (128u << 10) /* packed and unpacked */

struct attempt {
	struct member *m;
	bool good;
};

static bool is_for_here(const struct member *m)
{
	return m->u->dir_fd < 0 && m->entry.size <= HERE_MAX && m->entry.packed_size <= HERE_MAX &&
	       unpack_packed_guess(m) <= PIECE;
}

/* The decoder is fastest with all of it in one piece. */
static const uint8_t *in_one_piece(struct inflater *f, const struct iovec *iov, int count, size_t *len)
{
	*len = 0;
	if (count == 1) {
		*len = iov[0].iov_len;
		return iov[0].iov_base;
	}
	for (int i = 0; i < count; i++) {
		memcpy(f->buffer + *len, iov[i].iov_base, iov[i].iov_len);
		*len += iov[i].iov_len;
	}
	return f->buffer;
}

static void inflate_all(void *arg, const struct err *err, const struct iovec *iov, int count)
{
	struct attempt *a = arg;
	struct member *m = a->m;
	size_t len, made;
	const uint8_t *in = in_one_piece(m->inflater, iov, count, &len);

	a->good = pack_decoder_run(m->inflater->decoder, &in, &len, m->data, (size_t)m->entry.size, &made,
				   NULL) == PACK_STEP_DONE;
}

static bool attempt(struct member *m)
{
	struct attempt a = { .m = m };

	return pack_decoder_reset(m->inflater->decoder, &m->entry, NULL) == 0 &&
	       object_read_cached(m->object, m->entry.header_offset, (uint32_t)unpack_packed_guess(m),
				  inflate_all, &a) && a.good;
}

static void complete(struct member *m)
{
	m->state = COMPLETE;
	m->made = m->entry.size;
	m->right = true;
	m->u->stats.inflated_bytes += m->made;
	inflater_put(m->u, m->inflater);
	m->inflater = NULL;
	unpack_lru_add(m);
}

bool unpack_here(struct member *m)
{
	struct unpack *u = m->u;
	bool good = false;

	if (!is_for_here(m) || !unpack_place_whole(m))
		return false;
	m->inflater = inflater_get(m, NULL);
	if (m->inflater) {
		m->state = RUNNING;
		u->here++;
		pthread_mutex_unlock(&u->lock);
		good = attempt(m);
		pthread_mutex_lock(&u->lock);
		u->here--;
		pthread_cond_broadcast(&u->unpinned);
	}
	if (good) {
		complete(m);
		return true;
	}
	unpack_vacate(m);
	m->state = IDLE;
	return false;
}
