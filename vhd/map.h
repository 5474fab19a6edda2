/*
 * map.h - the allocation map: which chunks of the blob hold data at all.
 *
 * One bit per 64 KiB chunk (2 MiB of address space for a 1 TiB disk, touched as
 * needed). Loaded window by window from Get Page Ranges, when a window is first
 * touched; until then, and when loading fails, everything counts as data: the
 * map only ever saves requests. Protected by the owner's mutex.
 *
 * While a window is being loaded, writes mark chunks in it as usual; what arrives
 * is added, never taken away, so a write that overtook the query is not lost.
 */
#ifndef HPCPACK_VHD_MAP_H
#define HPCPACK_VHD_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blob/base/err.h"
#include "blob/ops.h"

#define MAP_WINDOW_BYTES (UINT64_C(256) << 30)

struct map;

/* For a disk of `size` bytes. NULL when out of memory. */
struct map *map_new(uint64_t size);
void map_free(struct map *m);

/* True if the chunk is known to hold nothing: it reads as zeros. */
bool map_is_hole(const struct map *m, uint64_t chunk);

/* If the window of this chunk should be loaded now: true, and its bytes; it counts
 * as being loaded from then on, until map_loaded() or map_load_failed(). */
bool map_want(struct map *m, uint64_t chunk, uint64_t now_ms, uint64_t *offset, uint64_t *len);
void map_loaded(struct map *m, uint64_t offset, const struct blob_range *ranges, size_t count);
void map_load_failed(struct map *m, uint64_t offset, uint64_t now_ms);

/* Bytes [offset, offset + len) hold data now; or nothing (only chunks that lie
 * wholly within become holes). */
void map_set_data(struct map *m, uint64_t offset, uint64_t len);
void map_set_hole(struct map *m, uint64_t offset, uint64_t len);

#endif
