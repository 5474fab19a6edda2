#!/usr/bin/env bash
# mount-command.sh - hpcpack mount and mount.hpcpack as commands: what they print,
# what their words mean, and that an interrupted mount leaves nothing.
TEST_TIMEOUT=200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy
put_image image_ext4 d.vhd
az meta hpcpackages/d.vhd kept=yes
start_agent a
mkdir "$T/mnt"
free_lease() { [ "$(az props hpcpackages/d.vhd | jq -r .lease_state)" = available ]; }
none_left() { [ "$(entries a)" = 0 ] && [ "$(count_mounts)" = 0 ] && [ "$(count_loops)" = 0 ]; }

# --- words ---
fails_with 2 "which drive" "no name" on a hpcpack mount
fails_with 2 "'/mnt' is a path" "a mount point alone" on a hpcpack mount /mnt
fails_with 2 "force" "a snapshot by force" on a hpcpack mount d.vhd "$T/mnt" --snapshot --force
fails_with 2 "partition" "raw and a partition" on a hpcpack mount d.vhd "$T/mnt" --raw --partition 1
fails_with 2 "1 to 128" "a partition that is no number" on a hpcpack mount d.vhd "$T/mnt" --partition x
fails_with 2 "snapshot=" "a snapshot of no time" on a hpcpack mount d.vhd "$T/mnt" --snapshot=
fails_with 2 "cache=few" "a mount option" on a hpcpack mount d.vhd "$T/mnt" -o ro,cache=few
fails_with 2 "one too many|one argument too many" "three arguments" on a hpcpack mount d.vhd "$T/mnt" x
fails_with 2 "list" "--list with a name" on a hpcpack mount --list d.vhd
fails_with 2 "did you mean --snapshot" "a misspelt option" on a hpcpack mount d.vhd --snapshott
is "$(proxy_count '.method == "PUT" and (.query | test("comp=lease"))')" 0 "none of them asked for the lease"

# --- what it says ---
succeeds "mounts, from a path that is relative" on a sh -c 'cd "$1" && hpcpack mount d.vhd mnt' sh "$T"
is "$out" "$T/mnt" "prints the mount point, in full"
is "$err" "" "and nothing else"
succeeds "unmounts from a path that is relative" on a sh -c 'cd "$1" && hpcpack unmount mnt' sh "$T"
like "$out" "^unmounted $T/mnt: [0-9.]+ [MK]iB read, [0-9.]+ [MKiB]+ written, [0-9]+ requests, ETag \"" "prints a receipt"
succeeds "--json" on a hpcpack mount d.vhd "$T/mnt" /snapshot --json
is "$(jq -r '[.mountpoint, .mode, .state] | join(" ")' <<<"$out")" "$T/mnt ro ready" "prints the mount"
succeeds "unmounts by name, quietly" on a hpcpack unmount -q d.vhd
is "$out$err" "" "says nothing"

# --- interrupted ---
for signal in INT TERM; do
	fault method=GET delay=1500
	hits=$(faults_struck)
	on a hpcpack mount d.vhd "$T/mnt" >"$T/mount.out" 2>&1 </dev/null &
	spawned+=($!)
	asked() { [ "$(faults_struck)" -gt "$hits" ]; }
	wait_for 20 asked
	pid=$(pgrep -P "$(pgrep -P $!)" 2>/dev/null || pgrep -P $!)
	kill "-$signal" "$pid"
	wait $!
	is "$?" $((128 + $(kill -l $signal))) "SIG$signal: exit status"
	no_faults
	like "$(cat "$T/mount.out")" '^hpcpack: d\.vhd: interrupted, nothing is mounted$' "SIG$signal: says so"
	holds "SIG$signal: nothing is left behind" none_left
	holds "SIG$signal: nor the lease" free_lease
done
is "$(az props hpcpackages/d.vhd | jq -c .metadata)" '{"kept":"yes"}' "and the metadata is as it was"

# --- for mount(8) ---
succeeds "mount.hpcpack CONTAINER/NAME" on a mount.hpcpack hpcpackages/d.vhd "$T/mnt" -n -o rw,_netdev,noatime
is "$out$err" "" "says nothing"
compare_tree "$T/mnt" "every file is right"
is "$(entry a "$T/mnt" .mode)" rw "read-write"
succeeds "unmounts" on a hpcpack unmount "$T/mnt"
succeeds "mount.hpcpack ACCOUNT/CONTAINER/NAME" on a mount.hpcpack "$AZ_ACCOUNT/hpcpackages/d.vhd" "$T/mnt" -o snapshot
is "$(entry a "$T/mnt" .mode)" ro "a snapshot"
succeeds "unmounts" on a hpcpack unmount "$T/mnt"
fails_with 32 "nosuch\.vhd: no such blob" "a failure is 32" on a mount.hpcpack hpcpackages/nosuch.vhd "$T/mnt"
fails_with 1 "must be .ACCOUNT/.CONTAINER/NAME" "a wrong source is 1" on a mount.hpcpack d.vhd "$T/mnt"
fails_with 1 "usage: mount.hpcpack" "so is a missing argument" on a mount.hpcpack d.vhd
succeeds "-f mounts nothing" on a mount.hpcpack -f hpcpackages/d.vhd "$T/mnt"
holds "nothing is mounted" none_left

# --- without an agent ---
export HPCPACK_AGENT=$T/alone/agent.sock
mkdir -m 0700 "$T/alone"
succeeds "no agent, nothing mounted" hpcpack mount --list
is "$out" "" "lists nothing"
succeeds "as JSON too" hpcpack mount --list --json
is "$(jq -c . <<<"$out")" '{"mounts":[]}' "an empty list"
fails_with 1 "d\.vhd is not mounted" "and nothing can be unmounted" hpcpack unmount d.vhd
holds "none of that starts one" test ! -e "$T/alone/agent.sock"
succeeds "mount starts one" hpcpack mount d.vhd "$T/mnt"
like "$err" '^hpcpack: started the node agent \(pid [0-9]+\)$' "and says so"
agent=$(sed -n 's/.*(pid \([0-9]*\)).*/\1/p' <<<"$err")
spawned+=("$agent")
is "$(tr '\0' '\n' <"/proc/$agent/environ" | grep -cF "$AZ_KEY")" 0 "it does not inherit the key"
kill -KILL "$agent"
wait_for 30 gone "$agent"
succeeds "a list finds what a dead agent has left" hpcpack mount --list --json
is "$(jq -r '.mounts[].mountpoint' <<<"$out")" "$T/mnt" "the mount"
succeeds "unmounts" hpcpack unmount "$T/mnt"
done_testing
