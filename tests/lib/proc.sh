# proc.sh - processes, ports, mounts and loop devices of one test: starting,
# waiting for, counting and removing them, always by id, never by name.
# shellcheck shell=bash

spawned=()      # pids, in the order of their start
ports=()        # reserved, not handed out yet

# Poll until the command succeeds.
wait_for() { # SECONDS CMD...
	local end=$((SECONDS + $1 + 1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# Start a command in the background with its output in a log; $spawned_pid.
spawn() { # LOG CMD...
	local log=$1

	shift
	"$@" >>"$log" 2>&1 </dev/null &
	spawned_pid=$!
	spawned+=("$spawned_pid")
}

alive() { # PID: runs, and is no zombie
	local state

	state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
	[ -n "$state" ] && [ "$state" != Z ]
}

gone() { # PID...
	local pid

	for pid in "$@"; do
		! alive "$pid" || return 1
	done
}

# End a process: TERM, and KILL if it is still there after SECONDS.
stop_pid() { # PID [SECONDS]
	kill -TERM "$1" 2>/dev/null || return 0
	if ! wait_for "${2:-5}" gone "$1"; then
		kill -KILL "$1" 2>/dev/null
		wait_for 5 gone "$1"
	fi
	wait "$1" 2>/dev/null
	return 0
}

# $port: a TCP port of 127.0.0.1 that stays ours. A small process keeps the ports
# bound without listening: nobody else is given them, a connection is refused,
# and a server with SO_REUSEADDR (all that we use) may listen there, again and
# again.
free_port() {
	if [ ${#ports[@]} = 0 ]; then
		exec {port_pipe}< <(exec /usr/bin/python3 "$tests_dir/lib/hold_ports.py" 12)
		spawned+=("$!")
		read -r -u "$port_pipe" -a ports || bail "no free ports"
	fi
	port=${ports[0]}
	ports=("${ports[@]:1}")
}

# --- what this test has left in the system ---

# Mount points below a folder, deepest first.
mounts_below() { # FOLDER
	awk -v below="$1/" 'index($5 "/", below) == 1 { print length($5), $5 }' /proc/self/mountinfo |
		sort -rn | cut -d' ' -f2- | while read -r mount; do printf '%b\n' "$mount"; done
}

# Loop devices whose file lies below a folder.
loops_below() { # FOLDER
	local file

	for file in /sys/block/loop*/loop/backing_file; do
		if [[ "$(cat "$file" 2>/dev/null)" == "$1"/* ]]; then
			file=${file#/sys/block/}
			echo "/dev/${file%%/*}"
		fi
	done
}

# Our programs and filesystem drivers that this test has running. A process is
# known by its environment, by its arguments, or (a worker has neither) by a
# socket below the test's folder.
programs_running() {
	local dir sockets

	sockets=$(awk -v below="$T/" 'index($8, below) == 1 { print "socket:[" $7 "]" }' /proc/net/unix)
	for dir in /proc/[0-9]*; do
		case $(cat "$dir/comm" 2>/dev/null) in
		hpcagentd | hpcpack* | hpcsync | ntfs-3g | fuse2fs | *exfat* | fusermount3)
			if grep -qzxF "HPCPACK_TEST_TMP=$T" "$dir/environ" 2>/dev/null ||
				grep -qzF "$T/" "$dir/cmdline" 2>/dev/null ||
				find "$dir/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null |
				grep -qxF -e "${sockets:-none}"; then
				alive "${dir#/proc/}" && echo "${dir#/proc/}"
			fi
			;;
		esac
	done
}

count_mounts() { mounts_below "$T" | grep -c .; }
count_loops() { loops_below "$T" | grep -c .; }
count_programs() { programs_running | grep -c .; }

# --- clean-up ---

# Let every program that still runs end in its own way; what the sanitizers had
# to say about them is in their logs then.
stop_programs() {
	local pids

	pids=$(programs_running)
	[ -n "$pids" ] || return 0
	# shellcheck disable=SC2086
	kill -TERM $pids
	# shellcheck disable=SC2086
	wait_for 15 gone $pids
}

unmount_all() { # umount option or nothing
	local mount

	mounts_below "$T" | while read -r mount; do
		timeout 10 umount ${1:+"$1"} -- "$mount" 2>/dev/null
	done
}

cleanup() {
	local loop pid i

	cd /
	exec 2>/dev/null
	if [ "$(count_mounts)" != 0 ]; then unmount_all; fi
	for pid in $(programs_running); do kill -KILL "$pid" 2>/dev/null; done
	for ((i = ${#spawned[@]} - 1; i >= 0; i--)); do stop_pid "${spawned[i]}"; done
	if [ "$(count_mounts)" != 0 ]; then unmount_all -l; fi
	for loop in $(loops_below "$T"); do losetup -d "$loop" 2>/dev/null; done
	if [ -n "${HPCPACK_TEST_KEEP:-}" ]; then
		echo "# kept: $T"
	else
		rm -rf --one-file-system -- "$T"
	fi
}
