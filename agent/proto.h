/*
 * proto.h - what is said on the agent's socket: one JSON object per
 * SOCK_SEQPACKET packet (fs/channel.h), one request per connection, any number
 * of {"progress":"text"} replies, then one final reply {"ok":...}.
 *
 * {"op":"mount", "account":{job's account}, "container":C, "blob":B|null,
 *  "mountpoint":PATH|null (absolute), "snapshot":null|"new"|"latest"|TIME,
 *  "force":B, "raw":B, "partition":N|0, "options":"a,b=c"|null, "log_level":N}
 *      A key or SAS goes over plain http to a host that is not loopback only if the
 *      account has "http_chosen":true: the user said so.
 *      blob null: the whole container, packages as directories. A blob is a drive or a
 *      package by its content.
 *      -> {"ok":true, "mount":{entry}}
 * {"op":"unmount", "target":T, "account":A|null, "container":C|null, "lazy":B}
 *      T is an absolute mount point, a blob name, container/name or
 *      account/container/name
 *      -> {"ok":true, "mountpoint":PATH, "source":S, "pending":B, "receipt":{...}|null}
 *      pending: detached lazily and still in use; its worker ends with the last user
 * {"op":"list"}   -> {"ok":true, "mounts":[entry...]}   the caller's own; root: all
 * {"op":"status", "packages_from":N}
 *      -> {"ok":true, "version":S, "pid":N, "runtime_dir":S, "since":S, "mounts":N,
 *          "mount_states":{"mounting":N,"ready":N,"degraded":N,"lost":N,"failed":N},
 *          "sync":{"enabled":B, "required":B, "interval_seconds":N,
 *                  "running_since":S|null, "next":S|null, "last":L|null,
 *                  "packages_next":N|null}}
 *      The caller's own mounts; root's: all. L is {"started":S, "ended":S, "ok":B,
 *      "error":S|null, "report":R|null}, R what hpcsync --json has printed
 *      (pack/sync.h), with its packages from number packages_from (or 0) on, as many
 *      as fit; "packages_next" is the number of the first that did not.
 * {"op":"stop", "leave_mounts":B} -> {"ok":true}        root or the agent's own uid
 *
 * An entry (also what `hpcpack mount --list --json` prints: keys are stable):
 * {"id":S, "kind":"drive"|"package"|"container", "account":S, "container":S, "blob":S|null, "snapshot":S|null,
 *  "mountpoint":S, "mode":"rw"|"ro", "state":"mounting"|"ready"|"degraded"|"lost"|"failed",
 *  "reason":S, "raw":B, "filesystem":S|null, "driver":"kernel"|"fuse"|null,
 *  "partition":N|null, "device":S|null, "uid":N, "user":S, "since":S, "pid":N,
 *  "size":N, "lease":{"state":S,"held_since":S,"next_renewal_seconds":N}|null,
 *  "bytes_read":N,"bytes_written":N,"requests":N,"retries":N,
 *  "cache_size":N,"cache_used":N,"dirty":N}
 * Times are UTC "2026-11-21T03:26:09Z".
 *
 * Closing the connection before the final reply of a mount cancels it: nothing
 * stays behind. Refusals and failures: {"ok":false,"error":{...}}.
 */
#ifndef HPCPACK_AGENT_PROTO_H
#define HPCPACK_AGENT_PROTO_H

#define AGENT_SOCKET_NAME "agent.sock"

#endif
