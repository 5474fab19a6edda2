/*
 * readahead.h - who reads in sequence, and how far ahead to fetch for them.
 *
 * Pure logic without a lock or I/O. Up to READAHEAD_STREAMS readers are told
 * apart by where they read last; the kernel's read-ahead and the loop device's
 * workers deliver the reads of one stream slightly out of order, so a read that
 * begins near a stream's end belongs to it. A stream's window starts small and
 * doubles with each read up to the limit; a read that fits no stream begins a
 * new one, with no window: random reads fetch little.
 */
#ifndef HPCPACK_VHD_READAHEAD_H
#define HPCPACK_VHD_READAHEAD_H

#include <stdbool.h>
#include <stdint.h>

#define READAHEAD_STREAMS 16

struct stream {
	uint64_t next;     /* byte after the furthest read */
	uint64_t ahead;    /* fetched (or begun) up to here; at least next */
	uint64_t window;   /* bytes to keep fetched beyond next; 0: not sequential yet */
	uint64_t used;     /* for finding the least recently used one */
	unsigned reads;    /* in sequence; 0: the slot is empty */
};

struct readahead {
	struct stream streams[READAHEAD_STREAMS];
	uint64_t clock;
	uint64_t limit;    /* of a window, bytes */
	uint64_t cap;      /* for now, <= limit: lowered when what was fetched ahead
	                    * is evicted unread, raised again slowly */
};

void readahead_init(struct readahead *ra, uint64_t limit);

/* A read of [offset, offset + len) was asked for. The stream that it belongs to. */
struct stream *readahead_note(struct readahead *ra, uint64_t offset, uint64_t len);

/* How much of [stream->ahead, next + window) to request now: whole requests of
 * the size that the window allows, at most `max_request`. 0: nothing yet. */
uint64_t readahead_request(const struct stream *s, uint64_t max_request);

/* `chunks` prefetched chunks were evicted unread. */
void readahead_wasted(struct readahead *ra, unsigned chunks);

#endif
