#!/usr/bin/env bash
# hostile.sh - packages that try to do harm are refused as a whole by hpcsync and by
# download --unpack, with the message that tests/lib/hostile.py expects; and the
# archives of the samples are unpacked, or refused, as their index says.
TEST_TIMEOUT=300
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

hostile=$tests_dir/lib/hostile.py
start_azurite

# The folder itself, and what is around it, is looked at after each attempt.
nest=$T/nest/around
mkdir -p "$nest" "$T/packages"
untouched() { [ "$(find "$T/nest" -mindepth 1 | grep -cvF "$nest/root")" = 1 ]; }

# --- all packages in one container: one line each, and a good one among them ---
/usr/bin/python3 "$hostile" --all "$T/packages" opc >"$T/cases" || bail "no hostile packages"
mkdir "$T/good"
echo good >"$T/good/good.txt"
hpcpack create "$T/packages/a-good-one.zip" "$T/good" >/dev/null || bail "no package"
/usr/bin/python3 - "$T/packages" <<-'EOF2' || bail "upload"
	import os, sys
	from azure.storage.blob import ContainerClient
	c = ContainerClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"], "hpcpackages")
	for name in sorted(os.listdir(sys.argv[1])):
	    with open(os.path.join(sys.argv[1], name), "rb") as f:
	        c.upload_blob(name, f, metadata={"relativepath": "into/" + name[:-4]}, overwrite=True)
EOF2
printf '[packages]\nmax_unpacked = 1G\nmax_ratio = 500\n' >"$T/conf"
RUN_TIMEOUT=150 run /usr/bin/python3 "$tests_dir/lib/peak.py" "$T/peak" hpcsync --config "$T/conf" --json "$nest/root"
peak=$(cat "$T/peak")
is "$status" 1 "hostile packages: exit status"
echo "# $peak KiB"
[ -n "${HPCPACK_TEST_QUICK}" ] || holds "memory stays bounded" [ "$peak" -lt 131072 ]
echo "$out" >"$T/report.json"
while IFS=$'\t' read -r case stage expect; do
	got=$(jq -r --arg n "$case.zip" '.packages[] | select(.name == $n) | "\(.state): \(.error)"' "$T/report.json")
	if [ "$stage" = none ]; then
		like "$got" '^(skipped|installed|failed)' "$case"
	else
		like "$got" "^(failed|skipped): .*$expect" "$case"
	fi
done <"$T/cases"
is "$(jq -r '.packages[] | select(.name == "a-good-one.zip").state' "$T/report.json")" installed "a good one among them is installed"
is "$(cat "$nest/root/into/a-good-one/good.txt")" good "complete"
holds "nothing was written outside" untouched
installed=$(jq -r '.packages[] | select(.state == "installed").name | rtrimstr(".zip")' "$T/report.json" | sort)
is "$(ls "$nest/root/into")" "$installed" "nothing else was installed"
is "$(find "$nest/root/.hpcsync/stage" "$nest/root/.hpcsync/trash" -mindepth 1)" "" "nor left behind"
done_testing
