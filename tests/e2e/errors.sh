#!/usr/bin/env bash
# errors.sh - what goes wrong is said in one line that a person understands: what,
# on which blob, why; and the exit status is right.
TEST_TIMEOUT=240
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
printf '[drive]\nio_deadline = 3s\ncache = 8M\n' | agent_config a
start_agent a
mkdir -p "$T/mnt" "$T/other"
image=$(image_ext4) || bail "no image"
az page "$image" hpcpackages/d.vhd

mounting() { on a hpcpack mount "$@"; }
with_account() { # CONNECTION-STRING ARGUMENTS...
	local cs=$1

	shift
	AZURE_STORAGE_CONNECTION_STRING=$cs on a hpcpack mount "$@"
}
put_raw() { az page "$1" "hpcpackages/$2" || bail "cannot upload $2"; }
as_vhd() { # RAW NAME: behind a footer, as a page blob
	qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on "$1" "$1.vhd" && put_raw "$1.vhd" "$2"
}

# --- blobs that are not there, or not ours ---
fails_with 1 'hpcpackages/nothere\.vhd.*(no such blob|BlobNotFound)' "no such blob" \
	mounting nothere.vhd "$T/mnt"
fails_with 1 'nothere.*(no such container|ContainerNotFound)' "no such container" \
	mounting d.vhd "$T/mnt" --container nothere
fails_with 1 'd\.vhd.*key.*(403|Auth)' "a wrong key" with_account "${AZ_CS/$AZ_KEY/d3Jvbmcga2V5}" d.vhd "$T/mnt"
fails_with 2 "container.*name|name.*container" "a container that cannot exist" \
	mounting d.vhd "$T/mnt" --container 'No_Such'

start_proxy
proxied=$AZ_CS
use_endpoint "$AZ_DIRECT"
fault 'do=status code=403 error=AuthenticationFailed date="Fri, 01 Jan 2016 00:00:00 GMT"'
fails_with 1 'clock.*2016|2016.*clock' "a clock that is wrong: with the server's time" \
	with_account "$proxied" d.vhd "$T/mnt"
no_faults

RUN_TIMEOUT=30 fails_with 1 'nowhere\.invalid.*resolv|resolv.*nowhere\.invalid' "a name that does not resolve" \
	with_account "${AZ_CS//127.0.0.1:$AZ_PORT/nowhere.invalid}" d.vhd "$T/mnt"
free_port
RUN_TIMEOUT=30 fails_with 1 "(127\.0\.0\.1|port $port|:$port).*refused|refused.*127\.0\.0\.1" "connection refused" \
	with_account "${AZ_CS//$AZ_PORT/$port}" d.vhd "$T/mnt"

# --- blobs that are no drives ---
az block "$(tree)/big.bin" hpcpackages/block
fails_with 1 'hpcpackages/block.*block blob.*page' "a block blob" mounting block "$T/mnt"
truncate -s 1M "$T/zeros"
put_raw "$T/zeros" zeros.vhd
fails_with 1 'zeros\.vhd.*not a VHD' "a page blob that is no VHD" mounting zeros.vhd "$T/mnt"
az empty hpcpackages/nothing.vhd 0
fails_with 1 'nothing\.vhd' "an empty page blob" mounting nothing.vhd "$T/mnt"

raw_ext4 24M "$T/small.img"
qemu-img convert -f raw -O vpc -o subformat=dynamic "$T/small.img" "$T/dynamic.vhd"
put_raw "$T/dynamic.vhd" dynamic.vhd
fails_with 1 'dynamic\.vhd.*dynamic.*qemu-img' "a dynamic VHD, with the command that converts it" \
	mounting dynamic.vhd "$T/mnt"
fails_with 1 'dynamic\.vhd.*dynamic.*qemu-img' "and its upload is refused too" hpcpack upload "$T/dynamic.vhd"

qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on "$T/small.img" "$T/good.vhd"
payload=$(($(stat -c %s "$T/good.vhd") - 512))
cp "$T/good.vhd" "$T/checksum.vhd"
printf X | dd of="$T/checksum.vhd" bs=1 seek=$((payload + 70)) conv=notrunc status=none
put_raw "$T/checksum.vhd" checksum.vhd
fails_with 1 'checksum\.vhd.*checksum' "a bad footer checksum" mounting checksum.vhd "$T/mnt"
(head -c $((payload - 1048576)) "$T/good.vhd" && tail -c 512 "$T/good.vhd") >"$T/truncated.vhd"
put_raw "$T/truncated.vhd" truncated.vhd
fails_with 1 'truncated\.vhd.*(cut short|truncated|holds only)' "a truncated VHD, footer in place" \
	mounting truncated.vhd "$T/mnt"
head -c $((payload - 1048576)) "$T/good.vhd" >"$T/cut.vhd"
put_raw "$T/cut.vhd" cut.vhd
fails_with 1 'cut\.vhd.*(not a VHD|cut short)' "a truncated VHD, footer lost" mounting cut.vhd "$T/mnt"

# --- what is on them ---
as_vhd "$T/zeros" blank.vhd
fails_with 1 'blank\.vhd.*no.*filesystem' "no filesystem found" mounting blank.vhd "$T/mnt"
like "$err" 'raw' "and --raw is offered"
truncate -s 24M "$T/two"
printf 'label: gpt\n,8M,L\n,8M,L\n' | sfdisk -q --no-reread --no-tell-kernel "$T/two"
truncate -s 8M "$T/fs"
mke2fs -q -F -t ext4 -L first "$T/fs" && place "$T/fs" "$T/two" 1048576
mke2fs -q -F -t ext2 -L second "$T/fs" && place "$T/fs" "$T/two" $((9 << 20))
as_vhd "$T/two" two.vhd
fails_with 1 'two\.vhd.*1.*ext4.*first.*2.*ext2.*second.*--partition' "several partitions: listed, with the option to choose" \
	mounting two.vhd "$T/mnt"
fails_with 1 'two\.vhd.*3' "no such partition" mounting two.vhd "$T/mnt" --partition 3
succeeds "--partition 2" mounting two.vhd "$T/mnt" --partition 2
is "$(entry a "$T/mnt" '"\(.filesystem) \(.partition)"')" "ext2 2" "mounts the second one"
succeeds "unmounts" on a hpcpack unmount "$T/mnt"
# A VMFS volume: libblkid knows it, Linux has no driver for it.
truncate -s 16M "$T/vmfs"
printf '\x5e\xf1\xab\x2f' | dd of="$T/vmfs" bs=1 seek=$((0x200000)) conv=notrunc status=none
as_vhd "$T/vmfs" vmfs.vhd
fails_with 1 'vmfs\.vhd.*(VMFS|vmfs).*driver' "a filesystem without a driver here" mounting vmfs.vhd "$T/mnt"
fails_with 1 'd\.vhd' "a mount option that the filesystem does not know" mounting d.vhd "$T/mnt" -o nosuchoption=7

# --- mount points ---
fails_with 1 "$T/missing.*(no such|does not exist|No such)" "a mount point that is missing" mounting d.vhd "$T/missing"
fails_with 1 "hello.*(not a |no )(directory|folder)|Not a directory" "one that is a file" mounting d.vhd "$(tree)/hello.txt"
succeeds "(something is mounted)" mounting d.vhd "$T/mnt"
as_vhd "$T/small.img" small.vhd
fails_with 1 "$T/mnt.*(busy|in use|mount point)" "one where something is mounted already" mounting small.vhd "$T/mnt"
compare_tree "$T/mnt" "which goes on undisturbed"
fails_with 1 "d\.vhd.*$T/mnt.*by root" "a drive that is mounted already: where and by whom" mounting d.vhd "$T/other"
succeeds "unmounts" on a hpcpack unmount d.vhd

# --- snapshots ---
fails_with 1 'd\.vhd.*snapshot' "a snapshot that is gone" mounting d.vhd "$T/mnt" --snapshot=2020-01-01T00:00:00.0000000Z
fails_with 1 'd\.vhd.*snapshot' "the latest of none" mounting d.vhd "$T/mnt" --snapshot=latest
put_image image_far far.vhd
time=$(az snapshot hpcpackages/far.vhd)
succeeds "(a snapshot is mounted)" mounting far.vhd "$T/mnt" --snapshot="$time"
az delete hpcpackages/far.vhd "$time"
holds "and deleted by somebody: what is not cached is EIO" \
	sh -c 'cat "$1"/far.bin 2>&1 >/dev/null | grep -q "Input/output error"' sh "$T/mnt"
wait_for 10 state_is a "$T/mnt" failed
is "$(entry a "$T/mnt" .state)" failed "the mount is listed as failed"
like "$(entry a "$T/mnt" .reason)" 'snapshot|BlobNotFound|no such' "and why"
run on a hpcpack unmount "$T/mnt"
is "$status $(entries a)" "0 0" "it can be unmounted"

# --- this machine ---
fuseless=$T/fuseless
mkdir -p "$fuseless/dev"
spawn "$T/fuseless.log" unshare --mount --propagation private sh -e -c '
	mount -t tmpfs tmpfs "$1/dev" && mknod "$1/dev/null" c 1 3 && mknod "$1/dev/zero" c 1 5
	mknod "$1/dev/urandom" c 1 9 && mknod "$1/dev/random" c 1 8 && mknod "$1/dev/loop-control" c 10 237
	mount --bind "$1/dev" /dev
	exec hpcagentd --foreground --runtime-dir "$1/run" --config "$2"' \
	sh "$fuseless" "$T/node-a/hpcpack.conf"
wait_for 10 listens "$fuseless/run/agent.sock"
fails_with 1 '/dev/fuse' "/dev/fuse missing" env HPCPACK_AGENT="$fuseless/run/agent.sock" \
	HPCPACK_CONFIG="$T/node-a/hpcpack.conf" hpcpack mount d.vhd "$T/mnt"
is "$(az props hpcpackages/d.vhd | jq -r .lease_state)" available "and no lease stays behind"

user_setup
chmod 0755 "$T/node-a"
no_socket() { HPCPACK_AGENT=$T/node-a/run/agent.sock as_user hpcpack mount d.vhd "$T/user/mnt"; }
fails_with 1 'agent\.sock.*([Pp]ermission|refuse|allow|not serve)' "no permission for the socket" no_socket

# --- the command line ---
for line in "mount" "mount d.vhd --snapshot --force" "mount d.vhd --nosuch" "mount d.vhd a b c" \
	"mount d.vhd --partition x" "mount d.vhd --partition" "unmount" "nosuch" "upload"; do
	# shellcheck disable=SC2086
	fails_with 2 . "exit status 2: hpcpack $line" on a hpcpack $line
done
run hpcpack
is "$status" 2 "exit status 2: hpcpack alone"
like "$err" 'no command was given: there are create, upload, .*, unmount, status; see hpcpack --help' "which says what there is"
succeeds "--help" hpcpack --help
for command in upload mount unmount; do
	succeeds "$command --help" hpcpack $command --help
	like "$out" "hpcpack $command" "shows how $command is used"
done
succeeds "/?" hpcpack mount "/?"
succeeds "--version" hpcpack --version

is "$(entries a)" 0 "nothing is mounted"
is "$(count_loops) $(count_mounts)" "0 0" "no loop device and no mount is left"
is "$(ls -A "$T/node-a/run/mounts" 2>/dev/null)" "" "no folder is left"
for blob in d small two blank dynamic; do
	is "$(az props hpcpackages/$blob.vhd | jq -r .lease_state)" available "no lease is left on $blob.vhd"
done
done_testing
