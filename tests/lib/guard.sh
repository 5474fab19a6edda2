#!/usr/bin/env bash
# guard.sh - run a test for at most so long, and end whatever is left of it after that.
#
#	guard.sh SECONDS CMD...
#
# The test cleans up after itself, but one that was killed can't; and what it left
# would keep the pipe open that the test driver reads to its end. Everything in our
# mount namespace is the test's: tests/lib.sh has made it for this one test.
set -u

limit=$1
shift
timeout -k 60 "$limit" "$@"
status=$?

mine=$(readlink /proc/self/ns/mnt)
if [ "$mine" != "$HPCPACK_TEST_OUTSIDE" ]; then
	mapfile -t left < <(find /proc -maxdepth 3 -path '/proc/[0-9]*/ns/mnt' \
		-lname "mnt:?${mine//[!0-9]/}?" 2>/dev/null)
	for pid in ${left[@]+"${left[@]}"}; do
		pid=${pid#/proc/} pid=${pid%%/*}
		if [ "$pid" = $$ ] || ! [ -e "/proc/$pid/exe" ]; then continue; fi
		echo "# left behind: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")" >&2
		kill -KILL "$pid" 2>/dev/null
	done
fi
[ "$status" != 124 ] || echo "# the test was ended: it took more than $limit seconds" >&2
exit "$status"
