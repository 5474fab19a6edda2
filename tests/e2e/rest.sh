#!/usr/bin/env bash
# Every operation of blob/ops.h against a storage service: the unit program
# test-ops-azurite with a service to talk to.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
export HPCPACK_TEST_ENDPOINT=$AZ_URL/$AZ_ACCOUNT
"$abs_top_builddir/tests/unit/test-ops-azurite" >"$T/tap" 2>"$T/stderr"
status=$?
while read -r line; do
	case $line in
	'ok '*) ok "${line#*- }" ;;
	'not ok '*) not_ok "${line#*- }" ;;
	'#'*) diag "${line#\# }" ;;
	esac
done <"$T/tap"
is "$status" 0 "every operation was tried"
[ "$status" = 0 ] || diag "$(tail -n 30 "$T/stderr")"
done_testing
