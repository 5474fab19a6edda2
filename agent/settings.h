/*
 * settings.h - what the configuration file and the command line tell the agent.
 */
#ifndef HPCPACK_AGENT_SETTINGS_H
#define HPCPACK_AGENT_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "blob/base/err.h"

struct settings {
	char *runtime_dir;          /* absolute */
	char *programs;             /* the folder of the workers and hpcpack-fusedriver */
	char *sync_program;         /* hpcsync */
	char *config;               /* the file that this is from; NULL: none */
	char *mount_root;           /* NULL: /mnt/hpcpack for root, ~/hpcpack for others */
	char *socket_group;         /* its members may use a root agent; NULL: nobody */
	bool users_may_use_kernel_drivers;
	bool stop_leaves_mounts;
	unsigned idle_exit_s;       /* 0: never */
	unsigned lease_duration_s;
	unsigned io_deadline_ms;
	uint64_t cache_bytes;
	char *cache_dir;            /* of root's (the agent's user's) mounts; NULL: none */
	uint64_t cache_dir_bytes;
	unsigned connections, io_threads; /* of each worker; 0: its defaults */
	unsigned log_level;
	char *package_root;         /* CCP_PACKAGE_ROOT or [packages] root; NULL: the usual */
	bool sync_at_start;         /* also if nothing is said: root's agent, with an account */
	bool sync_required;         /* ready only after the first sync has succeeded */
	unsigned sync_interval_ms;  /* from start to start; 0: none but at the start */
};

/* Read `path` (NULL: the usual places) over the defaults. What is set in *s
 * before stays where the file has no say (runtime_dir). 0 or -1. */
int settings_load(struct settings *s, const char *path, struct err *err);
void settings_free(struct settings *s);

#endif
