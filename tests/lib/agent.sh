# agent.sh - nodes: an agent each, with its own runtime folder, configuration,
# log and host name; and an ordinary user.
# shellcheck shell=bash

declare -A agent_pid=()

node_dir() { echo "$T/node-$1"; }

# What workers cache, where a test says nothing else: they touch all of it when they
# start, and new memory is expensive. Empty for the default of the program.
agent_cache=16M

# The configuration file of a node, from stdin; before start_agent. Mount points
# that nobody chose lie in the node's folder.
agent_config() { # NAME
	local dir text size_is=$'\ncache = '

	dir=$(node_dir "$1")
	text=$(cat)
	text+=$'\n[mount]\nroot = '$dir/root
	if [ -n "$agent_cache" ] && [[ $text != *"$size_is"* ]]; then text+=$'\n[drive]'$size_is$agent_cache; fi
	mkdir -p "$dir"
	(umask 077 && echo "$text" >"$dir/hpcpack.conf")
}

# Each node has a host name of its own (node-NAME), so that a lease's holder can
# be told apart.
start_agent() { # NAME [hpcagentd options]
	local name=$1 dir

	shift
	[ "$(id -u)" = 0 ] || skip_all "needs root (loop devices)"
	[ -e /dev/fuse ] || skip_all "no /dev/fuse here"
	dir=$(node_dir "$name")
	mkdir -p "$dir"
	[ -e "$dir/hpcpack.conf" ] || agent_config "$name" </dev/null
	spawn "$dir/agent.log" unshare --uts -- sh -c 'hostname "$1"; shift; exec "$@"' sh "node-$name" \
		hpcagentd --foreground --config "$dir/hpcpack.conf" --runtime-dir "$dir/run" "$@"
	agent_pid[$name]=$spawned_pid
	wait_for 20 listens "$dir/run/agent.sock" ||
		bail "agent $name does not answer: $(tail -n 3 "$dir/agent.log")"
}

# A systemd that listens: what it is told is in $T/notified, a line each. Agents
# hear of it by NOTIFY_SOCKET=$T/notify.
start_notify() {
	spawn "$T/notified" /usr/bin/python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(65536).decode(), flush=True)' "$T/notify"
	wait_for 30 [ -S "$T/notify" ] || bail "no socket to notify"
}

# Was this built with libsystemd?
tells_systemd() { grep -q libsystemd <<<"$(ldd "$abs_top_builddir/hpcagentd")"; }

# Somebody accepts at this socket; that it exists says nothing after a kill -9.
listens() { # SOCKET
	awk -v path="$1" '$4 == "00010000" && $8 == path { found = 1 } END { exit !found }' /proc/net/unix
}

stop_agent() { # NAME: SIGTERM, wait for it; its exit status in $status
	kill -TERM "${agent_pid[$1]}" 2>/dev/null
	wait_for 60 gone "${agent_pid[$1]}" || return 1
	wait "${agent_pid[$1]}" 2>/dev/null
	status=$?
}

# Run a command on a node: its agent, its configuration.
on() { # NAME CMD...
	local dir

	dir=$(node_dir "$1")
	shift
	HPCPACK_AGENT=$dir/run/agent.sock HPCPACK_CONFIG=$dir/hpcpack.conf \
		timeout -k 5 "${RUN_TIMEOUT:-60}" "$@"
}

# A field of a node's mount, by mount point: entry a "$T/mnt" .state
entry() { # NAME MOUNTPOINT JQ
	on "$1" hpcpack mount --list --json |
		jq -r --arg m "$2" "(if type == \"array\" then . else .mounts end)[] | select(.mountpoint == \$m) | $3"
}

entries() { # NAME: how many mounts
	on "$1" hpcpack mount --list --json | jq '(if type == "array" then . else .mounts end) | length'
}

state_is() { # NAME MOUNTPOINT STATE
	[ "$(entry "$1" "$2" .state)" = "$3" ]
}

# Pids of a node's workers.
workers() { # NAME
	on "$1" hpcpack mount --list --json | jq -r '(if type == "array" then . else .mounts end)[].pid'
}

# A node that dies: agent and workers at the same moment, without a word; and what
# the kernel of a dead node would have lost too.
kill_node() { # NAME
	local pids

	pids=$(workers "$1")
	# shellcheck disable=SC2086
	kill -KILL "${agent_pid[$1]}" $pids
	# shellcheck disable=SC2086
	wait_for 10 gone "${agent_pid[$1]}" $pids
	forget_node "$1"
}

# Drop the kernel's side of a dead node's mounts: those from loop devices below
# its runtime folder, and the folder's own.
forget_node() { # NAME
	local dir loop mount

	dir=$(node_dir "$1")
	for loop in $(loops_below "$dir"); do
		findmnt -rno TARGET -S "$loop" | while read -r mount; do umount -l -- "$mount"; done
		findmnt -rno TARGET -S "${loop}p*" | while read -r mount; do umount -l -- "$mount"; done
		losetup -d "$loop"
	done
	mounts_below "$dir" | while read -r mount; do umount -l -- "$mount"; done
	return 0
}

# --- an ordinary user ---

user_holder=
user_name=nobody

# The user's world: a mount namespace in which /dev/fuse is open to all (as udev
# makes it on a real node, and a container may not) and the build folder can be
# reached; a home and a runtime folder.
user_setup() {
	local i

	[ "$(id -u)" = 0 ] || skip_all "needs root, to become another user"
	[ -e /dev/fuse ] || skip_all "no /dev/fuse here"
	mkdir -p "$T/user/"{home,run,build,dev,mnt}
	chown -R "$user_name:" "$T/user"
	chmod 0700 "$T/user/run"
	unshare --mount --propagation private sleep infinity </dev/null >/dev/null 2>&1 &
	user_holder=$!
	spawned+=("$user_holder")
	wait_for 30 differs /proc/$user_holder/ns/mnt /proc/$$/ns/mnt || bail "no mount namespace"
	nsenter -t "$user_holder" -m sh -e -c '
		mount --bind "$2" "$1/build"
		mount -t tmpfs -o mode=0755 tmpfs "$1/dev"
		mknod -m 0666 "$1/dev/fuse" c 10 229
		mount --bind "$1/dev/fuse" /dev/fuse' sh "$T/user" "$abs_top_builddir" ||
		bail "cannot prepare the world of an ordinary user"
}

differs() { [ "$(readlink "$1")" != "$(readlink "$2")" ]; }

as_user() { # CMD...
	timeout -k 5 "${RUN_TIMEOUT:-60}" nsenter -t "$user_holder" -m \
		env PATH="$T/user/build:$PATH" HPCPACK_LIBEXEC="$T/user/build" HOME="$T/user/home" \
		XDG_RUNTIME_DIR="$T/user/run" ASAN_OPTIONS="$asan_options:log_path=$T/user/sanitizer" \
		UBSAN_OPTIONS="print_stacktrace=1:log_path=$T/user/sanitizer" USER="$user_name" LOGNAME="$user_name" \
		setpriv --reuid "$user_name" --regid "$(id -gn "$user_name")" --init-groups \
		--inh-caps=-all sh -c 'cd && exec "$@"' sh "$@"
}
