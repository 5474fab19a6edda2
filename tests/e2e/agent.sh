#!/usr/bin/env bash
# agent.sh - the agent starts by itself, is alone in its runtime folder, can be
# killed and started again while drives go on, stops cleanly, and refuses callers
# that it does not know.
TEST_TIMEOUT=240
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
put_image image_ext4 d.vhd
put_image image_ext4_gpt2 e.vhd
mkdir -p "$T/one" "$T/two"
lease_state() { az props "hpcpackages/$1" | jq -r .lease_state; }
drop_caches() { sync -f "$T/one"; echo 3 >/proc/sys/vm/drop_caches; }

# --- by itself ---
mkdir -m 0700 "$T/auto"
export HPCPACK_AGENT=$T/auto/agent.sock
succeeds "mount starts an agent where there is none" hpcpack mount d.vhd "$T/one"
like "$err" '[Ss]tart.*agent|agent.*start' "and says so"
is "$out" "$T/one" "stdout is the mount point alone"
pids=$(programs_running)
is "$(for pid in $pids; do cat "/proc/$pid/comm"; done | sort | xargs)" "hpcagentd hpcpack-drive" \
	"an agent and a worker run"
is "$(for pid in $pids; do tr '\0' '\n' <"/proc/$pid/environ"; tr '\0' '\n' <"/proc/$pid/cmdline"; done | grep -cF "$AZ_KEY")" \
	0 "the key is in neither's environment or arguments"
holds "files can be read" tree_is_right "$T/one"
succeeds "a second mount uses it" hpcpack mount e.vhd "$T/two" --snapshot
is "$err" "" "without a word about starting"
agent=$(for pid in $pids; do grep -qx hpcagentd "/proc/$pid/comm" && echo "$pid"; done)
kill -TERM "$agent"
wait_for 40 gone "$agent"
holds "it stops at SIGTERM" gone "$agent"
nothing_runs() { [ "$(count_programs)" = 0 ]; }
wait_for 10 nothing_runs
is "$(count_programs) $(count_mounts) $(count_loops)" "0 0 0" "and has unmounted everything"
is "$(lease_state d.vhd)" available "its lease is released"
unset HPCPACK_AGENT

# --- in the foreground, as systemd runs it ---
start_notify
NOTIFY_SOCKET=$T/notify start_agent a
if tells_systemd; then
	wait_for 30 grep -q READY=1 "$T/notified"
	like "$(cat "$T/notified")" 'READY=1' "it tells systemd when it is ready"
else
	ok "(built without systemd: no readiness to tell)"
fi
run timeout 20 hpcagentd --foreground --runtime-dir "$T/node-a/run" --config "$T/node-a/hpcpack.conf"
is "$status" 1 "a second agent in the same runtime folder exits"
like "$err" "already|another|in use" "and says why"
is "$(grep -c . <<<"$err")" 1 "in one line"
is "$(entries a)" 0 "the first one is not disturbed"

# --- killed and started again ---
succeeds "mounts" on a hpcpack mount d.vhd "$T/one"
succeeds "mounts a snapshot" on a hpcpack mount e.vhd "$T/two" --snapshot
since=$(entry a "$T/one" .since)
kill -KILL "${agent_pid[a]}"
wait_for 30 gone "${agent_pid[a]}"
drop_caches
holds "the agent is killed: files can be read" tree_is_right "$T/one"
noise agent 1000000 >"$T/one/while-away" && sync "$T/one/while-away"
is $? 0 "and written and synced"
start_agent a
is "$(entries a)" 2 "a new agent lists both drives"
is "$(entry a "$T/one" '"\(.state) \(.mode) \(.since)"')" "ready rw $since" "as they are"
is "$(entry a "$T/two" '"\(.state) \(.mode)"')" "ready ro" "both of them"

# --- signals that are meant for the agent ---
for pid in $(workers a); do kill -USR1 "$pid" && kill -HUP "$pid"; done
drop_caches
holds "SIGUSR1 and SIGHUP do nothing to a worker: files can be read" tree_is_right "$T/one"
is "$(entry a "$T/one" .state) $(entry a "$T/two" .state)" "ready ready" "and both drives are ready"

# --- a worker dies ---
kill -KILL "$(entry a "$T/two" .pid)"
wait_for 20 state_is a "$T/two" failed
is "$(entry a "$T/two" .state)" failed "a worker is killed: its mount is listed as failed"
isnt "$(entry a "$T/two" .reason)" "" "with a reason: $(entry a "$T/two" .reason)"
is "$(entry a "$T/one" .state)" ready "the other mount is ready"
holds "and its files can be read" tree_is_right "$T/one"
run on a hpcpack unmount "$T/two"
is "$(entries a)" 1 "the failed one can be unmounted"
holds "and its mount point is free" sh -c '! mountpoint -q "$1"' sh "$T/two"
az delete hpcpackages/e.vhd

# --- a worker and the agent die together, the agent is started again ---
put_image image_ext4_gpt2 e.vhd
succeeds "mounts" on a hpcpack mount e.vhd "$T/two"
kill -KILL "${agent_pid[a]}" "$(entry a "$T/two" .pid)"
wait_for 30 gone "${agent_pid[a]}"
start_agent a
wait_for 20 state_is a "$T/two" failed
is "$(entry a "$T/two" .state)" failed "a worker that died while no agent ran is listed as failed"
is "$(entry a "$T/one" .state)" ready "the other one as ready"
run on a hpcpack unmount "$T/two"
is "$(entries a)" 1 "the failed one can be unmounted"

# --- stopping ---
succeeds "the adopted drive unmounts" on a hpcpack unmount "$T/one"
is "$(lease_state d.vhd)" available "and its lease is released"
succeeds "mounts" on a hpcpack mount d.vhd "$T/one"
is "$(sha256sum <"$T/one/while-away")" "$(noise agent 1000000 | sha256sum)" "what was written without an agent is there"
stop_agent a
is "$status" 0 "SIGTERM: exit status 0"
is "$(count_programs) $(count_mounts) $(count_loops)" "0 0 0" "everything is unmounted"
is "$(lease_state d.vhd)" available "the lease is released"

printf '[agent]\nstop_leaves_mounts = yes\n' | agent_config a
start_agent a
succeeds "an agent that is to leave mounts" on a hpcpack mount d.vhd "$T/one"
stop_agent a
is "$status" 0 "SIGTERM: exit status 0"
drop_caches
holds "the drive is still mounted and can be read" tree_is_right "$T/one"
start_agent a
is "$(entry a "$T/one" .state)" ready "the next agent adopts it"
succeeds "and unmounts it" on a hpcpack unmount "$T/one"

# --- callers ---
user_setup
succeeds "root's agent has a drive" on a hpcpack mount d.vhd "$T/one"
chmod 0755 "$T/node-a"
as_user_on_a() { HPCPACK_AGENT=$T/node-a/run/agent.sock as_user "$@"; }
fails_with 1 "agent\.sock.*([Pp]ermission|allow|refuse|not serve)" "the socket is closed to other users" \
	as_user_on_a hpcpack mount --list
chmod 0755 "$T/node-a/run"
chmod 0666 "$T/node-a/run/agent.sock"
fails_with 1 "permission|allow|refuse|not serve" "and even when it can be opened, the peer is checked" \
	as_user_on_a hpcpack unmount d.vhd
holds "the drive is still mounted" mountpoint -q "$T/one"
succeeds "root unmounts it" on a hpcpack unmount d.vhd
is "$(count_mounts) $(count_loops)" "0 0" "nothing is left"
done_testing
