#!/usr/bin/env bash
# sync.sh - install a package: hpcsync against `curl -o` followed by `unzip`, both from
# the same nginx on this machine, in turns. One package of 20,000 small files, one of
# 500 MB in ten large ones; about half of it compresses. What unzip leaves in the page
# cache hpcsync also brings onto the disk (syncfs) before it ends. Exit status 1 if the
# median of hpcsync's time is not below 0.7 of the others'.
#
#	make bench                     or: ROUNDS=9 bash tests/bench/sync.sh
TEST_TIMEOUT=1200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

rounds=${ROUNDS:-5}
make_package() { # small|large FILE
	/usr/bin/python3 - "$1" "$2" <<-'EOF2'
		import random, sys, zipfile
		random.seed(1)
		words = [bytes(random.choices(b"abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 9))) for _ in range(4000)]
		def text(size):
		    out, n = [], 0
		    while n < size:
		        out.append(random.choice(words))
		        n += len(out[-1]) + 1
		    return b" ".join(out)[:size]
		blocks = [text(1 << 20) for _ in range(8)] + [random.randbytes(1 << 20) for _ in range(3)]
		with zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED) as z:
		    z.writestr("[Content_Types].xml", '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/'
		               'package/2006/content-types"><Default Extension="dat" ContentType="x/y"/></Types>')
		    if sys.argv[1] == "small":
		        for i in range(20000):
		            size = int(random.expovariate(1 / 4000)) + 1
		            block = random.choice(blocks)
		            at = random.randrange(max(1, len(block) - size))
		            z.writestr(f"d{i // 100:03}/sub{i // 50 % 2}/file{i:05}.dat", block[at:at + size])
		    else:
		        for i in range(10):
		            with z.open(f"large{i}.dat", "w") as f:
		                for j in range(50):
		                    f.write(random.choice(blocks))
	EOF2
}

# What of the Blob service hpcsync needs, as static files: a container for each.
mkdir -p "$T/www" "$T/out"
lists=
for kind in small large; do
	package=$(cached "$kind.zip" make_package "$kind") || bail "no package"
	mkdir "$T/www/$kind"
	ln -s "$package" "$T/www/$kind/app.zip"
	lists+="location = /bench/$kind { rewrite ^ /$kind.xml last; } "
done
start_nginx "
	$lists
	location = /small.xml { root $T/www; }
	location = /large.xml { root $T/www; }
	location /bench/ { alias $T/www/; }"
for kind in small large; do
	url=http://127.0.0.1:$NGINX_PORT/bench/$kind/app.zip
	etag=$(curl -sI "$url" | tr -d '\r' | sed -n 's/^ETag: "\(.*\)"/\1/p')
	printf '<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs><Blob><Name>app.zip</Name><Properties>%s</Properties><Metadata><relativepath>app</relativepath></Metadata></Blob></Blobs><NextMarker/></EnumerationResults>' \
		"<Last-Modified>Fri, 20 Nov 2026 10:00:00 GMT</Last-Modified><Etag>$etag</Etag><Content-Length>$(stat -Lc %s "$T/www/$kind/app.zip")</Content-Length><BlobType>BlockBlob</BlobType>" >"$T/www/$kind.xml"
done
export AZURE_STORAGE_CONNECTION_STRING="BlobEndpoint=http://127.0.0.1:$NGINX_PORT/bench"

# Each into a new folder, and nothing is removed before the end: ext4 does not use the
# inodes of what was just removed, which makes the next one slow. What the one before
# has left to write is not for this one to wait for.
ours() { # KIND ROUND
	sync -f "$T"
	local from=${EPOCHREALTIME/./}

	hpcsync -q --container "$1" "$T/out/ours.$1.$2" || return
	micros=$((${EPOCHREALTIME/./} - from))
}

theirs() { # KIND ROUND
	mkdir "$T/out/theirs.$1.$2"
	sync -f "$T"
	local from=${EPOCHREALTIME/./}

	curl -sf -o "$T/out/theirs.$1.$2/app.zip" "http://127.0.0.1:$NGINX_PORT/bench/$1/app.zip" &&
		unzip -q "$T/out/theirs.$1.$2/app.zip" -d "$T/out/theirs.$1.$2/app" || return
	micros=$((${EPOCHREALTIME/./} - from))
}

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : int((v[NR / 2] + v[NR / 2 + 1]) / 2) }'; }
ratio() { jq -n "$1 / $2 * 100 | floor / 100"; }

for kind in small large; do
	ours "$kind" 0 || bail "hpcsync failed"
	theirs "$kind" 0 || bail "curl or unzip failed"
	rm "$T/out/theirs.$kind.0/app/[Content_Types].xml"
	holds "$kind: the same files" diff -r "$T/out/ours.$kind.0/app" "$T/out/theirs.$kind.0/app"
	printf '# %-8s %14s %16s %8s\n' "$kind" 'hpcsync ms' 'curl+unzip ms' ratio
	for ((round = 1; round <= rounds; round++)); do
		ours "$kind" "$round" || bail "hpcsync failed"
		mine=$micros
		theirs "$kind" "$round" || bail "curl or unzip failed"
		echo "$mine" >>"$T/mine.$kind"
		echo "$micros" >>"$T/theirs.$kind"
		printf '# %-8s %14d %16d %8s\n' $round $((mine / 1000)) $((micros / 1000)) "$(ratio "$mine" "$micros")"
	done
	mine=$(median <"$T/mine.$kind") micros=$(median <"$T/theirs.$kind")
	printf '# %-8s %14d %16d %8s\n' median $((mine / 1000)) $((micros / 1000)) "$(ratio "$mine" "$micros")"
	holds "$kind: at most 0.7 of the time" [ $((mine * 10)) -le $((micros * 7)) ]
done
done_testing
