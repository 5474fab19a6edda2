#!/usr/bin/env bash
# https.sh - over TLS: verified by default, with a CA of one's own when told so.
TEST_TIMEOUT=120
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite --https
printf '[account]\nca_file = %s\n[drive]\nio_deadline = 4s\n' "$T/cert.pem" | agent_config a
printf '[drive]\nio_deadline = 4s\n' | agent_config b
start_agent a
start_agent b
mkdir -p "$T/mnt"
image=$(image_ext4) || bail "no image"
ln -s "$image" "$T/d.vhd"

succeeds "upload over https" on a hpcpack upload "$T/d.vhd"
is "$(az props hpcpackages/d.vhd | jq -r .size)" "$(stat -c %s "$image")" "it is there"
succeeds "mount over https" on a hpcpack mount d.vhd "$T/mnt"
compare_tree "$T/mnt" "every file is right"
noise tls 3000000 >"$T/mnt/new" && sync -f "$T/mnt"
is $? 0 "files are written"
succeeds "unmount" on a hpcpack unmount d.vhd
succeeds "mounted again" on a hpcpack mount d.vhd "$T/mnt"
is "$(sha256sum <"$T/mnt/new")" "$(noise tls 3000000 | sha256sum)" "what was written is there"
succeeds "unmount" on a hpcpack unmount d.vhd

fails_with 1 '[Cc]ertificate|TLS|SSL' "a certificate that nobody vouches for is refused" \
	on b hpcpack mount d.vhd "$T/mnt"
# The certificate is for 127.0.0.1 and localhost only.
other=${AZ_CS//127.0.0.1/127.0.0.2}
fails_with 1 . "a server of another name is refused" \
	env AZURE_STORAGE_CONNECTION_STRING="$other" HPCPACK_AGENT="$T/node-a/run/agent.sock" \
	HPCPACK_CONFIG="$T/node-a/hpcpack.conf" hpcpack mount d.vhd "$T/mnt"
is "$(count_loops) $(count_mounts)" "0 0" "nothing is left"
done_testing
