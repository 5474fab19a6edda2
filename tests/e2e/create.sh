#!/usr/bin/env bash
# create.sh - packages: valid for everybody who reads zip or OPC, the same bytes for
# the same input, complete or not there.
TEST_TIMEOUT=900
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

user_setup
# In memory: tens of thousands of files, and a sync for each package.
mkdir "$T/w"
mount -t tmpfs tmpfs "$T/w" || bail "no tmpfs"
cd "$T/w" || bail "no folder"

listing() { /usr/bin/python3 "$tests_dir/lib/opc_check.py" "$1" | tr '\n' ' '; }
reads_as_zip() { # PACKAGE
	unzip -tqq "$1" && bsdtar -tf "$1" >/dev/null && /usr/bin/python3 -c \
		'import sys, zipfile; sys.exit(zipfile.ZipFile(sys.argv[1]).testzip() is not None)' "$1"
}
same() { cmp "$1" "$2"; }
# What differs between two trees in what a package keeps.
tree() { find "$1" ! -type d -printf '%P %y %m %l %s\n' -type f -printf '%P %Ts\n' | sort; }

mkdir -p app/bin app/lib app/empty app/docs/more
printf '#!/bin/sh\necho it runs\n' >app/bin/run.sh
head -c 300000 /dev/urandom >app/lib/libx.so.1.2
ln -s libx.so.1.2 app/lib/libx.so
ln -s ../bin/run.sh app/docs/run
cat "$abs_top_srcdir"/man/*.[1-8] >app/docs/pages.txt
: >app/nothing
echo '<configuration/>' >app/App.config
echo extensionless >app/docs/more/README
chmod 0755 app/bin/run.sh
chmod 0640 app/App.config
chmod 0700 app/empty
find app -exec touch -h -d '2024-02-29 12:34:57.9' {} +
touch -d '2025-12-31 23:59:59.5' app/nothing

# --- valid ---
for level in '' -0 -1 -9; do
	# shellcheck disable=SC2086
	succeeds "create $level" hpcpack create "p$level.zip" app $level
	like "$out" "^created p$level\.zip: 8 files of [0-9.]+ KiB in [0-9.]+ [KM]iB, in [0-9.]+ s$" "says what it did"
	is "$err" "" "and nothing else"
	holds "unzip, bsdtar and Python read it" reads_as_zip "p$level.zip"
	is "$(listing "p$level.zip")" \
		"App.config bin/run.sh docs/more/README docs/pages.txt docs/run empty/ lib/libx.so lib/libx.so.1.2 nothing " \
		"it is an OPC package of these files"
	rm -rf out && mkdir out && unzip -q "p$level.zip" -d out && rm -r out/_rels out/package out/*Content_Types*
	is "$(diff <(tree app) <(tree out))" "" "contents, links, permissions and times come back"
	is "$(diff -r --no-dereference app out)" "" "byte for byte"
	is "$(stat -c %a out/empty)" 700 "and the empty folder"
done
holds "uncompressed is the default" same p.zip p-0.zip
size() { stat -c %s "$1"; }
holds "-1 is smaller than -0" [ "$(size p-1.zip)" -lt "$(size p-0.zip)" ]
holds "-9 is smaller than -1" [ "$(size p-9.zip)" -lt "$(size p-1.zip)" ]
for level in 0 1 9; do
	succeeds "HPC Pack's spelling: /$level" hpcpack create "w$level.zip" "$PWD/app" "/$level"
	holds "does the same" same "w$level.zip" "p-$level.zip"
done
fails_with 2 "only one of them" "-1 and -9 together" hpcpack create x.zip app -19
fails_with 2 "an argument is missing: hpcpack create PACKAGE SOURCE" "no source" hpcpack create x.zip

# --- the same bytes ---
mkdir copy
find app/ -mindepth 1 -printf '%P\n' | sort -r | while read -r name; do
	mkdir -p "copy/$(dirname "$name")" && cp -a -T --no-dereference "app/$name" "copy/$name"
done 2>/dev/null
touch -d '2001-01-01' copy/empty copy
touch -h -d '2001-01-01' copy/docs/run
succeeds "a copy, made in another order" env TZ=Asia/Tokyo hpcpack create c.zip copy -9
holds "gives the same bytes" same c.zip p-9.zip
succeeds "with SOURCE_DATE_EPOCH" env SOURCE_DATE_EPOCH=1700000000 hpcpack create d.zip app
is "$(unzip -p d.zip 'package/*' | grep -o '>[0-9T:-]*Z<' | sort -u)" ">2023-11-14T22:13:20Z<" "the package has that date"
unzip -qo d.zip -d out && is "$(stat -c %Y out/nothing out/App.config | sort -u)" 1700000000 "and no file is younger"
fails_with 2 "SOURCE_DATE_EPOCH 'today'" "which is checked" env SOURCE_DATE_EPOCH=today hpcpack create d.zip app

# --- sources ---
succeeds "without subfolders" hpcpack create d.zip app -d
is "$(listing d.zip)" "App.config nothing " "there are none"
succeeds "HPC Pack's spelling" hpcpack create D.zip app /D
holds "does the same" same d.zip D.zip
succeeds "files" hpcpack create f.zip app/bin/run.sh app/nothing "$PWD/app/docs/pages.txt"
is "$(listing f.zip)" "nothing pages.txt run.sh " "lie at the root"
for list in 'app/bin/run.sh,app/nothing,app/docs/pages.txt' 'app/bin/run.sh, app/nothing , app/docs/pages.txt,'; do
	succeeds "a list with commas" hpcpack create l.zip "$list"
	holds "gives the same" same l.zip f.zip
done
succeeds "the list in pieces" hpcpack create l.zip app/bin/run.sh, app/nothing,app/docs/pages.txt
holds "gives the same" same l.zip f.zip
touch 'a, b'
succeeds "a file with a comma in its name" hpcpack create l.zip 'a, b'
is "$(listing l.zip)" "a, b " "is no list"
succeeds "several folders" hpcpack create l.zip app/bin app/docs/more
is "$(listing l.zip)" "bin/run.sh more/README " "keep their names"
fails_with 1 "^hpcpack: app/bin/run.sh and copy/bin/run.sh would both be run.sh" "two of a name" \
	hpcpack create x.zip app/bin/run.sh copy/bin/run.sh
fails_with 1 "^hpcpack: nowhere: No such file" "one that is missing" hpcpack create x.zip app,nowhere
mkdir 'odd &names'
touch 'odd &names/ü #1%.txt' 'odd &names/a+b;c' 'odd &names/[x]' 'odd &names/.rc'
succeeds "names that need escapes" hpcpack create o.zip 'odd &names'
is "$(listing o.zip)" ".rc [x] a+b;c ü #1%.txt " "are right"
holds "and can be read" reads_as_zip o.zip

# --- what can't be packed: nothing is made ---
refused() { # ERE DESCRIPTION FILE; takes it away
	fails_with 1 "$1" "$2" hpcpack create x.zip app
	rm -rf "$3"
}
ln -s ../../etc app/bin/out && refused "^hpcpack: app/bin/out: this symlink leads to ../../etc, outside" "a link that leads out" app/bin/out
ln -s /etc app/out && refused "^hpcpack: app/out: this symlink leads to /etc, an absolute path" "an absolute one" app/out
mkfifo app/fifo && refused "^hpcpack: app/fifo: is a fifo" "a fifo" app/fifo
mknod app/null c 1 3 && refused "^hpcpack: app/null: is a device" "a device" app/null
/usr/bin/python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("app/sock")'
refused "^hpcpack: app/sock: is a socket" "a socket" app/sock
touch 'app/a\b' && refused "^hpcpack: app/a.b: its name has a '.'.*OPC" "a backslash in a name" 'app/a\b'
touch app/dot. && refused "^hpcpack: app/dot\.: .* ends in a dot.*; rename it" "a dot at the end" app/dot.
touch $'app/\xff' && refused "its name is not UTF-8; rename it" "a name that is no UTF-8" $'app/\xff'
touch 'app/[Content_Types].xml' && refused "OPC keeps this name for itself" "OPC's own names" 'app/[Content_Types].xml'
mkdir app/_rels && touch app/_rels/x.rels && refused "app/_rels/x.rels: OPC keeps" "and those of relationships" app/_rels
holds "no package was made" [ ! -e x.zip ]
is "$(find . -maxdepth 1 -name '.*' ! -name .)" "" "nor anything else"

# --- as a user ---
cp -a app "$T/user/app"
touch "$T/user/app/secret"
chmod 0 "$T/user/app/secret"
chown -R nobody: "$T/user/app"
chown root: "$T/user/app/secret"
fails_with 1 "^hpcpack: $T/user/app/secret: can't be read: Permission denied" "a file that can't be read" \
	as_user hpcpack create "$T/user/run/x.zip" "$T/user/app"
rm "$T/user/app/secret"
mkdir -m 0 "$T/user/app/locked"
fails_with 1 "^hpcpack: $T/user/app/locked: can't be read: Permission denied" "a folder" \
	as_user hpcpack create "$T/user/run/x.zip" "$T/user/app"
rmdir "$T/user/app/locked"
fails_with 1 "^hpcpack: $T/x.zip: can't be created: Permission denied" "a place that can't be written" \
	as_user hpcpack create "$T/x.zip" "$T/user/app"
is "$(ls -A "$T/user/run")" "" "nothing was made"
succeeds "what can be read" as_user hpcpack create "$T/user/run/x.zip" "$T/user/app" -9
holds "gives the same bytes" same "$T/user/run/x.zip" p-9.zip
succeeds "once more, over it" as_user hpcpack create "$T/user/run/x.zip" "$T/user/app" -9
is "$(ls -A "$T/user/run")" "x.zip" "is all that is there"

# --- what changes meanwhile ---
# create stops in the middle of its warnings, which come between looking and reading,
# because nobody reads them; then something happens, and it may go on.
meanwhile() { # SHELL-COMMAND CMD...
	/usr/bin/python3 - "$@" <<-'EOPY'
		import fcntl, os, struct, subprocess, sys, termios, time
		r, w = os.pipe()
		fcntl.fcntl(w, 1031, 4096)                 # F_SETPIPE_SZ
		os.write(w, b"-" * 3900)
		size = lambda: struct.unpack("i", fcntl.ioctl(r, termios.FIONREAD, b"    "))[0]
		p = subprocess.Popen(sys.argv[2:], stderr=w)
		os.close(w)
		end = time.monotonic() + 60
		while size() == 3900 and time.monotonic() < end and p.poll() is None:
		    time.sleep(0.01)
		if size() == 3900:
		    sys.exit("it said nothing: %s" % p.poll())
		subprocess.run(["sh", "-c", sys.argv[1]], check=True, env=dict(os.environ, PID=str(p.pid)))
		text = b""
		while more := os.read(r, 65536):
		    text += more
		sys.stderr.buffer.write(b"\n".join(l for l in text.lstrip(b"-").splitlines() if b"warning:" not in l) + b"\n")
		sys.exit(p.wait())
	EOPY
}
mkdir moving
for i in 0 1 2 3 4 5 6 7 8 9; do : >"moving/a windows node would not like this name at all $i?"; done
echo old package >m.zip
changed() { # MESSAGE SHELL-COMMAND
	printf 'some content' >moving/file
	fails_with 1 "^hpcpack: moving/file: $1" "a file that $1" meanwhile "$2" hpcpack create m.zip moving
	is "$(cat m.zip)" "old package" "leaves the old package"
}
changed "grew" 'echo more >>moving/file'
changed "shrank" 'truncate -s 3 moving/file'
changed "was changed" 'touch -d "2 days ago" moving/file'
changed "vanished" 'rm moving/file'
changed "was replaced" 'rm moving/file; mkfifo moving/file; : again; true'
rm -f moving/file
changed "was replaced" 'mv moving/file real; ln -s ../real moving/file'
rm -f moving/file
# The signal has come through when the thread that waited for it is gone.
# shellcheck disable=SC2016
one_thread_less='tries=0; while [ "$(ls /proc/$PID/task | wc -l)" -gt 1 ] && [ $tries -lt 2000 ]; do sleep 0.01; tries=$((tries + 1)); done'
for signal in INT TERM HUP; do
	fails_with $((128 + $(kill -l $signal))) "^hpcpack: m.zip: interrupted; what was there .* as it was" "SIG$signal" \
		meanwhile "kill -$signal \$PID; $one_thread_less" hpcpack create m.zip moving
	is "$(cat m.zip)" "old package" "leaves the old package"
done
succeeds "when nothing happens" meanwhile true hpcpack create m.zip moving
holds "the new one is there" reads_as_zip m.zip

# --- Ctrl-C in the middle of a file; a disk that is full; the package in its source ---
mkdir huge small
truncate -s 200G huge/zeros
echo old package >huge.zip
reads_zeros() { find "/proc/$creator/fd" -lname "$PWD/huge/zeros" | grep -q .; }
for signal in INT KILL; do
	hpcpack create huge.zip huge -9 >huge.log 2>&1 &
	creator=$!
	spawned+=("$creator")
	wait_for 60 reads_zeros || not_ok "it reads the file"
	kill "-$signal" "$creator"
	wait_for 60 gone "$creator" || not_ok "it ends"
	wait "$creator" 2>/dev/null
	is "$?" $((128 + $(kill -l $signal))) "SIG$signal in the middle of a file"
	is "$(cat huge.zip)" "old package" "leaves the old package"
	is "$(find . -maxdepth 1 -name '.*' ! -name .)" "" "and nothing else"
	[ $signal = KILL ] || is "$(cat huge.log)" \
		"hpcpack: huge.zip: interrupted; what was there under this name is as it was" "says so"
done
rm -r huge

mount -t tmpfs -o size=1m tmpfs small
echo old package >small/p.zip
head -c 3M /dev/urandom >big
fails_with 1 "^hpcpack: small/p.zip: can't be written: No space left on device" "a full disk" hpcpack create small/p.zip big
is "$(cat small/p.zip)" "old package" "leaves the old package"
is "$(ls -A small)" p.zip "and nothing else"
holds "its space is free again" [ "$(df --output=avail small | tail -n 1)" -gt 900 ]
umount small

cp -a app self
succeeds "into its own source" hpcpack create self/p.zip self
succeeds "twice" hpcpack create self/p.zip self
holds "it is not in itself" same self/p.zip p.zip
chmod 0600 self/p.zip
succeeds "over a private one" hpcpack create self/p.zip self
is "$(stat -c %a self/p.zip)" 600 "stays private"
fails_with 1 "app: is a folder" "arguments the wrong way round" hpcpack create app p.zip

# --- warnings ---
mkdir -p windows/Sub windows/sub
long=$(printf 'x%.0s' {1..117})
touch windows/aux.txt "windows/sub/$long" windows/Sub/a 'windows/ab:c' 'windows/end ' windows/fine.txt
succeeds "what breaks on Windows" hpcpack create w.zip windows
like "$err" "^hpcpack: warning: aux.txt: 'aux.txt' is a reserved name on Windows" "warns of reserved names"
like "$err" "^hpcpack: warning: sub/$long: the path has 121 characters" "of long paths"
like "$err" "^hpcpack: warning: Sub and sub differ in case only" "of case"
like "$err" "^hpcpack: warning: ab:c: a name with : does not" "of characters"
like "$err" "^hpcpack: warning: end : a name that ends in a space" "of spaces"
is "$(grep -c . <<<"$err")" 5 "and of nothing else"
holds "but packs it" reads_as_zip w.zip
succeeds "quietly" hpcpack create -q w.zip windows
is "$out$err" "" "it says nothing"

# --- on a terminal ---
truncate -s 100M zeros
bar=$(script -qec "hpcpack create bar.zip zeros -1" /dev/null)
like "$bar" 'bar\.zip +[0-9]+% \[=* *\] [0-9.]+ [KMG]?i?B of 100\.0 MiB' "progress is shown"
like "$bar" 'created bar\.zip: 1 file of 100\.0 MiB in' "and then the result"

# --- zip64 ---
/usr/bin/python3 - many <<'EOPY'
import os, sys
for d in range(70):
    os.makedirs("%s/%d" % (sys.argv[1], d))
    for f in range(1000):
        os.mknod("%s/%d/%d" % (sys.argv[1], d, f))
EOPY
RUN_TIMEOUT=600 succeeds "70,000 files" hpcpack create many.zip many
like "$out" "70000 files of 0 B" "all of them"
is "$(listing many.zip | tr ' ' '\n' | grep -c .)" 70000 "are in the package"
holds "which unzip reads" unzip -tqq many.zip

if [ -z "$HPCPACK_TEST_QUICK" ]; then
	truncate -s 4294967297 giant
	RUN_TIMEOUT=600 succeeds "a file over 4 GiB" hpcpack create giant.zip giant app/nothing -1
	is "$(unzip -Z -v giant.zip giant | sed -n 's/^  \(uncompressed size\|32-bit CRC value (hex)\): *//p' | tr '\n' ' ')" \
		"41d912ff 4294967297 bytes " "has its size and checksum"
	is "$(listing giant.zip)" "giant nothing " "is an OPC package"
fi
done_testing
