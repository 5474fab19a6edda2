/*
 * sync_match.h - the filter of package names, and which targets get into each
 * other's way. Pure functions.
 */
#ifndef HPCPACK_PACK_SYNC_MATCH_H
#define HPCPACK_PACK_SYNC_MATCH_H

#include <stdbool.h>

/*
 * Does a package's name match the filter: as a whole, or without its extension?
 * '*' stands for any characters ('/' too), '?' for one; letters match in any case
 * (of ASCII); everything else stands for itself. Linear in either's length but for
 * their product at worst.
 */
bool sync_filter_matches(const char *filter, const char *name);

enum sync_overlap {
	SYNC_APART,
	SYNC_SAME,
	SYNC_INSIDE,     /* a lies inside b */
	SYNC_AROUND,     /* b lies inside a */
};
/* Of two targets (pack/target.h). */
enum sync_overlap sync_overlap(const char *a, const char *b);

#endif
