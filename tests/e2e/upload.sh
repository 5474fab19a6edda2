#!/usr/bin/env bash
# upload.sh - what is sent, what becomes of it, and that what was there before is
# replaced as a whole or not at all.
TEST_TIMEOUT=300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy

# Bytes in pages of 512 that are not zero.
nonzero() { # FILE
	/usr/bin/python3 - "$1" <<-'EOF'
		import os, sys
		size, count, zero = os.stat(sys.argv[1]).st_size, 0, bytes(512)
		with open(sys.argv[1], "rb") as f:
		    at = 0
		    while at < size:
		        try:
		            at = f.seek(at, os.SEEK_DATA) // 512 * 512
		        except OSError:
		            break
		        end = os.lseek(f.fileno(), at, os.SEEK_HOLE)
		        f.seek(at)
		        while at < end:
		            count += 512 * (f.read(512) not in (zero, b""))
		            at += 512
		print(count)
	EOF
}

sent_pages() { jq -s 'map(select(.query | test("comp=page(&|$)")) | .body) | add // 0' "$PROXY_LOG"; }
forget_log() { : >"$PROXY_LOG"; }
same_as() { cmp "$1" "$2"; }
no_temp() { ! grep -q 'hpcpack-upload' <<<"$(az names hpcpackages)"; }
sha_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# A VHD of 128 MiB: an extent with zeros in it, scattered pages, a hole, a tail.
raw=$T/raw.img
make_raw() { # SEED
	rm -f "$raw"
	truncate -s 128M "$raw"
	openssl enc -aes-128-ctr -nosalt -pass "pass:$1" -pbkdf2 </dev/zero 2>/dev/null | head -c 9M >"$T/noise"
	dd if="$T/noise" of="$raw" bs=1M count=3 seek=1 conv=notrunc status=none
	dd if=/dev/zero of="$raw" bs=1M count=6 seek=4 conv=notrunc status=none
	dd if="$T/noise" of="$raw" bs=1M count=5 seek=10 skip=3 conv=notrunc status=none
	for i in $(seq 200); do
		dd if="$T/noise" of="$raw" bs=512 count=1 skip="$i" seek=$((100000 + i * 37)) conv=notrunc status=none
	done
	qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on "$raw" "$2"
}
make_raw one "$T/disk.vhd"
cp --sparse=always "$T/disk.vhd" "$T/old.vhd"

# --- what is sent ---
succeeds "a fixed VHD" hpcpack upload "$T/disk.vhd"
like "$out" 'hpcpackages/disk\.vhd, a page blob of 128\.0 MiB: sent [89]\.[0-9] MiB, skipped 119\.[0-9] MiB of zeros, in [0-9.]+ s$' \
	"says what was sent and what was not"
is "$err" "" "and nothing else"
az get hpcpackages/disk.vhd "$T/back.vhd"
holds "it comes back byte for byte" same_as "$T/disk.vhd" "$T/back.vhd"
is "$(az props hpcpackages/disk.vhd | jq -r .type)" PageBlob "it is a page blob"
data=$(nonzero "$T/disk.vhd")
holds "what travelled is at most 1.1 times what is not zero ($(sent_pages) of $data)" [ "$(sent_pages)" -le $((data * 11 / 10)) ]
holds "so is what is allocated there" [ "$(az allocated hpcpackages/disk.vhd)" -le $((data * 11 / 10)) ]
is "$(proxy_count '(.query | test("comp=page(&|$)")) and (.lease == null)')" 0 "every page was written under a lease"
is "$(jq -s 'map(select(.query | test("comp=page(&|$)"))) | last | .range' "$PROXY_LOG")" '"bytes=134217728-134218239"' \
	"the footer last"
holds "the temporary blob is gone" no_temp
is "$(az props hpcpackages/disk.vhd | jq -c '[.metadata, .lease_state]')" '[{"contentlength":"134218240"},"available"]' \
	"no lease and no holder are left on it"

truncate -s 1T "$T/tera.img"
dd if="$T/noise" of="$T/tera.img" bs=4096 count=100 seek=200000000 conv=notrunc status=none
qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on "$T/tera.img" "$T/tera.vhd"
succeeds "1 TiB that is nearly all holes" hpcpack upload "$T/tera.vhd"
like "$out" 'sent 400\.[0-9] KiB, skipped 1024\.0 GiB|sent 400\.[0-9] KiB, skipped 1\.0 TiB' "sends what there is"
rm "$T/tera.img" "$T/tera.vhd"

# --- what it becomes ---
head -c 1000001 "$T/noise" >"$T/some.bin"
succeeds "anything else" hpcpack upload "$T/some.bin"
like "$out" 'a block blob of 976\.6 KiB: sent 976\.6 KiB, in' "is a block blob"
az get-block hpcpackages/some.bin "$T/back" && holds "byte for byte" same_as "$T/some.bin" "$T/back"
fails_with 1 'some\.bin: is there already.*type' "a blob does not change its type" hpcpack upload "$T/some.bin" --blob-type page
cp "$T/some.bin" "$T/paged.bin"
succeeds "anything as a page blob" hpcpack upload "$T/paged.bin" /blobtype:PageBlob \
	--relative-path 'apps\lizard/' --description 'für 100 % of it'
is "$(az props hpcpackages/paged.bin | jq -c '[.size, .metadata.contentlength, .metadata.relativepath, .metadata.description]')" \
	'[1000448,"1000001","apps/lizard","f%C3%BCr 100 %25 of it"]' "padded, its length and the rest in the metadata"
succeeds "in small blocks" hpcpack upload "$T/some.bin" --block-size 64K
az get-block hpcpackages/some.bin "$T/back" && holds "byte for byte" same_as "$T/some.bin" "$T/back"
: >"$T/empty"
succeeds "an empty file" hpcpack upload "$T/empty"
qemu-img create -q -f vpc "$T/dynamic.vhd" 16M
fails_with 1 'dynamic\.vhd.*dynamic.*qemu-img convert' "a dynamic VHD is refused" hpcpack upload "$T/dynamic.vhd"
fails_with 1 'qemu-img convert' "as a page blob too" hpcpack upload "$T/dynamic.vhd" --blob-type page
succeeds "as bytes it may be had" hpcpack upload "$T/dynamic.vhd" --blob-type block
cp "$T/disk.vhd" "$T/damaged.vhd"
printf x | dd of="$T/damaged.vhd" bs=1 seek=$((134217728 + 30)) conv=notrunc status=none
forget_log
fails_with 1 'damaged\.vhd.*checksum' "a damaged footer is refused" hpcpack upload "$T/damaged.vhd"
is "$(proxy_count true)" 0 "before anything travels"
head -c 4096 "$T/noise" >"$T/cut.vhd"
succeeds "no VHD in spite of its name" hpcpack upload "$T/cut.vhd"
like "$err" 'cut\.vhd has no VHD footer' "is pointed out"
succeeds "quietly" hpcpack upload -q "$T/cut.vhd"
is "$out$err" "" "says nothing"

# --- containers, words ---
succeeds "a container that is missing is made" hpcpack upload "$T/some.bin" --container new-one
az get-block new-one/some.bin "$T/back" && holds "and used" same_as "$T/some.bin" "$T/back"
succeeds "for a page blob too" hpcpack upload "$T/disk.vhd" /container:new-two
fails_with 2 "New_One" "a container's name is checked" hpcpack upload "$T/some.bin" --container New_One
fails_with 2 "blob-type 'disk'" "so is the type" hpcpack upload "$T/some.bin" --blob-type disk
fails_with 2 "multiple of 512" "so is the block size" hpcpack upload "$T/disk.vhd" --block-size 1000
fails_with 2 "up to 4M" "within what the service takes" hpcpack upload "$T/disk.vhd" --block-size 8M
fails_with 2 "\.\." "so is the relative path" hpcpack upload "$T/some.bin" --relative-path 'a/../b'
fails_with 2 "missing.*hpcpack upload FILE" "without a file" hpcpack upload
fails_with 1 "nothing-here.*No such file" "a file that is not there" hpcpack upload "$T/nothing-here"
fails_with 1 "not a regular file" "a folder" hpcpack upload "$T"

# --- all of it or nothing ---
old=$(sha_of "$T/disk.vhd")
make_raw two "$T/disk.vhd"
new=$(sha_of "$T/disk.vhd")
still_old() { [ "$(az sha256 hpcpackages/disk.vhd)" = "$old" ]; }
begin() { # CMD...: in the background; waits until pages travel
	forget_log
	fault method=PUT 'query=comp=page' delay=500
	"$@" >"$T/up.out" 2>"$T/up.err" </dev/null &
	uploader=$!
	spawned+=("$uploader")
	wait_for 20 pages_travel
}
pages_travel() { [ "$(proxy_count '.query | test("comp=page(&|$)")')" -ge 2 ]; }
ended() { # -> $status
	no_faults
	wait "$uploader"
	status=$?
}

for signal in INT TERM; do
	begin hpcpack upload "$T/disk.vhd"
	kill "-$signal" "$uploader"
	ended
	is "$status" $((128 + $(kill -l $signal))) "SIG$signal: exit status"
	like "$(cat "$T/up.err")" '^hpcpack: disk\.vhd: interrupted' "SIG$signal: says so"
	holds "SIG$signal: the old blob is as it was" still_old
	holds "SIG$signal: nothing is left behind" no_temp
done

begin hpcpack upload "$T/disk.vhd"
fails_with 1 "another upload of it is under way.*held by .* on $(hostname) .pid $uploader. since 20" \
	"a second upload of the same blob names the first" hpcpack upload "$T/disk.vhd"
kill -KILL "$uploader"
ended 2>/dev/null
holds "killed: the old blob is as it was" still_old
az break-lease hpcpackages/disk.vhd.hpcpack-upload
succeeds "what was left behind is taken over" hpcpack upload "$T/disk.vhd"
is "$(az sha256 hpcpackages/disk.vhd)" "$new" "the new one is there"
holds "and the temporary is gone" no_temp
succeeds "back to the old one" env cp "$T/old.vhd" "$T/disk.vhd"
succeeds "uploads" hpcpack upload "$T/disk.vhd"
holds "the old one is there again" still_old
make_raw two "$T/disk.vhd"
new=$(sha_of "$T/disk.vhd")

begin hpcpack upload "$T/disk.vhd"
touch "$T/disk.vhd"
ended
is "$status" 1 "a file that changes meanwhile: exit status"
like "$(cat "$T/up.err")" 'disk\.vhd: was changed while' "says so"
holds "the old blob is as it was" still_old
holds "nothing is left behind" no_temp

fault method=PUT 'query=comp=page' skip=5 do=status code=403 error=AuthenticationFailed
fails_with 1 "AuthenticationFailed" "a failure in the middle" hpcpack upload "$T/disk.vhd"
no_faults
holds "the old blob is as it was" still_old
holds "nothing is left behind" no_temp

id=$(az lease hpcpackages/disk.vhd)
az_holder='hpcpackholder=host=node7;user=ann;pid=4711;since=2026-11-21T03:26:09Z;id=x'
az break-lease hpcpackages/disk.vhd
az meta hpcpackages/disk.vhd "$az_holder"
id=$(az lease hpcpackages/disk.vhd)
isnt "$id" "" "(leased, as a mounted drive is)"
forget_log
fails_with 1 'disk\.vhd: is in use: mounted by ann on node7 .pid 4711. since 2026-11-21T03:26:09Z' \
	"a mounted drive is not replaced, and the holder named" hpcpack upload "$T/disk.vhd"
is "$(proxy_count '.method == "PUT"')" 0 "before anything travels"
az break-lease hpcpackages/disk.vhd
begin hpcpack upload "$T/disk.vhd"
az lease hpcpackages/disk.vhd >/dev/null
ended
is "$status" 1 "mounted while the upload goes on: exit status"
like "$(cat "$T/up.err")" 'mounted while the upload' "says so"
holds "the old blob is as it was" still_old
holds "nothing is left behind" no_temp
az break-lease hpcpackages/disk.vhd

# --- the network ---
fault method=PUT 'query=comp=page' skip=2 times=3 do=reset-after
fault method=PUT 'query=comp=page' skip=6 times=2 do=swallow then=close
fault method=PUT 'query=comp=page' skip=8 times=2 do=status code=503 retry-after=1
succeeds "through lost replies and 503" hpcpack upload "$T/disk.vhd"
no_faults
is "$(az sha256 hpcpackages/disk.vhd)" "$new" "the new one is there"
fault method=PUT 'query=comp=block&' times=2 do=reset-after
succeeds "the same for blocks" hpcpack upload "$T/some.bin" --block-size 100K
is "$(faults_struck)" 2 "(replies were lost)"
no_faults
az get-block hpcpackages/some.bin "$T/back" && holds "byte for byte" same_as "$T/some.bin" "$T/back"
fault method=PUT 'query=comp=page' skip=1 times=2 do=flip-request
fault method=PUT 'query=comp=page' skip=2 times=1 do=flip-request at=0
succeeds "pages damaged on the way are sent again" hpcpack upload "$T/disk.vhd"
is "$(faults_struck)" 3 "(they were damaged)"
no_faults
is "$(az sha256 hpcpackages/disk.vhd)" "$new" "what arrived is right"
fault method=PUT 'query=comp=block&' skip=1 times=3 do=flip-request
succeeds "so are blocks" hpcpack upload "$T/some.bin" --block-size 100K
is "$(faults_struck)" 3 "(they were damaged)"
no_faults
az get-block hpcpackages/some.bin "$T/back" && holds "byte for byte" same_as "$T/some.bin" "$T/back"
is "$(az props hpcpackages/some.bin | jq -r .md5)" "$(openssl dgst -md5 -binary "$T/some.bin" | base64)" \
	"the MD5 of the whole is kept with the blob"
fault method=PUT 'query=comp=page' do=flip-request
fails_with 1 "damaged on the way.*Md5Mismatch" "a network that damages everything" hpcpack upload "$T/disk.vhd"
no_faults
is "$(az sha256 hpcpackages/disk.vhd)" "$new" "leaves the old blob as it was"
az delete hpcpackages/disk.vhd.hpcpack-upload 2>/dev/null

# --- on a terminal ---
truncate -s 64M "$T/bar.bin"
bar=$(script -qec "hpcpack upload '$T/bar.bin'" /dev/null)
like "$bar" 'bar\.bin +[0-9]+% \[=* *\] [0-9.]+ [MK]iB of 64\.0 MiB' "progress is shown"
like "$bar" 'uploaded ' "and then the result"
done_testing
