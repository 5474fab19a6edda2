/*
 * channel.h - messages between the agent and its workers: one JSON object per
 * SOCK_SEQPACKET packet, on the socketpair that a worker is born with (fd 3)
 * and on its control socket RUNTIME/mounts/ID/control.
 *
 * On the socketpair (in this order):
 *   agent -> worker   the job (fs/job.h)
 *   worker -> agent   {"event":"progress","text":"..."}            (any number)
 *   worker -> agent   {"event":"ready", "size":N, "read_only":B, "snapshot":S|null,
 *                      "snapshot_own":B, "etag":S}
 *                 or  {"event":"failed","error":{...},"other":B}    and it exits;
 *                      other: it may be a blob for the other kind of worker (a
 *                      package, not a drive, or the other way round)
 *   After "ready" the worker sends {"event":"state","state":S,"reason":S} at each
 *   change of its state. Hang-up by the agent means nothing: mounts outlive it.
 *
 * On the control socket (same uid or root only, SO_PEERCRED), request and reply:
 *   {"op":"status"}  -> {"ok":true,"job":{public part},"state":S,"reason":S, "pid":N,
 *                        "lease":{"state","held_since","next_renewal_ms","left_ms"}|null,
 *                        "snapshot":S|null,"read_only":B,"size":N,
 *                        "stats":{"bytes_read","bytes_written","fetched","stored",
 *                                 "requests","retries","cache_size","cache_used","dirty",
 *                                 "dropped"}}
 *   {"op":"sync"}    -> {"ok":true} once everything is in the blob, or the error
 *   {"op":"window","offset":N,"size":N}
 *                    -> {"ok":true}: from now on, until it is unmounted, a file
 *                       `part` beside `disk` shows these bytes of the disk and no
 *                       others, for FUSE drivers that know of no partitions. There
 *                       is one window: the same again is fine, another is refused
 *                       (ERR_BUSY). Whole sectors of 512 bytes, inside the disk.
 *   {"op":"stop"}    -> flush, unmount FUSE, release the lease, delete our own
 *                       snapshot; {"ok":true,"receipt":{...stats,"etag":S}} or
 *                       {"ok":false,"error":{...},"receipt":{...}}; then it exits.
 * Errors travel as {"code":"lease-held","message":"...","service_code":"...",
 * "request_id":"..."}.
 */
#ifndef HPCPACK_FS_CHANNEL_H
#define HPCPACK_FS_CHANNEL_H

#include <jansson.h>

#include "blob/base/err.h"

#define CHANNEL_MAX 131072 /* bytes of one message */

/* Send one message; does not keep `msg`. 0 or -1. */
int channel_send(int fd, const json_t *msg, struct err *err);

/* Receive one, waiting at most `timeout_ms` (-1: for ever). A new reference, or
 * NULL with ERR_TIMEOUT, ERR_CANCELLED (the peer hung up) or ERR_PROTOCOL. */
json_t *channel_receive(int fd, int timeout_ms, struct err *err);

/* send + receive; NULL also when the reply is {"ok":false}: *err is its error. */
json_t *channel_call(int fd, const json_t *request, int timeout_ms, struct err *err);

/* The same as channel_call on a fresh connection to a control socket. */
json_t *channel_call_path(const char *path, const json_t *request, int timeout_ms, struct err *err);

/* Listen at / connect to a SOCK_SEQPACKET path (any length: through
 * /proc/self/fd of its folder if need be). fd, or -1. Close-on-exec. */
int channel_listen(const char *path, struct err *err);
int channel_connect(const char *path, struct err *err);

/* A JSON string of a text that may hold bytes that are not UTF-8 (what a server
 * sent, what was cut at a length): then all of it beyond ASCII becomes '?'. */
json_t *channel_text(const char *text);

/* struct err <-> JSON object. */
json_t *channel_err_to_json(const struct err *err);
void channel_err_from_json(const json_t *obj, struct err *err);

/* uid and pid of the peer, SO_PEERCRED. 0 or -1. */
int channel_peer(int fd, unsigned *uid, unsigned *gid, int *pid);

#endif
