#!/usr/bin/env bash
# fsync-kill.sh - fsync means durable: files are written with fsync, the worker is
# killed with SIGKILL at a random moment, another node mounts the drive and finds
# every acknowledged byte; the filesystem's own fsck passes. SEED=N repeats a run.
TEST_TIMEOUT=400
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

rounds=${HPCPACK_TEST_QUICK:+5}
rounds=${rounds:-30}
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "# SEED=$seed, $rounds rounds"
RANDOM=$seed

start_azurite
for node in a b; do
	printf '[drive]\nlease_duration = 15s\ncache = 32M\n' | agent_config $node
	start_agent $node
done
mkdir -p "$T/a" "$T/b"
put_image image_ext4 d.vhd
: >"$T/acked"
total=0

# One round: the writer on one node, death, the other node looks.
round() { # NUMBER WRITER-NODE OTHER-NODE
	local pid writer first disk

	first=$(($(tail -n 1 "$T/acked" | grep . || echo -1) + 1))
	succeeds "round $1: $2 mounts" on "$2" hpcpack mount d.vhd "$T/$2" --force || return
	pid=$(entry "$2" "$T/$2" .pid)
	/usr/bin/python3 "$tests_dir/lib/fsync_writer.py" "$T/$2" "$seed" "$first" \
		>>"$T/acked" 2>"$T/writer.log" </dev/null &
	writer=$!
	spawned+=("$writer")
	sleep "0.$((RANDOM % 900 + 100))"
	kill -KILL "$pid"
	wait_for 20 gone "$writer" || { not_ok "round $1: the writer ends"; return 1; }
	wait "$writer" 2>/dev/null
	total=$(wc -l <"$T/acked")

	run on "$2" hpcpack unmount "$T/$2" --lazy
	succeeds "round $1: $3 mounts" on "$3" hpcpack mount d.vhd "$T/$3" --force || return
	succeeds "round $1: all $total acknowledged files are right" \
		sh -c '"$@" check <"$0"' "$T/acked" /usr/bin/python3 "$tests_dir/lib/fsync_writer.py" "$T/$3" "$seed" 0
	succeeds "round $1: $3 unmounts" on "$3" hpcpack unmount "$T/$3"
	disk=$(on "$3" hpcpack mount d.vhd --raw)
	[ ! -d "$disk" ] || disk=$disk/disk
	succeeds "round $1: fsck" e2fsck -fn "$disk"
	succeeds "round $1: and away" on "$3" hpcpack unmount d.vhd
}

for ((i = 1; i <= rounds; i++)); do
	if ((i % 2)); then round $i a b; else round $i b a; fi || break
	# room for the next rounds: start anew with an empty folder now and then
	if [ "$total" -gt 400 ]; then
		succeeds "mounts to make room" on a hpcpack mount d.vhd "$T/a" || break
		rm -f "$T/a"/file-*
		succeeds "unmounts" on a hpcpack unmount "$T/a"
		last=$(tail -n 1 "$T/acked")
		written=$((${written:-0} + total))
		echo "$last" >"$T/last"
		: >"$T/acked"
	fi
done
written=$((${written:-0} + $(wc -l <"$T/acked")))
holds "files were written at all ($written)" [ "$written" -gt "$rounds" ]
is "$(entries a) $(entries b)" "0 0" "nothing is listed any more"
is "$(count_loops) $(count_mounts)" "0 0" "no loop device and no mount is left"
done_testing
