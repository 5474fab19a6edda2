#!/usr/bin/env bash
# images.sh - real images, each uploaded by hpcpack and by the Azure SDK, mounted,
# and every file compared by SHA-256.
TEST_TIMEOUT=300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_agent a
mkdir -p "$T/mnt" "$T/up"

# The same filesystem behind a footer of our own.
own_image() {
	raw_ext4 48M "$T/own.raw" && "$abs_top_builddir/tests/mkvhd" "$T/own.raw" && echo "$T/own.raw"
}

# Mount a blob, compare, unmount.
mounts() { # BLOB FILESYSTEM DRIVER
	local from=${EPOCHREALTIME/./}

	succeeds "$1: mounts" on a hpcpack mount "$1" "$T/mnt" || return
	echo "# $1 took $(((${EPOCHREALTIME/./} - from) / 1000)) ms to mount"
	compare_tree "$T/mnt" "$1: every file is right"
	is "$(readlink -f "$T/mnt/run.sh" && "$T/mnt/run.sh")" "$T/mnt/run.sh"$'\n'"it runs" \
		"$1: a program on it runs"
	is "$(entry a "$T/mnt" '"\(.filesystem) \(.driver)"')" "$2 $3" "$1: $2, driver: $3"
	like "$(findmnt -no OPTIONS "$T/mnt")" '(^|,)nosuid(,|$)' "$1: nosuid"
	like "$(findmnt -no OPTIONS "$T/mnt")" '(^|,)nodev(,|$)' "$1: nodev"
	succeeds "$1: unmounts" on a hpcpack unmount "$T/mnt"
}

while read -r maker filesystem driver; do
	image=$("$maker") || bail "$maker failed"
	name=${maker#image_}
	sdk=$name-sdk.vhd ours=$name-ours.vhd

	if [ "$maker" = own_image ]; then
		is "$(qemu-img info -f vpc --output=json "$image" | jq '."virtual-size"')" $((48 << 20)) \
			"qemu-img agrees with our footer"
	fi
	az page "$image" "hpcpackages/$sdk" || bail "the SDK cannot upload $image"
	mounts "$sdk" "$filesystem" "$driver"

	ln -s "$image" "$T/up/$ours"
	succeeds "$ours: uploads" hpcpack upload "$T/up/$ours"
	is "$(az props "hpcpackages/$ours" | jq -r '"\(.type) \(.size)"')" \
		"PageBlob $(stat -L -c %s "$image")" "$ours: a page blob of the image's size"
	mounts "$ours" "$filesystem" "$driver"
done <<-EOF
	image_ext4 ext4 kernel
	image_ext4_rounded ext4 kernel
	own_image ext4 kernel
	image_xfs_mbr xfs kernel
	image_ext4_gpt2 ext4 kernel
	image_ntfs ntfs $(grep -qw ntfs3 /proc/filesystems && echo kernel || echo fuse)
	image_sparse_1t ext4 kernel
EOF

is "$(count_loops) $(count_mounts)" "0 0" "no loop device and no mount is left"
done_testing
