/*
 * options.h - `-o` of a mount: those that are ours, and the rest, which is the
 * filesystem's.
 */
#ifndef HPCPACK_AGENT_OPTIONS_H
#define HPCPACK_AGENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "blob/base/err.h"

struct mount_options {
	uint64_t cache_bytes;    /* cache=SIZE; 0: not said */
	char *cache_dir;         /* cache-dir=DIR, absolute; owned; NULL: not said */
	uint64_t cache_dir_bytes; /* cache-size=SIZE; 0: not said */
	unsigned io_deadline_ms; /* deadline=TIME; 0: not said */
	bool sync;               /* every write is durable before it returns */
	bool read_only;          /* ro */
	bool allow_other;
	/* Of packages and containers. */
	unsigned refresh_s;      /* refresh=TIME; 0: not said */
	uint64_t unpack_bytes;   /* unpack-cache=SIZE; 0: not said */
	bool opcparts;
	const char *package_only; /* the first of those that a drive can't have; NULL */
	char *rest;              /* owned; NULL: none */
};

/* `text` may be NULL. 0 or -1 (ERR_USAGE names the option). */
int mount_options_parse(const char *text, struct mount_options *out, struct err *err);
void mount_options_free(struct mount_options *o);

#endif
