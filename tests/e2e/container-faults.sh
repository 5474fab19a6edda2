#!/usr/bin/env bash
# container-faults.sh - a mounted container, and packages with files open, when things go
# wrong: blobs that are gone or replaced, the worker killed while it is read, a cache
# directory that is full, unmounting under load.
TEST_TIMEOUT=300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy
start_agent a
m=$T/mnt
log=$(node_dir a)/agent.log
mkdir "$m" "$T/two" "$T/tree" "$T/cache"
az container box
make_zip() { /usr/bin/python3 "$tests_dir/lib/make_zip.py" "$@"; }
head -c 9000000 /dev/urandom >"$T/tree/random"
openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 2000000 | od -An -v -tx1 >"$T/tree/hex"
echo small >"$T/tree/small"
make_zip "$T/app.zip" "$T/tree"
make_zip --store "$T/stored.zip" "$T/tree"
put() {
	az block "$T/app.zip" box/app.zip
	az block "$T/app.zip" box/later.zip
	az block "$T/stored.zip" box/stored.zip
	az block "$T/tree/random" box/file.bin
}
put
az block "$T/stored.zip" hpcpackages/alone.zip
# at FD|FILE OFFSET: what pread() of 4 KiB says, past the kernel's cache: "ok SUM", or the error.
at() {
	/usr/bin/python3 -c 'import errno, hashlib, os, sys
fd = int(sys.argv[1]) if sys.argv[1].isdigit() else os.open(sys.argv[1], os.O_RDONLY)
try:
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    print("ok", hashlib.md5(os.pread(fd, 4096, int(sys.argv[2]))).hexdigest())
except OSError as e:
    print(errno.errorcode[e.errno])' "$1" "$2"
}
right() { at "$T/tree/$1" "$2"; } # FILE OFFSET: what it must say

# --- blobs that are gone, or replaced, under those who have them open ---
for how in gone replaced; do
	put
	succeeds "$how: mounts" on a hpcpack mount --container box "$m" -o refresh=1h
	exec 5<"$m/stored.zip/random" 6<"$m/file.bin" 7<"$m/app.zip/hex" 8<"$m/later.zip/random"
	is "$(at 5 0)|$(at 6 0)" "$(right random 0)|$(right random 0)" "$how: (beginnings are read)"
	succeeds "$how: (a member is unpacked as a whole)" cmp "$m/app.zip/hex" "$T/tree/hex"
	if [ $how = gone ]; then
		fault method=GET path=/box/ query=!comp=list do=status code=404 error=BlobNotFound
	else
		for blob in app.zip later.zip stored.zip file.bin; do az block "$T/tree/small" "box/$blob"; done
	fi
	is "$(at 5 8000000)" ESTALE "$how: a stored member: ESTALE for what is not cached"
	is "$(at 6 8000000)" ESTALE "$how: a plain blob, too"
	is "$(at 8 8000000)" ESTALE "$how: and a deflated member that nobody has read"
	is "$(at 5 0)|$(at 6 0)" "$(right random 0)|$(right random 0)" "$how: what is cached goes on"
	is "$(at 7 5000000)" "$(right hex 5000000)" "$how: and what is unpacked"
	is "$(at 5 8000000)" ESTALE "$how: ESTALE it stays"
	is "$(entry a "$m" .state)" ready "$how: the container is not concerned"
	holds "$how: and lists what it knows" test -d "$m/app.zip" -a -f "$m/file.bin"
	exec 5<&- 6<&- 7<&- 8<&-
	no_faults
	succeeds "$how: unmounts" on a hpcpack unmount "$m"
done
put

succeeds "a package of its own" on a hpcpack mount alone.zip "$m"
exec 5<"$m/random"
is "$(at 5 0)" "$(right random 0)" "(its beginning is read)"
fault method=GET path=alone.zip do=status code=404 error=BlobNotFound
is "$(at 5 8000000)" EIO "gone: EIO for what is not cached"
is "$(at 5 0)" "$(right random 0)" "what is cached goes on"
wait_for 20 state_is a "$m" failed
is "$?" 0 "the mount is marked failed"
like "$(entry a "$m" .reason)" "the package is gone" "and says why"
exec 5<&-
no_faults
succeeds "unmounts" on a hpcpack unmount "$m"

# --- the worker is killed while it is read ---
succeeds "the container" on a hpcpack mount --container box "$m"
succeeds "and a package" on a hpcpack mount alone.zip "$T/two"
exec 5<"$m/file.bin"
load() { # as long as its files can be read
	for i in 1 2 3 4; do
		spawn "$T/load$i.log" bash -c 'cd "$1" && while find . -type f -exec cat {} + >/dev/null 2>&1 && [ -e app.zip ]; do :; done' load "$m"
		loads[i]=$spawned_pid
	done
	wait_for 20 fuser -sm "$m"
}
load
kill -9 "$(entry a "$m" .pid)"
wait_for 20 state_is a "$m" failed
is "$?" 0 "a killed worker: its mount is listed as failed"
like "$(entry a "$m" .reason)" "killed by signal 9" "and says why"
wait_for 30 gone "${loads[@]}"
is "$?" 0 "whoever read from it gets errors, nobody hangs"
RUN_TIMEOUT=10 run ls "$m"
is "$([ "$status" -ge 124 ] && echo hangs)" "" "nor does who looks at the mount point"
RUN_TIMEOUT=10 run cat "$m/file.bin"
isnt "$status" 0 "its files give errors"
isnt "$(at 5 4000000)" "$(right random 4000000)" "open ones, too"
exec 5<&-
is "$(at "$T/two/random" 5000000)" "$(right random 5000000)" "the other mount does not notice"
succeeds "unmounts what is left of it" on a hpcpack unmount "$m"
is "$(ls -A "$m")" "" "nothing of it is left"
succeeds "mounts again" on a hpcpack mount --container box "$m"
succeeds "and serves" diff -r "$T/tree" "$m/app.zip"
succeeds "unmounts" on a hpcpack unmount box
succeeds "unmounts the other" on a hpcpack unmount "$T/two"

# --- unmounting under load ---
succeeds "mounts" on a hpcpack mount --container box "$m" -o unpack-cache=16M,cache=4M
load
fails_with 1 "in use" "busy: refused" on a hpcpack unmount "$m"
succeeds "and undisturbed" diff -r "$T/tree" "$m/app.zip"
succeeds "lazily it goes" on a hpcpack unmount --lazy "$m"
is "$(ls -A "$m")" "" "at once"
for i in 1 2 3 4; do stop_pid "${loads[i]}"; done
none_left() { [ "$(entries a)" = 0 ] && [ "$(count_mounts)" = 0 ]; }
wait_for 30 none_left
is "$?" 0 "and is gone with its last user"

# --- a cache directory that is too small ---
mount -t tmpfs -o size=3m tmpfs "$T/cache"
succeeds "a cache directory that is too small" on a hpcpack mount --container box "$m" -o "cache-dir=$T/cache"
seq 8 | xargs -P 8 -I{} cmp "$m/app.zip/hex" "$T/tree/hex"
is "$?" 0 "serves the right bytes to many readers"
succeeds "and all the rest" diff -r "$T/tree" "$m/app.zip"
like "$(grep "can't keep hex" "$log")" "No space left" "and the log says so"
is "$(entry a "$m" .state)" ready "it is ready all the same"
succeeds "unmounts" on a hpcpack unmount "$m"
umount "$T/cache"
holds "nothing is left" test "$(count_mounts)" = 0
done_testing
