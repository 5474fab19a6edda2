#include <config.h>

#include "vhd/readahead.h"

#include <string.h>

#define SLACK (UINT64_C(2) << 20)           /* out-of-order reads of one stream */
#define FIRST_WINDOW (UINT64_C(256) << 10)
#define MIN_CAP (UINT64_C(1) << 20)
#define MIN_REQUEST (UINT64_C(128) << 10)
#define CAP_STEP (UINT64_C(64) << 10)       /* how fast a lowered cap rises, a read */

void readahead_init(struct readahead *ra, uint64_t limit)
{
	memset(ra, 0, sizeof(*ra));
	ra->limit = limit;
	ra->cap = limit;
}

static bool belongs(const struct stream *s, uint64_t offset)
{
	return s->reads && offset + SLACK >= s->next && offset <= s->next + SLACK &&
	       /* Before the stream is established only an exact fit counts: two
	        * random reads that lie near each other are no stream. */
	       (s->reads >= 2 || offset == s->next);
}

static struct stream *find(struct readahead *ra, uint64_t offset)
{
	struct stream *best = NULL;
	uint64_t best_distance = UINT64_MAX;
	unsigned i;

	for (i = 0; i < READAHEAD_STREAMS; i++) {
		struct stream *s = &ra->streams[i];
		uint64_t distance = offset > s->next ? offset - s->next : s->next - offset;

		if (belongs(s, offset) && distance < best_distance) {
			best = s;
			best_distance = distance;
		}
	}
	return best;
}

static struct stream *oldest(struct readahead *ra)
{
	struct stream *s = &ra->streams[0];
	unsigned i;

	for (i = 1; i < READAHEAD_STREAMS; i++)
		if (ra->streams[i].used < s->used)
			s = &ra->streams[i];
	return s;
}

struct stream *readahead_note(struct readahead *ra, uint64_t offset, uint64_t len)
{
	struct stream *s = find(ra, offset);
	uint64_t end = offset + len;

	if (ra->cap < ra->limit)
		ra->cap = ra->cap + CAP_STEP < ra->limit ? ra->cap + CAP_STEP : ra->limit;
	if (!s) {
		s = oldest(ra);
		memset(s, 0, sizeof(*s));
		s->next = s->ahead = end;
	} else if (end > s->next) {
		s->next = end;
		s->window = s->window ? s->window * 2 : FIRST_WINDOW;
	}
	if (s->window > ra->cap)
		s->window = ra->cap;
	if (s->ahead < s->next)
		s->ahead = s->next;
	s->reads++;
	s->used = ++ra->clock;
	return s;
}

uint64_t readahead_request(const struct stream *s, uint64_t max_request)
{
	uint64_t target = s->next + s->window, size = s->window / 4;

	if (size < MIN_REQUEST)
		size = MIN_REQUEST;
	if (size > max_request)
		size = max_request;
	if (!s->window || s->ahead + size > target)
		return 0;
	return size;
}

void readahead_wasted(struct readahead *ra, unsigned chunks)
{
	if (!chunks)
		return;
	ra->cap /= 2;
	if (ra->cap < MIN_CAP)
		ra->cap = MIN_CAP < ra->limit ? MIN_CAP : ra->limit;
}
