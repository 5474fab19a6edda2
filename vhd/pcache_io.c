#include <config.h>

#include <errno.h>
#include <string.h>

#include "vhd/pcache_priv.h"

#define MAX_PIECES (int)(EXTENT_BYTES / CHUNK_BYTES + 1)
#define MAX_EXTENTS 8           /* that one request touches */

/* What of a request lies in one extent. */
struct part {
	uint64_t number;
	uint64_t start, end;       /* of the disk */
	unsigned first, count;     /* granules of the extent */
};

static struct part part_at(uint64_t pos, uint64_t end)
{
	struct part p = { .number = pos >> EXTENT_SHIFT, .start = pos };
	uint64_t base = p.number << EXTENT_SHIFT;

	p.end = end < base + EXTENT_BYTES ? end : base + EXTENT_BYTES;
	p.first = (unsigned)((pos - base) / PCACHE_GRANULE);
	p.count = (unsigned)((p.end - pos + PCACHE_GRANULE - 1) / PCACHE_GRANULE);
	return p;
}

static uint64_t granule_at(const struct part *p, unsigned i)
{
	return p->start + (uint64_t)i * PCACHE_GRANULE;
}

static uint64_t granule_end(const struct part *p, unsigned i)
{
	uint64_t end = granule_at(p, i) + PCACHE_GRANULE;

	return end < p->end ? end : p->end;
}

/* The memory of [start, end) of the disk: pieces of the request's iov. */
static int cut(const struct pcache_req *r, uint64_t start, uint64_t end, struct iovec *out)
{
	uint64_t pos = r->offset;
	int i, n = 0;

	for (i = 0; i < r->count && pos < end; i++) {
		uint64_t next = pos + r->iov[i].iov_len;
		uint64_t from = start > pos ? start : pos, to = end < next ? end : next;

		if (from < to) {
			out[n].iov_base = (uint8_t *)r->iov[i].iov_base + (from - pos);
			out[n++].iov_len = to - from;
		}
		pos = next;
	}
	return n;
}

/* A granule does not lie across two pieces: chunks are whole granules. */
static uint8_t *memory_at(const struct pcache_req *r, uint64_t start, uint64_t end)
{
	struct iovec one[2] = { { .iov_base = NULL } };

	return cut(r, start, end, one) == 1 ? one[0].iov_base : NULL;
}

/* --- reading --- */

/* It does not fit: nobody is to try it again. */
static void damaged(struct pcache *pc, const struct extent *e, unsigned granule)
{
	const uint32_t none = 0;

	pcache_table_write(e, granule, 1, &none);
	pcache_add(pc, &pc->stats.damaged, 1);
}

struct missing {
	uint64_t from, end;        /* around all of it; from == end: nothing */
};

static void miss(struct missing *m, uint64_t start, uint64_t end)
{
	if (m->from == m->end) {
		m->from = start;
		m->end = end;
		return;
	}
	m->from = start < m->from ? start : m->from;
	m->end = end > m->end ? end : m->end;
}

/* Granules [i, j) of the part are there, they say: their bytes. */
static void read_run(struct pcache *pc, const struct pcache_req *r, const struct part *p, struct extent *e,
		     const uint32_t *crc, unsigned i, unsigned j, struct missing *m)
{
	uint64_t start = granule_at(p, i), end = granule_end(p, j - 1);
	struct iovec iov[MAX_PIECES];
	int n = cut(r, start, end, iov);
	ssize_t got = pcache_extent_io(e, false, start & (EXTENT_BYTES - 1), iov, n);

	if (got < 0 && errno == EIO)
		pcache_give_up(pc, true, "read from", errno);
	for (; i < j; i++) {
		uint64_t at = granule_at(p, i), to = granule_end(p, i);
		const uint8_t *data = memory_at(r, at, to);
		bool there = got >= 0 && to - start <= (uint64_t)got && data;

		if (there && pcache_crc(e, p->first + i, data, to - at) == crc[i])
			continue;
		miss(m, at, to);
		if (got >= 0)
			damaged(pc, e, p->first + i);
	}
	if (got >= 0)
		pcache_extent_touch(e);
}

static void read_part(struct pcache *pc, const struct pcache_req *r, const struct part *p, struct missing *m)
{
	struct extent *e = pcache_extent_get(pc, p->number, false);
	uint32_t crc[EXTENT_GRANULES];
	unsigned i, j;

	if (!e || pcache_table_read(e, p->first, p->count, crc) < 0) {
		miss(m, p->start, p->end);
		if (e)
			pcache_extent_put(pc, e);
		return;
	}
	for (i = 0; i < p->count; i++)
		if (pcache_is_changed(pc, granule_at(p, i) >> CHUNK_SHIFT))
			crc[i] = 0;
	for (i = 0; i < p->count; i = j) {
		for (j = i; j < p->count && crc[j]; j++)
			;
		if (j > i) {
			read_run(pc, r, p, e, crc, i, j, m);
		} else {
			miss(m, granule_at(p, i), granule_end(p, i));
			j++;
		}
	}
	pcache_extent_put(pc, e);
}

void pcache_do_read(struct pcache *pc, struct pcache_req *r)
{
	uint64_t pos = r->offset, end = r->offset + r->len;
	struct missing m = { .from = 0 };

	while (pos < end) {
		struct part p = part_at(pos, end);

		if (atomic_load(&pc->off))
			miss(&m, p.start, p.end);
		else
			read_part(pc, r, &p, &m);
		pos = p.end;
	}
	pcache_add(pc, &pc->stats.read_bytes, r->len - (m.end - m.from));
	r->read_done(r->arg, m.from, m.end);
}

/* --- filling --- */

/* What was written and waits for its CRCs to be. */
struct filled {
	struct part p;
	struct extent *e;
	uint32_t crc[EXTENT_GRANULES];
};

static bool all_there(const struct extent *e, const struct part *p)
{
	uint32_t crc[EXTENT_GRANULES];
	unsigned i;

	if (pcache_table_read(e, p->first, p->count, crc) < 0)
		return false;
	for (i = 0; i < p->count && crc[i]; i++)
		;
	return i == p->count;
}

static void compute_crcs(const struct pcache_req *r, struct filled *f)
{
	unsigned i;

	for (i = 0; i < f->p.count; i++) {
		uint64_t at = granule_at(&f->p, i), to = granule_end(&f->p, i);
		const uint8_t *data = memory_at(r, at, to);

		f->crc[i] = data ? pcache_crc(f->e, f->p.first + i, data, to - at) : 0;
	}
}

/* The bytes of one part; f->e is NULL where there is nothing to finish. */
static void fill_part(struct pcache *pc, const struct pcache_req *r, struct filled *f)
{
	uint64_t len = f->p.end - f->p.start;
	struct iovec iov[MAX_PIECES];
	ssize_t put = -1;

	f->e = NULL;
	if (atomic_load(&pc->no_fill))
		return;
	if (!pcache_room_take(pc, len + EXTENT_HEADER)) {
		pcache_add(pc, &pc->stats.dropped_bytes, len);
		return;
	}
	f->e = pcache_extent_get(pc, f->p.number, true);
	if (f->e && !all_there(f->e, &f->p)) {
		errno = ENOSPC;
		put = pcache_extent_io(f->e, true, f->p.start & (EXTENT_BYTES - 1), iov,
				       cut(r, f->p.start, f->p.end, iov));
		if (put == (ssize_t)len) {
			compute_crcs(r, f);
			return;
		}
		if (put >= 0)
			errno = ENOSPC;
	} else if (f->e) {
		errno = 0;
	}
	/* ENOENT: evicted as fast as it was made. */
	if (errno && errno != ENOENT)
		pcache_give_up(pc, false, "write to", errno);
	if (f->e)
		pcache_extent_put(pc, f->e);
	f->e = NULL;
}

/* Runs of granules that nobody has changed meanwhile become there. */
static void finish_part(struct pcache *pc, struct filled *f)
{
	unsigned i, j;

	for (i = 0; i < f->p.count; i = j + 1) {
		for (j = i; j < f->p.count; j++)
			if (!f->crc[j] || pcache_is_changed(pc, granule_at(&f->p, j) >> CHUNK_SHIFT))
				break;
		if (j > i && pcache_table_write(f->e, f->p.first + i, j - i, f->crc + i) < 0)
			pcache_give_up(pc, false, "write to", errno);
		if (j > i)
			pcache_add(pc, &pc->stats.filled_bytes, granule_end(&f->p, j - 1) - granule_at(&f->p, i));
	}
	pcache_extent_put(pc, f->e);
}

void pcache_do_fill(struct pcache *pc, struct pcache_req *r)
{
	uint64_t pos = r->offset, end = r->offset + r->len;
	struct filled f[MAX_EXTENTS];
	unsigned n = 0, i;

	for (; pos < end && n < MAX_EXTENTS; pos = f[n++].p.end) {
		f[n].p = part_at(pos, end);
		fill_part(pc, r, &f[n]);
	}
	/* The bytes are the caller's again, who may change them now; whether he did
	 * before is known once he has been told (see pcache_fill). */
	r->fill_done(r->arg);
	for (i = 0; i < n; i++)
		if (f[i].e)
			finish_part(pc, &f[i]);
}
