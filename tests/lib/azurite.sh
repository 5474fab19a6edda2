# azurite.sh - the servers that a test talks to: Azurite, nginx, and the fault
# proxy; and az, the Azure SDK for Python as the second opinion.
# shellcheck shell=bash

AZ_ACCOUNT=devstoreaccount1
AZ_KEY='Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='

find_azurite() {
	local dir

	if [ -z "${AZURITE_BLOB:-}" ]; then
		for dir in "$abs_top_srcdir" "$abs_top_builddir"; do
			[ -x "$dir/tests/node_modules/.bin/azurite-blob" ] || continue
			AZURITE_BLOB=$dir/tests/node_modules/.bin/azurite-blob
			break
		done
	fi
	: "${AZURITE_BLOB:=$(command -v azurite-blob)}"
	[ -n "$AZURITE_BLOB" ]
}

# The programs of this build read their account from here.
use_endpoint() { # URL without the account
	AZ_URL=$1
	AZ_CS="DefaultEndpointsProtocol=${1%%:*};AccountName=$AZ_ACCOUNT;AccountKey=$AZ_KEY;BlobEndpoint=$1/$AZ_ACCOUNT;"
	export AZURE_STORAGE_CONNECTION_STRING=$AZ_CS
}

# An Azurite of its own, at $AZ_URL (and $AZ_DIRECT, should a proxy stand in
# front later); the container hpcpackages is there.
start_azurite() { # [--https]
	local scheme=http

	find_azurite || skip_all "Azurite is not installed (contrib/install-azurite)"
	free_port
	AZ_PORT=$port
	az_args=(--blobHost 127.0.0.1 --blobPort "$AZ_PORT" --location "$T/azurite" --silent
		--skipApiVersionCheck --disableTelemetry)
	if [ "${1:-}" = --https ]; then
		scheme=https
		make_certificate
		az_args+=(--cert "$T/cert.pem" --key "$T/cert.key")
	fi
	mkdir -p "$T/azurite"
	AZ_DIRECT=$scheme://127.0.0.1:$AZ_PORT
	use_endpoint "$AZ_DIRECT"
	start_sdk
	again_azurite
	read -r -u "$sdk_pipe" sdk_port sdk_token || bail "the SDK's process did not start"
	make_container hpcpackages || bail "cannot make a container in Azurite"
}

# Make a container with nothing but curl and openssl.
make_container() { # NAME
	local date text key signature

	date=$(date -u '+%a, %d %b %Y %H:%M:%S GMT')
	text="PUT"$'\n\n\n\n\n\n\n\n\n\n\n\n'"x-ms-date:$date"$'\n'"x-ms-version:2021-12-02"
	text+=$'\n'"/$AZ_ACCOUNT/$AZ_ACCOUNT/$1"$'\n'"restype:container"
	key=$(base64 -d <<<"$AZ_KEY" | od -An -v -tx1 | tr -d ' \n')
	signature=$(printf %s "$text" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)
	curl -sfk -o /dev/null --max-time 20 -X PUT -H 'Content-Length: 0' -H "x-ms-date: $date" \
		-H 'x-ms-version: 2021-12-02' -H "Authorization: SharedKey $AZ_ACCOUNT:$signature" \
		"$AZ_DIRECT/$AZ_ACCOUNT/$1?restype=container"
}

# Start the stopped Azurite again: same port, same contents.
again_azurite() {
	spawn "$T/azurite.log" "$AZURITE_BLOB" "${az_args[@]}"
	AZ_PID=$spawned_pid
	wait_for 40 answers "$AZ_DIRECT/" || bail "Azurite does not answer: $(tail -n 3 "$T/azurite.log")"
}

# It writes its tables down at SIGTERM (and only then for certain).
stop_azurite() {
	stop_pid "$AZ_PID" 20
}

answers() { # URL
	curl -sk -o /dev/null --max-time 5 "$1"
}

make_certificate() {
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 \
		-addext "subjectAltName=IP:127.0.0.1,DNS:localhost" \
		-keyout "$T/cert.key" -out "$T/cert.pem" 2>/dev/null || bail "openssl made no certificate"
}

# The SDK, loaded once for the whole test.
start_sdk() {
	exec {sdk_pipe}< <(exec /usr/bin/python3 "$tests_dir/lib/az.py" --serve)
	spawned+=("$!")
}

# az COMMAND...: tests/lib/az.py, past any proxy.
az() {
	local connection line status=1

	[ -n "${sdk_port:-}" ] || bail "the SDK is not there"
	set -- "$sdk_token" \
		"DefaultEndpointsProtocol=${AZ_DIRECT%%:*};AccountName=$AZ_ACCOUNT;AccountKey=$AZ_KEY;BlobEndpoint=$AZ_DIRECT/$AZ_ACCOUNT;" \
		"$T/cert.pem" "$PWD" "$@"
	exec {connection}<>"/dev/tcp/127.0.0.1/$sdk_port" || return
	printf '%s\0' $# "$@" >&"$connection"
	while IFS= read -r -u "$connection" line; do
		case $line in
		1*) printf '%s\n' "${line:1}" ;;
		2*) printf '%s\n' "${line:1}" >&2 ;;
		=*) status=${line:1} ;;
		esac
	done
	exec {connection}>&-
	return "$status"
}

# nginx with these lines as its server { } block; $NGINX_PORT.
start_nginx() { # LINES, in which PORT stands for the port
	free_port
	NGINX_PORT=$port
	mkdir -p "$T/nginx"
	cat >"$T/nginx/nginx.conf" <<-EOF
		daemon off; master_process off; pid $T/nginx/pid; error_log $T/nginx.log;
		events { worker_connections 256; }
		http {
			access_log off; sendfile on; keepalive_requests 1000000;
			client_body_temp_path $T/nginx/body; proxy_temp_path $T/nginx/proxy;
			fastcgi_temp_path $T/nginx/fcgi; uwsgi_temp_path $T/nginx/uwsgi;
			scgi_temp_path $T/nginx/scgi;
			server { listen 127.0.0.1:$NGINX_PORT; ${1//PORT/$NGINX_PORT} }
		}
	EOF
	spawn "$T/nginx.log" nginx -p "$T/nginx" -c "$T/nginx/nginx.conf"
	wait_for 10 answers "http://127.0.0.1:$NGINX_PORT/" || bail "nginx does not answer"
}

# The fault proxy in front of Azurite; from now on the programs go through it.
start_proxy() {
	free_port
	PROXY_PORT=$port
	PROXY_LOG=$T/proxy.jsonl
	: >"$PROXY_LOG"
	spawn "$T/proxy.log" /usr/bin/python3 "$tests_dir/fault_proxy.py" \
		--listen "$PROXY_PORT" --to "127.0.0.1:$AZ_PORT" --log "$PROXY_LOG"
	PROXY_PID=$spawned_pid
	wait_for 10 answers "http://127.0.0.1:$PROXY_PORT/-/rules" || bail "the fault proxy does not answer"
	use_endpoint "http://127.0.0.1:$PROXY_PORT"
}

# fault RULE: add a rule, e.g. fault method=PUT query=comp=page times=1 do=reset-after
fault() {
	curl -sf -o /dev/null --data-binary "$*" "http://127.0.0.1:$PROXY_PORT/-/rules" ||
		bail "the fault proxy does not understand: $*"
}

no_faults() {
	curl -sf -o /dev/null -X DELETE "http://127.0.0.1:$PROXY_PORT/-/rules"
}

# How often rules have struck since they were set.
faults_struck() {
	curl -sf "http://127.0.0.1:$PROXY_PORT/-/rules" | jq 'map(.hits) | add // 0'
}

# Late writes that have not landed yet.
writes_pending() {
	curl -sf "http://127.0.0.1:$PROXY_PORT/-/pending"
}

no_writes_pending() { [ "$(writes_pending)" = 0 ]; }

# proxy_count 'jq condition': requests in the proxy's log for which it holds.
proxy_count() {
	jq -s "map(select($1)) | length" "$PROXY_LOG"
}
