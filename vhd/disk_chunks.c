#include <config.h>

#include <string.h>

#include "vhd/disk_priv.h"

sector_set disk_sectors_of(uint64_t index, uint64_t offset, uint64_t len)
{
	return sectors_within(index, offset, len);
}

void disk_unpin_range(struct disk *d, struct chunk **chunks, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++)
		if (chunks[i])
			cache_unpin(d->cache, chunks[i]);
}

bool disk_pin_range(struct disk *d, uint64_t offset, uint32_t len, bool skip_holes,
		    struct chunk **chunks, unsigned *count)
{
	uint64_t first = offset >> CHUNK_SHIFT, last = (offset + len - 1) >> CHUNK_SHIFT;
	unsigned n = (unsigned)(last - first + 1), i, missing = 0;

	/* What is there is pinned first, so that making room can't evict it. */
	for (i = 0; i < n; i++) {
		chunks[i] = cache_find(d->cache, DISK_OBJECT, first + i);
		if (chunks[i])
			cache_pin(d->cache, chunks[i]);
		else if (!skip_holes || !map_is_hole(d->map, first + i))
			missing++;
	}
	if (missing > cache_spare(d->cache)) {
		disk_unpin_range(d, chunks, n);
		return false;
	}
	for (i = 0; i < n; i++)
		if (!chunks[i] && (!skip_holes || !map_is_hole(d->map, first + i)))
			chunks[i] = cache_get(d->cache, DISK_OBJECT, first + i);
	*count = n;
	return true;
}

void disk_fill_hole(struct disk *d, struct chunk *ch, sector_set need)
{
	sector_set missing = need & ~ch->have & ~ch->fetching;
	unsigned s, n;

	if (!missing || !map_is_hole(d->map, ch->index))
		return;
	ch->have |= missing;
	for (; (s = sectors_first(missing)) < CHUNK_SECTORS; missing &= ~sectors_range(s, n)) {
		n = sectors_run(missing, s);
		memset(ch->data + (s << SECTOR_SHIFT), 0, n << SECTOR_SHIFT);
	}
}
