/*
 * worker.h - the process that serves one drive: started, heard, stopped.
 */
#ifndef HPCPACK_AGENT_WORKER_H
#define HPCPACK_AGENT_WORKER_H

#include <jansson.h>

#include "agent/mounts.h"
#include "blob/base/err.h"

/* Start hpcpack-drive, or hpcpack-package, out of the folder `programs` as the mount's user, and send
 * it its job. Fills in worker, worker_start, pidfd and channel. */
int worker_start(struct mount *m, const char *programs, const json_t *job, struct err *err);

/*
 * Wait until it is ready; `progress` gets each text. Gives up with ERR_CANCELLED
 * when one of the `count` descriptors in `cancel` becomes readable or hangs up.
 * The "ready" event (new reference), or NULL. *other (with NULL): the worker says
 * that the blob may be one for the other kind of worker.
 */
json_t *worker_wait_ready(struct mount *m, const int *cancel, int count,
			  void (*progress)(void *arg, const char *text), void *arg,
			  bool *other, struct err *err);

/* One request on its control socket; NULL and *err also for a refusal. */
json_t *worker_call(const struct mount *m, const json_t *request, int timeout_ms, struct err *err);

/*
 * End it in order: everything stored, lease released. Waits until it has gone;
 * one that does not answer is ended by signals. *receipt (may be NULL) is a new
 * reference or NULL. -1 and *err when not everything was stored, or it did not
 * end by itself.
 */
int worker_stop(struct mount *m, json_t **receipt, struct err *err);

/* End one that never became ready. */
void worker_abort(struct mount *m);
/* The same; another one can be started for the mount then. */
void worker_drop(struct mount *m);

/* How it ended, for the reason of a failed mount; reaps it if it is ours. */
void worker_describe_end(const struct mount *m, char *out, size_t size);

/* Take away the FUSE mount that a dead worker may have left. */
void worker_unmount(const struct mount *m);
/* And the folder DIR with all that is in it. */
void worker_clean_up(const struct mount *m);

#endif
