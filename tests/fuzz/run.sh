#!/usr/bin/env bash
# run.sh: run the fuzz targets of a build that was configured with --enable-fuzzing.
#
#	tests/fuzz/run.sh BUILD [SECONDS [TARGET...]]
#
# Each gets SECONDS (5) on its corpus: tests/fuzz/corpus/TARGET and what seeds.py
# makes. An input that breaks something is left in BUILD/fuzz-found; run the target
# with its name to see it again. What was learnt is kept in BUILD/fuzz-corpus.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${1:?usage: run.sh BUILD [SECONDS [TARGET...]]}
seconds=${2:-5}
shift
[ $# = 0 ] || shift
[ $# != 0 ] || set -- index footer xml options reply

fuzz() { # TARGET
	local target=$1 corpus=$build/fuzz-corpus/$1 known=() length=16384

	mkdir -p "$corpus" "$build/fuzz-found" "$build/fuzz-seeds/$target"
	python3 "$here/seeds.py" "$target" "$build/fuzz-seeds/$target"
	known=("$build/fuzz-seeds/$target")
	[ ! -d "$here/corpus/$target" ] || known+=("$here/corpus/$target")
	[ ! -e "$here/$target.dict" ] || known+=("-dict=$here/$target.dict")
	[ "$target" != footer ] || length=520
	"$build/tests/fuzz/fuzz-$target" "$corpus" "${known[@]}" -max_total_time="$seconds" \
		-max_len="$length" -timeout=10 -rss_limit_mb=768 -malloc_limit_mb=256 \
		-artifact_prefix="$build/fuzz-found/$target-" -print_final_stats=1 -verbosity=0
}

for target; do
	echo "== $target"
	fuzz "$target"
done
