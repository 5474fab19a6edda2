#!/usr/bin/env bash
# container-mount.sh - a whole container: its names, what is a package and what a
# file, and how it follows what happens to the blobs.
TEST_TIMEOUT=200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy
start_agent a
m=$T/mnt
mkdir "$m"
az container box
make_zip() { /usr/bin/python3 "$tests_dir/lib/make_zip.py" "$@"; }
put() { printf '%s\n' "$2" >"$T/blob" && az block "$T/blob" "box/$1"; } # NAME TEXT
lists() { proxy_count '.query | test("comp=list")'; }

mkdir -p "$T/tree/bin" "$T/tree2"
echo one >"$T/tree/which"
head -c 3000000 /dev/urandom >"$T/tree/data"
echo two >"$T/tree2/which"
make_zip "$T/one.zip" "$T/tree"
make_zip --store "$T/two.zip" "$T/tree2"
put_image image_ext4 d.vhd
az get hpcpackages/d.vhd "$T/d.vhd"
az page "$T/d.vhd" box/disks/d.vhd
az block "$T/one.zip" box/app.zip
az block "$T/one.zip" box/tools/no-extension
put a "beside a directory"
put a/b "below it"
put "x//y" "no name"
put "readme.txt" "first"

succeeds "mounts" on a hpcpack mount --container box "$m" -o refresh=1s
is "$(jq -r .kind <<<"$(on a hpcpack mount --list --json | jq '.mounts[0]')") $(entry a "$m" .blob) $(entry a "$m" .mode)" \
	"container null ro" "is listed as a container"
like "$(on a hpcpack mount --list)" "devstoreaccount1/box  *$m  *ro  *ready  *container" "for people, too"

# --- names ---
is "$(cd "$m" && find . -path ./app.zip -prune -o -path ./tools/no-extension -prune -o -type f -print | sort | xargs)" \
	"./a/b ./a~blob ./disks/d.vhd ./readme.txt ./x/%2F/y" "'/' makes directories, and every blob has a name"
is "$(cat "$m/a~blob" "$m/a/b" "$m/x/%2F/y" | xargs)" "beside a directory below it no name" "with its content"
holds "a VHD is a file" cmp "$m/disks/d.vhd" "$T/d.vhd"
succeeds "a package is a directory under the blob's own name" diff -r "$T/tree" "$m/app.zip"
succeeds "by its content, not its name" diff -r "$T/tree" "$m/tools/no-extension"
is "$(find "$m" -mindepth 1 -maxdepth 1 -printf '%f ')" "a app.zip a~blob disks readme.txt tools x " "listed in order"

# --- a range of a blob ---
now=$(wc -l <"$PROXY_LOG")
dd if="$m/disks/d.vhd" of=/dev/null bs=4096 skip=3000 count=1 iflag=direct status=none
bytes=$(tail -n "+$((now + 1))" "$PROXY_LOG" | jq -s 'map(select(.path | endswith("d.vhd")) | .sent) | add // 0')
holds "files are read by range ($bytes bytes)" test "$bytes" -le 65536

# --- what happens to the blobs ---
exec 3<"$m/app.zip/which" 4<"$m/app.zip/data"
is "$(head -c 100 <&4 | cmp - <(head -c 100 "$T/tree/data") && echo same)" same "(a file of the first version is open)"
first=$(stat -c %i "$m/app.zip")
put readme.txt "second"
put new/blob "new"
az delete box/a
az block "$T/two.zip" box/app.zip # the last: when this is listed, all is
second_is_there() { [ "$(cat "$m/app.zip/which")" = two ]; }
wait_for 20 second_is_there
is "$?" 0 "a replaced package appears"
is "$(cd "$m/app.zip" && find . -type f)" ./which "all of it, and nothing of the old one"
isnt "$(stat -c %i "$m/app.zip")" "$first" "with inode numbers of its own"
is "$(cat "$m/readme.txt") $(cat "$m/new/blob")" "second new" "and replaced and new blobs"
holds "removed ones disappear" test ! -e "$m/a~blob" -a -d "$m/a"
is "$(dd bs=64 count=1 status=none <&3)" one "an open file goes on with the version that it was opened from"
exec 3<&- 4<&-

# The part that was not cached is ESTALE, never of the other version.
head -c 9000000 /dev/urandom >"$T/tree/large"
make_zip --store "$T/three.zip" "$T/tree"
az block "$T/three.zip" box/app.zip
third_is_there() { [ -e "$m/app.zip/large" ]; }
wait_for 20 third_is_there
exec 5<"$m/app.zip/large"
holds "(its beginning is read)" cmp -s <(head -c 4096 <&5) <(head -c 4096 "$T/tree/large")
az block "$T/two.zip" box/app.zip
run /usr/bin/python3 -c 'import os
os.pread(5, 4096, 8000000)'
like "$err" "Stale file handle" "what is not cached of a replaced one is ESTALE"
exec 5<&-
wait_for 20 second_is_there

# --- one list at a time, and none when nobody looks ---
succeeds "unmounts" on a hpcpack unmount "$m"
succeeds "mounts with a long refresh time" on a hpcpack mount --container box "$m" -o refresh=1h
before=$(lists)
find "$m" -type f -exec cat {} + >/dev/null
find "$m" -type f -exec cat {} + >/dev/null
is "$(lists)" "$before" "nothing is listed again while it is fresh"
succeeds "unmounts by name" on a hpcpack unmount box

# --- words ---
fails_with 1 "no such container" "a container that is not there" on a hpcpack mount --container nothere "$m"
fails_with 2 "not for a whole container" "a snapshot of one" on a hpcpack mount --container box "$m" --snapshot
fails_with 2 "refresh=soon" "a refresh time that is none" on a hpcpack mount --container box "$m" -o refresh=soon
fails_with 1 "is for packages" "an option of packages for a drive" on a hpcpack mount d.vhd "$m" -o opcparts
succeeds "without a mount point" on a hpcpack mount --container box
is "$out" "$(node_dir a)/root/box.d" "it gets one"
succeeds "unmounts" on a hpcpack unmount box
succeeds "for mount(8)" on a mount.hpcpack "devstoreaccount1/box/" "$m"
is "$(cat "$m/new/blob")" new "too"
succeeds "unmounts" on a hpcpack unmount "$m"
holds "nothing is left" test "$(count_mounts)" = 0
done_testing
