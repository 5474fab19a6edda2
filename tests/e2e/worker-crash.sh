#!/usr/bin/env bash
# worker-crash.sh - a worker is killed with SIGKILL while jobs read and write: they
# get errors and do not hang, the agent detaches the volume and says what happened,
# no loop device stays behind, other mounts do not notice.
TEST_TIMEOUT=200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

rounds=${HPCPACK_TEST_QUICK:+1}
rounds=${rounds:-4}
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "# SEED=$seed, $rounds rounds"
RANDOM=$seed

start_azurite
start_agent a
put_image image_ext4 d.vhd
put_image image_ext4_gpt2 e.vhd
mkdir -p "$T/one" "$T/two"

# Loop devices on the disk of one of our mounts, which is known by its device
# number: without its mount point its file shows as /disk.
loops_on() { # MAJOR:MINOR
	losetup --list --noheadings --output NAME,BACK-MAJ:MIN,BACK-FILE |
		awk -v dev="$1" -v below="$T/" '$2 == dev && ($3 == "/disk" || index($3, below) == 1) { print $1 }'
}
no_loop_on() { [ -z "$(loops_on "$1")" ]; }
disk_device() { # MOUNTPOINT: of the filesystem that holds its disk file
	mountpoint -d "$(node_dir a)/run/mounts/$(entry a "$1" .id)/fs"
}

# A job: past the kernel's cache, until there is an error, which is its last line.
cat >"$T/job.py" <<-'EOF'
	import errno, mmap, os, sys
	what, path = sys.argv[1:]
	page = mmap.mmap(-1, 1 << 18)
	flags = os.O_RDONLY if what == "read" else os.O_RDWR | os.O_CREAT
	fd = os.open(path, flags | os.O_DIRECT)
	turn = 0
	try:
	    while True:
	        at = turn % 24 * len(page)
	        if what == "read":
	            os.preadv(fd, [page], at)
	        else:
	            os.pwritev(fd, [page], at)
	            if turn % 5 == 0:
	                os.fsync(fd)
	        turn += 1
	        print(turn, flush=True)
	except OSError as e:
	    print(errno.errorcode[e.errno], flush=True)
EOF
job() { # LOG read|write FILE
	spawn "$1" /usr/bin/python3 "$T/job.py" "$2" "$3"
}
turns() { grep -c '^[0-9]' "$1"; }
has_turned() { [ "$(turns "$1")" -ge "$2" ]; }

succeeds "another drive is mounted" on a hpcpack mount e.vhd "$T/two"
job "$T/other" read "$T/two/big.bin"
other=$spawned_pid
wait_for 20 has_turned "$T/other" 1

# One life and death; a job in the way keeps its file open after the error.
crash() { # NUMBER
	local r="round $1" pid dev reader writer held

	rm -f "$T/reader" "$T/writer"
	succeeds "$r: mounts" on a hpcpack mount d.vhd "$T/one" --force || return
	pid=$(entry a "$T/one" .pid)
	dev=$(disk_device "$T/one")
	is "$(loops_on "$dev")" "$(entry a "$T/one" .device)" "$r: through a loop device"
	job "$T/reader" read "$T/one/big.bin"
	reader=$spawned_pid
	job "$T/writer" write "$T/one/load"
	writer=$spawned_pid
	exec {held}<"$T/one/hello.txt"
	wait_for 20 has_turned "$T/reader" $((RANDOM % 40 + 1))
	wait_for 20 has_turned "$T/writer" $((RANDOM % 20 + 1))
	kill -KILL "$pid"

	wait_for 20 gone "$reader" "$writer"
	holds "$r: no job hangs" gone "$reader" "$writer"
	is "$(tail -n 1 "$T/reader") $(tail -n 1 "$T/writer" | sed 's/EROFS/EIO/')" "EIO EIO" \
		"$r: each has got an error"
	wait_for 20 state_is a "$T/one" failed
	is "$(entry a "$T/one" .state)" failed "$r: the mount is listed as failed"
	like "$(entry a "$T/one" .reason)" "pid $pid.*signal 9.*Killed" "$r: with the signal as the reason"
	is "$(findmnt -n -o SOURCE "$T/one")" hpcpack-failed "$r: the drive is gone from the mount point, which is guarded"
	fails_with 1 'Read-only' "$r: nothing is written beneath it by name" \
		dd if=/dev/zero of="$T/one/beneath" bs=512 count=1
	is "$(loops_on "$dev" | grep -c .)" 1 "$r: the loop device waits for a file that is open"
	exec {held}<&-
	wait_for 20 no_loop_on "$dev"
	is "$(loops_on "$dev")" "" "$r: and goes with it"
	succeeds "$r: unmount clears the entry" on a hpcpack unmount "$T/one"
	is "$(entry a "$T/one" .state)" "" "$r: it is not listed any more"
	is "$(ls -A "$T/one")" "" "$r: and the folder is free and empty"
	is "$(mounts_below "$(node_dir a)/run" | grep -c .)" 1 "$r: nothing but the other drive's disk is mounted"
}
for ((i = 1; i <= rounds; i++)); do crash $i || break; done

seen=$(turns "$T/other")
wait_for 20 has_turned "$T/other" $((seen + 10))
holds "the other drive's reader goes on" has_turned "$T/other" $((seen + 10))
is "$(entry a "$T/two" .state)" ready "its mount is ready"
succeeds "it can be written" sh -c 'echo new >"$1" && sync "$1"' sh "$T/two/new"
stop_pid "$other"
succeeds "and unmounted" on a hpcpack unmount "$T/two"

succeeds "the drive can be mounted again" on a hpcpack mount d.vhd "$T/one" --force
rm -f "$T/one/load"
compare_tree "$T/one" "its files are what they were"
succeeds "and unmounted" on a hpcpack unmount "$T/one"
is "$(entries a) $(count_mounts) $(count_loops)" "0 0 0" "nothing is left"
is "$(ls -A "$(node_dir a)/run/mounts")" "" "no folder either"
done_testing
