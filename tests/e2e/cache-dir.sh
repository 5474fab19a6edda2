#!/usr/bin/env bash
# cache-dir.sh - what was read of a drive is kept on the node's disk: the next mount
# of the same thing reads it there, of anything else it does not; two at once, dead
# workers and agents, damaged files, and directories that are not ours.
TEST_TIMEOUT=240
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy
start_agent a
mkdir -p "$T/a" "$T/b"
put_image image_ext4 d.vhd
blob=hpcpackages/d.vhd
dir=$T/cache
time=$(az snapshot $blob)

# Bytes of the drive that storage has sent: without the footer and the list of page
# ranges. What is read before that list has come may be a hole, which nobody keeps.
data_bytes() { jq -s 'map(select(.method == "GET" and .sent > 512 and ((.query // "") | contains("comp=") | not)))
	| map(.sent) | add // 0' "$PROXY_LOG"; }
holes=$((4 * 65536))
all=7000000
drop_caches() { echo 3 >/proc/sys/vm/drop_caches; }
up() { on a hpcpack mount d.vhd "$@"; }
down() { on a hpcpack unmount "$1"; }

# Mount, check every file, unmount; how many bytes that took: $bytes.
pass() { # WHAT MOUNTPOINT [mount options]
	local what=$1 mnt=$2 before

	shift 2
	before=$(data_bytes)
	succeeds "$what: mounts" up "$mnt" "$@" || return
	holds "$what: every file is right" tree_is_right "$mnt"
	from_disk=$(entry a "$mnt" .cache_dir_read)
	succeeds "$what: unmounts" down "$mnt"
	bytes=$(($(data_bytes) - before))
}
# The same, after which nothing of it comes from storage. What a busy node had no
# time to keep the first time it keeps the next.
all_kept() { # DESCRIPTION MOUNTPOINT [mount options]
	local what=$1 try

	shift
	for try in 1 2 3 4 5; do
		pass "$what, pass $try" "$@"
		[ "$bytes" -gt $holes ] || break
	done
	holds "$what: nothing from storage" [ "$bytes" -le $holes ]
}
files() { find "$dir/drives" -type f -name '????????' | sort; }

# --- a snapshot ---
kept=(-o "cache-dir=$dir,cache-size=64M")
pass "a first mount" "$T/a" --snapshot="$time" "${kept[@]}"
holds "it reads from storage" [ "$bytes" -gt $all ]
is "$(stat -c %a "$dir")" 700 "the directory is made for its owner only"
all_kept "later mounts" "$T/a" --snapshot=latest "${kept[@]}"
holds "but from the directory" [ "$from_disk" -gt $all ]

up "$T/a" --snapshot="$time" "${kept[@]}" >/dev/null && up "$T/b" --snapshot="$time" "${kept[@]}" >/dev/null
before=$(data_bytes)
tree_is_right "$T/a" >"$T/out" &
other=$!
holds "two mounts at once: every file is right" tree_is_right "$T/b"
holds "in both" wait "$other"
holds "without storage" [ $(($(data_bytes) - before)) -le $holes ]
down "$T/a" >/dev/null && down "$T/b" >/dev/null

rm -rf "$dir"
up "$T/a" --snapshot="$time" "${kept[@]}" >/dev/null && up "$T/b" --snapshot="$time" "${kept[@]}" >/dev/null
tree_is_right "$T/a" >"$T/out" &
other=$!
holds "two that fill at once: every file is right" tree_is_right "$T/b"
holds "in both" wait "$other"
down "$T/a" >/dev/null && down "$T/b" >/dev/null
all_kept "after them" "$T/a" --snapshot="$time" "${kept[@]}"

# --- damage ---
cut=
for file in $(files); do
	printf 'damaged' | dd of="$file" bs=1 seek=$((4096 * (1 + RANDOM % 256) + 77)) conv=notrunc status=none
	[ -z "$cut" ] || truncate -s $((4096 + RANDOM * 3)) "$file"
	if [ -n "$cut" ]; then cut=; else cut=yes; fi
done
pass "damaged and truncated files" "$T/a" --snapshot="$time" "${kept[@]}"
holds "what was damaged is read again" [ "$bytes" -gt $holes ]
all_kept "whole again" "$T/a" --snapshot="$time" "${kept[@]}"

# --- a worker and an agent that die ---
up "$T/a" --snapshot="$time" "${kept[@]}" >/dev/null
kill -KILL "${agent_pid[a]}" && wait_for 10 gone "${agent_pid[a]}"
start_agent a
before=$(data_bytes)
holds "with a new agent every file is right" tree_is_right "$T/a"
holds "from the directory" [ $(($(data_bytes) - before)) -le $holes ]
rm -rf "$dir"/drives/*/0*
drop_caches
(tree_is_right "$T/a" >/dev/null 2>&1) &
other=$!
wait_for 20 [ -n "$(files)" ]
pid=$(entry a "$T/a" .pid)
kill -KILL "$pid" && wait_for 20 state_is a "$T/a" failed
wait "$other"
down "$T/a" >/dev/null
all_kept "after its worker was killed" "$T/a" --snapshot="$time" "${kept[@]}"

# --- the drive itself ---
pass "read-only under the lease" "$T/a" -o "ro,cache-dir=$dir"
holds "reads from storage: a snapshot is something else" [ "$bytes" -gt $all ]
all_kept "once more" "$T/a" -o "ro,cache-dir=$dir"

cycles=4
[ -z "$HPCPACK_TEST_QUICK" ] || cycles=2
for ((i = 1; i <= cycles; i++)); do
	succeeds "read-write, $i: mounts" up "$T/a" -o "cache-dir=$dir"
	[ $i = 1 ] || holds "what was written last is there" \
		cmp <(noise "write$((i - 1))" 1500000) <(head -c 1500000 "$T/a/big.bin")
	noise "write$i" 1500000 | dd of="$T/a/big.bin" conv=notrunc,fsync status=none
	noise "new$i" 300000 >"$T/a/new$i"
	succeeds "unmounts" down "$T/a"
done
# somebody else, without a directory
on a hpcpack mount d.vhd "$T/b" >/dev/null
noise elsewhere 1500000 | dd of="$T/b/big.bin" conv=notrunc,fsync status=none
down "$T/b" >/dev/null
succeeds "changed elsewhere: mounts" up "$T/a" -o "ro,cache-dir=$dir"
holds "the new data is seen" cmp <(noise elsewhere 1500000) <(head -c 1500000 "$T/a/big.bin")
for ((i = 1; i <= cycles; i++)); do
	holds "what cycle $i wrote is there" cmp <(noise "new$i" 300000) "$T/a/new$i"
done
succeeds "unmounts" down "$T/a"

# what a killed worker has kept is only for the same ETag
up "$T/a" -o "cache-dir=$dir" >/dev/null
cat "$T/a/big.bin" >/dev/null
noise killed 1500000 | dd of="$T/a/big.bin" conv=notrunc,fsync status=none
pid=$(entry a "$T/a" .pid)
kill -KILL "$pid" && wait_for 20 state_is a "$T/a" failed
down "$T/a" >/dev/null
succeeds "after an unclean end: mounts" up "$T/a" --force -o "cache-dir=$dir"
holds "what was synced is there" cmp <(noise killed 1500000) <(head -c 1500000 "$T/a/big.bin")
succeeds "unmounts" down "$T/a"

# --- a snapshot of its own, of what nobody changed ---
for try in 1 2 3 4 5; do
	before=$(data_bytes)
	succeeds "a snapshot of its own, $try" up "$T/a" --snapshot "${kept[@]}"
	holds "has what was written last" cmp <(noise killed 1500000) <(head -c 1500000 "$T/a/big.bin")
	succeeds "unmounts" down "$T/a"
	[ $(($(data_bytes) - before)) -gt $holes ] || break
done
holds "the next one reads nothing from storage: nobody changed the drive" [ $(($(data_bytes) - before)) -le $holes ]
isnt "$try" 1 "and the first one did"

# --- refused ---
fails_with 2 'absolute path' "a relative path" up "$T/a" --snapshot="$time" -o cache-dir=cache
fails_with 2 'cache-size=1M: a size from 16M' "too small" up "$T/a" --snapshot="$time" -o "cache-dir=$dir,cache-size=1M"
mkdir -m 0777 "$T/open"
fails_with 1 "d.vhd: the cache directory $T/open can be written by others .mode 0777.; chmod 0700 it" \
	"a directory that others can write to" up "$T/a" --snapshot="$time" -o "cache-dir=$T/open"
mkdir -m 0700 "$T/foreign" && chown 12345 "$T/foreign"
fails_with 1 "cache directory $T/foreign belongs to another user .uid 12345." "somebody else's" \
	up "$T/a" --snapshot="$time" -o "cache-dir=$T/foreign"
fails_with 1 "can't make the cache directory /nowhere/at/all" "one that can't be made" \
	up "$T/a" --snapshot="$time" -o cache-dir=/nowhere/at/all
is "$(entries a)" 0 "nothing is mounted"
is "$(count_loops) $(count_mounts)" "0 0" "no loop device and no mount is left"
done_testing
