#!/usr/bin/env bash
# package-faults.sh - packages when things go wrong: storage lost, the blob replaced
# or deleted, the worker killed, the agent restarted, unmounted under load, damaged
# members, a cache directory that is full; and for ordinary users.
TEST_TIMEOUT=250
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy
start_agent a
m=$T/mnt
log=$(node_dir a)/agent.log
mkdir "$m" "$T/two" "$T/tree"
make_zip() { /usr/bin/python3 "$tests_dir/lib/make_zip.py" "$@"; }
put() { az block "$1" "hpcpackages/$2"; }
head -c 8000000 /dev/urandom >"$T/tree/random.bin"
openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 40000000 | od -An -v -tx1 -w64 | head -c 50000000 >"$T/tree/hex.txt"
echo small >"$T/tree/small.txt"
make_zip "$T/app.zip" "$T/tree"
mkdir "$T/stored"
cp "$T/tree/random.bin" "$T/stored"
make_zip --store "$T/stored.zip" "$T/stored"
put "$T/app.zip" app.zip
put "$T/stored.zip" stored.zip
same() { cmp "$m/$1" "$T/tree/$1"; }
drop_pages() { echo 1 >/proc/sys/vm/drop_caches; }
read_at() { # FILE OFFSET: past the kernel's cache
	dd if="$1" of=/dev/null bs=4096 skip="$(($2 / 4096))" count=1 iflag=direct status=none
}

# --- storage is lost ---
succeeds "mounts" on a hpcpack mount stored.zip "$m" -o deadline=2s
succeeds "a read" read_at "$m/random.bin" 0
fault do=blackhole
run read_at "$m/random.bin" 6000000
like "$err" "Input/output error" "storage does not answer: EIO when the deadline has passed"
succeeds "what is cached is read" read_at "$m/random.bin" 0
is "$(ls "$m")" random.bin "and listed"
is "$(entry a "$m" .state)" degraded "the mount is degraded"
no_faults
succeeds "storage is back: it goes on" read_at "$m/random.bin" 6000000
wait_for 20 state_is a "$m" ready
is "$?" 0 "and is ready again"

# --- the blob is replaced, and deleted ---
put "$T/app.zip" stored.zip
run read_at "$m/random.bin" 7000000
like "$err" "Stale file handle" "replaced: ESTALE for what is not cached"
wait_for 20 state_is a "$m" failed
is "$?" 0 "the mount is marked failed"
like "$(entry a "$m" .reason)" "replaced" "and says why"
succeeds "unmounts" on a hpcpack unmount "$m"
put "$T/stored.zip" stored.zip
succeeds "mounts the package again" on a hpcpack mount stored.zip "$m"
az delete hpcpackages/stored.zip
run read_at "$m/random.bin" 3000000
like "$err" "Input/output error|Stale file handle" "deleted: EIO (Azurite: as if it were replaced)"
wait_for 20 state_is a "$m" failed
is "$?" 0 "the mount is marked failed"
succeeds "unmounts" on a hpcpack unmount "$m"
put "$T/stored.zip" stored.zip

# --- the worker is killed, the agent restarted ---
succeeds "mounts one" on a hpcpack mount app.zip "$m"
succeeds "and another" on a hpcpack mount stored.zip "$T/two"
kill -9 "$(entry a "$m" .pid)"
wait_for 20 state_is a "$m" failed
is "$?" 0 "a killed worker: its mount has failed"
like "$(entry a "$m" .reason)" "killed by signal 9" "and says why"
run cat "$m/small.txt"
isnt "$status" 0 "its files give errors"
holds "the other does not notice" cmp "$T/two/random.bin" "$T/tree/random.bin"
succeeds "unmounts what is left of it" on a hpcpack unmount "$m"
kill -9 "${agent_pid[a]}"
wait_for 10 gone "${agent_pid[a]}"
holds "without an agent it goes on" cmp "$T/two/random.bin" "$T/tree/random.bin"
start_agent a
is "$(entry a "$T/two" '"\(.state) \(.kind)"')" "ready package" "a new agent adopts it"
drop_pages
holds "and it goes on" cmp "$T/two/random.bin" "$T/tree/random.bin"
succeeds "and unmounts it" on a hpcpack unmount "$T/two"

# --- under load ---
succeeds "mounts" on a hpcpack mount app.zip "$m" -o unpack-cache=16M,cache=4M
for i in 1 2 3 4; do
	spawn "$T/load$i.log" bash -c 'while cat "$1"/* >/dev/null; do :; done' load "$m"
	loads[i]=$spawned_pid
done
busy() { fuser -sm "$m"; }
wait_for 20 busy
fails_with 1 "is in use by .*cat|bash|in use" "busy: refused, with who uses it" on a hpcpack unmount "$m"
holds "and undisturbed" test -r "$m/small.txt"
succeeds "lazily it goes" on a hpcpack unmount --lazy "$m"
for i in 1 2 3 4; do wait_for 30 gone "${loads[i]}" || stop_pid "${loads[i]}"; done
none_left() { [ "$(entries a)" = 0 ] && [ "$(count_mounts)" = 0 ]; }
wait_for 30 none_left
is "$?" 0 "and is gone with its last user"

# --- members that do not fit, a cache directory that fills up ---
succeeds "a member larger than the cache" on a hpcpack mount app.zip "$m" -o unpack-cache=16M,cache=4M
holds "is read" same hex.txt
drop_pages
holds "again" same hex.txt
is "$(tail -c 100 "$m/hex.txt" | sha256sum)" "$(tail -c 100 "$T/tree/hex.txt" | sha256sum)" "from its end"
memory=$(awk '/^VmHWM/ { print $2 }' "/proc/$(entry a "$m" .pid)/status")
grep -q __asan_init "$abs_top_builddir/hpcpack-package" ||
	holds "in bounded memory ($memory KiB)" test "$memory" -lt 65536
succeeds "unmounts" on a hpcpack unmount "$m"
mkdir "$T/cache"
succeeds "a cache directory" on a hpcpack mount app.zip "$m" -o "cache-dir=$T/cache"
holds "serves" same hex.txt
holds "what is in it has no names" test -z "$(ls -A "$T/cache")"
succeeds "unmounts" on a hpcpack unmount "$m"
mount -t tmpfs -o size=4m tmpfs "$T/cache"
succeeds "one that is full" on a hpcpack mount app.zip "$m" -o "cache-dir=$T/cache"
holds "serves the right bytes all the same" same hex.txt
holds "of all members" same random.bin
like "$(grep "can't keep" "$log")" "No space left" "and the log says so"
succeeds "unmounts" on a hpcpack unmount "$m"
umount "$T/cache"
fails_with 1 "cache directory $T/nothere" "one that is not there" on a hpcpack mount app.zip "$m" -o "cache-dir=$T/nothere"

# --- damage ---
cp "$T/app.zip" "$T/bad.zip"
/usr/bin/python3 - "$T/bad.zip" <<-'EOF'
	import sys, zipfile
	with zipfile.ZipFile(sys.argv[1]) as z:
	    at = {i.filename: (i.header_offset, i.compress_size) for i in z.infolist()}
	data = bytearray(open(sys.argv[1], "rb").read())
	for name in at:
	    crc = data.rindex(name.encode()) - 46 + 16
	    if name != "random.bin":
	        data[crc] ^= 1
	open(sys.argv[1], "wb").write(data)
EOF
put "$T/bad.zip" bad.zip
lines=$(grep -c "bad.zip: small.txt: " "$log")
succeeds "a package with damaged members" on a hpcpack mount bad.zip "$m"
for turn in 1 2; do
	run cat "$m/small.txt"
	is "$out" "" "a wrong CRC: nothing of a small member is given out ($turn)"
	like "$err" "Input/output error" "EIO ($turn)"
done
is "$(($(grep -c "bad.zip: small.txt: " "$log") - lines))" 1 "and one line in the log"
holds "of a large one it is EIO" bash -c '! cat "$1" >/dev/null 2>&1 && ! head -c 4096 "$1" >/dev/null 2>&1' sh "$m/hex.txt"
holds "others are not concerned" same random.bin
succeeds "unmounts" on a hpcpack unmount "$m"

# --- an ordinary user ---
user_setup
u=$T/user/mnt
succeeds "an ordinary user mounts a package" as_user hpcpack mount app.zip "$u"
is "$(as_user cat "$u/small.txt")" small "and reads it"
is "$(as_user stat -c %U "$u/small.txt")" "$user_name" "as its owner"
holds "which is nobody else's" test ! -r "$u/small.txt" -o ! -d "$u"
is "$(as_user hpcpack mount --list --json | jq -r '.mounts[0] | "\(.kind) \(.user) \(.state)"')" "package $user_name ready" "it is listed"
succeeds "unmounts" as_user hpcpack unmount app.zip
succeeds "and a container" as_user hpcpack mount --container hpcpackages "$u"
is "$(as_user ls "$u" | xargs)" "app.zip bad.zip stored.zip" "with its blobs"
is "$(as_user cat "$u/app.zip/small.txt")" small "which can be read"
succeeds "unmounts" as_user hpcpack unmount "$u"
done_testing
