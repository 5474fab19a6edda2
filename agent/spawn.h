/*
 * spawn.h - start a program as a given user, in a session of its own, with a
 * clean environment and only the descriptors it is given. SIGHUP and SIGUSR1 do
 * nothing to it unless it says otherwise itself.
 */
#ifndef HPCPACK_AGENT_SPAWN_H
#define HPCPACK_AGENT_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "blob/base/err.h"

#define SPAWN_ENV_MAX 4

struct spawn {
	char *const *argv;      /* argv[0] is the program's path */
	uid_t uid;
	gid_t gid;
	int fd3;                /* becomes descriptor 3 of the program; -1: none */
	int stdout_fd;          /* -1: /dev/null */
	int stderr_fd;          /* -1: ours */
	char *const *env;       /* "NAME=VALUE"s beside the clean ones, at most
	                         * SPAWN_ENV_MAX, then NULL; or NULL: none */
	bool with_us;           /* it gets a SIGTERM when the calling thread ends;
	                         * as our own user only */
};

/* The pid, or -1 (also when the program can't be executed). */
pid_t spawn(const struct spawn *s, struct err *err);

#endif
