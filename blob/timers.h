/*
 * timers.h - what is due when: a binary heap of things that each have a time.
 *
 * Embed a struct timer; `index` tells where it lies in the heap. One thread.
 */
#ifndef HPCPACK_BLOB_TIMERS_H
#define HPCPACK_BLOB_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct timer {
	uint64_t due_ms;  /* clock_ms() */
	size_t index;
};

struct timers {
	struct timer **heap;
	size_t count, size;
};

/* Add; 0, or -1 when out of memory. */
int timers_add(struct timers *t, struct timer *timer, uint64_t due_ms);
void timers_remove(struct timers *t, struct timer *timer);
void timers_move(struct timers *t, struct timer *timer, uint64_t due_ms);

/* The one that is due first, or NULL. It stays. */
struct timer *timers_first(const struct timers *t);

void timers_free(struct timers *t);

#endif
