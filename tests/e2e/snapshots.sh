#!/usr/bin/env bash
# snapshots.sh - read-only mounts of a moment: of a drive in use, shared by many,
# deleted only by the mount that took it, and without a single write to storage.
TEST_TIMEOUT=240
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy
small_cache() { printf '[drive]\ncache = 16M\n' | agent_config "$1"; }
start_agent a
start_agent b
mkdir -p "$T/a" "$T/b"
put_image image_ext4 d.vhd
blob=hpcpackages/d.vhd
snapshots() { az snapshots $blob | grep -c .; }

succeeds "a mounts the drive" on a hpcpack mount d.vhd "$T/a"
echo one >"$T/a/one" && sync "$T/a/one"
succeeds "b mounts a snapshot of the drive in use" on b hpcpack mount d.vhd "$T/b" --snapshot
is "$(cat "$T/b/one" 2>&1)" one "it has what was synced: the journal was replayed"
is "$(snapshots)" 1 "one snapshot was taken"
echo two >"$T/a/two" && sync "$T/a/two"
holds "later writes are not seen" [ ! -e "$T/b/two" ]
holds "every other file is right" tree_is_right "$T/b"
is "$(touch "$T/b/new" 2>&1 | grep -c 'Read-only file system')" 1 "it is read-only"
is "$(entry b "$T/b" .mode)" ro "and listed so"
time=$(az snapshots $blob)
is "$(entry b "$T/b" .snapshot)" "$time" "with its snapshot"
succeeds "it unmounts" on b hpcpack unmount "$T/b"
is "$(snapshots)" 0 "the snapshot that it took is deleted"
succeeds "mounted anew" on b hpcpack mount d.vhd "$T/b" --snapshot
is "$(cat "$T/b/two" 2>&1)" two "the later write is there"
succeeds "it unmounts" on b hpcpack unmount d.vhd
is "$(entry a "$T/a" .state)" ready "a was not disturbed"
succeeds "a unmounts" on a hpcpack unmount "$T/a"

# --- what killed mounts leave behind ---
killed() { # NODE: mount a snapshot there, kill its worker; its time in $left
	succeeds "$1 mounts a snapshot" on "$1" hpcpack mount d.vhd "$T/$1" --snapshot
	left=$(entry "$1" "$T/$1" .snapshot)
	kill -KILL "$(entry "$1" "$T/$1" .pid)"
	wait_for 30 state_is "$1" "$T/$1" failed
	succeeds "its worker is killed, the entry cleared" on "$1" hpcpack unmount "$T/$1"
}
there() { grep -qxF -- "$1" <<<"$(az snapshots "$blob")"; }
not_there() { ! there "$1"; }
own=$(az snapshot $blob)
killed b
of_b=$left
killed a
of_a=$left
is "$(snapshots)" 3 "each left its snapshot"
az meta $blob "hpcpackmount=$(az props $blob "$of_b" | jq -r .metadata.hpcpackmount)"
succeeds "b mounts a snapshot" on b hpcpack mount d.vhd "$T/b" --snapshot
kept=$(entry b "$T/b" .snapshot)
succeeds "and unmounts" on b hpcpack unmount "$T/b"
holds "what bears the tag of the blob itself is left alone" there "$of_b"
az meta $blob
succeeds "b mounts a snapshot" on b hpcpack mount d.vhd "$T/b" --snapshot
wait_for 30 not_there "$of_b"
holds "the one that a killed mount of its host left is deleted" not_there "$of_b"
isnt "$(entry b "$T/b" .snapshot)" "$kept" "(b has a new one)"
kept=$(entry b "$T/b" .snapshot)
holds "but none of another host, and none that somebody took by hand" \
	sh -c 'grep -cxF -e "$2" -e "$3" "$1" | grep -qx 2' sh <(az snapshots $blob) "$own" "$of_a"
succeeds "a mounts a snapshot" on a hpcpack mount d.vhd "$T/a" --snapshot
wait_for 30 not_there "$of_a"
holds "a deletes its own" not_there "$of_a"
holds "but not the one that b reads" there "$kept"
holds "which it still can" tree_is_right "$T/b"
succeeds "a unmounts" on a hpcpack unmount "$T/a"
succeeds "b unmounts" on b hpcpack unmount "$T/b"
holds "what was taken by hand is left" there "$own"
for time in $(az snapshots $blob); do az delete $blob "$time"; done

# --- shared ones ---
first=$(az snapshot $blob)
succeeds "a mounts and writes" on a hpcpack mount d.vhd "$T/a"
echo three >"$T/a/three" && sync -f "$T/a"
second=$(az snapshot $blob)
echo four >"$T/a/four" && sync -f "$T/a"
isnt "$first" "$second" "(two snapshots)"
before=$(proxy_count true)

succeeds "--snapshot=TIME" on b hpcpack mount d.vhd "$T/b" --snapshot="$first"
is "$(cd "$T/b" && echo two three four | xargs -n 1 ls 2>/dev/null | xargs)" "two" "is that moment"
succeeds "unmounts" on b hpcpack unmount "$T/b"
succeeds "--snapshot=latest" on b hpcpack mount d.vhd "$T/b" --snapshot=latest
is "$(cd "$T/b" && echo two three four | xargs -n 1 ls 2>/dev/null | xargs)" "two three" "is the newest one"
is "$(entry b "$T/b" .snapshot)" "$second" "and listed with its time"
succeeds "unmounts" on b hpcpack unmount "$T/b"
is "$(snapshots)" 2 "both snapshots are still there"
is "$(proxy_count '.method == "PUT" and (.query | contains("comp=page")) and .n > '"$before"' and (.lease == null)')" \
	0 "no page was written without a lease"
succeeds "a unmounts" on a hpcpack unmount "$T/a"

# --- ten at once ---
nodes=$(seq -f n%g 10)
[ -z "$HPCPACK_TEST_QUICK" ] || nodes="n1 n2 n3"
for node in $nodes; do
	small_cache "$node"
	start_agent "$node"
	mkdir -p "$T/$node"
done
pids=()
for node in $nodes; do
	on "$node" hpcpack mount d.vhd "$T/$node" --snapshot="$first" >"$T/$node.out" 2>&1 &
	pids+=("$!")
done
for pid in "${pids[@]}"; do wait "$pid"; done
pids=()
for node in $nodes; do
	tree_is_right "$T/$node" >"$T/$node.out" 2>&1 &
	pids+=("$!")
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=$((failed + 1)); done
is "$failed" 0 "${#pids[@]} mounts of one snapshot at the same time: every file is right in each"
failed=0
for node in $nodes; do on "$node" hpcpack unmount "$T/$node" >/dev/null || failed=$((failed + 1)); done
is "$failed" 0 "all unmount"
is "$(snapshots)" 2 "and the snapshot is still there"

is "$(count_loops) $(count_mounts)" "0 0" "no loop device and no mount is left"
done_testing
