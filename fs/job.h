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

enum job_kind {
	JOB_DRIVE,
	JOB_PACKAGE,      /* of one package, or of a container of blobs */
};

/* Of a drive only. */
struct drive_job {
	enum snapshot_wish wish;
	char *snapshot;
	bool force;                 /* break the lease of whoever holds it */
	struct lease_holder holder; /* host, user, pid of the one who asked, since */
	unsigned lease_duration_s;  /* 15..60 */
	bool sync_writes;
	bool read_only;             /* -o ro: leased, but never written */
	char *cache_dir;            /* absolute: of the persistent cache; NULL: none */
	uint64_t cache_dir_bytes;   /* that it may hold, of all mounts; 0: default */
};

/* Of packages only. */
struct package_job {
	unsigned refresh_s;         /* of a container, 1..86400; 0: 30 */
	uint64_t unpack_bytes;      /* for what is unpacked; 0: default */
	char *cache_dir;            /* absolute: files there instead of memory; NULL */
	bool opcparts;              /* show OPC's own parts */
};

/* What any worker is told, and the part of its kind; that of the other kind is
 * empty. Strings owned; worker_job_free() wipes the account. */
struct worker_job {
	enum job_kind kind;
	struct blob_account account;
	char *container, *blob;     /* blob NULL: the whole container (packages) */
	char *dir;                  /* RUNTIME/mounts/ID; fs/ and control are made in it */
	char *fuse_dir;             /* a folder that is there already, to mount FUSE at
	                             * instead of fs/; NULL: none */
	unsigned io_deadline_ms;    /* 0: 120000 */
	unsigned connections;       /* to storage, for data, 1..256; 0: 16 */
	unsigned io_threads;        /* that serve them, 1..64; 0: 2 */
	uint64_t cache_bytes;       /* 0: default */
	bool allow_other;           /* FUSE allow_other */
	unsigned log_level;
	struct drive_job drive;
	struct package_job package;
};

/* With the account's secrets, for the pipe. New reference or NULL. */
json_t *worker_job_to_json(const struct worker_job *job);

/* Without anything secret: account name, endpoint, container, blob, options; for
 * status and mount.json. */
json_t *worker_job_public(const struct worker_job *job);

/* The "account" object of a job, and of a mount request to the agent: with its
 * secrets. */
json_t *account_to_json(const struct blob_account *account);
int account_from_json(const json_t *obj, struct blob_account *out, struct err *err);

/* Unknown keys are left alone (a newer agent), missing ones take their default
 * where there is one; what can't be right is ERR_PROTOCOL and names the key. */
int worker_job_from_json(const json_t *obj, struct worker_job *out, struct err *err);
void worker_job_free(struct worker_job *job);

#endif
