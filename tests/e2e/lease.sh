#!/usr/bin/env bash
# lease.sh - one node writes: a second one is refused by name, or takes over by
# force, and then nothing of the first one's memory reaches the blob; a dead
# node's drive can be mounted when its lease has run out.
TEST_TIMEOUT=240
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy
proxied=$AZ_CS
use_endpoint "$AZ_DIRECT"
for node in a b; do
	printf '[drive]\nlease_duration = 15s\nio_deadline = 20s\n' | agent_config $node
	start_agent $node
done
mkdir -p "$T/a" "$T/b"
put_image image_ext4 d.vhd
blob=hpcpackages/d.vhd
az meta $blob colour=blue
lease_state() { az props $blob | jq -r .lease_state; }
available() { [ "$(lease_state)" = available ]; }
refused_by_service() { ! az write "$blob" 0 "$T/page" 2>/dev/null; }

# --- held ---
succeeds "a mounts" on a hpcpack mount d.vhd "$T/a"
is "$(lease_state)" leased "the blob is leased"
az props $blob >"$T/props"
is "$(jq -r .metadata.colour "$T/props")" blue "other metadata is kept"
like "$(jq -r '.metadata | tostring' "$T/props")" node-a "the holder is written down"
head -c 512 /dev/zero >"$T/page"
holds "a write without the lease is refused" refused_by_service
holder='root.*node-a|node-a.*root'
fails_with 1 "d\.vhd.*($holder).*pid [0-9]+.*since 20[0-9-]+T[0-9:]+Z" \
	"b is refused, in one line that names host, user, pid and since when" \
	on b hpcpack mount d.vhd "$T/b"
like "$err" '--force' "and says what to do about it"
fails_with 1 "d\.vhd" "a second mount by the same agent is refused too" on a hpcpack mount d.vhd "$T/b"
is "$(entry a "$T/a" '.state + " " + .lease.state')" "ready held" "a has it still"
# Longer than the lease lasts: it is renewed.
held_until=$((SECONDS + 18))

succeeds "a snapshot needs no lease" on b hpcpack mount d.vhd "$T/b" --snapshot
succeeds "and goes away" on b hpcpack unmount "$T/b"
wait_for 20 [ "$SECONDS" -ge "$held_until" ]
echo "still here" >"$T/a/after" && sync "$T/a/after"
is $? 0 "a writes after more than the lease's duration"
is "$(lease_state)" leased "the lease was renewed"
succeeds "a unmounts" on a hpcpack unmount "$T/a"
is "$(lease_state)" available "the lease is released"
is "$(az props $blob | jq -c .metadata)" '{"colour":"blue"}' "the holder's record is gone, the rest is kept"

# --- taken over while the first one still has data in memory ---
export AZURE_STORAGE_CONNECTION_STRING=$proxied
succeeds "a mounts again, through the fault proxy" on a hpcpack mount d.vhd "$T/a"
export AZURE_STORAGE_CONNECTION_STRING=$AZ_CS
echo durable >"$T/a/durable" && sync -f "$T/a"
fault method=PUT query=comp=page do=blackhole
yes "never in the blob" | head -c 2M >"$T/secret"
dd if="$T/secret" of="$T/a/secret" bs=1M conv=fsync >"$T/dd.out" 2>&1 &
writer=$!
spawned+=("$writer")
some_struck() { [ "$(faults_struck)" -gt 0 ]; }
wait_for 10 some_struck
holds "a's writes are under way and not acknowledged" alive "$writer"
succeeds "b takes over by force" on b hpcpack mount d.vhd "$T/b" --force
no_faults
wait_for 30 gone "$writer"
holds "a's write ends" gone "$writer"
wait "$writer"
isnt $? 0 "with an error"
like "$(cat "$T/dd.out")" 'Input/output error' "which is EIO"
wait_for 20 state_is a "$T/a" lost
is "$(entry a "$T/a" .state)" lost "a's mount is listed as lost"
holds "later writes of a fail too" sh -c '! (echo x >"$1" && sync "$1") 2>/dev/null' sh "$T/a/later"
is "$(cat "$T/b/durable" 2>&1)" durable "b has what a had synced"
echo "from b" >"$T/b/from-b" && sync -f "$T/b"
is $? 0 "b writes"
run on a hpcpack unmount "$T/a"
holds "a's lost mount can be unmounted" sh -c '! mountpoint -q "$1"' sh "$T/a"
is "$(entries a)" 0 "and is not listed any more"
is "$(lease_state)" leased "b's lease is not touched by that"
succeeds "b unmounts" on b hpcpack unmount "$T/b"
az get $blob "$T/after.vhd"
is "$(grep -c "never in the blob" "$T/after.vhd")" 0 "nothing that a had in memory reached the blob"
truncate -s -512 "$T/after.vhd"
succeeds "the filesystem is clean" e2fsck -fn "$T/after.vhd"

# --- a dead node ---
succeeds "a mounts" on a hpcpack mount d.vhd "$T/a"
noise dead 3000000 >"$T/a/dead" && sync "$T/a/dead"
is $? 0 "a syncs a file"
kill_node a
died=$SECONDS
fails_with 1 "node-a" "right after a's death b is still refused" on b hpcpack mount d.vhd "$T/b"
mounts_now() { on b hpcpack mount d.vhd "$T/b"; }
wait_for 30 mounts_now
holds "b mounts without force once the lease has run out (after $((SECONDS - died)) s)" mountpoint -q "$T/b"
holds "which is not long after its 15 s" [ $((SECONDS - died)) -le 20 ]
is "$(sha256sum <"$T/b/dead")" "$(noise dead 3000000 | sha256sum)" "the synced file is there"
holds "and so is everything else" tree_is_right "$T/b"
succeeds "b unmounts" on b hpcpack unmount "$T/b"
az get $blob "$T/after.vhd"
truncate -s -512 "$T/after.vhd"
succeeds "the filesystem is clean" e2fsck -fn "$T/after.vhd"

# --- a lease that nobody wrote a name to ---
lease=$(az lease $blob 60)
fails_with 1 'd\.vhd.*(lease|held).*--force' "a stranger's lease is respected" on b hpcpack mount d.vhd "$T/b"
succeeds "--force breaks it" on b hpcpack mount d.vhd "$T/b" --force
isnt "$lease" "" "(there was one)"
succeeds "b unmounts" on b hpcpack unmount "$T/b"

# --- renewals that do not get through ---
start_agent a
export AZURE_STORAGE_CONNECTION_STRING=$proxied
succeeds "a mounts through the proxy" on a hpcpack mount d.vhd "$T/a"
is "$(entries a)" 1 "in the place of the one that failed"
export AZURE_STORAGE_CONNECTION_STRING=$AZ_CS
dd if=/dev/zero of="$T/a/doubtful" bs=4k count=1 conv=fsync 2>/dev/null
fault method=PUT query=comp=lease do=blackhole
wait_for 16 state_is a "$T/a" degraded
is "$(entry a "$T/a" .state)" degraded "renewals do not get through: degraded"
# Straight to the device: what the page cache takes is not refused.
refused() { ! dd if=/dev/zero of="$T/a/doubtful" bs=4k count=1 oflag=direct conv=notrunc 2>/dev/null; }
# Writes stop 5 s before the lease could have run out, 15 s after the last renewal.
wait_for 16 refused
holds "writes are refused before the lease could have run out" [ "$(lease_state)" = leased ]
no_faults
wait_for 20 state_is a "$T/a" ready
is "$(entry a "$T/a" .state)" ready "renewals get through again: ready"
run on a hpcpack unmount "$T/a"
succeeds "what was refused did no harm: it mounts" on b hpcpack mount d.vhd "$T/b"
holds "every file is there" tree_is_right "$T/b"
succeeds "b unmounts" on b hpcpack unmount "$T/b"
wait_for 30 available
is "$(count_loops) $(count_mounts)" "0 0" "no loop device and no mount is left"
done_testing
