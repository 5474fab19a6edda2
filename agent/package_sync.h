/*
 * package_sync.h - hpcsync as a child of the agent: at its start and every so
 * often, one at a time, and what came of it.
 *
 *	package_sync.c          when; the thread; what others may know of it
 *	package_sync_run.c      one run of the child
 *	package_sync_result.c   its result, in memory and in RUNTIME/sync.json
 *
 * The thread, and with it the schedule, lives from package_sync_start() to
 * package_sync_stop(). When the agent gives up what is under way (cancel_fd), the
 * child gets a SIGTERM, and is killed if it has not ended 20 s later. There is no
 * other limit to how long it runs: a package may be large, and it has deadlines of
 * its own for the network.
 *
 * When a sync could not be done at all it is tried again after 1 s, 2 s, ... 5 min.
 * When only some packages failed the next one is due in its time; but as long as the
 * first that must succeed (sync_required) has not, it is tried again, too.
 */
#ifndef HPCPACK_AGENT_PACKAGE_SYNC_H
#define HPCPACK_AGENT_PACKAGE_SYNC_H

#include <jansson.h>
#include <stdbool.h>

#include "agent/settings.h"

struct package_sync;

/* Will there be any sync by this agent? And must one have succeeded before the agent
 * is ready? */
bool package_sync_wanted(const struct settings *s);
bool package_sync_awaited(const struct settings *s);

/*
 * `settings` is borrowed until package_sync_free(); `cancel_fd` becomes readable when
 * the agent ends. `tell` passes lines to systemd, from the thread: STATUS=..., and,
 * if the agent waits for the first sync, READY=1 after it. An agent that wants no
 * sync gets one of these too, which only knows what an earlier agent left. NULL and
 * *err when it can't be.
 */
struct package_sync *package_sync_start(const struct settings *settings, int cancel_fd,
					void (*tell)(const char *lines), struct err *err);

/* After cancel_fd was made readable: wait for the child and the thread. Then, when
 * nobody asks it anything any more, free it. NULL is nothing. */
void package_sync_stop(struct package_sync *s);
void package_sync_free(struct package_sync *s);

/*
 * The "sync" object of {"op":"status"} (agent/proto.h), with the packages of the
 * last result from number `from` on, as many as fit into a message. New reference or
 * NULL. Any thread.
 */
json_t *package_sync_describe(struct package_sync *s, size_t from);

/* --- between the files of this module --- */

/* What came of one run. */
struct sync_result {
	char started[32], ended[32];   /* "2026-11-21T03:26:09Z" */
	bool ok;
	bool cancelled;                /* by the end of the agent */
	char error[1024];              /* one line; "" when ok */
	json_t *report;                /* hpcsync's (pack/sync.h); NULL: none was made */
};
void sync_result_free(struct sync_result *r);

/* Was there no sync at all? */
bool sync_result_is_total_failure(const struct sync_result *r);

/* Run hpcsync once. Blocks until it has ended. */
void sync_run(const struct settings *settings, int cancel_fd, struct sync_result *out);

/* From what hpcsync has printed: the report, error and ok. `status` is its exit
 * status; `last_words` its last line on stderr, "" if there was none. */
void sync_result_read(struct sync_result *r, const char *text, size_t len, int status,
		      const char *last_words);

/* RUNTIME/sync.json: so that the next agent knows it. Trouble is logged. */
void sync_result_save(const struct sync_result *r, const char *runtime_dir);
bool sync_result_load(struct sync_result *r, const char *runtime_dir);

/* As an object of agent/proto.h, with a part of the packages; *next is the number of
 * the first that did not fit, or -1. New reference or NULL. */
json_t *sync_result_pack(const struct sync_result *r, size_t from, json_int_t *next);

#endif
