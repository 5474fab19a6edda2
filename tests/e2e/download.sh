#!/usr/bin/env bash
# download.sh - what comes is what is there: whole, checked, resumed where it was, and
# what was in its place is replaced only by that; unpacked straight from storage, too.
TEST_TIMEOUT=300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy
cd "$T" || exit 99
same_as() { cmp "$1" "$2"; }
# Bytes of a blob that travelled since the log was forgotten.
moved() { jq -s 'map(select(.method == "GET" and .range != null) | .sent) | add // 0' "$PROXY_LOG"; }
forget_log() { : >"$PROXY_LOG"; }
no_litter() { ! find "$T/work" -name '*.part*' -o -name '.hpcpack*' | grep .; }
mkdir work && cd work || exit 99

noise seven 7000001 >"$T/data.bin"
/usr/bin/python3 - "$T" <<-'PY'
	import sys, zipfile
	types = '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
	noise = open(sys.argv[1] + "/data.bin", "rb").read()
	def pack(name, files, opc=True):
	    with zipfile.ZipFile(f"{sys.argv[1]}/{name}", "w", zipfile.ZIP_DEFLATED) as z:
	        if opc:
	            z.writestr("[Content_Types].xml", types)
	        for path, content in files.items():
	            z.writestr(path, content)
	pack("app.zip", {"bin/run": b"version one", "lib/large": noise, "a%20b.txt": b"x"})
	pack("plain.zip", {"bin/run": b"plain", "100%25.txt": b"y"}, opc=False)
	pack("evil.zip", {"../evil": b"x", "good": b"y"})
PY
hpcpack upload -q "$T/data.bin" || bail "no blob"
cp "$T/data.bin" "$T/paged.bin"
hpcpack upload -q "$T/paged.bin" --blob-type page
truncate -s 64M "$T/raw"
dd if="$T/data.bin" of="$T/raw" bs=1M count=2 seek=20 conv=notrunc status=none
qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on "$T/raw" "$T/drive.vhd"
hpcpack upload -q "$T/drive.vhd"
hpcpack upload -q "$T/app.zip"
hpcpack upload -q "$T/plain.zip"
az block "$T/evil.zip" hpcpackages/dir/evil.zip

# --- files ---
succeeds "download" hpcpack download data.bin
like "$out" '^downloaded devstoreaccount1/hpcpackages/data\.bin to data\.bin, 6\.7 MiB, in [0-9.]+ s$' "says what it did"
holds "byte for byte" same_as data.bin "$T/data.bin"
is "$(date -u -r data.bin +%Y-%m-%dT%H:%M:%SZ)" "$(hpcpack view data.bin --json | jq -r .uploaded)" "of the time of its upload"
succeeds "a padded one" hpcpack download paged.bin -q
is "$out$err" "" "quietly"
holds "has its true length" same_as paged.bin "$T/data.bin"
forget_log
succeeds "a drive" hpcpack download drive.vhd
holds "byte for byte" same_as drive.vhd "$T/drive.vhd"
holds "what is not allocated does not travel ($(moved))" [ "$(moved)" -lt 3000000 ]
holds "and is a hole" [ "$(stat -c %b drive.vhd)" -lt 8192 ]
succeeds "in small blocks, to a name, in folders that are missing" hpcpack download data.bin --path new/folder/name --block-size 100K
holds "byte for byte" same_as new/folder/name "$T/data.bin"
succeeds "into a folder, as the original spells it" hpcpack download data.bin /path:new /blocksize:300000
succeeds "which may be missing" hpcpack download data.bin /targetPath:other/
holds "under its own name" same_as new/data.bin "$T/data.bin"
holds "there too" same_as other/data.bin "$T/data.bin"
succeeds "in blocks as large as the file" hpcpack download data.bin --block-size 1G
is "$(proxy_count '.range == "bytes=0-7000000"')" 1 "in one request"
succeeds "a blob with a folder in its name" hpcpack download dir/evil.zip
holds "goes where it is told" same_as evil.zip "$T/evil.zip"
hpcpack upload -q "$T/data.bin" --container names
fails_with 1 'hpcpackages/nothing: no such blob .*hpcpack list' "what is not there" hpcpack download nothing
fails_with 2 "block-size '0'" "no blocks" hpcpack download data.bin --block-size 0
fails_with 2 "missing" "nothing to download" hpcpack download
fails_with 1 'nowhere' "where nothing can be written" hpcpack download data.bin --path /proc/nowhere/x
holds "nothing is left behind" no_litter

# --- damage ---
fault method=GET header=range:bytes= skip=2 times=3 do=flip-reply
succeeds "what is damaged on the way" hpcpack download data.bin --block-size 200K
is "$(faults_struck)" 3 "(it was)"
holds "comes again" same_as data.bin "$T/data.bin"
no_faults
fault method=GET header=range:bytes= skip=5 do=flip-reply
fails_with 1 'data\.bin: .*came damaged 10 times' "a network that damages everything" hpcpack download data.bin --block-size 200K
holds "leaves what was there" same_as data.bin "$T/data.bin"
no_faults
rm -f data.bin.part*
fault method=GET header=range:bytes= do=flip-reply times=1
fails_with 1 'does not fit the MD5 that the blob carries' "without a sum of the part, that of the whole tells" \
	hpcpack download data.bin --block-size 1G
holds "what was there is there" same_as data.bin "$T/data.bin"
holds "and nothing else" no_litter
no_faults

# --- broken off ---
rm data.bin
parts_are_there() { [ "$(moved)" -ge 1500000 ]; }
begin() { # MILLISECONDS CMD...
	forget_log
	fault method=GET header=range:bytes= "delay=$1"
	shift
	"$@" >"$T/down.out" 2>"$T/down.err" </dev/null &
	downloader=$!
	spawned+=("$downloader")
	wait_for 40 parts_are_there
}
ended() { # -> $status
	no_faults
	wait "$downloader"
	status=$?
}
begin 100 hpcpack download data.bin --block-size 50K
fails_with 1 'data\.bin: another download into this file is under way' "a second one into the same file" hpcpack download data.bin
kill -KILL "$downloader"
ended 2>/dev/null
holds "killed: it is not there" [ ! -e data.bin ]
holds "what has come is kept" [ -s data.bin.part ]
forget_log
succeeds "again" hpcpack download data.bin
like "$out" ', [0-9.]+ [KM]iB of it before, in' "says that it goes on"
holds "moves only the rest ($(moved))" [ "$(moved)" -le $((7000001 - 1000000)) ]
holds "byte for byte" same_as data.bin "$T/data.bin"
holds "nothing is left behind" no_litter

for signal in INT TERM; do
	begin 100 hpcpack download data.bin --block-size 50K
	kill "-$signal" "$downloader"
	ended
	is "$status" $((128 + $(kill -l $signal))) "SIG$signal: exit status"
	like "$(cat "$T/down.err")" '^hpcpack: data\.bin: interrupted; what has come is kept in data\.bin\.part: the same command' "SIG$signal: says so"
	holds "SIG$signal: what was there is there" same_as data.bin "$T/data.bin"
done
noise eight 7000001 >"$T/data.bin"
hpcpack upload -q "$T/data.bin"
forget_log
succeeds "replaced in between" hpcpack download data.bin
like "$err" 'data\.bin has changed since its download was begun: it was begun anew' "says so"
is "$(moved)" 7000001 "all of it travels"
holds "the new one is there" same_as data.bin "$T/data.bin"
begin 2000 hpcpack download data.bin --block-size 50K
noise nine 7000001 >"$T/data.bin"
AZURE_STORAGE_CONNECTION_STRING=${AZ_CS/$PROXY_PORT/$AZ_PORT} hpcpack upload -q "$T/data.bin"
ended
is "$status" 1 "replaced while it is downloaded: exit status"
like "$(cat "$T/down.err")" 'data\.bin: was changed while it was downloaded; run it again' "says so"
holds "nothing is left behind" no_litter
fault method=GET header=range:bytes= skip=3 times=4 do=reset-after
fault method=GET header=range:bytes= skip=8 times=2 do=cut after=70000
fault method=GET header=range:bytes= skip=12 times=2 do=status code=503
succeeds "through resets, short bodies and 503" hpcpack download data.bin --block-size 200K
holds "the new one is there" same_as data.bin "$T/data.bin"
no_faults
echo mine >paged.bin.part
rm paged.bin
fails_with 1 'paged\.bin\.part: is there, and no part of a download of ours' "somebody else's .part" hpcpack download paged.bin
is "$(cat paged.bin.part)" mine "stays as it is"
rm paged.bin.part

# --- a disk that is full ---
mkdir small
if mount -t tmpfs -o size=3M tmpfs small 2>/dev/null; then
	fails_with 1 'small/data\.bin\.part: can.t be written: No space left .*what has come is kept' \
		"a full disk" hpcpack download data.bin --path small
	mount -o remount,size=20M small
	succeeds "when there is room again" hpcpack download data.bin --path small
	like "$out" ' of it before' "it goes on"
	holds "byte for byte" same_as small/data.bin "$T/data.bin"
	umount small
	mount -t tmpfs -o size=3M tmpfs small
	fails_with 1 'no space' "so it is when unpacking" hpcpack download app.zip --unpack --path small
	is "$(find small -mindepth 1 | wc -l)" 0 "nothing is unpacked then"
	umount small
else
	skip "a full disk" "no mounts without root"
fi

# --- unpacked ---
forget_log
succeeds "unpack" hpcpack download app.zip --unpack --path un/packed
like "$out" '^unpacked devstoreaccount1/hpcpackages/app\.zip to un/packed: 3 files, 6\.7 MiB, in' "says what it did"
is "$(cd un/packed && find . -type f | sort | tr '\n' ' ')" './a b.txt ./bin/run ./lib/large ' "every file, and nothing of OPC's own"
is "$(cat un/packed/bin/run)" "version one" "with its content"
echo own >un/packed/bin/own
echo old >un/packed/bin/run
chmod 0600 un/packed/bin/run
exec 9<un/packed/bin/run
succeeds "over what is there" hpcpack download app.zip /unpack /path:un/packed -q
is "$(cat un/packed/bin/run un/packed/bin/own | tr '\n' ' ')" "version oneown " "replaces a file, and keeps others"
is "$(cat <&9)" old "by another one: who has it open reads the old one"
exec 9<&-
mkdir here
succeeds "a plain zip, into the working directory" env -C here hpcpack download plain.zip --unpack
is "$(cat 'here/100%25.txt' here/bin/run)" yplain "with names as they are"
rm here/bin/run
mkdir here/bin/run
forget_log
fails_with 1 'bin/run: is there, and a folder' "a folder where a file goes" env -C here hpcpack download plain.zip --unpack
rmdir here/bin/run && rm -r here/bin && ln -s "$T" here/bin
fails_with 1 'bin: is there, and no folder' "a symlink where a folder goes is not followed" env -C here hpcpack download plain.zip --unpack
holds "nothing went there" [ ! -e "$T/run" ]
fails_with 1 'dir/evil\.zip: .*\.\./evil' "a package that leads out" hpcpack download dir/evil.zip --unpack --path evil
is "$(find evil -mindepth 1 2>/dev/null; ls "$T/evil" 2>/dev/null)" "" "nothing of it is unpacked"
fails_with 1 'data\.bin: .*(zip|package)' "what is no package" hpcpack download data.bin --unpack --path evil
fails_with 1 'no such blob' "what is not there" hpcpack download nothing --unpack
fault method=GET header=range:bytes= skip=2 do=flip-reply
fails_with 1 'app\.zip' "damage on the way" hpcpack download app.zip --unpack --path damaged
no_faults
is "$(find damaged -mindepth 1 | wc -l)" 0 "leaves nothing"
stage_is_there() { [ -n "$(find staged/.hpcpack-unpack -type f 2>/dev/null)" ]; }
fault method=GET header=range:bytes= skip=3 rate=1000000
hpcpack download app.zip --unpack --path staged --block-size 100K 2>"$T/down.err" &
downloader=$!
spawned+=("$downloader")
wait_for 40 stage_is_there
fails_with 1 'staged: something else is being unpacked into this folder' "a second one into the same folder" \
	hpcpack download app.zip --unpack --path staged
kill -KILL "$downloader"
ended 2>/dev/null
succeeds "what a killed one has left" hpcpack download app.zip --unpack --path staged
is "$(cd staged && find . -type f | sort | tr '\n' ' ')" './a b.txt ./bin/run ./lib/large ' "is cleaned up by the next"
holds "no litter is left" no_litter

# --- credentials, terminal ---
sas=$(az sas container r)
succeeds "a SAS that may only read" env -u AZURE_STORAGE_CONNECTION_STRING hpcpack download data.bin \
	--account "$AZ_ACCOUNT" --sas "$sas" --endpoint "$AZ_URL/$AZ_ACCOUNT"
bar=$(script -qec "hpcpack download data.bin --block-size 100K" /dev/null)
like "$bar" 'data\.bin +[0-9]+% \[=* *\] [0-9.]+ [MKi]*B of 6\.7 MiB' "progress is shown"
cd "$T" || exit 99
done_testing
