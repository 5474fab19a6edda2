#!/usr/bin/env bash
# package-kinds.sh - zips of every kind that is around, mounted: what is shown and read
# is what was put in. In block blobs; in page blobs with and without a length.
TEST_TIMEOUT=250
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
start_agent a
m=$T/mnt
log=$(node_dir a)/agent.log
mkdir "$m" "$T/zips" "$T/wanted"

# One zip for each kind, and the tree that it stands for.
/usr/bin/python3 "$tests_dir/lib/zip_kinds.py" "$T/zips" "$T/wanted" || bail "zip_kinds.py"
for zip in "$T/zips"/*; do
	kind=${zip##*/}
	az block "$zip" "hpcpackages/$kind"
	succeeds "$kind: mounts" on a hpcpack mount "$kind" "$m"
	succeeds "$kind: is what was put in" diff -r --no-dereference "$T/wanted/$kind" "$m"
	is "$(find "$m" -type f | wc -l)" "$(find "$T/wanted/$kind" -type f | wc -l)" "$kind: and nothing else"
	succeeds "$kind: unmounts" on a hpcpack unmount "$m"
done

# --- page blobs ---
for kind in appended comment prepended zip64; do
	cp "$T/zips/$kind" "$T/padded"
	truncate -s %512 "$T/padded"
	az page "$T/padded" "hpcpackages/page-$kind"
	succeeds "page blob, $kind: mounts" on a hpcpack mount "page-$kind" "$m"
	succeeds "page blob, $kind: is what was put in" diff -r "$T/wanted/$kind" "$m"
	succeeds "page blob, $kind: unmounts" on a hpcpack unmount "$m"
	az meta "hpcpackages/page-$kind" "contentlength=$(stat -c %s "$T/zips/$kind")"
	succeeds "page blob, $kind, with its length: mounts" on a hpcpack mount "page-$kind" "$m"
	succeeds "page blob, $kind, with its length: is what was put in" diff -r "$T/wanted/$kind" "$m"
	succeeds "page blob, $kind, with its length: unmounts" on a hpcpack unmount "$m"
done

# Much room behind it: the package grew smaller, or will grow.
cp "$T/zips/descriptors" "$T/padded"
truncate -s 20M "$T/padded"
az page "$T/padded" hpcpackages/roomy
succeeds "20 MiB of zeros behind it: mounts" on a hpcpack mount roomy "$m"
succeeds "20 MiB of zeros behind it: is what was put in" diff -r "$T/wanted/descriptors" "$m"
succeeds "unmounts" on a hpcpack unmount "$m"

# --- all of them in one container ---
az container kinds
az blocks "$T/zips" kinds
succeeds "as a container" on a hpcpack mount --container kinds "$m"
succeeds "all are what was put in" diff -r --no-dereference "$T/wanted" "$m"
succeeds "unmounts" on a hpcpack unmount "$m"

# --- what can't be served ---
/usr/bin/python3 "$tests_dir/lib/zip_kinds.py" --refused "$T/odd" || bail "zip_kinds.py"
az block "$T/odd" hpcpackages/odd
az block "$T/odd" kinds/odd
error_of_open() { # FILE
	/usr/bin/python3 -c 'import errno, os, sys
try:
    os.open(sys.argv[1], os.O_RDONLY)
except OSError as e:
    print({errno.EACCES: "EACCES", errno.ENOTSUP: "ENOTSUP"}.get(e.errno, e))' "$1"
}
for how in odd "--container kinds"; do
	# shellcheck disable=SC2086
	succeeds "$how: mounts" on a hpcpack mount $how "$m"
	top=$m
	[ "$how" = odd ] || top=$m/odd
	is "$(cd "$top" && stat -c '%n %s %F' -- * | xargs)" "bzip2 500 regular file encrypted 9 regular file good 5 regular file lzma 500 regular file strong 9 regular file" \
		"$how: all is listed, with sizes"
	is "$(cat "$top/good")" good "$how: what is good is read"
	for name in encrypted:EACCES strong:EACCES bzip2:ENOTSUP lzma:ENOTSUP; do
		is "$(error_of_open "$top/${name%:*}")" "${name#*:}" "$how: ${name%:*}: ${name#*:} when it is opened"
		is "$(grep -c "odd: ${name%:*} can.t be read: " "$log")" "$([ "$how" = odd ] && echo 1 || echo 2)" "$how: ${name%:*}: and a line in the log"
	done
	succeeds "$how: unmounts" on a hpcpack unmount "$m"
done
holds "nothing is left" test "$(count_mounts)" = 0
done_testing
