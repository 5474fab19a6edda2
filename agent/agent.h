/*
 * agent.h - what the parts of hpcagentd share.
 */
#ifndef HPCPACK_AGENT_AGENT_H
#define HPCPACK_AGENT_AGENT_H

#include <jansson.h>
#include <pthread.h>
#include <sys/types.h>

#include "agent/mounts.h"
#include "agent/package_sync.h"
#include "agent/settings.h"

enum agent_end { AGENT_GOES_ON, AGENT_UNMOUNTS, AGENT_LEAVES_MOUNTS };

struct agent {
	struct settings settings;
	struct mounts mounts;
	struct package_sync *sync; /* from before the first connection to the last one's end */
	char since[32];
	int wake_fd;              /* eventfd: main looks at `end` and the idle time */
	int cancel_fd;            /* eventfd, readable when mounts under way must give up */
	pthread_mutex_t lock;     /* of what follows */
	pthread_cond_t quiet;
	enum agent_end end;
	bool ended;               /* all is unmounted (or left) */
	bool clean;               /* and nothing went wrong with it */
	unsigned connections;     /* being served */
	int64_t idle_since_ms;    /* when there last was a mount or a connection */
};

/* Who asks. */
struct caller {
	int fd;                   /* the connection; hangs up when the client does */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	char user[64];
};

/* One operation: the reply (new reference), or NULL and *err. Runs on the
 * connection's own thread. */
json_t *mount_op(struct agent *a, const struct caller *c, const json_t *request, struct err *err);
json_t *unmount_op(struct agent *a, const struct caller *c, const json_t *request, struct err *err);
json_t *list_op(struct agent *a, const struct caller *c, const json_t *request, struct err *err);
json_t *status_op(struct agent *a, const struct caller *c, const json_t *request, struct err *err);
json_t *stop_op(struct agent *a, const struct caller *c, const json_t *request, struct err *err);

/* list_op.c: the entries of all that the caller may see; NULL: out of memory. */
json_t *mount_entries(struct agent *a, const struct caller *c);
/* One entry, as agent/proto.h has it. */
json_t *mount_entry(struct agent *a, struct mount *m);

/* mount_op.c: the reply went nowhere: take the mount back. */
void mount_op_undo(struct agent *a, const json_t *reply);

/*
 * unmount_op.c: end a mount that the caller holds (busy): unmount, detach, stop
 * the worker, remove what is left, and drop it from the table. Busy volumes stop
 * it before anything has changed (-1, still held) unless `lazy`; then, or when
 * the loop device stays in use, the watch finishes it (*pending, still held).
 * -1 with *gone: it is away, but not everything was stored.
 */
int mount_end(struct agent *a, struct mount *m, bool lazy, json_t **receipt, bool *pending,
	      bool *gone, struct err *err);

/* The second half of it, when the volume is released. The mount is gone after it. */
int mount_finish(struct agent *a, struct mount *m, json_t **receipt, struct err *err);

/* watch.c: a thread that waits for the worker's end, hears its states, and
 * finishes lazy unmounts. Lives until the mount is gone or failed. */
int watch_start(struct agent *a, struct mount *m, struct err *err);

/* adopt.c: take over what an earlier agent left. */
void adopt_mounts(struct agent *a);

/* shutdown.c: unmount all; false when something could not be, or was lost. */
bool unmount_all(struct agent *a);

/* server.c */
int server_listen(struct agent *a, struct err *err);
/* Accept and serve until the agent is to end. */
void server_run(struct agent *a, int listener, int signals);

/* main.c's loop should look again. */
void agent_wake(struct agent *a);
void agent_end(struct agent *a, enum agent_end how);
int64_t monotonic_ms(void);
/* "2026-11-21T03:26:09Z" */
void utc_now(char out[32]);

#endif
