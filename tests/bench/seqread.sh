#!/usr/bin/env bash
# seqread.sh - read a 1 GiB file from start to end, cold: through a mounted drive,
# and through `rclone mount`, both from the same nginx on this machine. Rounds
# alternate, the first of each is thrown away. Exit status 1 if we are not faster.
#
#	make bench                     or: ROUNDS=9 bash tests/bench/seqread.sh
TEST_TIMEOUT=1200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

rounds=${ROUNDS:-5}
size=$((1 << 30))
command -v rclone >/dev/null || skip_all "rclone is not installed (contrib/install-packages bench)"

bench_tree() { mkdir "$1" && noise bench "$size" >"$1/big.bin"; }
raw_bench() { truncate -s 1200M "$1" && mke2fs -q -F -t ext4 -d "$(cached bench-tree bench_tree)" "$1"; }
image_bench() { cached bench.vhd to_vhd "$forced" raw_bench; }
vhd=$(image_bench) || bail "no image"
plain=$image_dir/bench-tree

# What of the Blob service a snapshot mount needs, as static files.
bytes=$(stat -c %s "$vhd")
mkdir -p "$T/www" "$T/ours" "$T/rclone"
printf '<?xml version="1.0" encoding="utf-8"?><PageList><PageRange><Start>0</Start><End>%d</End></PageRange></PageList>' \
	$((bytes - 1)) >"$T/www/pages.xml"
start_nginx "
	location = /bench/drives/bench.vhd {
		if (\$arg_comp = pagelist) { rewrite ^ /pages.xml last; }
		add_header x-ms-blob-type PageBlob; add_header x-ms-lease-state available;
		add_header x-ms-lease-status unlocked; add_header x-ms-snapshot 2026-01-01T00:00:00.0000000Z;
		alias $vhd; default_type application/octet-stream;
	}
	location = /pages.xml { root $T/www; add_header x-ms-blob-content-length $bytes; default_type application/xml; }
	location /plain/ { alias $plain/; autoindex on; }"
export AZURE_STORAGE_CONNECTION_STRING="BlobEndpoint=http://127.0.0.1:$NGINX_PORT/bench"
start_agent a

drop_caches() { sync && echo 3 >/proc/sys/vm/drop_caches; }

# MB/s of reading one file; a different file would be no comparison.
read_file() { # FILE
	local from micros

	drop_caches
	# the server's side is warm in either case: its disk is not what is measured
	cat "$vhd" "$plain/big.bin" >/dev/null
	from=${EPOCHREALTIME/./}
	dd if="$1" of=/dev/null bs=1M status=none || return
	micros=$((${EPOCHREALTIME/./} - from))
	[ "$(stat -c %s "$1")" = $size ] || return
	rate=$((size / micros))
}

ours() {
	on a hpcpack mount bench.vhd "$T/ours" --container drives --snapshot=2026-01-01T00:00:00.0000000Z >/dev/null &&
		read_file "$T/ours/big.bin" && on a hpcpack unmount "$T/ours" >/dev/null
}

rclone_mount() {
	local pid

	spawn "$T/rclone.log" rclone mount --config "$T/rclone.conf" --http-url "http://127.0.0.1:$NGINX_PORT/plain/" \
		:http: "$T/rclone" --read-only
	pid=$spawned_pid
	wait_for 20 [ -e "$T/rclone/big.bin" ] && read_file "$T/rclone/big.bin"
	local failed=$?
	umount "$T/rclone"
	wait_for 10 gone "$pid"
	return $failed
}

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : int((v[NR / 2] + v[NR / 2 + 1]) / 2) }'; }

: >"$T/rclone.conf"
on a hpcpack mount bench.vhd "$T/ours" --container drives --snapshot=2026-01-01T00:00:00.0000000Z >/dev/null ||
	bail "our mount failed"
holds "the bytes are right" cmp "$T/ours/big.bin" "$plain/big.bin"
on a hpcpack unmount "$T/ours" >/dev/null
rclone_mount || bail "rclone mount failed: $(tail -n 3 "$T/rclone.log")"

printf '# %-8s %14s %14s %8s\n' round 'hpcpack MB/s' 'rclone MB/s' ratio
for ((round = 1; round <= rounds; round++)); do
	ours || bail "our mount failed"
	mine=$rate
	rclone_mount || bail "rclone mount failed"
	echo "$mine" >>"$T/mine"
	echo "$rate" >>"$T/theirs"
	printf '# %-8s %14d %14d %8s\n' $round "$mine" "$rate" "$(jq -n "$mine / $rate * 100 | floor / 100")"
done
mine=$(median <"$T/mine") theirs=$(median <"$T/theirs")
printf '# %-8s %14d %14d %8s\n' median "$mine" "$theirs" "$(jq -n "$mine / $theirs * 100 | floor / 100")"
holds "a sequential read through a drive beats rclone mount" [ "$mine" -gt "$theirs" ]
done_testing
