/* parse_number.c - sizes and times as people write them; blob/config.h. */
#include <config.h>

#include <limits.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "blob/config.h"

/* Digits, then *suffix points behind them. strtoull would take signs and
 * spaces as well. */
static int parse_digits(const char *text, uint64_t *out, const char **suffix)
{
	uint64_t n = 0;

	if (*text < '0' || *text > '9')
		return -1;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (unsigned)(*text - '0'), &n))
			return -1;
	*out = n;
	*suffix = text;
	return 0;
}

int parse_size(const char *text, uint64_t *out)
{
	static const char letters[] = "KMGT";
	const char *suffix, *letter;
	uint64_t n;

	if (parse_digits(text, &n, &suffix) < 0)
		return -1;
	if (*suffix) {
		letter = strchr(letters, *suffix >= 'a' ? *suffix - ('a' - 'A') : *suffix);
		if (!letter || suffix[1] ||
		    __builtin_mul_overflow(n, 1024ull << (10 * (letter - letters)), &n))
			return -1;
	}
	*out = n;
	return 0;
}

int parse_time_ms(const char *text, unsigned *out)
{
	static const struct { const char *suffix; unsigned ms; } units[] = {
		{ "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 },
	};
	const char *suffix;
	uint64_t n;

	if (parse_digits(text, &n, &suffix) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (!strcmp(suffix, units[i].suffix)) {
			if (__builtin_mul_overflow(n, units[i].ms, &n) || n > UINT_MAX)
				return -1;
			*out = (unsigned)n;
			return 0;
		}
	return -1;
}
