/*
 * mount_request.h - asking the agent for a mount: behind `hpcpack mount` and
 * mount.hpcpack alike.
 */
#ifndef HPCPACK_CLI_MOUNT_REQUEST_H
#define HPCPACK_CLI_MOUNT_REQUEST_H

#include <jansson.h>

#include "cli/cli.h"

struct mount_wish {
	const struct blob_account *account;
	const char *container, *blob; /* blob NULL: the whole container */
	const char *mountpoint;     /* as typed; NULL: the agent chooses */
	const char *snapshot;       /* "new", "latest", a time; NULL: the drive itself */
	bool force, raw;
	int partition;              /* 0: the only one */
	const char *options;        /* for the agent and the filesystem; NULL: none */
	const char *agent_socket, *config;   /* NULL: the usual ones */
};

/* Words that contradict each other, options that the agent would refuse, the names
 * of container and blob. ERR_USAGE. */
int mount_wish_check(const struct mount_wish *w, struct err *err);

/*
 * Start the agent if none runs, ask, wait until the files can be read. SIGINT and
 * the like cancel: the agent undoes what it has done so far, then *signal is
 * that. A new reference to the mount's entry (agent/proto.h), or NULL and *err.
 */
json_t *mount_request(const struct mount_wish *w, const struct options *o, int *signal,
		      struct err *err);

/* An absolute path for what the user typed, without links and dots if it exists;
 * fresh string. Touches nothing that lies below a mount: it may be a dead one. */
char *absolute_path(const char *path, struct err *err);

#endif
