# images.sh - fixed VHDs with known files in them, made once per build folder
# with the tools that everybody uses: mkfs, sfdisk, qemu-img.
#
# Each maker prints the path of a read-only image. Beside TREE, the folder that
# all of them hold, lies tree.sha256, its list for compare_tree.
# shellcheck shell=bash

image_dir=${HPCPACK_TEST_IMAGES:-$abs_top_builddir/tests/images}

# Run a maker once, whoever asks first; others wait. A maker may ask for another
# file (an image for the tree), so each file has a lock of its own.
cached() { # FILE MAKER ARGUMENTS...
	local file=$image_dir/$1 lock

	shift
	mkdir -p "$image_dir"
	if [ ! -e "$file" ]; then
		exec {lock}>"$file.lock"
		flock "$lock"
		if [ ! -e "$file" ]; then
			rm -rf "$file.part"
			if ! "$@" "$file.part" >"$file.log" 2>&1 || ! mv "$file.part" "$file"; then
				echo "# cannot make $file: $(tail -n 5 "$file.log")" >&2
				exec {lock}>&-
				return 1
			fi
		fi
		exec {lock}>&-
	fi
	echo "$file"
}

# COUNT bytes that look random and are the same each time.
noise() { # SEED COUNT
	head -c "$2" /dev/zero | openssl enc -aes-128-ctr -nosalt -pass "pass:$1" -pbkdf2 -iter 1
}

# --- the files ---

make_tree() { # FOLDER
	local d=$1 i

	mkdir -p "$d/deep/er/and/deeper/still" "$d/many" "$d/Ünïcode ☂" "$d/empty folder"
	echo "hello from a drive" >"$d/hello.txt"
	: >"$d/empty"
	noise one 1 >"$d/one byte"
	noise big 7340033 >"$d/big.bin"
	noise odd 1048573 >"$d/deep/er/and/deeper/still/odd.bin"
	for i in $(seq 100); do noise "many$i" $((i * 37)) >"$d/many/file $i"; done
	echo "snow" >"$d/Ünïcode ☂/雪.txt"
	printf '#!/bin/sh\necho it runs\n' >"$d/run.sh"
	chmod 0755 "$d/run.sh"
	truncate -s 3M "$d/sparse.bin"
	noise sparse 65536 | dd of="$d/sparse.bin" bs=65536 seek=20 conv=notrunc status=none
	(cd "$d" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$d/../tree.sha256"
}

tree() { cached tree make_tree; }

# Every file of the tree is there with its contents, and no other.
compare_tree() { # FOLDER DESCRIPTION [CMD to run with, e.g. as_user]
	local where=$1 what=$2 list

	shift 2
	list=$(tree) && list=$image_dir/tree.sha256
	"$@" sh -c 'cd "$1" && find . -name lost+found -prune -o -type f -print0 | sort -z |
		xargs -0 sha256sum' sh "$where" >"$T/.compared" 2>"$T/.err"
	if cmp -s "$list" "$T/.compared"; then
		ok "$what"
	else
		not_ok "$what"
		diag "$(diff "$list" "$T/.compared" | head -n 20; head -n 5 "$T/.err")"
		return 1
	fi
}

# The same as a condition; files beside the tree's do not matter.
tree_is_right() { # FOLDER
	(cd "$1" && sha256sum --quiet -c "$image_dir/tree.sha256") >/dev/null 2>&1
}

# --- filesystems and partition tables, as raw images ---

# Copy the tree into a partition (or the whole) of a raw image, by the kernel.
fill() { # RAW OFFSET SIZE
	local loop mount

	mount=$(mktemp -d) || return 1
	loop=$(losetup --show -f -o "$2" --sizelimit "$3" "$1") || return 1
	mount "$loop" "$mount" && cp -a "$(tree)/." "$mount/"
	local failed=$?
	umount "$mount"
	losetup -d "$loop"
	rmdir "$mount"
	return $failed
}

# Partition a raw image by sfdisk; prints "start size" in bytes of number N.
partition() { # RAW N <script
	sfdisk -q --no-reread --no-tell-kernel "$1" || return 1
	sfdisk -J "$1" | jq -r ".partitiontable.partitions[$2 - 1] | \"\(.start * 512) \(.size * 512)\""
}

# A filesystem made elsewhere goes into its place, holes kept.
place() { # FROM RAW OFFSET
	dd if="$1" of="$2" bs=1M seek="$3" oflag=seek_bytes conv=notrunc,sparse status=none
}

raw_ext4() { # SIZE RAW [FOLDER]
	truncate -s "$1" "$2" && mke2fs -q -F -t ext4 -L data -d "${3:-$(tree)}" "$2"
}

# With a file of 48 MiB, far.bin: more than a small cache holds.
make_far_tree() { cp -a "$(tree)" "$1" && noise far $((48 << 20)) >"$1/far.bin"; }
far_tree() { cached far-tree make_far_tree; }
raw_far() { raw_ext4 128M "$1" "$(far_tree)"; }

raw_xfs_mbr() { # RAW
	local start size

	truncate -s 400M "$1"
	read -r start size < <(echo '2048,,L' | sed '1i label: dos' | partition "$1" 1) || return 1
	truncate -s "$size" "$1.fs"
	mkfs.xfs -q -L data "$1.fs" && place "$1.fs" "$1" "$start" && fill "$1" "$start" "$size"
	local failed=$?
	rm -f "$1.fs"
	return $failed
}

raw_ext4_gpt2() { # RAW
	local start size

	truncate -s 64M "$1"
	read -r start size < <(printf 'label: gpt\n,8M,U\n,,L\n' | partition "$1" 2) || return 1
	truncate -s "$size" "$1.fs"
	mke2fs -q -F -t ext4 -L data -d "$(tree)" "$1.fs" && place "$1.fs" "$1" "$start"
	local failed=$?
	rm -f "$1.fs"
	return $failed
}

raw_ntfs() { # RAW
	local mount failed

	truncate -s 64M "$1"
	mkntfs -q -F -f -L data -p 0 -H 255 -S 63 "$1" || return 1
	mount=$(mktemp -d) || return 1
	ntfs-3g -o no_detach,nodev "$1" "$mount" &
	wait_for 10 mountpoint -q "$mount" && cp -r "$(tree)/." "$mount/"
	failed=$?
	umount "$mount"
	wait
	rmdir "$mount"
	return $failed
}

raw_sparse_1t() { # RAW
	truncate -s 1T "$1" &&
		mke2fs -q -F -t ext4 -L data -J size=4 -O ^resize_inode -N 65536 \
			-E lazy_itable_init=1,lazy_journal_init=1,packed_meta_blocks=1,nodiscard \
			-d "$(tree)" "$1"
}

# --- as fixed VHDs ---

to_vhd() { # QEMU-OPTIONS RAW-MAKER ARGUMENTS... VHD
	local options=$1 vhd=${*: -1} failed

	"${@:2:$#-2}" "$vhd.raw" && qemu-img convert -q -f raw -O vpc -o "subformat=fixed$options" \
		"$vhd.raw" "$vhd" && chmod 0444 "$vhd"
	failed=$?
	rm -f "$vhd.raw"
	return $failed
}

forced=,force_size=on
image_ext4() { cached ext4.vhd to_vhd "$forced" raw_ext4 48M; }
image_ext4_rounded() { cached ext4-rounded.vhd to_vhd "" raw_ext4 48M; }
image_far() { cached far.vhd to_vhd "$forced" raw_far; }
image_xfs_mbr() { cached xfs-mbr.vhd to_vhd "$forced" raw_xfs_mbr; }
image_ext4_gpt2() { cached ext4-gpt2.vhd to_vhd "$forced" raw_ext4_gpt2; }
image_ntfs() { cached ntfs.vhd to_vhd "$forced" raw_ntfs; }
image_sparse_1t() { cached sparse-1t.vhd to_vhd "$forced" raw_sparse_1t; }

# Upload an image by the SDK, so that only what is tested depends on our writer.
put_image() { # IMAGE-MAKER NAME
	local image

	image=$("$1") || bail "$1 failed"
	az page "$image" "hpcpackages/$2" || bail "the SDK cannot upload $2"
}
