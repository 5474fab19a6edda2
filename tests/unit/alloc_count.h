/*
 * alloc_count.h - bytes allocated by what is linked into a test, libraries of the
 * system left out. For one thread; link with $(alloc_wrap).
 */
#ifndef HPCPACK_TESTS_ALLOC_COUNT_H
#define HPCPACK_TESTS_ALLOC_COUNT_H

#include <stddef.h>

/* Now, and the most there were; set both to 0 to count from here. */
extern size_t alloc_now, alloc_most;

#endif
