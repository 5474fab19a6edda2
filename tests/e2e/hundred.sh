#!/usr/bin/env bash
# hundred.sh - a hundred mounts in a row leak nothing, seen by counting.
TEST_TIMEOUT=300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

count=${HPCPACK_TEST_QUICK:+10}
count=${count:-100}
start_azurite
printf '[drive]\ncache = 16M\n' | agent_config a
start_agent a
put_image image_ext4 d.vhd
mkdir -p "$T/mnt"
agent=${agent_pid[a]}

# What the agent holds and what it has made, a line each.
holdings() {
	echo "descriptors $(find "/proc/$agent/fd" -mindepth 1 | wc -l)"
	echo "threads $(find "/proc/$agent/task" -mindepth 1 -maxdepth 1 | wc -l)"
	echo "children $(pgrep -P "$agent" | wc -l)"
	echo "programs $(count_programs)"
	echo "loops $(count_loops)"
	echo "mounts $(count_mounts)"
	echo "folders $(find "$T/node-a/run" -mindepth 1 | wc -l)"
}
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$agent/status"; }
settled() { [ "$(count_programs)" = 1 ] && [ "$(find "/proc/$agent/task" -mindepth 1 -maxdepth 1 | wc -l)" -le "${threads:-99}" ]; }

again() {
	on a hpcpack mount d.vhd "$T/mnt" >/dev/null && cmp -s "$T/mnt/hello.txt" "$(tree)/hello.txt" &&
		on a hpcpack unmount "$T/mnt" >/dev/null
}

# The first ones warm up what is kept for good (caches of libc, of libmount).
for _ in 1 2 3; do again || bail "it does not even mount a few times"; done
wait_for 10 settled
holdings >"$T/before"
threads=$(awk '/^threads/ { print $2 }' "$T/before")
rss=$(resident)
failed=0
start=$SECONDS
for ((i = 0; i < count; i++)); do again || failed=$((failed + 1)); done
echo "# $count mounts and unmounts took $((SECONDS - start)) s"
is "$failed" 0 "$count mounts and unmounts in a row"
wait_for 10 settled
holdings >"$T/after"
is "$(cat "$T/after")" "$(cat "$T/before")" "leave behind no descriptor, thread, process, loop, mount, folder"
# (The sanitizers hold on to freed memory, so that they can tell who uses it.)
if ! grep -q 'SAN_CFLAGS.*fsanitize' "$abs_top_builddir/config.status"; then
	grown=$(($(resident) - rss))
	holds "and the agent has grown by less than 2 MiB ($grown KiB)" [ "$grown" -lt 2048 ]
fi
is "$(az props hpcpackages/d.vhd | jq -r .lease_state)" available "and no lease"
done_testing
