/*
 * mount_options.h - what stands behind -o: ours are taken out, the rest goes to
 * the agent (cache=, sync, ro... and the filesystem's own).
 */
#ifndef HPCPACK_CLI_MOUNT_OPTIONS_H
#define HPCPACK_CLI_MOUNT_OPTIONS_H

#include <stdbool.h>

#include "blob/base/err.h"

/* Strings owned; NULL: not said. */
struct mount_options_given {
	bool snapshot;              /* snapshot, snapshot=TIME */
	char *snapshot_time;
	bool force, raw;
	int partition;              /* 0: not said */
	char *node_template, *scheduler, *container, *config, *agent_socket;
	char *rest;
};

/* `text` may be NULL. What mount(8) and fstab(5) use for themselves (_netdev,
 * noauto, x-..., user...) is left out. 0, or -1 with ERR_USAGE. */
int mount_options_given_parse(const char *text, struct mount_options_given *out, struct err *err);
void mount_options_given_free(struct mount_options_given *g);

/* The number of a partition: 1 to 128. */
int parse_partition(const char *text, int *out, struct err *err);

#endif
