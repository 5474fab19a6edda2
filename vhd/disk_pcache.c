#include <config.h>

#include <stdlib.h>

#include "vhd/disk_priv.h"

/*
 * Between the chunk cache and storage: what a fetch wants is looked up in the
 * persistent cache first, and what storage had to be asked for is kept there
 * afterwards. Until it is, the chunks stay pinned: at most an eighth of the cache,
 * so that writers always find room without it.
 */

#define QUEUE_MAX (UINT64_C(32) << 20)

uint64_t disk_pcache_queue_bytes(uint64_t cache_bytes)
{
	return cache_bytes && cache_bytes / 8 < QUEUE_MAX ? cache_bytes / 8 : QUEUE_MAX;
}

/* Of the fetch's memory, [from, end): what storage is asked for. */
static int cut_rest(struct fetch *f, uint64_t from, uint64_t end)
{
	uint64_t pos = f->offset;
	unsigned i;
	int n = 0;

	for (i = 0; i < f->nchunks; i++) {
		uint64_t next = pos + f->iov[i].iov_len;
		uint64_t a = from > pos ? from : pos, b = end < next ? end : next;

		if (a < b) {
			f->rest[n].iov_base = (uint8_t *)f->iov[i].iov_base + (a - pos);
			f->rest[n++].iov_len = b - a;
		}
		pos = next;
	}
	return n;
}

static void looked_up(void *arg, uint64_t from, uint64_t end)
{
	struct fetch *f = arg;
	struct disk *d = f->disk;

	f->rest_offset = from;
	f->rest_len = (uint32_t)(end - from);
	f->nrest = cut_rest(f, from, end);
	if (f->nrest)
		disk_fetch_rest(d, f, f->rest, f->nrest);
	else
		disk_fetch_done(f, &(struct store_result){ .etag = "" });
}

void disk_pcache_start(struct disk *d, struct fetch *f)
{
	pcache_read(d->o.pcache, f->offset, f->iov, (int)f->nchunks, looked_up, f);
}

/* It is kept, or not: the chunks are free. */
static void kept(void *arg)
{
	struct fetch *f = arg;
	struct disk *d = f->disk;
	unsigned i;

	disk_enter(d);
	for (i = 0; i < f->nchunks; i++)
		cache_unpin(d->cache, f->chunks[i]);
	disk_wake(d);
	disk_inactive(d);
	disk_leave(d);
	free(f);
}

bool disk_pcache_keep(struct disk *d, struct fetch *f)
{
	if (!d->o.pcache || d->closing || !f->rest_len)
		return false;
	return pcache_fill(d->o.pcache, f->rest_offset, f->rest, f->nrest, kept, f);
}
