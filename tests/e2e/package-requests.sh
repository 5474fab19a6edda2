#!/usr/bin/env bash
# package-requests.sh - what reading a mounted package costs between kernel and worker:
# nothing has to be opened where all can be read, and nothing can be written in either
# case; read-ahead.
TEST_TIMEOUT=150
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
command -v strace >/dev/null || skip_all "strace is not installed"

start_azurite
start_agent a
m=$T/mnt
mkdir "$m"
/usr/bin/python3 - "$T" <<-'EOP'
	import sys, zipfile
	for name in ("all.zip", "odd.zip"):
	    with zipfile.ZipFile(f"{sys.argv[1]}/{name}", "w") as z:
	        for i in range(20):
	            z.writestr(f"dir/deflated{i}", b"some text\n" * 100 * (i + 1), zipfile.ZIP_DEFLATED)
	            z.writestr(f"dir/stored{i}", b"%05d\n" % i * 1000)
	        if name == "odd.zip":
	            z.writestr("bzip2", b"other" * 100, zipfile.ZIP_BZIP2)
EOP
az block "$T/all.zip" hpcpackages/all.zip
az block "$T/odd.zip" hpcpackages/odd.zip

# The replies of the worker to the kernel while a command runs.
replies() { # CMD...
	local log tracer

	log=$(mktemp "$T/strace.XXXXXX")
	spawn "$log" strace -f -p "$(entry a "$m" .pid)" -e trace=writev -P /dev/fuse
	tracer=$spawned_pid
	wait_for 20 grep -q attached "$log" || bail "strace: $(cat "$log")"
	"$@" >"$T/read"
	stop_pid "$tracer"
	count=$(grep -c 'writev(' "$log")
}

# The same, for what the kernel has seen already; it may have had to forget it (memory,
# time), so of three times one must do without the worker.
replies_again() { # CMD...
	for _ in 1 2 3; do
		replies "$@"
		[ "$count" != 0 ] || break
	done
}

for blob in all.zip odd.zip; do
	succeeds "$blob: mounts" on a hpcpack mount "$blob" "$m"
	find "$m" -size +0 >"$T/names"
	# The kernel learns with the first file what it need not ask.
	cat "$m/dir/stored0" "$m/dir/deflated0" >/dev/null
	for file in deflated7 stored7; do
		replies cat "$m/dir/$file"
		# That it was closed may be said later.
		if [ $blob = all.zip ]; then
			is "$count" 1 "$blob: requests to read a small file, $file"
		else
			holds "$blob: its files are opened ($count requests)" test "$count" -ge 2
		fi
		unzip -p "$T/$blob" "dir/$file" >"$T/wanted"
		holds "$blob: it is right" cmp "$T/read" "$T/wanted"
	done
	replies_again cat "$m/dir/stored7"
	[ $blob != all.zip ] || is "$count" 0 "$blob: requests to read it again"
	replies_again find "$m"
	is "$count" 0 "$blob: requests to list it again"
	for i in 1 8 15; do unzip -p "$T/$blob" "dir/stored$i" | tail -c 3000 | cmp - <(tail -c 3000 "$m/dir/stored$i") || break; done
	is "$?" 0 "$blob: ends of stored files are right"

	# Wherever it is mounted: what the bind mount is of, too.
	for file in dir/stored1 dir/new; do
		run bash -c 'echo x >>"$1"' sh "$m/$file"
		like "$err" "Read-only file system" "$blob: $file can't be written by root"
	done
	run truncate -s 0 "$m/dir/stored2"
	like "$err" "Read-only file system" "$blob: nor made shorter"
	run chmod 0777 "$m/dir/stored2"
	like "$err" "Read-only file system" "$blob: nor changed"
	is "$(awk -v t="$T/" '/ - fuse.hpcpack / && index($5, t) == 1 && ($6 !~ /^ro/ || $NF !~ /^ro/)' /proc/self/mountinfo)" "" "$blob: every mount of it is read-only"
	bdi=/sys/class/bdi/$(mountpoint -d "$m")/read_ahead_kb
	if (exec 3<>"$bdi") 2>/dev/null; then
		is "$(cat "$bdi")" 1024 "$blob: the kernel reads 1 MiB ahead"
	else
		skip "$blob: the kernel reads 1 MiB ahead" "$bdi can't be written"
	fi
	succeeds "$blob: unmounts" on a hpcpack unmount "$blob"
done

# --- an ordinary user ---
user_setup
u=$T/user/mnt
for blob in all.zip odd.zip; do
	succeeds "$blob: an ordinary user mounts it" as_user hpcpack mount "$blob" "$u"
	is "$(as_user head -c 6 "$u/dir/stored3")" 00003 "$blob: and reads it"
	run as_user bash -c 'echo x >>"$1"' sh "$u/dir/stored3"
	like "$err" "Read-only file system" "$blob: and can't write it"
	is "$(as_user awk -v u="$u" '$5 == u && $6 ~ /^ro/ && $NF ~ /^ro/' /proc/self/mountinfo | wc -l)" 1 "$blob: the mount is read-only"
	succeeds "$blob: unmounts" as_user hpcpack unmount "$blob"
done
holds "nothing is left" test "$(count_mounts)" = 0
done_testing
