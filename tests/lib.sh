# lib.sh - the harness of the end-to-end tests. A test is a bash script that
# sources this first and ends with `done_testing`:
#
#	TEST_TIMEOUT=120        # seconds that it may take on an idle machine; 300 if unset
#	. "$(dirname "$0")/../lib.sh"
#	start_azurite
#	start_agent a
#	succeeds "it mounts" on a hpcpack mount data.vhd "$T/mnt"
#	done_testing
#
# It gets a folder of its own ($T), ports, a mount namespace and agents with runtime
# folders of their own; whatever it started, mounted or attached is undone when
# it ends, in whichever way. HPCPACK_TEST_KEEP=1 keeps the folder.
#
#	lib/guard.sh    the time limit, and an end to what a killed test left
#	lib/tap.sh      ok, is, like, run, succeeds, fails_with, skip_all...
#	lib/proc.sh     spawn, wait_for, free_port, counters, clean-up
#	lib/azurite.sh  start_azurite, start_nginx, start_proxy, az
#	lib/agent.sh    start_agent, on, kill_node, as_user
#	lib/images.sh   image_ext4 and its kin
# shellcheck shell=bash

set -u
set -o pipefail

# In a mount namespace of its own: one that another test makes meanwhile would take a
# copy of our mounts along, and keep their loop devices in use for as long as it lives.
tests_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "${HPCPACK_TEST_GUARD:-}" != "$0" ]; then
	export HPCPACK_TEST_GUARD=$0
	HPCPACK_TEST_OUTSIDE=$(readlink /proc/self/ns/mnt)
	export HPCPACK_TEST_OUTSIDE
	own_mounts=()
	if unshare --mount true 2>/dev/null; then own_mounts=(unshare --mount --propagation private --); fi
	# What hangs, hangs for longer than it takes on a machine that has other things to do, too.
	exec ${own_mounts[@]+"${own_mounts[@]}"} bash "$tests_dir/lib/guard.sh" $((2 * ${TEST_TIMEOUT:-300})) bash "$0" "$@"
fi
# And what came along into ours is let go.
awk '$5 ~ "/hpcpack-(test|unit)[.-]" { print length($5), $5 }' /proc/self/mountinfo | sort -rn |
	cut -d' ' -f2- | while read -r mount; do timeout 10 umount -l -- "$(printf '%b' "$mount")" 2>/dev/null; done

# Where things are. make check says so; by hand the build folder is the working
# directory if it looks like one, else the source folder.
: "${abs_top_srcdir:=$(dirname "$tests_dir")}"
if [ -z "${abs_top_builddir:-}" ]; then
	if [ -e config.status ]; then abs_top_builddir=$PWD; else abs_top_builddir=$abs_top_srcdir; fi
fi
export abs_top_srcdir abs_top_builddir

# Programs come from the build folder; nothing of the caller's settings counts.
PATH=$abs_top_builddir:$PATH:/usr/sbin:/sbin
export HPCPACK_LIBEXEC=$abs_top_builddir
unset CCP_AZURE_CONNECTIONSTRING AZURE_STORAGE_CONNECTION_STRING AZURE_STORAGE_ACCOUNT \
	AZURE_STORAGE_KEY AZURE_STORAGE_SAS_TOKEN CCP_PACKAGE_ROOT HPCPACK_AGENT HPCPACK_CONFIG \
	XDG_CONFIG_HOME XDG_RUNTIME_DIR http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY \
	NOTIFY_SOCKET JOURNAL_STREAM MAKEFLAGS MAKELEVEL
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

T=$(mktemp -d "${TMPDIR:-/tmp}/hpcpack-test.XXXXXX") || exit 99
chmod 0711 "$T"
export HPCPACK_TEST_TMP=$T
: "${HPCPACK_TEST_QUICK:=}"
# Freed memory is kept back for a while, to see who still uses it: 32 MiB, not 256, which
# are touched anew by each of many processes.
asan_options=quarantine_size_mb=32
export ASAN_OPTIONS=$asan_options:log_path=$T/sanitizer UBSAN_OPTIONS=print_stacktrace=1:log_path=$T/sanitizer

# shellcheck source=tests/lib/tap.sh
. "$tests_dir/lib/tap.sh"
# shellcheck source=tests/lib/proc.sh
. "$tests_dir/lib/proc.sh"
# shellcheck source=tests/lib/azurite.sh
. "$tests_dir/lib/azurite.sh"
# shellcheck source=tests/lib/agent.sh
. "$tests_dir/lib/agent.sh"
# shellcheck source=tests/lib/images.sh
. "$tests_dir/lib/images.sh"

finish() {
	local status=$?

	trap '' INT TERM
	trap - EXIT
	if [ "$tap_failed" != 0 ] || [ "$tap_done" != 1 ]; then show_logs; fi
	cleanup
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
