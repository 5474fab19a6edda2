#!/usr/bin/env bash
# hpcsync.sh - the packages of a container, installed below a root: which, where, in
# which version, and what happens to those that can't be.
TEST_TIMEOUT=300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy
root=$T/root
same() { diff -r --no-dereference "$1" "$2" >/dev/null; }
# Nothing is left behind but what is meant to be.
tidy() { # ROOT
	[ -z "$(find "$1/.hpcsync/stage" "$1/.hpcsync/trash" -mindepth 1)$(find "$1/.hpcsync/state" -name '.?*')" ]
}
package() { # NAME FOLDER [UPLOAD-OPTIONS]: of a folder below $T, uploaded
	local name=$1 folder=$2

	shift 2
	hpcpack create "$T/$name" "$T/$folder" -1 >/dev/null || bail "no package $name"
	hpcpack upload -q "$T/$name" "$@" || bail "$name is not uploaded"
}
state() { jq -r --arg n "$1" '.packages[] | select(.name == $n) | .state' <<<"$out"; }
target() { jq -r --arg n "$1" '.packages[] | select(.name == $n) | .target' <<<"$out"; }

# --- what there is ---
mkdir -p "$T/alpha/bin" "$T/alpha/data/tief er" "$T/beta/lib" "$T/gamma"
printf '#!/bin/sh\necho alpha one\n' >"$T/alpha/bin/run"
chmod 0755 "$T/alpha/bin/run"
head -c 9000000 </dev/urandom >"$T/alpha/data/large.bin"
head -c 7000000 </dev/zero >"$T/alpha/data/zeros.bin"
: >"$T/alpha/data/empty"
echo uml >"$T/alpha/data/tief er/ä ö.txt"
ln -s ../data/large.bin "$T/alpha/bin/link"
touch -d 2020-02-02T02:02:02Z "$T/alpha/bin/run"
for i in $(seq 300); do echo "beta $i" >"$T/beta/lib/file$i.txt"; done
echo gamma >"$T/gamma/one.txt"
package alpha.zip alpha --relative-path apps/alpha
package beta.zip beta --blob-type page
package gamma.1.zip gamma --relative-path 'gämma x'
/usr/bin/python3 -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as z: z.writestr("a.txt", "a")' "$T/plain.zip"
echo "just text" >"$T/notes.txt"
truncate -s 8M "$T/disk.raw"
qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on "$T/disk.raw" "$T/disk.vhd"
: >"$T/nothing"
for file in plain.zip notes.txt disk.vhd nothing; do hpcpack upload -q "$T/$file" || bail "upload of $file"; done

# --- the first time ---
succeeds "the container, into a root that is missing" hpcsync "$root"
holds "alpha is at its relative path" same "$T/alpha" "$root/apps/alpha"
is "$(stat -c '%a %Y' "$root/apps/alpha/bin/run") $(stat -c %a "$root/apps/alpha/data/empty")" "755 1580608922 644" \
	"permissions and times are kept"
is "$("$root/apps/alpha/bin/run")" "alpha one" "it runs"
holds "gamma at its own" same "$T/gamma" "$root/gämma x"
beta=$(echo "$root"/beta/*)
like "${beta##*/}" '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{6}Z$' "beta has a folder of its time"
holds "with its files" same "$T/beta" "$beta"
like "$out" '^alpha\.zip +installed +[0-9]+ +15\.3 MiB .*apps/alpha$' "the table names what was installed"
for file in plain.zip notes.txt disk.vhd nothing; do like "$out" "^$file +skipped " "$file is named and skipped"; done
like "$out" '^plain\.zip +skipped +a zip, but no OPC package.*Content_Types' "and why"
like "$out" '^3 installed \(307 files.* 0 unchanged, 4 skipped, 0 failed' "and the sums"
is "$(ls -A "$root")" "$(printf '%s\n' .hpcsync apps beta 'gämma x')" "nothing else is in the root"
holds "nothing is left behind" tidy "$root"

# --- again ---
: >"$PROXY_LOG"
succeeds "again" hpcsync --json "$root"
is "$(jq -c '[.packages[].state]' <<<"$out")" '["unchanged","unchanged","skipped","unchanged","skipped","skipped","skipped"]' "all unchanged"
is "$(proxy_count '(.path | test("alpha|beta|gamma"))')" 0 "no request was made for them"
is "$(jq -c 'keys' <<<"$out")" '["container","error","packages","root","totals"]' "JSON has its keys"
is "$(jq -c '.packages[0] | keys' <<<"$out")" '["bytes","error","etag","files","name","seconds","state","target"]' "a package its own"
is "$(jq -c '.packages[0] | [.name, .target, .files, .bytes, .error]' <<<"$out")" "[\"alpha.zip\",\"$root/apps/alpha\",6,16000029,null]" "with what is installed"
is "$(jq -c '.totals | [.installed, .unchanged, .skipped, .failed, .bytes, .fetched, .files]' <<<"$out")" '[0,3,4,0,0,0,0]' "and sums"
rm -r "$root/gämma x" "$root"/beta/*/*
succeeds "packages that somebody removed or emptied" hpcsync --json "$root"
is "$(state gamma.1.zip) $(state beta.zip) $(state alpha.zip)" "installed installed unchanged" "are installed again"
holds "complete" same "$T/beta" "$beta"

# --- which, from where ---
succeeds "a filter, the account as arguments" env -u AZURE_STORAGE_CONNECTION_STRING \
	hpcsync --json --endpoint "$AZ_URL/$AZ_ACCOUNT" "$AZ_ACCOUNT" "$AZ_KEY" "$T/filtered" --package-name 'ALPH?'
is "$(ls "$T/filtered")" apps "installs that package"
is "$(jq -r '.packages | length' <<<"$out")" 1 "and looks at no other"
succeeds "in the original's spelling" hpcsync /packageName:gam*.zip /BLOCKSIZE:65536 /container:hpcpackages "$T/filtered2"
is "$(ls "$T/filtered2")" "gämma x" "as well"
succeeds "the root from the environment" env CCP_PACKAGE_ROOT="$T/by env" hpcsync -q --package-name 'gamma*'
is "$out$(ls "$T/by env")" "gämma x" "is where it installs; quietly"
printf '[packages]\nroot = %s\nmax_path = %d\n' "$T/by conf" $((${#T} + 20)) >"$T/conf"
fails_with 1 'gamma\.1\.zip: one\.txt: its path has [0-9]+ characters' "a path that is too long" \
	hpcsync --config "$T/conf" --package-name 'gamma*'
is "$(ls "$T/by conf")" "" "installs nothing"
printf '[packages]\nroot = %s\n' "$T/by conf" >"$T/conf"
succeeds "the root from the configuration" hpcsync --config "$T/conf" --package-name 'gamma*'
is "$(ls "$T/by conf")" "gämma x" "is where it installs"
fails_with 2 'one argument too many' "an account twice" hpcsync --account a --key b2s= c ZA== "$T/x"
fails_with 2 'block-size' "a block size of nothing" hpcsync --block-size 0 "$T/x"
fails_with 2 'endpoint|account|credentials' "no account at all" env -u AZURE_STORAGE_CONNECTION_STRING hpcsync "$T/x"
fails_with 1 'missing.*ContainerNotFound' "a container that is not there" hpcsync --container missing --json "$T/x"
like "$(jq -r .error <<<"$out")" 'ContainerNotFound' "is an error in JSON too"
: >"$T/file"
fails_with 1 'package root.*file' "a root that can't be" hpcsync "$T/file/root"

# --- a new version ---
exec {inside}<"$root/apps/alpha"
sed -i 's/one/two/' "$T/alpha/bin/run"
rm "$T/alpha/data/empty"
cp -r "$root/apps/alpha" "$T/alpha.old"
package alpha.zip alpha --relative-path apps/alpha
succeeds "a new version" hpcsync --json "$root"
is "$(state alpha.zip) $(state beta.zip)" "installed unchanged" "of one package"
is "$("$root/apps/alpha/bin/run")" "alpha two" "is the one that runs"
holds "complete" same "$T/alpha" "$root/apps/alpha"
holds "who was inside sees the old one, complete" same "$T/alpha.old" "/proc/$$/fd/$inside/."
is "$(find "$root/.hpcsync/old" -mindepth 1 -maxdepth 1 | wc -l)" 1 "it is kept"
sed -i 's/two/three/' "$T/alpha/bin/run"
package alpha.zip alpha --relative-path apps/alpha
succeeds "and another one" hpcsync "$root"
is "$(cat "$root"/.hpcsync/old/*/bin/run | tail -n 1)" "echo alpha two" "keeps the one before"
is "$(find "$root/.hpcsync/old" -mindepth 1 -maxdepth 1 | wc -l)" 1 "and no more"
exec {inside}<&-
printf '[packages]\nkeep_versions = 0\n' >"$T/conf"
package alpha.zip gamma --relative-path apps/alpha
succeeds "with keep_versions = 0" hpcsync --config "$T/conf" "$root"
is "$(ls -A "$root/.hpcsync/old")" "" "nothing is kept"
holds "nothing is left behind" tidy "$root"

# --- versions beside each other ---
first=$beta
mkdir "$root/beta/zz-not-ours"
later() { [ "$(date +%s)" -gt "$since" ]; }
for i in 2 3; do
	since=$(date +%s)
	wait_for 10 later   # the time has seconds
	echo "version $i" >"$T/beta/version"
	package beta.zip beta --blob-type page
	succeeds "version $i of beta" hpcsync --json "$root"
	like "$(target beta.zip)" "^$root/beta/20" "is beside the first"
	holds "with its files" same "$T/beta" "$(target beta.zip)"
	[ "$i" = 2 ] && holds "the first is still there" [ -e "$first/lib/file1.txt" ]
done
holds "then it is not" [ ! -e "$first" ]
is "$(find "$root/beta" -mindepth 1 -maxdepth 1 -name '20*' | wc -l)" 2 "two are"
holds "what is not ours stays" [ -d "$root/beta/zz-not-ours" ]
newest=$(find "$root/beta" -mindepth 1 -maxdepth 1 -name '20*' | sort | tail -n 1)
is "$(cat "$newest/version")" "version 3" "the newest sorts highest"

# --- whose place it is ---
package one.zip gamma --relative-path shared/place --container conflicts
package two.zip gamma --relative-path shared/place --container conflicts
package outer.zip gamma --relative-path tree --container conflicts
package inner.zip gamma --relative-path tree/below/it --container conflicts
package good.zip gamma --relative-path tree-2 --container conflicts
az block "$T/notes.txt" conflicts/other.txt
az meta conflicts/other.txt relativepath=tree-2
run hpcsync --json "$T/conflicts" --container conflicts
is "$status" 1 "packages in each other's way: exit status"
is "$(jq -c '[.packages[] | [.name, .state]]' <<<"$out")" \
	'[["good.zip","installed"],["inner.zip","failed"],["one.zip","failed"],["other.txt","skipped"],["outer.zip","failed"],["two.zip","failed"]]' \
	"are refused, and only those"
is "$(grep -c . <<<"$err")" 4 "a line for each"
like "$err" 'one\.zip: would be installed at the same place as two\.zip, at .*/shared/place' "that names the other"
like "$err" 'inner\.zip: would be installed inside outer\.zip' "inside"
like "$err" 'outer\.zip: would be installed around inner\.zip' "and around"
is "$(ls "$T/conflicts")" tree-2 "nothing else is installed"
for name in one outer; do hpcpack remove $name.zip --container conflicts >/dev/null || bail "hpcpack remove"; done
succeeds "when the others are gone" hpcsync "$T/conflicts" --container conflicts
az delete conflicts/two.zip
az delete conflicts/good.zip
package heir.zip beta --relative-path shared/place --container conflicts
succeeds "the place of one that was removed from storage" hpcsync "$T/conflicts" --container conflicts
holds "goes to its successor" same "$T/beta" "$T/conflicts/shared/place"
holds "what was removed from storage is not taken from the node" same "$T/gamma" "$T/conflicts/tree-2"
package thief.zip gamma --relative-path shared/place --container elsewhere
fails_with 1 'thief\.zip: can.t be installed at .*shared/place is there, from conflicts/heir\.zip' "but not to another container's" \
	hpcsync "$T/conflicts" --container elsewhere
mkdir -p "$T/foreign/shared/place"
echo mine >"$T/foreign/shared/place/file"
fails_with 1 'thief\.zip: .*/shared/place is there already, and hpcsync did not put it there' "nor what somebody else put there" \
	hpcsync "$T/foreign" --container elsewhere
is "$(cat "$T/foreign/shared/place/file")" mine "which is as it was"
rm "$T/foreign/shared/place/file"
succeeds "an empty folder is no obstacle" hpcsync "$T/foreign" --container elsewhere
ln -s "$T/gamma" "$T/outside"
mkdir "$T/linked"
ln -s "$T/alpha" "$T/linked/shared"
fails_with 1 'thief\.zip: .*something that is no folder' "a symlink on the way" hpcsync "$T/linked" --container elsewhere
holds "is not followed" [ ! -e "$T/alpha/place" ]

# --- one bad package ---
hpcpack create "$T/bad.zip" "$T/alpha" -0 >/dev/null
/usr/bin/python3 - "$T/bad.zip" <<-'EOF2'
	import sys
	with open(sys.argv[1], "r+b") as f:
	    data = f.read()
	    at = data.index(b"echo alpha")
	    f.seek(at)
	    f.write(b"ECHO")
EOF2
head -c 5000000 "$T/bad.zip" >"$T/cut.zip"
for name in bad cut; do hpcpack upload -q "$T/$name.zip" --container mixed --relative-path "$name" || bail upload; done
package fine.zip beta --relative-path fine --container mixed
run hpcsync --json "$T/mixed" --container mixed
is "$status $(jq -c '[.packages[].state]' <<<"$out")" '1 ["failed","failed","installed"]' "damaged packages do not stop a good one"
like "$err" 'mixed/bad\.zip: bin/run: CRC' "a CRC error is named"
like "$err" 'mixed/cut\.zip: ' "so is one that was cut off"
is "$(ls "$T/mixed")" fine "nothing of them is there"
holds "nothing is left behind" tidy "$T/mixed"
package bad.zip gamma --relative-path bad --container mixed
az delete mixed/cut.zip
succeeds "mended, it is installed" hpcsync "$T/mixed" --container mixed
hpcpack create "$T/bad.zip" "$T/alpha" -0 >/dev/null
printf 'xxxx' | dd of="$T/bad.zip" bs=1 seek=3000000 conv=notrunc status=none
hpcpack upload -q "$T/bad.zip" --container mixed --relative-path bad
fails_with 1 'bad\.zip: data/large\.bin: CRC' "a new version that is damaged" hpcsync "$T/mixed" --container mixed
holds "leaves the old one in place" same "$T/gamma" "$T/mixed/bad"
is "$(ls -A "$T/mixed/.hpcsync/old")" "" "where it was"

# --- storage that has its moods ---
fault 'path=alpha|beta' method=GET skip=1 times=2 do=status code=503
fault 'path=alpha|beta' method=GET skip=1 times=1 do=cut after=100
fault 'path=alpha|beta' method=GET skip=1 times=1 do=reset-after
succeeds "errors that pass" hpcsync "$T/moody"
holds "do no harm" same "$T/beta" "$(echo "$T"/moody/beta/*)"
isnt "$(faults_struck)" 0 "there were some"
no_faults

# --- disk full ---
small() { # SIZE OPTIONS
	mkdir -p "$T/small"
	mount -t tmpfs -o "size=$1" tmpfs "$T/small" || bail "no tmpfs"
}
if [ "$(id -u)" = 0 ]; then
	small 20m
	package full.zip gamma --relative-path full --container full
	succeeds "a package on a small disk" hpcsync "$T/small" --container full
	mkdir -p "$T/huge" "$T/many"
	head -c 30000000 </dev/urandom >"$T/huge/file"
	package full.zip huge --relative-path full --container full
	fails_with 1 'full\.zip: no space: 30000000 bytes are needed, [0-9]+ are left' "a version that is larger than the disk" \
		hpcsync "$T/small" --container full
	holds "leaves the old one in place" same "$T/gamma" "$T/small/full"
	# each of these needs a page of memory and has 1 byte
	for i in $(seq 6000); do printf x >"$T/many/$i"; done
	package full.zip many --relative-path full --container full
	fails_with 1 'full\.zip: .*No space left on device' "a disk that is full in the middle" hpcsync "$T/small" --container full
	holds "leaves the old one in place" same "$T/gamma" "$T/small/full"
	holds "and nothing behind" tidy "$T/small"
	is "$(df --output=iused "$T/small" | tail -n 1 | tr -d ' ')" "$(find "$T/small" | wc -l)" "not even without a name"
	package other.zip beta --relative-path other --container full
	run hpcsync --json "$T/small" --container full
	is "$(jq -c '[.packages[].state]' <<<"$out")" '["failed","installed"]' "others find their place"
	umount "$T/small"
fi

# --- two at once ---
fault 'path=alpha' method=GET skip=0 delay=1500
hpcsync "$T/both" >"$T/one.out" 2>"$T/one.err" &
first_pid=$!
spawned+=("$first_pid")
wait_for 20 [ -s "$T/both/.hpcsync/lock" ]
run hpcsync --json "$T/both"
no_faults
is "$status" 0 "a second one on the same root"
like "$err" "another hpcsync \(process $first_pid\) works on this package root; waiting" "says that it waits"
is "$(jq -c .totals.unchanged <<<"$out")" 3 "and finds all done"
wait "$first_pid"
is "$?" 0 "the first one has installed it"
done_testing
