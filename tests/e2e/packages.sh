#!/usr/bin/env bash
# packages.sh - hpcpack list, view and remove: what they say, to people and programs,
# about blobs of every kind and with every name.
TEST_TIMEOUT=300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_proxy
# A package of two files: [Content_Types].xml is what makes it one.
make_package() { # FILE TEXT [plain]
	/usr/bin/python3 - "$@" <<-'PY'
		import sys, zipfile
		types = ('<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
		         'content-types"><Default Extension="txt" ContentType="application/octet-stream"/></Types>')
		with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as z:
		    if len(sys.argv) < 4:
		        z.writestr("[Content_Types].xml", types)
		    z.writestr("bin/run.txt", sys.argv[2] * 1000)
		    z.writestr("read%20me.txt", "hello")
	PY
}
json() { jq -c "$1" <<<"$out"; }

# --- nothing ---
succeeds "an empty container" hpcpack list
is "$out" "" "lists nothing"
like "$err" '^hpcpack: hpcpackages: there is nothing in this container$' "and says so"
succeeds "quietly" hpcpack list -q
is "$out$err" "" "says nothing"
succeeds "as JSON" hpcpack list --json
is "$(json '[.account, .container, .packages, .unfinished]')" '["devstoreaccount1","hpcpackages",[],[]]' "it is a document"
fails_with 1 'none-here: no such container' "a missing container is an error" hpcpack list --container none-here
fails_with 2 "Bad_Name" "a name that none can have is the command line's" hpcpack list --container Bad_Name
fails_with 2 "unexpected|too many|takes no" "list has no arguments" hpcpack list something

# --- what is there ---
make_package "$T/app.zip" v1
make_package "$T/plain.zip" v1 plain
cp "$T/app.zip" "$T/paged.zip"
size=$(stat -c %s "$T/app.zip")
stored=$(((size + 511) / 512 * 512))
qemu-img create -q -f raw "$T/raw" 4M
qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on "$T/raw" "$T/data.vhd"
head -c 3000 /dev/urandom >"$T/some.bin"
succeeds "a package" hpcpack upload "$T/app.zip" --relative-path 'apps\lizard' --description 'für 32 cores, 100 %'
succeeds "a package in a page blob" hpcpack upload "$T/paged.zip" --blob-type page
succeeds "a zip" hpcpack upload "$T/plain.zip"
succeeds "a drive" hpcpack upload "$T/data.vhd"
succeeds "a file" hpcpack upload "$T/some.bin"
succeeds "list" hpcpack list
like "$out" '^NAME +SIZE +TYPE +UPLOADED +RELATIVE PATH +DESCRIPTION$' "has a head"
like "$out" '^app\.zip +[0-9.]+ B +block +20[0-9-]+ [0-9:]+ +apps/lizard +für 32 cores, 100 %$' "a line has it all"
like "$out" '^data\.vhd +4\.0 MiB +page +.* - +-$' "what there is none of is a dash"
is "$(awk '/ (page|block|TYPE) / { sub(/ (page|block|TYPE) /, "@"); print index($0, "@") }' <<<"$out" | sort -u | wc -l)" 1 "columns are aligned"
succeeds "list as JSON" hpcpack list --json
is "$(json '.packages[0] | keys')" \
	'["description","etag","name","relative_path","size","stored_size","type","uploaded"]' "with the promised keys"
is "$(json '.packages[] | select(.name == "app.zip") | [.size, .stored_size, .type, .relative_path, .description]')" \
	"[$size,$size,\"block\",\"apps/lizard\",\"für 32 cores, 100 %\"]" "and what was said at upload"
is "$(json '.packages[] | select(.name == "paged.zip") | [.size, .stored_size, .type, .relative_path, .description]')" \
	"[$size,$stored,\"page\",null,null]" "a padded package has its true size"
holds "the time is one" date -d "$(jq -r '.packages[0].uploaded' <<<"$out")"

# --- view ---
succeeds "view a package" hpcpack view app.zip
like "$out" '^type +OPC package, in a block blob$' "says what it is"
like "$out" "^size +.*\($size bytes\)$" "how large"
like "$out" '^uploaded +20' "when it was uploaded"
like "$out" '^description +für 32 cores, 100 %$' "its description"
like "$out" '^relative path +apps/lizard$' "its relative path"
like "$out" '^target +\$CCP_PACKAGE_ROOT/apps/lizard$' "where it is installed"
like "$out" '^contents +2 files, 2\.0 KiB \(2005 bytes\)$' "what is in it"
like "$out" '^lease +none$' "who has it mounted"
like "$out" '^snapshots +0$' "its snapshots"
succeeds "as JSON" hpcpack view paged.zip --json
is "$(json '[.account, .container, .name, .content, .size, .stored_size, .type, .package, .drive, .problem, .snapshots]')" \
	"[\"devstoreaccount1\",\"hpcpackages\",\"paged.zip\",\"package\",$size,$stored,\"page\",{\"opc\":true,\"files\":2,\"unpacked_size\":2005},null,null,0]" \
	"the same for programs"
is "$(json '.target')" "\"paged/$(jq -r '.uploaded | gsub(":"; "")' <<<"$out")\"" "without a relative path: NAME/UPLOADTIME"
like "$(json .target)" '^"paged/20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{6}Z"$' "of fixed width and without colons"
head -c 9000000 /dev/urandom >"$T/blob"
/usr/bin/python3 - "$T/large.zip" "$T/blob" <<-'PY'
	import sys, zipfile
	with zipfile.ZipFile(sys.argv[1], "w") as z:
	    z.write(sys.argv[2], "noise.bin")
	    z.writestr("[Content_Types].xml", "<Types/>")
PY
hpcpack upload -q "$T/large.zip"
: >"$PROXY_LOG"
succeeds "a package of 9 MB" hpcpack view large.zip
moved=$(jq -s 'map(.sent) | add' "$PROXY_LOG")
holds "is looked at by ranges: $moved bytes" [ "$moved" -lt 1000000 ]
succeeds "a zip" hpcpack view plain.zip
like "$out" '^type +zip, in a block blob$' "is no package"
like "$out" '^target +none: hpcsync installs OPC packages only$' "and not installed"
succeeds "a drive" hpcpack view data.vhd --json
is "$(json '[.content, .drive, .package, .target, .problem]')" \
	'["drive",{"disk_size":4194304,"creator":"qem2"},null,null,null]' "its footer is read"
succeeds "for people" hpcpack view data.vhd
like "$out" '^disk +4\.0 MiB \(4194304 bytes\)$' "too"
succeeds "a file" hpcpack view some.bin --json
is "$(json '[.content, .md5, .package, .drive, .problem]')" \
	"[\"file\",\"$(openssl dgst -md5 -binary "$T/some.bin" | base64)\",null,null,null]" "is one"
head -c $((size - 30)) "$T/app.zip" >"$T/cut.zip"
hpcpack upload -q "$T/cut.zip"
succeeds "a package cut short" hpcpack view cut.zip
like "$out" '^problem +.*cut\.zip' "has a problem"
printf x | dd of="$T/data.vhd" bs=1 seek=$((4194304 + 30)) conv=notrunc status=none
az page "$T/data.vhd" hpcpackages/damaged.vhd
succeeds "a damaged drive" hpcpack view damaged.vhd --json
like "$(json '[.content, .problem]')" '^\["drive",".*checksum' "too"
: >"$T/empty"
hpcpack upload -q "$T/empty"
succeeds "an empty blob" hpcpack view empty --json
is "$(json '[.content, .size]')" '["file",0]' "is a file of nothing"
fails_with 1 'hpcpackages/nothing: no such blob .*hpcpack list --container hpcpackages shows' \
	"a blob that is not there" hpcpack view nothing
fails_with 2 "missing.*hpcpack view" "view of nothing" hpcpack view

# --- leases, snapshots ---
holder='hpcpackholder=host=node7;user=ann;pid=4711;since=2026-11-21T03:26:09Z;id=x'
az meta hpcpackages/data.vhd "$holder"
succeeds "a drive that is not mounted" hpcpack view data.vhd
like "$out" '^lease +none$' "has no holder, whatever is left in the metadata"
az lease hpcpackages/data.vhd >/dev/null
az lease hpcpackages/some.bin >/dev/null
az snapshot hpcpackages/data.vhd >/dev/null
az block "$T/some.bin" hpcpackages/data.vhd.other
az snapshot hpcpackages/data.vhd.other >/dev/null
succeeds "a mounted drive" hpcpack view data.vhd
like "$out" '^lease +mounted by ann on node7 \(pid 4711\) since 2026-11-21T03:26:09Z$' "names who has it"
like "$out" '^snapshots +1$' "and counts its own snapshots"
succeeds "for programs" hpcpack view data.vhd --json
is "$(json '[.lease.state, .lease.holder.host, .lease.holder.user, .lease.holder.pid, .snapshots]')" \
	'["leased","node7","ann",4711,1]' "too"
fails_with 1 'data\.vhd: is in use: mounted by ann on node7 .*unmount it there first' \
	"a mounted drive is not removed" hpcpack remove data.vhd
fails_with 1 'some\.bin: is in use: it is leased, by somebody who left no name' \
	"nor what somebody else leases" hpcpack remove some.bin
az break-lease hpcpackages/data.vhd
fails_with 1 'data\.vhd: has snapshots.*SnapshotsPresent.*delete them' "nor what has snapshots" hpcpack remove data.vhd
succeeds "they are all there" az props hpcpackages/data.vhd

# --- remove ---
succeeds "remove" hpcpack remove plain.zip
like "$out" '^removed devstoreaccount1/hpcpackages/plain\.zip; nodes that have installed it keep it$' "says what it did not do"
fails_with 1 'plain\.zip: no such blob .*hpcpack list' "again" hpcpack remove plain.zip
succeeds "the original's spelling" hpcpack remove paged.zip /container:hpcpackages
succeeds "list" hpcpack list
unlike "$out" 'plain\.zip|paged\.zip' "they are gone"
fault method=DELETE times=1 do=reset-after
succeeds "through a lost reply" hpcpack remove -q cut.zip
no_faults
is "$out$err" "" "quietly"
fails_with 2 "missing" "remove of nothing" hpcpack remove

# --- uploads under way ---
az empty hpcpackages/other.vhd.hpcpack-upload 512
az block "$T/some.bin" hpcpackages/block.hpcpack-upload
succeeds "an upload under way" hpcpack list
unlike "$out" 'other\.vhd' "is not listed"
like "$out" '^block\.hpcpack-upload ' "a block blob of such a name is none"
like "$err" '^hpcpack: 1 upload is under way, or broken off' "but counted"
succeeds "for programs" hpcpack list --json
is "$(json '[.unfinished[].name]')" '["other.vhd.hpcpack-upload"]' "it is by itself"

# --- names, and many of them ---
/usr/bin/python3 - "$AZURE_STORAGE_CONNECTION_STRING" <<-'PY' || bail "no blobs"
	import sys
	from concurrent.futures import ThreadPoolExecutor
	from azure.storage.blob import BlobServiceClient
	service = BlobServiceClient.from_connection_string(sys.argv[1])
	odd = service.create_container("odd-names")
	for name in ("with space.zip", "100%.zip", "a+b.zip", "für später.zip", "dir/sub/x.zip", "%41.zip",
	             "a&b=c?#.zip", "tab\there.zip"):
	    odd.upload_blob(name, b"x" * 10, metadata={"relativepath": "a/b", "description": "c1 \u0041%C2%9Bx%FFy%1B[31m"})
	PY
names='["%41.zip","100%.zip","a&b=c?#.zip","a+b.zip","dir/sub/x.zip","für später.zip","tab\there.zip","with space.zip"]'
succeeds "odd names" hpcpack list --container odd-names --json
is "$(json '[.packages[].name] | sort')" "$names" "are listed as they are"
is "$(json '.packages[0].description')" $'"c1 A\xc2\x9bx\xef\xbf\xbdy\\u001b[31m"' "what is not UTF-8 is marked"
succeeds "for people" hpcpack list --container odd-names
unlike "$out" $'\x1b|\xc2\x9b' "nothing steers the terminal"
like "$out" '^tab\?here\.zip ' "in names either"
for name in "with space.zip" "100%.zip" "a+b.zip" "für später.zip" "dir/sub/x.zip" "%41.zip" "a&b=c?#.zip"; do
	hpcpack view "$name" --container odd-names --json >"$T/out" 2>"$T/err"
	is "$(jq -r .name "$T/out")" "$name" "view $name"
	succeeds "remove $name" hpcpack remove "$name" --container odd-names
done

# The service gives 5,000 at a time: 5,010 blobs, put in parallel with one signature.
if [ -z "$HPCPACK_TEST_QUICK" ]; then
	az container many
	sas=$(az sas container cw many)
	seq -f 'p%05g' 5010 >"$T/many"
	sed "s|.*|url = \"$AZ_DIRECT/$AZ_ACCOUNT/many/&?${sas//&/\\&}\"\noutput = /dev/null|" "$T/many" >"$T/curl"
	curl -sf --no-progress-meter --parallel --parallel-max 8 -X PUT -H 'x-ms-blob-type: BlockBlob' -H 'x-ms-version: 2021-12-02' \
		-H 'Content-Length: 0' --config "$T/curl" || bail "no 5,010 blobs"
	: >"$PROXY_LOG"
	succeeds "more than one page of blobs" hpcpack list --container many
	is "$(awk 'NR > 1 { print $1 }' <<<"$out" | cmp - "$T/many" && echo same)" same "every one of them is listed"
	is "$(proxy_count '.query | test("comp=list.*marker=.")')" 1 "with a continuation marker"
fi

# --- credentials ---
sas=$(az sas container r)
no_list=(env -u AZURE_STORAGE_CONNECTION_STRING hpcpack)
how=(--account "$AZ_ACCOUNT" --sas "$sas" --endpoint "$AZ_URL/$AZ_ACCOUNT")
succeeds "a SAS that may only read" "${no_list[@]}" view app.zip "${how[@]}"
unlike "$out" '^snapshots' "does not tell the snapshots"
like "$out" '^contents +2 files' "but everything else"
fails_with 1 'hpcpackages: the service refuses the SAS' "and does not list" "${no_list[@]}" list "${how[@]}"
fails_with 1 'app\.zip: the service refuses the SAS' "nor remove" "${no_list[@]}" remove app.zip "${how[@]}"
mkdir "$T/templates"
(umask 077 && printf '[account]\nname = %s\nkey = %s\nendpoint = %s\n' "$AZ_ACCOUNT" "$AZ_KEY" "$AZ_URL/$AZ_ACCOUNT" \
	>"$T/templates/AzureWorker.conf")
succeeds "through a node template" "${no_list[@]}" list /nodetemplate:AzureWorker "/scheduler:$T/templates"
like "$out" '^app\.zip ' "it is listed"
fails_with 1 "can't connect|connection" "no service at all" "${no_list[@]}" list --account abc --key aGk= --endpoint http://127.0.0.1:1/a
done_testing
