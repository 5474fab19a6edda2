#!/usr/bin/env bash
# readwrite.sh - what was written and unmounted is there for the next node, byte
# for byte, and the filesystem is clean; seen through our mount and, without it,
# in what the SDK downloads.
TEST_TIMEOUT=240
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
agent_cache= # the default
start_agent a
start_agent b
mkdir -p "$T/a" "$T/b" "$T/direct"

list() { (cd "$1" && find . -name lost+found -prune -o -type f -print0 | sort -z | xargs -0 sha256sum); }

work_on() { # FOLDER: new files, changed, truncated, renamed and deleted ones
	local d=$1 i

	mkdir -p "$d/new/folder" &&
		noise new 5000011 >"$d/new/folder/big" &&
		for i in $(seq 40); do noise "n$i" $((i * 101)) >"$d/new/$i" || return; done &&
		dd if="$T/patch" of="$d/big.bin" bs=4096 seek=777 conv=notrunc status=none &&
		dd if="$T/patch" of="$d/big.bin" bs=1 seek=1000001 count=5000 conv=notrunc status=none &&
		truncate -s 100000 "$d/deep/er/and/deeper/still/odd.bin" &&
		mv "$d/many" "$d/much" && rm -r "$d/much/file 50" "$d/empty folder" "$d/sparse.bin" &&
		head -c 3M /dev/zero >"$d/zeros" && sync -f "$d"
}
noise patch 40960 >"$T/patch"

while read -r maker partition fsck; do
	put_image "$maker" d.vhd
	blob=hpcpackages/d.vhd
	az get $blob "$T/before.vhd"
	succeeds "$maker: mounts" on a hpcpack mount d.vhd "$T/a" || continue
	is "$(entry a "$T/a" .cache_size)" $((256 << 20)) "$maker: with a cache of the default size"
	holds "$maker: files are written and synced" work_on "$T/a"
	list "$T/a" >"$T/wanted"
	succeeds "$maker: unmounts" on a hpcpack unmount "$T/a"

	succeeds "$maker: another node mounts it" on b hpcpack mount d.vhd "$T/b" || continue
	list "$T/b" >"$T/got"
	holds "$maker: the other node has every file as it was written" cmp "$T/wanted" "$T/got"
	succeeds "$maker: and unmounts" on b hpcpack unmount d.vhd

	az get $blob "$T/after.vhd"
	tail -c 512 "$T/before.vhd" >"$T/footer"
	holds "$maker: the footer is untouched" sh -c 'tail -c 512 "$1" | cmp - "$2"' sh "$T/after.vhd" "$T/footer"
	offset=0
	if [ "$partition" != 0 ]; then
		offset=$(sfdisk -J "$T/after.vhd" | jq ".partitiontable.partitions[$partition - 1].start * 512")
	fi
	loop=$(losetup --show -rf -o "$offset" --sizelimit $(($(stat -c %s "$T/after.vhd") - 512 - offset)) "$T/after.vhd")
	# shellcheck disable=SC2086
	succeeds "$maker: $fsck finds the downloaded drive clean" $fsck "$loop"
	if mount -o ro "$loop" "$T/direct" 2>"$T/.err" || ntfs-3g -o ro "$loop" "$T/direct" 2>"$T/.err"; then
		list "$T/direct" >"$T/got"
		umount "$T/direct"
		holds "$maker: every file is in what the SDK downloads" cmp "$T/wanted" "$T/got"
	else
		not_ok "$maker: the downloaded drive can be mounted"
		diag "$(cat "$T/.err")"
	fi
	losetup -d "$loop"
done <<-EOF
	image_ext4 0 e2fsck -fn
	image_xfs_mbr 1 xfs_repair -n
	image_ntfs 0 ntfsfix -n
EOF

# --- options ---
put_image image_ext4 d.vhd
succeeds "-o ro mounts" on a hpcpack mount d.vhd "$T/a" -o ro
holds "and is read-only" sh -c '! touch "$1" 2>/dev/null' sh "$T/a/new"
compare_tree "$T/a" "with every file"
succeeds "and unmounts" on a hpcpack unmount "$T/a"

run on a hpcpack mount d.vhd
is "$status" 0 "without a mount point it chooses one"
holds "and prints it: $out" mountpoint -q "$out"
compare_tree "$out" "the files are there"
succeeds "which is unmounted by its name" on a hpcpack unmount d.vhd
is "$(find "$T/node-a/root" -mindepth 1 2>/dev/null)" "" "and the folder that was made for it is gone"

# --- the bare disk ---
raw_disk() { # what `mount --raw` printed: the file, or the folder that it is in
	if [ -d "$1" ]; then echo "$1/disk"; else echo "$1"; fi
}
run on a hpcpack mount d.vhd --raw -o sync
is "$status" 0 "--raw mounts"
disk=$(raw_disk "$out")
is "$(stat -c %s "$disk")" $((48 << 20)) "the disk file has the payload's size, without the footer"
succeeds "a write to it" dd if="$T/patch" of="$disk" bs=4096 seek=8000 count=4 conv=notrunc
az get hpcpackages/d.vhd "$T/after.vhd"
holds "-o sync: it is in the blob when the write returns, without fsync" \
	cmp -n 16384 "$T/patch" "$T/after.vhd" 0 $((8000 * 4096))
holds "a write beyond its end fails" sh -c '! dd if="$1" of="$2" bs=4096 seek=12288 count=1 conv=notrunc 2>/dev/null' sh "$T/patch" "$disk"
succeeds "it unmounts" on a hpcpack unmount d.vhd
az get hpcpackages/d.vhd "$T/after.vhd"
holds "and the footer is untouched" sh -c 'tail -c 512 "$1" | cmp - "$2"' sh "$T/after.vhd" <(tail -c 512 "$(image_ext4)")

is "$(count_loops) $(count_mounts)" "0 0" "no loop device and no mount is left"
done_testing
