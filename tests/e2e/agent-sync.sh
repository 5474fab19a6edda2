#!/usr/bin/env bash
# agent-sync.sh - the agent runs hpcsync: at its start, every so often, one at a time;
# shows what came of it, waits for it if it must, and ends it when it ends itself.
# A script stands in for hpcsync, and does as the test says.
TEST_TIMEOUT=200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

# --- the stand-in ---
mkdir "$T/programs" "$T/sync"
for program in "$abs_top_builddir"/hpcpack-*; do ln -s "$program" "$T/programs/"; done
export HPCPACK_LIBEXEC=$T/programs
cat >"$T/programs/hpcsync" <<-END
	#!/bin/sh
	cd '$T/sync' || exit 99
	mkdir running 2>/dev/null || echo two >>overlap
	echo "\$\$ \$*" >>runs
	env >env
	. ./does
END
chmod +x "$T/programs/hpcsync"

# What it does from now on: shell, with which it is over when it says so.
does() {
	cat >"$T/sync/does.new" <<-END
		over() { rmdir running; exit "\$1"; }
		$1
	END
	mv "$T/sync/does.new" "$T/sync/does"
}
runs() { grep -c . "$T/sync/runs" 2>/dev/null || :; }
has_run() { [ "$(runs)" -ge "$1" ]; }
forget_runs() { rm -rf "$T/sync/runs" "$T/sync/running"; }
report() { # NAME STATE ERROR
	jq -cn --arg n "$1" --arg s "$2" --arg e "$3" '{root: "/r", container: "c", error: null,
		packages: [{name: $n, etag: "\"1\"", target: "/r/app", state: $s, bytes: 2048, files: 3,
			seconds: 0.5, error: (if $e == "" then null else $e end)}],
		totals: {installed: (if $s == "installed" then 1 else 0 end), unchanged: 0, skipped: 0,
			failed: (if $s == "failed" then 1 else 0 end), bytes: 2048, fetched: 9, files: 3, seconds: 1}}'
}
good=$(report app.zip installed "")
bad=$(report app.zip failed "app.zip: crc of bin/x is wrong")
does "echo '$good'; over 0"

with_account() { # NODE [LINES for [packages]]
	printf '%s\n' '[account]' 'name = acc' 'key = c2VjcmV0' '[packages]' "${2:-}" | agent_config "$1"
}
restart() { # NODE
	stop_agent "$1"
	forget_runs
	start_agent "$1"
}
# A field of what hpcpack status --json prints.
status_of() { # NODE JQ
	on "$1" hpcpack status --json | jq -r "$2"
}
status_is() { [ "$(status_of "$1" "$2")" = "$3" ]; }

# --- nobody asked for it ---
start_agent a
is "$(status_of a '"\(.sync.enabled) \(.sync.last) \(.sync.next) \(.mounts)"')" "false null null 0" \
	"an agent without an account does not sync"
succeeds "status" on a hpcpack status
like "$out" '^agent +version [0-9.]+, pid [0-9]+, since 20.*Z, in .*/node-a/run$' "says how the agent is"
like "$out" '^mounts +0$' "and what is mounted"
like "$out" '^next +never' "and that it does not sync"
stop_agent a
fails_with 1 "no agent runs at .*/node-a/run/agent.sock" "status without an agent" on a hpcpack status

# --- at the start ---
with_account a
CCP_AZURE_CONNECTIONSTRING='secret;' CCP_PACKAGE_ROOT=$T/root AZURE_STORAGE_KEY=other start_agent a
wait_for 30 status_is a .sync.last.ok true
is "$(status_of a '"\(.sync.enabled) \(.sync.last.ok) \(.sync.last.error) \(.sync.next) \(.sync.running_since)"')" \
	"true true null null null" "with an account it syncs at its start"
is "$(cut -d' ' -f2- "$T/sync/runs")" "--json --quiet --config $T/node-a/hpcpack.conf" "as it is told to"
is "$(status_of a '.sync.last.report | tojson' | jq -cS .)" "$(jq -cS . <<<"$good")" "its report is passed on"
is "$(grep -cxF -e 'CCP_AZURE_CONNECTIONSTRING=secret;' -e "CCP_PACKAGE_ROOT=$T/root" "$T/sync/env")" 2 \
	"it gets the account and the root from the agent's environment"
is "$(cut -d= -f1 "$T/sync/env" | grep -vxE 'PATH|LC_ALL|HOME|PWD|OLDPWD|SHLVL|_|CCP_.*')" "" "and nothing else"
succeeds "status" on a hpcpack status
like "$out" '^packages +synced 20.*Z: 1 installed, 0 unchanged, 0 skipped, 0 failed$' "says what came of it"
like "$out" '^app.zip +installed +2.0 KiB +3 +0.5 s +/r/app$' "package by package"
is "$(runs)" 1 "once"

# --- where it is, for jobs ---
mkdir -p "$T/etc/hpcpack" "$T/run/hpcpack"
sed -e "s|@sysconfdir[@]|$T/etc|" -e "s|@runstatedir[@]|$T/run|" -e "s|@localstatedir[@]|$T/var|" \
	"$abs_top_srcdir/contrib/profile.d/hpcpack.sh.in" >"$T/hpcpack.sh"
root_of_a_job() { # [VARIABLES...]
	env -i "PATH=$PATH" "$@" sh -euc '. "$1"; sh -c "echo \"\$CCP_PACKAGE_ROOT\""' sh "$T/hpcpack.sh" 2>&1
}
is "$(root_of_a_job)" "$T/var/lib/hpcpack/packages" "profile.d: jobs find the usual package root"
printf '%s\n' '[mount]' 'root = /no' '[packages]' 'keep_versions = 2' ' root =  /big disk/packages ' '[agent]' 'root = /no' \
	>"$T/etc/hpcpack/hpcpack.conf"
is "$(root_of_a_job)" "/big disk/packages" "that of the configuration"
is "$(cat "$T/node-a/run/package-root")" "$T/root" "(the agent says its own)"
ln -s "$T/node-a/run/package-root" "$T/run/hpcpack/"
is "$(root_of_a_job)" "$T/root" "that of the agent"
is "$(root_of_a_job CCP_PACKAGE_ROOT=/mine)" /mine "or the one that they have"

# --- what is known of it outlives the agent ---
ended=$(status_of a .sync.last.ended)
with_account a "sync_at_start = no"
restart a
is "$(status_of a '"\(.sync.enabled) \(.sync.last.ended) \(.sync.last.report.packages[0].name)"')" \
	"false $ended app.zip" "an agent that does not sync knows what the one before it did"
is "$(runs)" "" "sync_at_start = no: and does not"
is "$(stat -c %a "$T/node-a/run/sync.json")" 600 "from a file that is its own"

# --- one that hpcpack mount would start ---
with_account a "sync_at_start = yes"
stop_agent a
start_agent a --idle-exit 60
is "$(status_of a .sync.enabled)" false "an agent for one mount never syncs"

# --- again and again ---
with_account a "sync_interval = 300ms"
does "sleep 0.2; echo '$good'; over 0"
restart a
wait_for 60 has_run 4
holds "sync_interval: it syncs again and again" has_run 4
holds "one at a time" [ ! -e "$T/sync/overlap" ]
is "$(status_of a '.sync | .interval_seconds, (.next != null or .running_since != null)' | xargs)" "0.3 true" \
	"and says when it will again"

# --- failures ---
with_account a
does "echo 'hpcsync: app.zip: crc of bin/x is wrong' >&2; echo '$bad'; over 1"
restart a
wait_for 30 status_is a .sync.last.ok false
succeeds "a package failed: status succeeds" on a hpcpack status
like "$out" ': 0 installed, 0 unchanged, 0 skipped, 1 failed$' "says so"
like "$out" '^ +1 of 1 packages failed$' "and why"
like "$out" '^app.zip +failed .* app.zip: crc of bin/x is wrong$' "package by package"
like "$(cat "$T/node-a/agent.log")" 'hpcagentd: warning: hpcsync: app.zip: crc of bin/x is wrong' "the log has it"
is "$(status_of a .sync.next) $(runs)" "null 1" "it is not tried again before its time"

does "echo 'hpcsync: there is no container hpcpackages' >&2; over 1"
restart a
wait_for 30 has_run 2
holds "no sync at all: it is tried again" has_run 2
is "$(status_of a '.sync.last | "\(.ok) \(.report) \(.error)"')" \
	"false null hpcsync: there is no container hpcpackages" "and why is said"
does "echo '$good'; over 0"
wait_for 60 status_is a .sync.last.ok true
is "$(status_of a '"\(.sync.last.ok) \(.sync.next)"')" "true null" "until it succeeds"

# The result of each of these is another than that of the one before it.
fails_as() { # ERE DESCRIPTION
	forget_runs
	restart a
	says() { grep -qE "$1" <<<"$(status_of a .sync.last.error)"; }
	wait_for 30 says "$1"
	like "$(status_of a '"\(.sync.last.ok) \(.sync.last.error)"')" "^false .*$1" "$2"
}
does "kill -KILL \$\$"
fails_as 'hpcsync \(pid [0-9]+\) was killed by signal 9' "one that is killed is a failure"
does "echo hello; over 0"
fails_as 'hpcsync has printed nothing that can be understood' "one that prints nonsense, too"
does "yes 'hpcsync: the same complaint' | head -n 20000 >&2; over 1"
fails_as 'the same complaint' "one that has much to complain about, too"
holds "but that does not fill the log" [ "$(grep -c 'the same complaint' "$T/node-a/agent.log")" -lt 1000 ]
mv "$T/programs/hpcsync" "$T/programs/hpcsync.old"
fails_as 'could not start .*/hpcsync: No such file' "one that is not there is named"
mv "$T/programs/hpcsync.old" "$T/programs/hpcsync"

# --- more packages than a message holds ---
jq -cn '{error: null, packages: [range(3000) | {name: "package-\(.)-with-a-name-of-some-length.zip",
	target: "/var/lib/hpcpack/packages/somewhere/\(.)", state: "unchanged", error: null}]}' >"$T/sync/many"
does "cat many; over 0"
restart a
wait_for 30 status_is a .sync.last.ok true
is "$(status_of a '.sync | ([.last.report.packages[].target | split("/")[-1] | tonumber] == [range(3000)]),
	has("packages_next")' | xargs)" "true false" "3000 packages arrive, in order"
is "$(on a hpcpack status | grep -c '^package-')" 3000 "and are listed"

# --- the end ---
does "trap 'echo term >>ended; over 143' TERM; : >waits; while :; do sleep 0.05; done"
restart a
wait_for 30 [ -e "$T/sync/waits" ]
like "$(status_of a .sync.running_since)" '^20.*Z$' "a sync that runs is shown"
like "$(on a hpcpack status)" '^next +running since 20' "to people, too"
stop_agent a
is "$status" 0 "SIGTERM ends the agent while it syncs"
is "$(cat "$T/sync/ended")" term "and the sync before it, by a SIGTERM"
holds "which has ended" gone "$(cut -d' ' -f1 "$T/sync/runs")"
rm "$T/sync/waits" "$T/sync/ended"
forget_runs
start_agent a
wait_for 30 [ -e "$T/sync/waits" ]
is "$(status_of a '.sync.last.report.packages | length')" 3000 "what was broken off takes the place of no result"
kill -KILL "${agent_pid[a]}"
wait_for 30 gone "${agent_pid[a]}" "$(cut -d' ' -f1 "$T/sync/runs")"
holds "a sync does not outlive an agent that is killed" gone "$(cut -d' ' -f1 "$T/sync/runs")"
forget_runs

# --- sync_required ---
start_notify
is_told() { grep -qE "$1" "$T/notified"; }
with_account a "sync_required = yes"
does "[ -e go ] || { echo 'hpcsync: no answer from storage' >&2; over 1; }; echo '$good'; over 0"
NOTIFY_SOCKET=$T/notify start_agent a
if tells_systemd; then
	wait_for 30 is_told '^STATUS=.*not ready; the package sync failed'
	like "$(cat "$T/notified")" '^STATUS=Serving, but not ready; waiting for the first package sync$' \
		"sync_required: systemd hears what is waited for"
	like "$(cat "$T/notified")" '^STATUS=.*not ready; the package sync failed: hpcsync: no answer from storage; next in [0-9]+ s$' \
		"and what is wrong"
	unlike "$(cat "$T/notified")" READY=1 "and not that it is ready"
	is "$(status_of a .sync.required) $(entries a)" "true 0" "the agent answers meanwhile"
	: >"$T/sync/go"
	wait_for 60 is_told '^READY=1$'
	like "$(cat "$T/notified")" '^READY=1$' "after the first sync that succeeds it is ready"
	is "$(status_of a .sync.last.ok)" true "(it did)"
else
	ok "(built without systemd: no readiness to tell)"
fi
stop_agent a
done_testing
