#!/usr/bin/env bash
# example.sh - hpcpack-examples(7), step by step: an application from its folder to the
# nodes, a new version of it, its removal; node preparation; and the data on a drive.
# Three nodes: agents with package roots of their own on this machine.
TEST_TIMEOUT=240
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
connection=$AZURE_STORAGE_CONNECTION_STRING
# From here on accounts come from templates and configurations alone.
unset AZURE_STORAGE_CONNECTION_STRING AZ_CS
nodes="a b c"
root_of() { echo "$(node_dir "$1")/packages"; }
clusrun() { # CMD...: on each node
	local node

	for node in $nodes; do on "$node" "$@" || return; done
}

# --- the account, for those who upload ---
mkdir "$T/templates"
(umask 077 && printf '%s\n' '[account]' "connection_string = $connection" >"$T/templates/AzureWorker.conf")
printf '%s\n' '[templates]' "dir = $T/templates" >"$T/head.conf"
export HPCPACK_CONFIG=$T/head.conf

# --- an application ---
mkdir -p "$T/AppFiles/lib"
version() { # VERSION: the application in it
	printf '#!/bin/sh\ncat "$(dirname "$0")/lib/greeting"\n' >"$T/AppFiles/myApp"
	chmod 755 "$T/AppFiles/myApp"
	echo "$1 on $(wc -c <"$T/AppFiles/lib/data") bytes" >"$T/AppFiles/lib/greeting"
}
noise app 3000000 >"$T/AppFiles/lib/data"
version "version 1"
succeeds "create" hpcpack create "$T/myApp.zip" "$T/AppFiles"
succeeds "upload with a relative path, through a node template, in the original's spelling" \
	hpcpack upload "$T/myApp.zip" /nodetemplate:AzureWorker /relativePath:apps
succeeds "list" hpcpack list --node-template AzureWorker
like "$out" '^myApp.zip ' "it is there"
succeeds "view" hpcpack view myApp.zip --node-template AzureWorker
like "$out" 'apps' "and where it will be"

# --- on the nodes: at their start ---
for node in $nodes; do
	interval=
	[ "$node" = c ] && interval='sync_interval = 1s'
	printf '%s\n' '[account]' "connection_string = $connection" '[packages]' "root = $(root_of "$node")" "$interval" \
		'[drive]' 'cache = 16M' | agent_config "$node"
	# The program is found as jobs find it.
	sed -e "s|@runstatedir[@]/hpcpack|$(node_dir "$node")/run|" -e "s|@sysconfdir[@]|$T/none|" \
		"$abs_top_srcdir/contrib/profile.d/hpcpack.sh.in" >"$(node_dir "$node")/profile.sh"
	start_agent "$node"
done
job() { # NODE CMD: as a login shell there
	on "$1" env -i "PATH=$PATH" sh -c '. "$1"; eval "$2"' sh "$(node_dir "$1")/profile.sh" "$2" 2>&1
}
runs_everywhere() { # TEXT
	local node

	for node in $nodes; do
		# shellcheck disable=SC2016
		[ "$(job "$node" '"$CCP_PACKAGE_ROOT/apps/myApp"')" = "$1" ] || return
	done
}
synced() { # NODE
	[ "$(on "$1" hpcpack status --json | jq -r .sync.last.ok)" = true ]
}
for node in $nodes; do wait_for 60 synced "$node"; done
holds "it runs from the package root of each node" runs_everywhere "version 1 on 3000000 bytes"
is "$(on a hpcpack status --json | jq -r '.sync.last.report.packages[] | "\(.name) \(.state) \(.target)"')" \
	"myApp.zip installed $(root_of a)/apps" "as hpcpack status says"

# --- a new version ---
version "version 2"
succeeds "create it anew" hpcpack create "$T/myApp.zip" "$T/AppFiles"
succeeds "upload it" hpcpack upload "$T/myApp.zip" --node-template AzureWorker --relative-path apps
c_has_it() { [ "$(cat "$(root_of c)/apps/lib/greeting" 2>/dev/null)" = "version 2 on 3000000 bytes" ]; }
wait_for 60 c_has_it
holds "the node with a sync_interval has it by itself" c_has_it
is "$(cat "$(root_of a)/apps/lib/greeting")" "version 1 on 3000000 bytes" "the others when they are told to"
succeeds "hpcsync on each" clusrun hpcsync
holds "the new one runs on each" runs_everywhere "version 2 on 3000000 bytes"
is "$(on b hpcsync --json | jq -r '.packages[] | "\(.name) \(.state)"')" "myApp.zip unchanged" \
	"another hpcsync has nothing to do"

# --- node preparation ---
for node in $nodes; do mkdir "$T/approot-$node"; done
prepared() {
	local node

	for node in $nodes; do
		on "$node" hpcpack download myApp.zip /unpack "/targetpath:$T/approot-$node" -q || return
		[ "$("$T/approot-$node/myApp")" = "version 2 on 3000000 bytes" ] || return
	done
}
holds "node preparation: download --unpack on each, and it runs from there" prepared

# --- the data, on a drive ---
image=$(image_ext4) || bail "no image"
cp --sparse=always "$image" "$T/data.vhd"
mkdir "$T/rw" "$T/ro-b" "$T/ro-c"
succeeds "upload a drive" hpcpack upload "$T/data.vhd" --node-template AzureWorker --container drives
succeeds "one node writes to it" on a hpcpack mount data.vhd "$T/rw" --container drives
echo result >"$T/rw/result" && sync "$T/rw/result"
succeeds "the others read a moment of it" on b hpcpack mount data.vhd "$T/ro-b" --container drives --snapshot
time=$(entry b "$T/ro-b" .snapshot)
succeeds "the same one" on c hpcpack mount data.vhd "$T/ro-c" --container drives --snapshot="$time"
is "$(cat "$T/ro-b/result" "$T/ro-c/result" | xargs)" "result result" "all that was synced is there"
is "$(on a hpcpack status --json | jq -c .mount_states.ready)" 1 "hpcpack status counts it"
succeeds "unmount" on c hpcpack unmount "$T/ro-c"
succeeds "unmount" on b hpcpack unmount "$T/ro-b"
succeeds "unmount" on a hpcpack unmount "$T/rw"

# --- the end of the application ---
succeeds "remove" hpcpack remove myApp.zip --node-template AzureWorker
succeeds "hpcsync on each" clusrun hpcsync
holds "nothing is taken from the nodes: it still runs" runs_everywhere "version 2 on 3000000 bytes"
is "$(hpcpack list --node-template AzureWorker -q)" "" "it is gone from storage"
for node in $nodes; do stop_agent "$node"; done
is "$(count_programs) $(count_mounts) $(count_loops)" "0 0 0" "nothing is left running or mounted"
done_testing
