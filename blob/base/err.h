/*
 * err.h - what went wrong, in words for a person and in a code for a program.
 *
 * A function that can fail takes a trailing `struct err *err`, returns 0 (or a
 * pointer) when it did what it should and -1 (or NULL) when it did not; only
 * then is *err filled in. Callers may pass NULL when they do not care. Each
 * floor that knows more adds it in front (err_prefix) on the way up; the floor
 * that talks to the user prints `msg` as one line and nothing else.
 *
 * errno values appear in fs/ and nowhere else: see fs/errno_map.h.
 *
 * A struct err owns no memory: copy it by assignment, never free it.
 */
#ifndef HPCPACK_BLOB_BASE_ERR_H
#define HPCPACK_BLOB_BASE_ERR_H

enum err_code {
	ERR_NONE = 0,
	ERR_USAGE,       /* the caller asked for something that makes no sense */
	ERR_NOT_FOUND,   /* no such blob, container, snapshot, file */
	ERR_EXISTS,      /* it is there already */
	ERR_AUTH,        /* 401/403, or a credential that can't be used */
	ERR_LEASE_HELD,  /* somebody else holds the lease */
	ERR_LEASE_LOST,  /* ours was broken or taken */
	ERR_CONDITION,   /* an If-Match or the like was not met: it changed */
	ERR_BUSY,        /* in use: mount point, device, another agent */
	ERR_NETWORK,     /* resolve, connect, TLS, reset: still so after retries */
	ERR_TIMEOUT,     /* the deadline of the operation passed */
	ERR_SERVER,      /* 5xx, still so after retries */
	ERR_PROTOCOL,    /* a reply that no service should send */
	ERR_RANGE,       /* outside the blob or disk, or not aligned */
	ERR_FORMAT,      /* not a VHD, bad footer, not a package */
	ERR_UNSUPPORTED, /* understood, but can't be done (here) */
	ERR_NO_SPACE,
	ERR_NO_MEMORY,
	ERR_PERMISSION,  /* the local system or agent refuses this user */
	ERR_CANCELLED,   /* given up because the program is stopping */
	ERR_READ_ONLY,   /* a write to what is mounted read-only */
	ERR_SYSTEM,      /* a system call failed: see sys_errno */
	ERR_CODE_COUNT
};

struct err {
	enum err_code code;
	int sys_errno;          /* errno, for ERR_SYSTEM; else 0 */
	int http_status;        /* status of the reply that said so; else 0 */
	char service_code[64];  /* x-ms-error-code, e.g. "LeaseAlreadyPresent" */
	char request_id[64];    /* x-ms-request-id; "" where there is none */
	char msg[1024];         /* one line, no full stop, no newline */
};

/* Fill in *err. Always returns -1, so that `return err_set(...)` reads well. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As err_set, with code ERR_SYSTEM (or the code that fits `sys_errno`:
 * ENOENT, EACCES/EPERM, ENOSPC, ENOMEM, EBUSY, EEXIST), and
 * ": <strerror(sys_errno)>" appended to the message. */
int err_set_errno(struct err *err, int sys_errno, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "<text>: " in front of the message. Always returns -1. */
int err_prefix(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Append to the message, as it stands (for "; do this about it"). Returns -1. */
int err_append(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Make *err say that nothing is wrong. */
void err_clear(struct err *err);

/* "not-found", "lease-held"...: stable names for --json and the wire between
 * our processes. err_code_from_name returns ERR_SYSTEM for an unknown name. */
const char *err_code_name(enum err_code code);
enum err_code err_code_from_name(const char *name);

#endif
