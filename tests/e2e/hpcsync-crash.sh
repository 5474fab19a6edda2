#!/usr/bin/env bash
# hpcsync-crash.sh - what a reader sees while versions change, and what is there
# after hpcsync was killed at any moment and then run again.
TEST_TIMEOUT=300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
root=$T/root
rounds=6
changes=4
[ -z "$HPCPACK_TEST_QUICK" ] || { rounds=3 changes=3; }

# Versions of a package: every file of one says its number, and how many there are.
# As many files, folders and symlinks as one can have that is quickly uploaded.
version() { # NUMBER
	rm -rf "$T/tree"
	mkdir -p "$T/tree/"{a,b,c}/deep/er
	for dir in a b c a/deep/er b/deep/er; do
		for i in $(seq 40); do echo "$1" >"$T/tree/$dir/file$i"; done
	done
	{ echo "$1"; head -c 700000 </dev/urandom; } >"$T/tree/c/large"
	ln -s ../a "$T/tree/b/link"
	hpcpack create "$T/app.zip" "$T/tree" -1 >/dev/null || bail "no package"
	hpcpack upload -q "$T/app.zip" --relative-path suite/app || bail "it is not uploaded"
}
same() { diff -r --no-dereference "$1" "$2" >/dev/null; }
tidy() { [ -z "$(find "$root/.hpcsync/stage" "$root/.hpcsync/trash" -mindepth 1)$(find "$root/.hpcsync/state" -name '.?*')" ]; }

# --- a reader that never stops ---
version 1
succeeds "the first version" hpcsync "$root"
cat >"$T/reader.py" <<-'EOF2'
	"""Open a package's folder by its name, again and again, and read all of it from
	there: every file must be of one version, and none may be missing. Says how many
	readings there were, of which versions, at SIGTERM."""
	import os, signal, sys, time
	path, seen, count, going = sys.argv[1], [], 0, True
	def stop(*_):
	    global going
	    going = False
	signal.signal(signal.SIGTERM, stop)
	def fail(what):
	    print("mixture:", what, flush=True)
	    sys.exit(1)
	def read_all(fd, slow):
	    versions, files = set(), 0
	    for where, dirs, names, at in os.fwalk(".", dir_fd=fd):
	        for name in names:
	            f = os.open(name, os.O_RDONLY, dir_fd=at)
	            versions.add(os.read(f, 20).split(b"\n")[0])
	            os.close(f)
	            files += 1
	        if slow:
	            time.sleep(0.05)
	    if len(versions) != 1 or files != 201:
	        fail(f"{files} files of versions {versions}")
	    return int(versions.pop())
	while going:
	    try:
	        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
	    except OSError as e:
	        fail(f"nothing is there: {e}")
	    number = read_all(fd, count % 3 == 0)
	    os.close(fd)
	    if seen and number < seen[-1]:
	        fail(f"version {number} after {seen[-1]}")
	    if not seen or number != seen[-1]:
	        seen.append(number)
	    count += 1
	    # and by its name, file by file: each is whole
	    for name in ("a/file1", "c/large", "b/deep/er/file40"):
	        with open(os.path.join(path, name), "rb") as f:
	            if int(f.readline()) < number:
	                fail(f"{name} is older than its folder")
	print("readings:", count, "versions:", *seen)
EOF2
/usr/bin/python3 "$T/reader.py" "$root/suite/app" >"$T/reader.out" 2>&1 </dev/null &
reader=$!
spawned+=("$reader")
installed=1
# A version goes when as many newer ones as are kept have come: here the reader may
# take as long as it needs.
printf '[packages]\nkeep_versions = %d\n' "$changes" >"$T/keep.conf"
for ((n = 2; n <= changes + 1; n++)); do
	version "$n"
	run hpcsync --json --config "$T/keep.conf" "$root"
	[ "$status" = 0 ] && [ "$(jq .totals.installed <<<"$out")" = 1 ] && installed=$((installed + 1))
	alive "$reader" || break
done
is "$installed" $((changes + 1)) "$changes new versions while a reader reads"
kill -TERM "$reader"
wait "$reader"
is "$?" 0 "who saw whole versions only"
like "$(cat "$T/reader.out")" '^readings: [0-9]+ versions: .* ?[0-9]+$' "$(cat "$T/reader.out")"

# --- killed at any moment ---
# Somewhere within the time that a whole run takes.
version 100
from=${EPOCHREALTIME/./}
hpcsync -q "$T/timed" || bail "hpcsync"
micros=$((${EPOCHREALTIME/./} - from))
SEED=${SEED:-$RANDOM}
echo "# SEED=$SEED, a run takes $micros us"
RANDOM=$SEED
mixed=0 killed=0 not_whole=0 littered=0
cp -a "$root/suite/app" "$T/before"
# Some get through before they are struck: until as many were killed as there are rounds.
for ((n = 1; killed < rounds && n <= 10 * rounds; n++)); do
	version $((100 + n))
	after=$(jq -n "$micros * ($RANDOM / 32768) / 1e6")
	hpcsync -q "$root" &
	pid=$!
	sleep "$after"
	kill -KILL "$pid" 2>/dev/null && killed=$((killed + 1))
	wait "$pid" 2>/dev/null
	same "$T/before" "$root/suite/app" || same "$T/tree" "$root/suite/app" || not_whole=$((not_whole + 1))
	run hpcsync -q "$root"
	[ "$status" = 0 ] && same "$T/tree" "$root/suite/app" || mixed=$((mixed + 1))
	tidy || littered=$((littered + 1))
	rm -rf "$T/before"
	cp -a "$T/tree" "$T/before"
done
is "$killed" "$rounds" "killed $killed times, in $((n - 1)) runs"
is "$not_whole" 0 "the old version or the new one was there"
is "$mixed" 0 "the next run installed the new one"
is "$littered" 0 "and left nothing behind"
holds "one old version is kept" [ "$(find "$root/.hpcsync/old" -mindepth 1 -maxdepth 1 | wc -l)" = 1 ]
is "$(ls -A "$root")" "$(printf '%s\n' .hpcsync suite)" "nothing else is in the root"

# --- killed between its steps ---
# strace(1) stops it there, which no luck does; on a new root and on one that has the
# version before.
die_at() { # CALL NUMBER ROOT
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o /dev/null -e "inject=$1:signal=KILL:when=$2" \
		hpcsync -q "$3" >/dev/null 2>&1
}
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
	n=1000
	for at in "symlinkat 1" "syncfs 1" "renameat 1" "renameat 2" "renameat2 1"; do
		fresh=$T/fresh.$n
		version $((n += 1))
		for into in "$root" "$fresh"; do
			# shellcheck disable=SC2086
			{ die_at $at "$into"; } 2>/dev/null
			run hpcsync -q "$into"
			if [ "$status" != 0 ] || ! same "$T/tree" "$into/suite/app"; then
				not_ok "killed at $at in $into, the next run installs it"
				run_details hpcsync "$into"
			fi
		done
	done
	holds "killed at a system call, and run again: nothing is left behind" tidy
fi

# --- interrupted ---
version 5000
struck() { [ "$(faults_struck)" -ge 1 ]; }
start_proxy
for signal in INT TERM; do
	rm -rf "$T/before2"
	cp -a "$root/suite/app" "$T/before2"
	fault path=app method=GET skip=1 do=blackhole
	hpcsync "$root" >"$T/int.out" 2>"$T/int.err" </dev/null &
	pid=$!
	spawned+=("$pid")
	wait_for 20 struck
	kill "-$signal" "$pid"
	wait "$pid"
	is "$?" $((128 + $(kill -l $signal))) "SIG$signal: exit status"
	like "$(cat "$T/int.err")" '^hpcsync: .*interrupted' "says so"
	holds "the old version is in place" same "$T/before2" "$root/suite/app"
	holds "nothing is left behind" tidy
	no_faults
done
succeeds "and then" hpcsync "$root"
holds "the new one is" same "$T/tree" "$root/suite/app"
done_testing
