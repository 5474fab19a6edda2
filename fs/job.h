/*
 * job.h - what a worker is told to do: sent by the agent as the first message,
 * credentials included, never in argv or the environment.
 */
#ifndef HPCPACK_FS_JOB_H
#define HPCPACK_FS_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "blob/account.h"
#include "vhd/lease.h"

enum snapshot_wish {
	SNAPSHOT_NONE,    /* the blob itself, leased */
	SNAPSHOT_NEW,     /* take one; deleted at the end */
	SNAPSHOT_LATEST,
	SNAPSHOT_AT,      /* `snapshot` names it */
};

/* Strings owned; drive_job_free() wipes the account. */
struct drive_job {
	struct blob_account account;
	char *container, *blob;
	enum snapshot_wish wish;
	char *snapshot;
	bool force;                 /* break the lease of whoever holds it */
	char *dir;                  /* RUNTIME/mounts/ID; fs/ and control are made in it */
	char *fuse_dir;             /* a folder that is there already, to mount FUSE at
	                             * instead of fs/; NULL: none */
	struct lease_holder holder; /* host, user, pid of the one who asked, since */
	unsigned lease_duration_s;  /* 15..60 */
	unsigned io_deadline_ms;    /* 0: 120000 */
	unsigned connections;       /* to storage, for data, 1..256; 0: 16 */
	unsigned io_threads;        /* that serve them, 1..64; 0: 2 */
	uint64_t cache_bytes;       /* 0: default */
	char *cache_dir;            /* of the persistent cache; NULL: none */
	uint64_t cache_dir_bytes;   /* that it may hold, of all mounts; 0: default */
	bool sync_writes;
	bool read_only;             /* -o ro: leased, but never written */
	bool allow_other;           /* FUSE allow_other */
	unsigned log_level;
};

/* With the account's secrets, for the pipe. New reference or NULL. */
json_t *drive_job_to_json(const struct drive_job *job);

/* Without anything secret: account name, endpoint, container, blob, options; for
 * status and mount.json. */
json_t *drive_job_public(const struct drive_job *job);

/* The "account" object of a job, and of a mount request to the agent: with its
 * secrets. */
json_t *account_to_json(const struct blob_account *account);
int account_from_json(const json_t *obj, struct blob_account *out, struct err *err);

/* Unknown keys are left alone (a newer agent), missing ones take their default
 * where there is one; what can't be right is ERR_PROTOCOL and names the key. */
int drive_job_from_json(const json_t *obj, struct drive_job *out, struct err *err);
void drive_job_free(struct drive_job *job);

#endif
