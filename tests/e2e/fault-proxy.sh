#!/usr/bin/env bash
# fault-proxy.sh - the fault proxy does to requests what its rules say, and
# nothing else; seen with the Azure SDK's signatures and with curl.
TEST_TIMEOUT=120
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

start_azurite
noise proxy 65536 >"$T/data"
az page "$T/data" hpcpackages/d || bail "no blob"
url=$(az sas container rw)
start_proxy
url="$AZ_URL/$AZ_ACCOUNT/hpcpackages/d?$url"

# Milliseconds that a command took.
took() {
	local from=${EPOCHREALTIME/./}

	"$@"
	echo $(((${EPOCHREALTIME/./} - from) / 1000))
}

get() { curl -s --max-time 10 -o "$T/got" -D "$T/head" -w '%{http_code}' "$url"; }
get_status() { get >"$T/code"; curl_status=$?; code=$(cat "$T/code"); }
put() { # BYTE-CHARACTER, written to the first 512 bytes
	head -c 512 /dev/zero | tr '\0' "$1" >"$T/page"
	curl -s --max-time 5 -o "$T/reply" -w '%{http_code}' -X PUT --data-binary "@$T/page" \
		-H 'x-ms-page-write: update' -H 'x-ms-range: bytes=0-511' -H 'x-ms-version: 2021-12-02' \
		-H 'Content-Type:' "$url&comp=page"
}
first_byte() { curl -s -r 0-0 "${url/$PROXY_PORT/$AZ_PORT}"; }

succeeds "SharedKey signatures pass" env AZURE_STORAGE_CONNECTION_STRING="$AZ_CS" \
	/usr/bin/python3 "$tests_dir/lib/az.py" get hpcpackages/d "$T/through"
holds "the contents are what was uploaded" cmp "$T/data" "$T/through"

get_status
is "$code" 200 "without rules a request passes"
is "$(faults_struck)" 0 "no rule has struck"

fault method=GET skip=1 times=1 do=status code=503 retry-after=7
get_status
is "$code" 200 "skip=1: the first passes"
get_status
is "$code" 503 "the second gets the status"
like "$(cat "$T/head")" '^Retry-After: 7' "with Retry-After"
like "$(cat "$T/head")" '^x-ms-error-code: ServerBusy' "and the error code"
get_status
is "$code" 200 "times=1: the third passes again"
is "$(faults_struck)" 1 "the rule has struck once"
no_faults

fault "method=PUT query=comp=page header=x-ms-range:bytes=0- do=status code=412"
get_status
is "$code" 200 "a rule for another method does not apply"
is "$(put a)" 412 "method, query and header fit"
no_faults

fault do=cut after=1000
get_status
is "$curl_status" 18 "a body cut short"
is "$(stat -c %s "$T/got")" 1000 "after so many bytes"
no_faults

fault do=reset-before times=1
get_status
is "$curl_status" 56 "a reset before forwarding"
fault method=PUT do=reset-after times=1
put b >/dev/null
is $? 56 "a reset after forwarding"
is "$(first_byte)" b "the write was carried out all the same"

fault method=PUT do=swallow times=1
put c >/dev/null
is $? 52 "a swallowed reply"
is "$(first_byte)" c "of a write that was carried out"

fault method=PUT do=swallow then=stall times=1
put d >/dev/null
is $? 28 "a reply that never comes"
is "$(first_byte)" d "of a write that was carried out too"

no_faults
fault method=PUT do=late land=1500 times=1
put e >/dev/null
is $? 56 "a late write: its connection is reset"
is "$(put f)" 201 "a write after it goes through"
is "$(writes_pending)" 1 "the late one has not landed"
is "$(first_byte)" f "the newer data is there"
wait_for 10 no_writes_pending
is "$(first_byte)" e "until the late write lands on top"

no_faults
fault do=blackhole times=1
curl -s --max-time 1 "$url" >/dev/null
is $? 28 "a black hole"

no_faults
fault do=pass delay=400
ms=$(took get_status)
holds "delay=400 takes $ms ms" [ "$ms" -ge 400 ]
no_faults
fault do=pass rate=65536
ms=$(took get_status)
holds "64 KiB at rate=65536 take $ms ms" [ "$ms" -ge 990 ]
curl -s "${url/$PROXY_PORT/$AZ_PORT}" >"$T/direct"
holds "and arrive whole" cmp "$T/got" "$T/direct"

is "$(curl -s -o /dev/null -w '%{http_code}' -d 'do=nonsense' "http://127.0.0.1:$PROXY_PORT/-/rules")" \
	400 "a rule that makes no sense is refused"
is "$(proxy_count '.fault == "late" and .status == 201')" 1 "the log has the late write"
is "$(proxy_count '.method == "PUT" and .range == "bytes=0-511" and .body == 512')" 6 \
	"and every write with its range and size"

no_faults
fault method=GET do=flip-reply at=5000 times=1
get_status
is "$(cmp -l "$T/direct" "$T/got" | awk '{ print NR, $1 }')" "1 5001" "one byte of a reply is changed"
fault method=PUT do=flip-request times=1
put g >/dev/null
curl -s -r 0-511 "${url/$PROXY_PORT/$AZ_PORT}" >"$T/written"
is "$(cmp -l "$T/page" "$T/written" | awk '{ print NR, $1 }')" "1 257" "one byte of a request is changed"
put_sum() { # MD5
	curl -s --max-time 5 -o "$T/reply" -D "$T/head" -w '%{http_code}' -X PUT --data-binary "@$T/page" \
		-H 'x-ms-page-write: update' -H 'x-ms-range: bytes=0-511' -H 'x-ms-version: 2021-12-02' \
		-H 'Content-Type:' -H "Content-MD5: $1" "$url&comp=page"
}
md5=$(openssl dgst -md5 -binary "$T/page" | base64)
is "$(put_sum "$md5")" 201 "a page write that fits its MD5"
fault method=PUT do=flip-request times=1
is "$(put_sum "$md5")" 400 "and one that does not"
like "$(cat "$T/head")" '^x-ms-error-code: Md5Mismatch' "is refused as the real service does"
is "$(first_byte)" g "and not carried out"

stop_azurite
no_faults
get_status
is "$curl_status" 56 "without a service behind it a connection is reset"

done_testing
