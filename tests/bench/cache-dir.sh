#!/usr/bin/env bash
# cache-dir.sh - read a 1 GiB file on a mounted drive from the persistent cache, and
# read the same file from the disk that the cache lies on; the network is left out,
# the page cache dropped. Rounds alternate, the first of each is thrown away. Prints
# what filling costs the first reader, too. Exit status 1 below 0.7 of the disk.
#
#	ROUNDS=9 CACHE=/scratch bash tests/bench/cache-dir.sh
TEST_TIMEOUT=1200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

rounds=${ROUNDS:-5}
target=${TARGET:-0.70}
size=$((1 << 30))
dir=$(mktemp -d "${CACHE:-$T}/hpcpack-bench.XXXXXX")
trap 'rm -rf "$dir"; finish' EXIT

bench_tree() { mkdir "$1" && noise bench "$size" >"$1/big.bin"; }
raw_bench() { truncate -s 1200M "$1" && mke2fs -q -F -t ext4 -d "$(cached bench-tree bench_tree)" "$1"; }
image_bench() { cached bench.vhd to_vhd "$forced" raw_bench; }
vhd=$(image_bench) || bail "no image"

# What of the Blob service a snapshot mount needs, as static files.
bytes=$(stat -c %s "$vhd")
snapshot=2026-01-01T00:00:00.0000000Z
mkdir -p "$T/www" "$T/ours"
printf '<?xml version="1.0" encoding="utf-8"?><PageList><PageRange><Start>0</Start><End>%d</End></PageRange></PageList>' \
	$((bytes - 1)) >"$T/www/pages.xml"
start_nginx "
	location = /bench/drives/bench.vhd {
		if (\$arg_comp = pagelist) { rewrite ^ /pages.xml last; }
		add_header x-ms-blob-type PageBlob; add_header x-ms-lease-state available;
		add_header x-ms-lease-status unlocked; add_header x-ms-snapshot $snapshot;
		alias $vhd; default_type application/octet-stream;
	}
	location = /pages.xml { root $T/www; add_header x-ms-blob-content-length $bytes; default_type application/xml; }"
export AZURE_STORAGE_CONNECTION_STRING="BlobEndpoint=http://127.0.0.1:$NGINX_PORT/bench"
start_agent a
cp "$image_dir/bench-tree/big.bin" "$dir/big.bin" && sync "$dir/big.bin"

drop_caches() { sync && echo 3 >/proc/sys/vm/drop_caches; }

read_file() { # FILE: MB/s in $rate
	local from micros

	from=${EPOCHREALTIME/./}
	dd if="$1" of=/dev/null bs=1M status=none || return
	micros=$((${EPOCHREALTIME/./} - from))
	rate=$((size / micros))
}

# The rate, and in $from_disk how much of it came from the directory.
drive() { # [mount options]
	on a hpcpack mount bench.vhd "$T/ours" --container drives --snapshot=$snapshot "$@" >/dev/null &&
		read_file "$T/ours/big.bin" &&
		from_disk=$(entry a "$T/ours" .cache_dir_read) && on a hpcpack unmount "$T/ours" >/dev/null
}

# The server's side of a cold read is warm: its disk is not what is measured.
cold() { drop_caches; cat "$vhd" >/dev/null; drive "$@"; }

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : int((v[NR / 2] + v[NR / 2 + 1]) / 2) }'; }
ratio() { jq -n "$1 / $2 * 100 | floor / 100"; }

with=(-o "cache-dir=$dir/cache,cache-size=8G")
printf '# %-8s %10s %10s %10s %10s %8s  (MB/s)\n' round disk kept 'cold+fill' cold kept/disk
for ((round = 0; round <= rounds; round++)); do
	drop_caches
	read_file "$dir/big.bin" || bail "the disk cannot be read"
	disk=$rate
	rm -rf "$dir/cache"
	cold "${with[@]}" || bail "our mount failed"
	filling=$rate
	cold || bail "our mount failed"
	cold=$rate
	for ((try = 0; try < 5; try++)); do # what the filler had no time for
		drop_caches
		drive "${with[@]}" || bail "our mount failed"
		[ "$from_disk" -lt $((size - 65536)) ] || break
	done
	drop_caches
	drive "${with[@]}" || bail "our mount failed"
	[ $round = 0 ] && continue
	echo "$disk" >>"$T/disk"
	echo "$rate" >>"$T/kept"
	echo "$filling" >>"$T/filling"
	echo "$cold" >>"$T/cold"
	printf '# %-8s %10d %10d %10d %10d %8s\n' $round "$disk" "$rate" "$filling" "$cold" "$(ratio "$rate" "$disk")"
done
disk=$(median <"$T/disk") kept=$(median <"$T/kept") filling=$(median <"$T/filling") cold=$(median <"$T/cold")
printf '# %-8s %10d %10d %10d %10d %8s\n' median "$disk" "$kept" "$filling" "$cold" "$(ratio "$kept" "$disk")"
printf '#bench %s\n' "$(jq -nc --slurpfile kept "$T/kept" --slurpfile disk "$T/disk" "{
	measure: \"warm read (persistent cache)\", ours: $kept, peer: $disk, peer_name: \"the disk\", unit: \"MB/s\",
	ratio: ($kept / $disk), target: \">= $target\", met: ($kept / $disk >= $target),
	rounds: { ours: \$kept, peer: \$disk } }")"
is "$(jq -n "$kept / $disk >= $target")" true "reading from the persistent cache: at least $target of reading the disk"
done_testing
