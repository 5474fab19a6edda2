#!/usr/bin/env bash
# credentials.sh - every way to say which account is meant, in which order they
# count, and that no key can be seen where others look.
TEST_TIMEOUT=200
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
unset AZURE_STORAGE_CONNECTION_STRING
export HPCPACK_CONFIG=$T/hpcpack.conf
(umask 077 && : >"$HPCPACK_CONFIG")
endpoint=$AZ_URL/$AZ_ACCOUNT
sas=$(az sas account rwdlac)
elsewhere="DefaultEndpointsProtocol=http;AccountName=elsewhere;AccountKey=$AZ_KEY;BlobEndpoint=http://127.0.0.1:1/elsewhere;"
count=0

# It can write with what it was given: uploads a small file under a new name.
works() { # DESCRIPTION [NAME=VALUE...] -- OPTIONS...
	local what=$1 settings=()

	shift
	while [ "$1" != -- ]; do settings+=("$1"); shift; done
	shift
	count=$((count + 1))
	echo "$what" >"$T/file-$count"
	succeeds "$what" env "${settings[@]}" hpcpack upload "$T/file-$count" "$@" || return
	az get-block "hpcpackages/file-$count" "$T/back" && is "$(cat "$T/back")" "$what" "$what: it is there"
}

# What it says when it is refused on our side or finds nobody.
refuses() { # STATUS ERE DESCRIPTION [NAME=VALUE...] -- OPTIONS...
	local wanted=$1 pattern=$2 what=$3 settings=()

	shift 3
	while [ "$1" != -- ]; do settings+=("$1"); shift; done
	shift
	echo x >"$T/refused"
	fails_with "$wanted" "$pattern" "$what" env "${settings[@]}" hpcpack upload "$T/refused" "$@"
}

# --- options, in both spellings ---
works "--account --key" -- --account $AZ_ACCOUNT --key $AZ_KEY --endpoint "$endpoint"
works "/account:A /key:K" -- /account:$AZ_ACCOUNT /key:$AZ_KEY --endpoint "$endpoint"
works "/ACCOUNT:A /Key:K" -- /ACCOUNT:$AZ_ACCOUNT /Key:$AZ_KEY --endpoint "$endpoint"
works "--account --sas" -- --account $AZ_ACCOUNT --sas "$sas" --endpoint "$endpoint"
works "--account --sas with a question mark" -- --account $AZ_ACCOUNT --sas "?$sas" --endpoint "$endpoint"
works "/account:A /sas:S" -- /account:$AZ_ACCOUNT "/sas:$sas" --endpoint "$endpoint"
works "--connection-string" -- --connection-string "$AZ_CS"
works "--connection-string with a SAS" -- --connection-string "BlobEndpoint=$endpoint;SharedAccessSignature=$sas"
works "a container's SAS" -- --account $AZ_ACCOUNT --sas "$(az sas container rwdlc)" --endpoint "$endpoint"

# --- the environment, and what beats what ---
works "CCP_AZURE_CONNECTIONSTRING" CCP_AZURE_CONNECTIONSTRING="$AZ_CS" --
works "AZURE_STORAGE_CONNECTION_STRING" AZURE_STORAGE_CONNECTION_STRING="$AZ_CS" --
works "names in any case and order" \
	CCP_AZURE_CONNECTIONSTRING="blobendpoint=$endpoint;ACCOUNTKEY=$AZ_KEY;accountname=$AZ_ACCOUNT" --
works "CCP_ beats AZURE_" CCP_AZURE_CONNECTIONSTRING="$AZ_CS" AZURE_STORAGE_CONNECTION_STRING="$elsewhere" --
works "the connection string beats AZURE_STORAGE_ACCOUNT" AZURE_STORAGE_CONNECTION_STRING="$AZ_CS" \
	AZURE_STORAGE_ACCOUNT=elsewhere AZURE_STORAGE_KEY=$AZ_KEY --
works "options beat the environment" CCP_AZURE_CONNECTIONSTRING="$elsewhere" -- --connection-string "$AZ_CS"

# UseDevelopmentStorage means port 10000 of this host: in a network of its own.
unshare --net sleep infinity </dev/null >/dev/null 2>&1 &
net=$!
spawned+=("$net")
wait_for 30 differs /proc/$net/ns/net /proc/$$/ns/net
in_net() { nsenter -t "$net" -n "$@"; }
in_net ip link set lo up
mkdir "$T/azurite2"
spawn "$T/azurite2.log" nsenter -t "$net" -n "$AZURITE_BLOB" --blobHost 127.0.0.1 --blobPort 10000 \
	--location "$T/azurite2" --silent --skipApiVersionCheck --disableTelemetry
wait_for 40 in_net curl -s -o /dev/null http://127.0.0.1:10000/ || bail "no Azurite on port 10000"
direct=$AZ_DIRECT
AZ_DIRECT=http://127.0.0.1:10000
in_net_container() { in_net bash -c "$(declare -f make_container); AZ_ACCOUNT=$AZ_ACCOUNT AZ_KEY=$AZ_KEY AZ_DIRECT=$AZ_DIRECT; make_container hpcpackages"; }
holds "Azurite on its usual port" in_net_container
AZ_DIRECT=$direct
succeeds "UseDevelopmentStorage=true" in_net env CCP_AZURE_CONNECTIONSTRING=UseDevelopmentStorage=true \
	hpcpack upload "$T/file-1"
succeeds "and with a semicolon, in another case" in_net hpcpack upload "$T/file-2" \
	--connection-string "usedevelopmentstorage=TRUE;"

# These name no endpoint, so the account's own host is asked for; here, in the
# network without a way out, under a name that does not resolve.
printf '[drive]\nio_deadline = 1s\n' >"$HPCPACK_CONFIG"
for setting in AZURE_STORAGE_KEY=$AZ_KEY "AZURE_STORAGE_SAS_TOKEN=$sas"; do
	RUN_TIMEOUT=150 fails_with 1 'nosuchaccount\.blob\.core\.windows\.net' \
		"AZURE_STORAGE_ACCOUNT with ${setting%%=*} asks the account's own host" \
		in_net env AZURE_STORAGE_ACCOUNT=nosuchaccount "$setting" hpcpack upload "$T/file-1"
done
: >"$HPCPACK_CONFIG"

# --- node templates ---
mkdir -p "$T/templates" "$T/heads/head1/templates"
template() { # FILE
	(umask 077 && printf '[account]\nname = %s\nkey = %s\nendpoint = %s\n' $AZ_ACCOUNT $AZ_KEY "$endpoint" >"$1")
}
template "$T/templates/compute.conf"
template "$T/heads/head1/templates/gpu.conf"
printf '[templates]\ndir = %s\nscheduler_dir = %s\n' "$T/templates" "$T/heads/%s/templates" >"$HPCPACK_CONFIG"
works "--node-template" -- --node-template compute
works "/nodetemplate:T" -- /nodetemplate:compute
works "a template that was named beats the environment" CCP_AZURE_CONNECTIONSTRING="$elsewhere" -- --node-template compute
works "--scheduler, a host" -- --node-template gpu --scheduler head1
works "/scheduler:H, a folder" -- /nodetemplate:gpu "/scheduler:$T/heads/head1/templates"
refuses 1 "nowhere" "a template that is not there" -- --node-template nowhere
refuses 2 "\.\./compute" "a template is one file name" -- --node-template ../compute

# --- the configuration file ---
template "$HPCPACK_CONFIG"
works "[account] of the configuration file" --
works "the environment beats it" CCP_AZURE_CONNECTIONSTRING="$AZ_CS" HPCPACK_CONFIG="$HPCPACK_CONFIG" --
chmod 0644 "$HPCPACK_CONFIG"
refuses 1 "chmod 0?600" "a file with a key that others can read is refused, and the message says how to mend it" --
chmod 0600 "$HPCPACK_CONFIG"
printf '[acount]\nname = x\n' >"$HPCPACK_CONFIG"
refuses 1 "hpcpack\.conf:1.*acount" "a misspelt section is named with its line" --
: >"$HPCPACK_CONFIG"

# --- what makes no sense ---
refuses 2 "AZURE_STORAGE_CONNECTION_STRING" "nothing said at all: the ways are listed" --
refuses 2 "base64" "a key that is none" -- --account $AZ_ACCOUNT --key 'not*base64' --endpoint "$endpoint"
refuses 2 "key.*sas|sas.*key" "key and SAS together" -- --account $AZ_ACCOUNT --key $AZ_KEY --sas "$sas"

# --- what others can see ---
start_proxy
fault method=PUT delay=3000
head -c 100000 /dev/urandom >"$T/slow"
cp "$T/slow" "$T/slow2"
hpcpack upload "$T/slow" --account $AZ_ACCOUNT --key $AZ_KEY --endpoint "$AZ_URL/$AZ_ACCOUNT" >"$T/up.log" 2>&1 &
uploader=$!
hpcpack upload "$T/slow2" "/sas:$sas" /account:$AZ_ACCOUNT --endpoint "$AZ_URL/$AZ_ACCOUNT" >"$T/up2.log" 2>&1 &
uploader2=$!
spawned+=("$uploader" "$uploader2")
both_struck() { [ "$(faults_struck)" -ge 2 ]; }
wait_for 10 both_struck
is "$(tr '\0' '\n' <"/proc/$uploader/cmdline" | head -n 1 | xargs -n 1 basename)" hpcpack "(an upload is under way)"
is "$(tr '\0' ' ' <"/proc/$uploader/cmdline" | grep -cF "$AZ_KEY")" 0 "ps does not show the key"
is "$(tr '\0' ' ' <"/proc/$uploader2/cmdline" | grep -cF "sig=")" 0 "ps does not show the SAS"
no_faults
wait "$uploader" "$uploader2"

use_endpoint "$AZ_DIRECT"
unset AZURE_STORAGE_CONNECTION_STRING
start_agent a
put_image image_ext4 d.vhd
mkdir "$T/mnt"
run on a hpcpack mount d.vhd "$T/mnt" -v -v --account $AZ_ACCOUNT --key $AZ_KEY --endpoint "$endpoint"
is "$status" 0 "a drive is mounted with a key from the command line"
unlike "$out$err$(cat "$T/node-a/agent.log")" "${AZ_KEY:0:40}" "no log has it"
is "$(grep -rlF "${AZ_KEY:0:40}" "$T/node-a/run" --include='*.json' 2>/dev/null)" "" "nor has the runtime folder"
unlike "$(on a hpcpack mount --list --json)" "${AZ_KEY:0:40}" "nor the list"
is "$(for pid in $(programs_running); do tr '\0' '\n' <"/proc/$pid/environ"; tr '\0' '\n' <"/proc/$pid/cmdline"; done |
	grep -cF "${AZ_KEY:0:40}")" 0 "nor any process's arguments or environment"
succeeds "unmounts" on a hpcpack unmount d.vhd
run on a hpcpack mount d.vhd "$T/mnt" --account $AZ_ACCOUNT --sas "$sas" --endpoint "$endpoint"
is "$status" 0 "a drive is mounted with a SAS"
unlike "$(cat "$T/node-a/agent.log")$(on a hpcpack mount --list --json)" 'sig=[A-Za-z0-9%]{20}' "which is in no log or list"
compare_tree "$T/mnt" "and every file is right"
succeeds "unmounts" on a hpcpack unmount d.vhd
done_testing
