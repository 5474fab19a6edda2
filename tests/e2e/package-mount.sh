#!/usr/bin/env bash
# package-mount.sh - a mounted package is its extracted tree; what reading it moves
# over the network; and packages of all kinds, hostile ones too.
TEST_TIMEOUT=280
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy
start_agent a
m=$T/mnt
mkdir "$m" "$T/plain"
make_zip() { /usr/bin/python3 "$tests_dir/lib/make_zip.py" "$@"; }

# --- a tree of everything ---
tree=$T/tree
mkdir -p "$tree/bin" "$tree/lib" "$tree/empty/also" "$tree/a b/ü%20" "$tree/sorted"
cp "$(command -v sleep)" "$tree/bin/sleep"
cp "$(ldconfig -p | awk '/libz\.so\.1 / { print $NF; exit }')" "$tree/lib/libz.so.1"
printf '#!/bin/sh\necho "ran $0"\n' >"$tree/bin/run"
chmod 0755 "$tree/bin/run"
chmod 0640 "$tree/lib/libz.so.1"
echo text >"$tree/a b/ü%20/ß.txt"
: >"$tree/empty/nothing"
ln -s ../bin/run "$tree/lib/link"
for i in $(seq 300); do echo "$i" >"$tree/sorted/f$i.txt"; done
openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 9000000 >"$tree/big.bin"
yes "line of text" | head -c 5000000 >"$tree/text.txt"
find "$tree" -exec touch -h -d '2024-05-06 07:08:10' {} +
make_zip "$T/app.zip" "$tree"
make_zip --opc --descriptors "$T/opc.zip" "$tree"
unzip -q "$T/app.zip" -d "$T/plain" || bail "unzip"
az block "$T/app.zip" hpcpackages/app.zip
az block "$T/opc.zip" hpcpackages/app.opc
listing() { (cd "$1" && find . -mindepth 1 \( -type d -printf '%p %m %y %Ts\n' -o -type l -printf '%p %l\n' -o -printf '%p %s %m %y %Ts\n' \) | sort); }

for blob in app.zip app.opc; do
	succeeds "$blob: mounts" on a hpcpack mount "$blob" "$m"
	is "$out$err" "$m" "$blob: prints the mount point"
	listing "$T/plain" >"$T/wanted"
	listing "$m" >"$T/got"
	holds "$blob: names, sizes, modes, times and links are those that unzip makes" cmp "$T/wanted" "$T/got"
	succeeds "$blob: diff -r finds no difference" diff -r --no-dereference "$T/plain" "$m"
	is "$(rsync -rlpnci --delete "$T/plain/" "$m/" 2>&1)" "" "$blob: nor does rsync"
	is "$(tar -C "$m" -c . | tar -C "$T/plain" -d 2>&1 | grep -v 'Mod time\|Uid\|Gid')" "" "$blob: nor tar"
	find "$m/sorted" -mindepth 1 -printf '%f\n' >"$T/order"
	holds "$blob: listed in order" sort -c "$T/order"
	is "$("$m/bin/run")" "ran $m/bin/run" "$blob: a script in it runs"
	succeeds "$blob: a program in it runs" "$m/bin/sleep" 0
	succeeds "$blob: a shared object in it is mapped" /usr/bin/python3 -c 'import ctypes, sys
ctypes.CDLL(sys.argv[1]).zlibVersion' "$m/lib/libz.so.1"
	is "$(stat -f -c '%S %c' "$m")" "4096 $(find "$m" | wc -l | awk '{ print $1 + ("'$blob'" == "app.opc") }')" "$blob: statfs counts what is in it"
	find "$m" -printf '%i %p\n' | sort -k2 >"$T/inodes.$blob"
	is "$(cut -d' ' -f1 "$T/inodes.$blob" | sort | uniq -d)" "" "$blob: each has an inode number of its own"
	run touch "$m/new"
	like "$err" "Read-only" "$blob: nothing can be written"
	succeeds "$blob: unmounts" on a hpcpack unmount "$blob"
	succeeds "$blob: mounts again" on a hpcpack mount "$blob" "$m" -o unpack-cache=16M,cache=8M
	find "$m" -printf '%i %p\n' | sort -k2 | cmp -s - "$T/inodes.$blob"
	is "$?" 0 "$blob: with the same inode numbers"
	seq 64 | xargs -P 64 -I{} sh -c 'cat "$1/big.bin" "$1/text.txt" "$1/sorted/f{}.txt" | sha256sum' sh "$m" | sort -u >"$T/sums"
	is "$(wc -l <"$T/sums")" 64 "$blob: 64 readers at once, in little memory"
	is "$(sed -n 1p "$T/sums" | wc -c)" 68 "$blob: each gets a sum"
	for i in 1 33 64; do cat "$tree/big.bin" "$tree/text.txt" "$tree/sorted/f$i.txt" | sha256sum; done |
		grep -vxFf "$T/sums" >"$T/missing"
	is "$(cat "$T/missing")" "" "$blob: and the right one"
	succeeds "$blob: unmounts by its mount point" on a hpcpack unmount "$m"
done
succeeds "with OPC's own parts" on a hpcpack mount app.opc "$m" -o opcparts
holds "they are there" test -f "$m/[Content_Types].xml"
succeeds "unmounts" on a hpcpack unmount "$m"
fails_with 1 "no such option" "an option that packages do not have" on a hpcpack mount app.zip "$m" -o errors=panic
head -c 4096 /dev/zero >"$T/none"; az block "$T/none" hpcpackages/none.bin
fails_with 1 "nor is it a zip or OPC package" "a blob that is neither" on a hpcpack mount none.bin "$m"

# --- what it moves ---
sent() { # of the bodies of this blob since mark
	jq -s "map(select(.t > $mark and .method == \"GET\" and (.path | endswith(\"$1\"))) | .sent) | add // 0" "$PROXY_LOG"
}
now_mark() { mark=$(jq -s 'map(.t) | max // 0' "$PROXY_LOG"); }
mkdir "$T/ranges"
cp "$tree/big.bin" "$T/ranges/stored.bin"
make_zip --store "$T/stored.zip" "$T/ranges"
az block "$T/stored.zip" hpcpackages/stored.zip
succeeds "a package with a stored member" on a hpcpack mount stored.zip "$m"
now_mark
dd if="$m/stored.bin" bs=4096 skip=1700 count=1 iflag=direct status=none | cmp - <(dd if="$tree/big.bin" bs=4096 skip=1700 count=1 status=none)
is "$?" 0 "4 KiB out of its middle are right"
bytes=$(sent stored.zip)
holds "and moved at most the header, and one fetch ($bytes bytes)" test "$bytes" -le $((2 * 65536))
succeeds "unmounts" on a hpcpack unmount "$m"

# Readers get what is there while the rest still has to come.
succeeds "mounts" on a hpcpack mount app.zip "$m"
size=$(stat -c %s "$m/big.bin")
fault method=GET path=app.zip skip=2 do=reset-before
is "$(head -c 100000 "$m/big.bin" | sha256sum)" "$(head -c 100000 "$tree/big.bin" | sha256sum)" "the beginning of a deflated member is read while its end can't be"
no_faults
is "$(tail -c 100000 "$m/big.bin" | sha256sum)" "$(tail -c 100000 "$tree/big.bin" | sha256sum)" "and then its end ($size bytes)"
now_mark
cat "$m/big.bin" >"$T/again"
holds "it is right" cmp "$T/again" "$tree/big.bin"
is "$(sent app.zip)" 0 "and was unpacked once"
succeeds "unmounts" on a hpcpack unmount "$m"

# One small file of a large package.
/usr/bin/python3 - "$T/large.zip" <<-'EOF'
	import struct, sys, zlib
	small = b"small\n" * 1000
	members = [(b"zeros", 0, 1 << 30), (b"small.txt", zlib.crc32(small), len(small))]
	directory = b""
	with open(sys.argv[1], "wb") as f:
	    for name, crc, size in members:
	        facts = struct.pack("<5H3I2H", 20, 0, 0, 0, 33, crc, size, size, len(name), 0)
	        directory += b"PK\1\2\x14\3" + facts + struct.pack("<3H2I", 0, 0, 0, 0o100644 << 16, f.tell()) + name
	        f.write(b"PK\3\4" + facts + name)
	        if name == b"small.txt":
	            f.write(small)
	        else:
	            f.seek(size, 1)
	    at = f.tell()
	    f.write(directory + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 2, 2, len(directory), at, 0))
	    f.truncate((f.tell() + 511) // 512 * 512)
EOF
az page "$T/large.zip" hpcpackages/large.zip
now_mark
succeeds "a package of 1 GiB" on a hpcpack mount large.zip "$m"
is "$(sort -u "$m/small.txt")" small "a small file in it"
bytes=$(sent large.zip)
holds "moves its directory and at most 1 MiB more ($bytes bytes)" test "$bytes" -le $((200 + 6000 + 1048576))
succeeds "unmounts" on a hpcpack unmount "$m"
rm "$T/large.zip"

# --- 100,000 members ---
/usr/bin/python3 - "$T/many.zip" <<-'EOF'
	import sys, zipfile
	with zipfile.ZipFile(sys.argv[1], "w") as z:
	    for i in range(100000):
	        z.writestr(f"directory{i // 1000}/member{i}.txt", b"")
EOF
az block "$T/many.zip" hpcpackages/many.zip
requests() { jq -s "map(select(.t > $mark and (.path | endswith(\"many.zip\")))) | length" "$PROXY_LOG"; }
now_mark
succeeds "100,000 members" on a hpcpack mount many.zip "$m"
holds "a few requests ($(requests))" test "$(requests)" -le 12
is "$(find "$m" -type f | wc -l)" 100000 "all are there"
memory=$(awk '/^RssAnon/ { print $2 }' "/proc/$(entry a "$m" .pid)/status")
grep -q __asan_init "$abs_top_builddir/hpcpack-package" ||
	holds "in less than 64 MiB ($memory KiB)" test "$memory" -lt 65536
succeeds "unmounts" on a hpcpack unmount "$m"
rm "$T/many.zip"

# --- page blobs: padded to 512 bytes; with a length, and without ---
cp "$T/app.zip" "$T/padded"
truncate -s %512 "$T/padded"
az page "$T/padded" hpcpackages/page
az page "$T/padded" hpcpackages/length.zip
az meta hpcpackages/length.zip "contentlength=$(stat -c %s "$T/app.zip")"
for blob in page length.zip; do
	succeeds "$blob: a page blob" on a hpcpack mount "$blob" "$m"
	succeeds "$blob: is the same tree" diff -r --no-dereference "$T/plain" "$m"
	succeeds "$blob: unmounts" on a hpcpack unmount "$m"
done

# --- archives of all kinds: nothing crashes, hangs, or leads out ---
mkdir "$T/all"
/usr/bin/python3 "$tests_dir/lib/hostile.py" --all "$T/all" >"$T/cases" || bail "hostile.py"
sets=hostile
if [ -d "${HPCPACK_SAMPLES:-/nowhere}/zip" ]; then sets+=" samples"; fi
for set in $sets; do
	[ "$set" = hostile ] || { rm -r "$T/all" && mkdir "$T/all" && find "$HPCPACK_SAMPLES/zip" -type f -size -20M -exec cp {} "$T/all" \; ; }
	az container "$set"
	az blocks "$T/all" "$set"
	succeeds "$set: mounts" on a hpcpack mount --container "$set" "$m"
	RUN_TIMEOUT=150 succeeds "$set: every file of every archive is read" \
		/usr/bin/python3 "$tests_dir/lib/check_zips.py" "$m" "$T/all"
	is "$(grep -v ' the same$' <<<"$out")" "" "$set: no other bytes, no other errors, no path outside"
	holds "$set: what is sound is there ($(tail -n 1 <<<"$out"))" test "$(tail -n 1 <<<"$out" | cut -d' ' -f1)" -ge 20
	is "$(entry a "$m" .state)" ready "$set: its worker lives"
	succeeds "$set: unmounts" on a hpcpack unmount "$m"
done

# What can't be read is listed, and refused when it is opened: in the log once.
/usr/bin/python3 - "$T/odd.zip" <<-'EOF'
	import sys, zipfile
	with zipfile.ZipFile(sys.argv[1], "w") as z:
	    z.writestr("secret", b"encrypted")
	    z.writestr("bzip2", b"other" * 100, zipfile.ZIP_BZIP2)
	    z.writestr("plain", b"plain\n")
	data = bytearray(open(sys.argv[1], "rb").read())
	at = data.index(b"PK\1\2")
	data[6] |= 1
	data[at + 8] |= 1
	open(sys.argv[1], "wb").write(data)
EOF
az block "$T/odd.zip" hpcpackages/odd.zip
succeeds "encrypted, and of an unknown method" on a hpcpack mount odd.zip "$m"
is "$(cd "$m" && echo ./*)" "./bzip2 ./plain ./secret" "are listed"
for turn in 1 2; do
	run cat "$m/secret"
	like "$err" "Permission denied" "encrypted: EACCES ($turn)"
	run cat "$m/bzip2"
	like "$err" "not supported" "unknown method: ENOTSUP ($turn)"
done
is "$(grep -c 'secret can.t be read: ' "$(node_dir a)/agent.log")" 1 "one line in the log"
is "$(cat "$m/plain")" plain "the rest can be read"
succeeds "unmounts" on a hpcpack unmount "$m"

# Links that lead out only over another link.
/usr/bin/python3 "$tests_dir/lib/hostile.py" link-chain "$T/chain.zip" || bail "hostile.py"
az block "$T/chain.zip" hpcpackages/chain.zip
succeeds "a chain of links" on a hpcpack mount chain.zip "$m"
is "$(readlink "$m/dir/up")" .. "one that stays is shown"
run readlink -v "$m/out"
like "$err" "Too many levels" "one that leads out over it is not"
succeeds "unmounts" on a hpcpack unmount "$m"
holds "nothing is left" test "$(count_mounts)" = 0
done_testing
