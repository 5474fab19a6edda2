#include <config.h>

#include "blob/timers.h"

#include <stdlib.h>

static void put(struct timers *t, size_t i, struct timer *timer)
{
	t->heap[i] = timer;
	timer->index = i;
}

static void sift_up(struct timers *t, struct timer *timer)
{
	size_t i = timer->index;

	while (i > 0 && t->heap[(i - 1) / 2]->due_ms > timer->due_ms) {
		put(t, i, t->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(t, i, timer);
}

static void sift_down(struct timers *t, struct timer *timer)
{
	size_t i = timer->index, child;

	while ((child = 2 * i + 1) < t->count) {
		if (child + 1 < t->count && t->heap[child + 1]->due_ms < t->heap[child]->due_ms)
			child++;
		if (t->heap[child]->due_ms >= timer->due_ms)
			break;
		put(t, i, t->heap[child]);
		i = child;
	}
	put(t, i, timer);
}

int timers_add(struct timers *t, struct timer *timer, uint64_t due_ms)
{
	if (t->count == t->size) {
		size_t size = t->size ? t->size * 2 : 64;
		struct timer **heap = realloc(t->heap, size * sizeof(*heap));

		if (!heap)
			return -1;
		t->heap = heap;
		t->size = size;
	}
	timer->due_ms = due_ms;
	put(t, t->count++, timer);
	sift_up(t, timer);
	return 0;
}

void timers_remove(struct timers *t, struct timer *timer)
{
	struct timer *last = t->heap[--t->count];

	if (last == timer)
		return;
	put(t, timer->index, last);
	sift_up(t, last);
	sift_down(t, last);
}

void timers_move(struct timers *t, struct timer *timer, uint64_t due_ms)
{
	timer->due_ms = due_ms;
	sift_up(t, timer);
	sift_down(t, timer);
}

struct timer *timers_first(const struct timers *t)
{
	return t->count ? t->heap[0] : NULL;
}

void timers_free(struct timers *t)
{
	free(t->heap);
	t->heap = NULL;
	t->count = t->size = 0;
}
