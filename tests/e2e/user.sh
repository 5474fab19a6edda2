#!/usr/bin/env bash
# user.sh - an ordinary user mounts ext4 and NTFS volumes with no privilege but
# fusermount3.
TEST_TIMEOUT=200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
put_image image_ext4 d.vhd
put_image image_ntfs n.vhd
put_image image_ext4_gpt2 g.vhd
put_image image_xfs_mbr x.vhd
user_setup
m=$T/user/mnt
list() { as_user sh -c 'cd "$1" && find . -name lost+found -prune -o -type f -print0 | sort -z | xargs -0 sha256sum' sh "$1"; }
# All that serves a drive, without the agent.
drive_programs() {
	local pid

	for pid in $(programs_running); do grep -qx hpcagentd "/proc/$pid/comm" || echo "$pid"; done
}
cannot_write() { ! as_user touch "$m/new" 2>/dev/null; }
user_entry() { as_user hpcpack mount --list --json | jq -r ".mounts[] | select(.mountpoint == \"$m\") | $1"; }

while read -r blob filesystem part; do
	succeeds "$filesystem: an ordinary user mounts" as_user hpcpack mount "$blob" "$m" || continue
	compare_tree "$m" "$filesystem: every file is right" as_user
	is "$(user_entry '"\(.state) \(.mode) \(.driver) \(.filesystem) \(.partition) \(.user)"')" \
		"ready rw fuse $filesystem $part nobody" "$filesystem: through a FUSE driver, under the user's name"
	owners=$(for pid in $(programs_running); do stat -c %U "/proc/$pid"; done | sort -u)
	is "$owners" nobody "$filesystem: every process is the user's"
	is "$(count_loops)" 0 "$filesystem: no loop device"
	for pid in $(drive_programs); do kill -USR1 "$pid" && kill -HUP "$pid"; done
	compare_tree "$m" "$filesystem: SIGUSR1 and SIGHUP do nothing to worker and driver" as_user
	succeeds "$filesystem: writes" as_user sh -c 'cp "$1/big.bin" "$1/copy" && rm "$1/hello.txt" && sync "$1/copy"' sh "$m"
	list "$m" >"$T/wanted"
	succeeds "$filesystem: unmounts" as_user hpcpack unmount "$m"
	is "$(az props "hpcpackages/$blob" | jq -r .lease_state)" available "$filesystem: the lease is released"
	succeeds "$filesystem: mounts a snapshot" as_user hpcpack mount "$blob" "$m" --snapshot
	list "$m" >"$T/got"
	holds "$filesystem: every file is there as it was written" cmp "$T/wanted" "$T/got"
	holds "$filesystem: which is read-only" cannot_write
	succeeds "$filesystem: unmounts by name" as_user hpcpack unmount "$blob"
done <<-EOF
	d.vhd ext4 null
	n.vhd ntfs null
	g.vhd ext4 2
EOF

fails_with 1 "xfs" "a filesystem that only the kernel knows is refused by name" \
	as_user hpcpack mount x.vhd "$m"
run as_user hpcpack mount x.vhd "$m" --raw
is "$status" 0 "--raw gives its bare disk all the same" || diag "$err"
disk=$out
as_user test -d "$disk" && disk=$disk/disk
is "$(as_user head -c 512 "$disk" | tail -c 2 | od -An -tx1 | xargs)" "55 aa" "with the partition table"
fails_with 1 . "the user cannot unmount what is not there" as_user hpcpack unmount d.vhd
succeeds "unmounts" as_user hpcpack unmount x.vhd

# root's mounts are not the user's business
start_agent a
mkdir "$T/root"
succeeds "root mounts with an agent of its own" on a hpcpack mount d.vhd "$T/root"
is "$(as_user hpcpack mount --list --json | jq '.mounts | length')" 0 "the user does not see it"
succeeds "root unmounts" on a hpcpack unmount d.vhd

for pid in $(programs_running); do
	[ "$(stat -c %U "/proc/$pid")" = nobody ] && stop_pid "$pid" 20
done
is "$(nsenter -t "$user_holder" -m grep -c "$T/user/\(mnt\|run\)" /proc/self/mountinfo)" 0 "nothing is left mounted"
is "$(find "$T/user/run" -name 'mounts' -exec ls -A {} \;)" "" "no folder is left"
done_testing
