#!/usr/bin/env bash
# list-unmount.sh - what mount --list shows, the ways to say what is to be
# unmounted, busy drives, and that nothing stays behind.
TEST_TIMEOUT=200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_agent a
mkdir -p "$T/one" "$T/two"
put_image image_ext4 d.vhd
put_image image_ext4_gpt2 e.vhd
make_container drives
az page "$(image_ext4)" drives/sub/d.vhd

run on a hpcpack mount --list
is "$status" 0 "--list with nothing mounted"
is "$(on a hpcpack mount --list --json | jq -e 'type')" '"object"' "--json is one document" ||
	diag "$(on a hpcpack mount --list --json)"
succeeds "a drive" on a hpcpack mount d.vhd "$T/one"
succeeds "a snapshot" on a hpcpack mount e.vhd "$T/two" --snapshot
snapshot=$(az snapshots hpcpackages/e.vhd)
cat "$T/one/big.bin" >/dev/null
noise list 100000 >"$T/one/new" && sync -f "$T/one"

run on a hpcpack mount --list
for text in "d\.vhd" "e\.vhd" "$T/one" "$T/two" ready rw ro hpcpackages ext4; do
	like "$out" "$text" "the list for people shows $text"
done

is "$(entry a "$T/one" '"\(.account) \(.container) \(.blob) \(.snapshot) \(.mode) \(.state)"')" \
	"$AZ_ACCOUNT hpcpackages d.vhd null rw ready" "JSON: the drive's source, mode and state"
is "$(entry a "$T/two" '"\(.account) \(.container) \(.blob) \(.snapshot) \(.mode) \(.state)"')" \
	"$AZ_ACCOUNT hpcpackages e.vhd $snapshot ro ready" "JSON: the snapshot's"
is "$(entry a "$T/one" '"\(.filesystem) \(.driver) \(.partition) \(.uid) \(.user) \(.raw)"')" \
	"ext4 kernel null 0 root false" "JSON: filesystem, driver, partition, user"
is "$(entry a "$T/two" .partition)" 2 "JSON: the partition"
is "$(entry a "$T/one" .size)" $((48 << 20)) "JSON: size"
is "$(entry a "$T/one" '.lease.state')" held "JSON: lease"
like "$(entry a "$T/one" '.lease.held_since')" '^20[0-9-]+T[0-9:]+Z$' "JSON: held since"
holds "JSON: next renewal" [ "$(entry a "$T/one" '.lease.next_renewal_seconds <= 60')" = true ]
is "$(entry a "$T/two" '.lease')" null "JSON: a snapshot has no lease"
holds "JSON: bytes read" [ "$(entry a "$T/one" '.bytes_read >= 7340033')" = true ]
holds "JSON: bytes written" [ "$(entry a "$T/one" '.bytes_written >= 100000')" = true ]
holds "JSON: requests" [ "$(entry a "$T/one" '.requests > 2 and .retries == 0')" = true ]
holds "JSON: cache use" [ "$(entry a "$T/one" '.cache_size > 0 and .cache_used > 0 and .cache_used <= .cache_size')" = true ]
holds "JSON: dirty bytes" [ "$(entry a "$T/one" '.dirty >= 0 and .dirty < 10000000')" = true ]
holds "JSON: the worker's pid" alive "$(entry a "$T/one" .pid)"
is "$(entry a "$T/one" .device)" "$(findmnt -no SOURCE "$T/one")" "JSON: the device"

succeeds "unmount by the mount point" on a hpcpack unmount "$T/two"
is "$(az snapshots hpcpackages/e.vhd)" "" "the snapshot is gone"
run on a hpcpack unmount d.vhd --json
is "$status" 0 "unmount by the blob's name"
is "$(jq -e '[.. | objects | select(has("bytes_read") or has("read"))] | length > 0' <<<"$out")" true \
	"--json prints the receipt"
succeeds "a blob in a folder of another container" on a hpcpack mount sub/d.vhd "$T/one" --container drives
fails_with 1 "e\.vhd" "unmount of what is not mounted" on a hpcpack unmount e.vhd
fails_with 1 "$T/two" "unmount of a folder that is no mount" on a hpcpack unmount "$T/two"
succeeds "unmount by container/name" on a hpcpack unmount drives/sub/d.vhd
succeeds "once more" on a hpcpack mount sub/d.vhd "$T/one" --container drives
succeeds "unmount by account/container/name" on a hpcpack unmount "$AZ_ACCOUNT"/drives/sub/d.vhd
succeeds "the original's spelling" on a hpcpack mount sub/d.vhd "$T/one" /Container:drives
succeeds "and its list" on a hpcpack mount /list
like "$out" 'sub/d\.vhd' "which shows the drive"
(cd "$T" && on a hpcpack unmount one >"$T/.out")
is $? 0 "unmount by a relative path"

# --- busy ---
succeeds "mounted again" on a hpcpack mount d.vhd "$T/one"
(cd "$T/one" && exec sleep 300) &
sleeper=$!
spawned+=("$sleeper")
in_there() { [ "$(readlink "/proc/$sleeper/cwd")" = "$T/one" ]; }
wait_for 30 in_there
fails_with 1 "sleep.*$sleeper|$sleeper.*sleep" "busy: the message names the process that keeps it so" \
	on a hpcpack unmount "$T/one"
holds "it is still mounted" mountpoint -q "$T/one"
is "$(cat "$T/one/hello.txt")" "hello from a drive" "and works"
succeeds "--lazy detaches it" on a hpcpack unmount "$T/one" --lazy
holds "it is no mount point any more" sh -c '! mountpoint -q "$1"' sh "$T/one"
kill "$sleeper"
available() { [ "$(az props hpcpackages/d.vhd | jq -r .lease_state)" = available ]; }
wait_for 30 available
holds "when its last user is gone, so is the lease" available

# --- nothing stays behind ---
nothing_left() {
	[ "$(count_loops) $(count_mounts) $(count_programs)" = "0 0 1" ] &&
		[ -z "$(ls -A "$T/node-a/run/mounts" 2>/dev/null)" ]
}
wait_for 10 nothing_left
is "$(count_loops) loops, $(count_mounts) mounts" "0 loops, 0 mounts" "no loop device, no mount"
is "$(programs_running | xargs -I{} cat /proc/{}/comm | xargs)" hpcagentd "no process but the agent"
is "$(ls -A "$T/node-a/run/mounts" 2>/dev/null)" "" "no folder in the runtime directory"
is "$(entries a)" 0 "nothing is listed"
done_testing
