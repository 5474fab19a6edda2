#!/usr/bin/env bash
# samples.sh - VHDs from the wild (../shared/samples beside the clone) behave as
# their INDEX.tsv says.
TEST_TIMEOUT=200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

samples=${HPCPACK_SAMPLES:-$abs_top_srcdir/../shared/samples}
[ -e "$samples/INDEX.tsv" ] || skip_all "no samples: ../shared/samples is not beside the source folder"
start_azurite
start_agent a
mkdir -p "$T/mnt" "$T/raw"

# "path SHA-256" of each file that INDEX.tsv expects, sorted.
expected_files() { # TEXT
	grep -o '\[.*\]' <<<"$1" | tr -d '[]' | tr ';' '\n' | sed 's/^ *//' |
		grep -E ' [0-9a-f]{64}$' | sort
}

# The same of a mounted drive.
found_files() {
	(cd "$T/mnt" && find . -name lost+found -prune -o -type f -printf '%P\0' |
		while IFS= read -r -d '' file; do
			echo "$file $(sha256sum <"$file" | cut -d' ' -f1)"
		done | sort)
}

# FAT has no good driver in user space on Debian: where the kernel has none
# either, an error that says what is missing is right.
no_driver_is_right() { # EXPECTED-TEXT
	[[ $1 == *FAT* ]] && ! grep -qw vfat /proc/filesystems && ! modprobe -qn vfat 2>/dev/null
}

mounts() { # BLOB EXPECTED
	if no_driver_is_right "$2"; then
		fails_with 1 "vfat" "$1: no driver for FAT here, and the error says so" \
			on a hpcpack mount "$1" "$T/mnt"
		return
	fi
	succeeds "$1: mounts" on a hpcpack mount "$1" "$T/mnt" || return
	is "$(found_files)" "$(expected_files "$2")" "$1: its files are the expected ones"
	succeeds "$1: unmounts" on a hpcpack unmount "$1"
}

derived_tree=$(grep '^vhd/win10-mbr-fat12-10m' "$samples/INDEX.tsv" | cut -f9)

while IFS=$'\t' read -r file _ sum _ _ _ what verdict expected; do
	[[ $file == vhd/*.vhd.xz ]] || continue
	name=$(basename "$file" .xz)
	raw=$T/raw/$name
	xz -dc "$samples/$file" >"$raw"
	is "$(sha256sum <"$raw" | cut -d' ' -f1)" "$sum" "$name: is the file that INDEX.tsv means"
	# The text that describes a derived sample's tree stands with its origin.
	[[ $expected != *'same tree as that file'* ]] || expected=$derived_tree
	case $verdict in
	accept)
		succeeds "$name: uploads" hpcpack upload "$raw" && mounts "$name" "$expected"
		;;
	reject)
		fails_with 1 'dynamic|differencing|checksum' "$name: upload refuses it ($what)" \
			hpcpack upload "$raw"
		# Whoever else may have uploaded it; a page blob has whole pages.
		if [ $(($(stat -c %s "$raw") % 512)) = 0 ]; then
			az page "$raw" "hpcpackages/$name"
			fails_with 1 'dynamic|differencing|checksum' "$name: mount refuses it" \
				on a hpcpack mount "$name" "$T/mnt"
		fi
		;;
	*) not_ok "$name: verdict $verdict is not known to this test" ;;
	esac
done <"$samples/INDEX.tsv"

is "$(count_loops) $(count_mounts)" "0 0" "no loop device and no mount is left"
done_testing
