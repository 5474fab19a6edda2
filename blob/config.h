/*
 * config.h - the configuration file, hpcpack.conf(5): INI, read by inih.
 *
 * Looked for at --config, $HPCPACK_CONFIG, $XDG_CONFIG_HOME/hpcpack/hpcpack.conf
 * (not for root), SYSCONFDIR/hpcpack/hpcpack.conf; the first that exists. Only a
 * file that was named explicitly must exist. Unknown sections and keys are
 * errors that name file and line: a misspelt key must not pass in silence.
 */
#ifndef HPCPACK_BLOB_CONFIG_H
#define HPCPACK_BLOB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blob/base/err.h"

struct config;

/* Read `path`, or with NULL look in the usual places (then no file at all is an
 * empty configuration). NULL and *err on failure. */
struct config *config_load(const char *path, struct err *err);
void config_free(struct config *c); /* wipes what it held */

/* The file that was read, absolute; NULL if none. */
const char *config_path(const struct config *c);

/* True if the file can be read by users other than its owner. */
bool config_world_readable(const struct config *c);

/* The value as text, or `fallback`. Owned by the configuration. The pair must
 * be one of the known ones (config.c has the table; a test compares it with
 * the man page). */
const char *config_string(const struct config *c, const char *section, const char *key,
			  const char *fallback);

/* As a number. Sizes take K, M, G, T (1024); times take ms, s, m, h (none: s)
 * and are given in milliseconds. -1 and *err (file, line, what is allowed) when
 * it does not parse or lies outside [min, max]. */
int config_size(const struct config *c, const char *section, const char *key,
		uint64_t fallback, uint64_t min, uint64_t max, uint64_t *out, struct err *err);
int config_time_ms(const struct config *c, const char *section, const char *key,
		   unsigned fallback, unsigned min, unsigned max, unsigned *out, struct err *err);
int config_bool(const struct config *c, const char *section, const char *key,
		bool fallback, bool *out, struct err *err);

/* The known pairs, one by one from 0; false when there are no more. */
bool config_known(size_t i, const char **section, const char **key);

/* Parsers behind the above, for the command line: "64K", "1500ms": whole
 * numbers with an optional suffix. 0 or -1. */
int parse_size(const char *text, uint64_t *out);
int parse_time_ms(const char *text, unsigned *out);

#endif
