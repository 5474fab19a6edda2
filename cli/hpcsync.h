/*
 * hpcsync.h - the report of a sync, for people or for programs.
 */
#ifndef HPCPACK_CLI_HPCSYNC_H
#define HPCPACK_CLI_HPCSYNC_H

#include <stdbool.h>

#include "cli/options.h"
#include "pack/sync.h"

/* On stdout: as JSON (pack/sync.h has its keys) or as a table and a line of sums, as
 * the options ask. `err`: there was no sync at all, or NULL. True if anything
 * failed. */
bool hpcsync_report(const struct options *o, const char *container, const struct sync_report *report,
		    const struct err *err, double seconds);

#endif
