#!/usr/bin/env bash
# hpcsync-memory.sh - a package of 1 GiB in 20,000 files is installed with less than
# 128 MiB of memory.
TEST_TIMEOUT=300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

files=20000 size=53687 # 1 GiB in all
[ -z "$HPCPACK_TEST_QUICK" ] || files=1000

# Stored, and all zeros but for the headers: a sparse file, made at once.
mkdir -p "$T/www/bench"
/usr/bin/python3 - "$T/www/bench/app.zip" $files $size <<'EOF2' || bail "no package"
import struct, sys, zlib
path, files, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
types = (b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
         b'<Default Extension="bin" ContentType="x/y"/></Types>')
zeros = zlib.crc32(bytes(size))
directory = bytearray()
with open(path, "wb") as f:
    def add(name, data, crc, length):
        numbers = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0x21, crc, length, length, len(name), 0)
        directory.extend(struct.pack("<IH", 0x02014b50, 20) + numbers + struct.pack("<HHHII", 0, 0, 0, 0, f.tell()) + name)
        f.write(struct.pack("<I", 0x04034b50) + numbers + name + data)
        f.seek(length - len(data), 1)
    add(b"[Content_Types].xml", types, zlib.crc32(types), len(types))
    for i in range(files):
        add(b"d%03d/file%05d.bin" % (i // 100, i), b"", zeros, size)
    at = f.tell()
    f.write(directory + struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, files + 1, files + 1, len(directory), at, 0))
EOF2
start_nginx "
	location = /bench { rewrite ^ /list.xml last; }
	location / { root $T/www; }"
etag=$(curl -sI "http://127.0.0.1:$NGINX_PORT/bench/app.zip" | tr -d '\r' | sed -n 's/^ETag: "\(.*\)"/\1/p')
printf '<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs><Blob><Name>app.zip</Name><Properties>%s</Properties><Metadata><relativepath>app</relativepath></Metadata></Blob></Blobs><NextMarker/></EnumerationResults>' \
	"<Last-Modified>Fri, 20 Nov 2026 10:00:00 GMT</Last-Modified><Etag>$etag</Etag><Content-Length>$(stat -c %s "$T/www/bench/app.zip")</Content-Length><BlobType>BlockBlob</BlobType>" >"$T/www/list.xml"

export AZURE_STORAGE_CONNECTION_STRING="BlobEndpoint=http://127.0.0.1:$NGINX_PORT"
RUN_TIMEOUT=200 succeeds "a package of $files files" /usr/bin/python3 "$tests_dir/lib/peak.py" "$T/peak" \
	hpcsync "$T/root" --container bench
peak=$(cat "$T/peak")
echo "# $peak KiB"
is "$(find "$T/root/app" -type f -size "${size}c" | wc -l)" $files "is installed"
if [ -z "$HPCPACK_TEST_QUICK" ]; then
	is "$(du -sb "$T/root/app/d007" | cut -f 1)" "$((100 * size + $(stat -c %s "$T/root/app/d007")))" "with its size"
	holds "with less than 128 MiB of memory" [ "$peak" -lt 131072 ]
fi
done_testing
