/*
 * mount_request.h - what a mount request asks for, as a job for the worker and an
 * entry for the table.
 */
#ifndef HPCPACK_AGENT_MOUNT_REQUEST_H
#define HPCPACK_AGENT_MOUNT_REQUEST_H

#include "agent/agent.h"
#include "agent/options.h"
#include "fs/job.h"

/* A mount in the making, and what of it must be undone when it fails. */
struct making {
	struct agent *agent;
	const struct caller *caller;
	struct worker_job job;
	struct mount_options options;
	int partition;
	struct mount *mount;
	bool either;              /* nobody said whether it is a drive or a package */
	bool listed, dir_made, worker_ready;
};

/* Do the options fit what it turned out to be? */
int mount_request_check_kind(struct making *k, struct err *err);

/* Fill in job, options, partition and what the mount has from the request; all of
 * it is `k`'s own then. The mount point is not looked at. 0 or -1. */
int mount_request_read(struct making *k, const json_t *request, struct err *err);

#endif
