/*
 * reading.h - a read of vhd/object.h or fs/unpack.h that a test has begun: its callback
 * notes what came, and can be kept from returning.
 */
#ifndef HPCPACK_TESTS_READING_H
#define HPCPACK_TESTS_READING_H

#include "vhd/object.h"

struct reading {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned calls;
	struct err err;            /* code ERR_NONE: it worked */
	uint8_t *data;             /* a copy of what came, taken as the callback ends */
	size_t len;
	bool stay, inside;
};

/* `stay`: the callback does not return before reading_leave(). */
void reading_init(struct reading *r, bool stay);
void reading_free(struct reading *r);

/* Give this to object_read() or unpack_read(), with the reading as its argument. */
object_read_fn reading_done;

/* Until the callback has been called; it must be only once. What it said. */
enum err_code reading_wait(struct reading *r);
/* Has it been called? */
bool reading_is_over(struct reading *r);
/* Until the callback is inside; let it go. */
void reading_wait_inside(struct reading *r);
void reading_leave(struct reading *r);

/* Poll until this holds; the test fails when it never does. */
void until(bool (*holds)(void *arg), void *arg, const char *what);

/* From HPCPACK_SEED, or a new one; it is printed. */
uint64_t seed_of_test(void);
/* [0, n) */
uint64_t seed_below(uint64_t *state, uint64_t n);

#endif
