# tap.sh - saying what holds and what does not, in TAP.
# shellcheck shell=bash

tap_count=0
tap_failed=0
tap_done=0

ok() { # DESCRIPTION
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $*"
}

not_ok() { # DESCRIPTION
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $*"
}

diag() { # TEXT: details of a failure, any number of lines
	printf '%s\n' "$@" | head -n 60 | sed 's/^/#   /'
}

skip() { # DESCRIPTION REASON
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

skip_all() { # REASON
	tap_done=1
	echo "1..0 # SKIP $*"
	exit 0
}

# The test cannot go on.
bail() { # WHY
	echo "Bail out! $*"
	tap_failed=$((tap_failed + 1))
	exit 99
}

done_testing() {
	local report

	stop_programs 2>/dev/null
	for report in "$T"/sanitizer.* "$T"/user/sanitizer.*; do
		[ -s "$report" ] || continue
		not_ok "no complaint by the sanitizers"
		diag "$(cat "$report")"
	done
	echo "1..$tap_count"
	tap_done=1
	[ "$tap_failed" = 0 ]
	exit $?
}

# What a quiet command says: a condition, a comparison.
holds() { # DESCRIPTION CMD...
	local what=$1

	shift
	if "$@"; then
		ok "$what"
	else
		not_ok "$what"
		diag "does not hold: $*"
		return 1
	fi
}

is() { # GOT WANTED DESCRIPTION
	if [ "$1" = "$2" ]; then
		ok "$3"
	else
		not_ok "$3"
		diag "got:    $1" "wanted: $2"
		return 1
	fi
}

isnt() { # GOT UNWANTED DESCRIPTION
	if [ "$1" != "$2" ]; then
		ok "$3"
	else
		not_ok "$3"
		diag "got: $1"
		return 1
	fi
}

like() { # TEXT ERE DESCRIPTION
	if grep -qE -- "$2" <<<"$1"; then
		ok "$3"
	else
		not_ok "$3"
		diag "got: $1" "which does not match: $2"
		return 1
	fi
}

unlike() { # TEXT ERE DESCRIPTION
	if grep -qE -- "$2" <<<"$1"; then
		not_ok "$3"
		diag "got: $1" "which matches: $2"
		return 1
	fi
	ok "$3"
}

# Run a command for at most RUN_TIMEOUT seconds; leaves $status, $out and $err.
run() { # CMD...
	local limit=()

	[ "$(type -t "$1")" = function ] || limit=(timeout -k 5 "${RUN_TIMEOUT:-60}")
	"${limit[@]}" "$@" >"$T/.out" 2>"$T/.err" </dev/null
	status=$?
	out=$(tr -d '\0' <"$T/.out")
	err=$(tr -d '\0' <"$T/.err")
	return 0
}

run_details() {
	diag "command: $1" "exit status: $status" "stdout: $out" "stderr: $err"
}

succeeds() { # DESCRIPTION CMD...
	local what=$1

	shift
	run "$@"
	if [ "$status" = 0 ]; then
		ok "$what"
	else
		not_ok "$what"
		run_details "$*"
		return 1
	fi
}

# The way every failure of our programs must look: this exit status, one line on
# stderr that matches, no key in it.
fails_with() { # STATUS ERE DESCRIPTION CMD...
	local wanted=$1 pattern=$2 what=$3 lines

	shift 3
	run "$@"
	lines=$(grep -c . <<<"$err")
	if [ "$status" != "$wanted" ]; then
		not_ok "$what (exit status $status, not $wanted)"
	elif [ "$lines" != 1 ]; then
		not_ok "$what ($lines lines on stderr, not 1)"
	elif ! grep -qE -- "$pattern" <<<"$err"; then
		not_ok "$what (the message is not like: $pattern)"
	elif grep -qF -- "$AZ_KEY" <<<"$err$out"; then
		not_ok "$what (the message holds the key)"
	else
		ok "$what"
		return 0
	fi
	run_details "$*"
	return 1
}

# Everything that wrote a log, for whoever reads why a test failed.
show_logs() {
	local log

	for log in "$T"/*.log "$T"/node-*/*.log; do
		[ -s "$log" ] || continue
		echo "# --- the end of ${log#"$T"/}"
		tail -n "${HPCPACK_TEST_LOG_LINES:-40}" "$log" | cut -c1-400 | sed 's/^/#   /'
	done
}
