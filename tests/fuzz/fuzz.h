/* fuzz.h - what every fuzz target needs. */
#ifndef HPCPACK_TESTS_FUZZ_H
#define HPCPACK_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* What must hold whatever came in. */
#define must(condition) do { \
	if (!(condition)) \
		__builtin_trap(); \
} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif
