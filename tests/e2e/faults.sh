#!/usr/bin/env bash
# faults.sh - storage that stops, refuses, stalls, cuts short, resets and loses
# replies: jobs wait and go on with the right bytes, or get EIO in time; and a
# write that lands late harms nothing.
TEST_TIMEOUT=280
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy
printf '[drive]\ncache = 8M\n' | agent_config a
start_agent a
printf '[drive]\ncache = 8M\nio_deadline = 6s\nlease_duration = 60s\n' | agent_config hasty
start_agent hasty
mkdir -p "$T/mnt" "$T/direct"
put_image image_far d.vhd
sum=$(sha256sum <"$(far_tree)/far.bin")

mounted() { succeeds "${2:-it mounts}" on "${1:-a}" hpcpack mount d.vhd "$T/mnt"; }
unmounted() { succeeds "it unmounts" on "${1:-a}" hpcpack unmount "$T/mnt"; }
read_far() { sha256sum <"$T/mnt/far.bin"; }
some_struck() { [ "$(faults_struck)" -ge "${1:-1}" ]; }
# In the blob, not merely in a cache: as the SDK and the kernel see it.
in_the_blob() { # FILE: its SHA-256
	az get hpcpackages/d.vhd "$T/direct.vhd"
	mount -o loop "$T/direct.vhd" "$T/direct" && sha256sum <"$T/direct/$1"
	umount "$T/direct"
}

# --- reads ---
while read -r what rule; do
	mounted a "$what: mounts"
	fault "method=GET query=!comp= $rule"
	is "$(read_far)" "$sum" "$what: the bytes are right"
	holds "$what: it happened" some_struck
	no_faults
	unmounted
done <<-'EOF'
	503-with-Retry-After times=3 do=status code=503 retry-after=1
	429 times=2 do=status code=429
	500 times=2 do=status code=500
	a-body-cut-short times=3 do=cut after=5000
	a-body-cut-before-its-first-byte times=2 do=cut after=0
	a-reset-before times=3 do=reset-before
	a-reset-after times=3 do=reset-after
	a-lost-reply times=3 do=swallow
	a-slow-line rate=4000000 times=40
EOF
mounted
fault "method=GET query=!comp= times=1 do=status code=503 retry-after=2"
from=${EPOCHREALTIME/./}
is "$(read_far)" "$sum" "Retry-After 2: the bytes are right"
took=$(((${EPOCHREALTIME/./} - from) / 1000))
holds "and the pause was kept ($took ms)" [ "$took" -ge 1900 ]
no_faults
unmounted
mounted a "403: mounts"
fault "method=GET query=!comp= do=status code=403"
before=$(proxy_count '.status == null and .fault == "status"')
refused() { ! read_far >/dev/null 2>&1; }
holds "403: the read fails" refused
after=$(proxy_count '.status == null and .fault == "status"')
holds "without hammering the service ($((after - before)) requests)" [ $((after - before)) -le 20 ]
no_faults
unmounted

# --- writes ---
number=0
while read -r what rule; do
	number=$((number + 1))
	mounted a "$what: mounts"
	fault "method=PUT query=comp=page $rule"
	noise "write$number" 900000 >"$T/mnt/w$number"
	sync "$T/mnt/w$number"
	is $? 0 "$what: fsync succeeds"
	holds "$what: it happened" some_struck
	is "$(in_the_blob "w$number")" "$(noise "write$number" 900000 | sha256sum)" "$what: it is in the blob"
	no_faults
	unmounted
done <<-'EOF'
	503-with-Retry-After times=2 do=status code=503 retry-after=1
	500 times=2 do=status code=500
	a-reset-before times=2 do=reset-before
	a-reset-after times=2 do=reset-after
	a-lost-reply times=2 do=swallow
EOF

# A write whose reply is lost, and which lands only when newer data is there.
run on a hpcpack mount d.vhd --raw
is "$status" 0 "the bare disk mounts"
disk=$out
[ ! -d "$disk" ] || disk=$disk/disk
yes old | head -c 65536 >"$T/old"
yes new | head -c 65536 >"$T/new"
at=$((120 << 20))
put() { dd if="$1" of="$disk" bs=65536 seek=$((at / 65536)) count=1 conv=notrunc,fsync 2>"$T/dd.err"; }
fault method=PUT query=comp=page times=1 do=late land=4000
put "$T/old"
is $? 0 "a write whose first copy is under way somewhere is acknowledged"
is "$(writes_pending)" 1 "(it is)"
put "$T/new"
is $? 0 "newer data is written over it"
is "$(writes_pending)" 1 "(and the first copy has still not landed)"
wait_for 20 no_writes_pending
late=$(jq -sr '[.[] | select(.fault == "late")] | last | .status' "$PROXY_LOG")
is "$late" 412 "the late copy is refused: the lease id has changed"
no_faults
succeeds "it unmounts" on a hpcpack unmount d.vhd
az get hpcpackages/d.vhd "$T/after.vhd"
holds "the newer data is in the blob" cmp -n 65536 "$T/new" "$T/after.vhd" 0 $at
put_image image_far d.vhd

# --- storage stopped and started again ---
mounted a "stopped in mid-read: mounts"
fault method=GET query=!comp= delay=250
(read_far >"$T/read.sum") &
reader=$!
spawned+=("$reader")
wait_for 10 some_struck
stop_azurite
sleep 1
holds "the reader waits" alive "$reader"
no_faults
again_azurite
wait_for 60 gone "$reader"
is "$(cat "$T/read.sum")" "$sum" "and goes on when it is back: the bytes are right"

noise mid 8000000 >"$T/mid"
fault method=PUT query=comp=page delay=300
(cp "$T/mid" "$T/mnt/mid" && sync "$T/mnt/mid"; echo $? >"$T/write.status") &
writer=$!
spawned+=("$writer")
wait_for 20 some_struck
stop_azurite
sleep 1
holds "stopped in mid-write: the writer waits" alive "$writer"
no_faults
again_azurite
wait_for 90 gone "$writer"
is "$(cat "$T/write.status")" 0 "and goes on"
is "$(in_the_blob mid)" "$(sha256sum <"$T/mid")" "what was synced is in the blob"
is "$(entry a "$T/mnt" .state)" ready "the mount is ready"
unmounted

# --- storage gone for longer than the deadline ---
mounted hasty "gone for good: mounts"
stop_azurite
from=$SECONDS
holds "a read that is not cached fails" sh -c 'cat "$1" 2>&1 >/dev/null | grep -q "Input/output error"' sh "$T/mnt/far.bin"
took=$((SECONDS - from))
holds "with EIO, once the deadline is over (after $took s)" [ $(((took - 5) * (40 - took))) -ge 0 ]
is "$(entry hasty "$T/mnt" .state)" degraded "the mount is listed as degraded"
from=$SECONDS
run on hasty hpcpack unmount "$T/mnt"
holds "unmount still works" sh -c '! mountpoint -q "$1"' sh "$T/mnt"
took=$((SECONDS - from))
holds "in reasonable time ($took s)" [ $took -le 45 ]
nothing_left() { [ "$(entries hasty) $(count_loops)" = "0 0" ]; }
wait_for 10 nothing_left
is "$(entries hasty) $(count_loops)" "0 0" "and leaves nothing behind"
again_azurite

# Its lease could not be released.
succeeds "it can be mounted again by force" on hasty hpcpack mount d.vhd "$T/mnt" --force
holds "every file is right" tree_is_right "$T/mnt"
unmounted hasty
is "$(count_loops) $(count_mounts)" "0 0" "no loop device and no mount is left"
done_testing
