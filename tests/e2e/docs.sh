#!/usr/bin/env bash
# docs.sh - the table of options, --help, the man pages and the completion say the
# same; so do the table of configuration keys and hpcpack.conf(5).
TEST_TIMEOUT=120
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
man=$abs_top_srcdir/man

hpcpack --dump-options >"$T/table" || bail "no table"
cut -f 1 "$T/table" | uniq >"$T/commands"
holds "there are commands" grep -qx mount "$T/commands"

# Every option that an item of the page describes: "--name" and "-x", one a line.
items() { # PAGE
	grep -E '^\.It Fl ' "$1" | tr ' ' '\n' | grep -xE '\\?-[a-z-]+|[a-z0-9]' | sed 's/^/-/' | sort -u
}

items "$man/hpcpack.1" >"$T/man.items"
cut -f 2,3 "$T/table" | tr '\t' '\n' | grep -vx -- - | sort -u >"$T/table.names"
is "$(diff "$T/table.names" "$T/man.items")" "" "hpcpack(1) describes every option, and no other"

while read -r command; do
	hpcpack "$command" --help >"$T/help" 2>&1 || bail "hpcpack $command --help"
	sed -n 's/^  \(-[a-z0-9], \)\{0,1\} *\(--*[a-z0-9-]*\).*/\1\2/p' "$T/help" | tr -d ' ' | tr ',' '\n' | sort -u >"$T/help.names"
	awk -F'\t' -v c="$command" '$1 == c { print $2; print $3 }' "$T/table" | grep -vx -- - | sort -u >"$T/names"
	is "$(diff "$T/names" "$T/help.names")" "" "hpcpack $command --help shows every option"
	missing=
	for original in $(awk -F'\t' -v c="$command" '$1 == c && $6 != "-" { print $6 }' "$T/table" | tr ',' ' '); do
		grep -qF -- " $original" "$T/help" || missing+=" $original"
		grep -qF -- "$original" "$man/hpcpack.1" || missing+=" $original(man)"
	done
	is "$missing" "" "and the original's spelling"
	holds "hpcpack(1) has a section on $command" grep -qE "^\.Ss $command\$" "$man/hpcpack.1"
done <"$T/commands"

# --- the completion ---
bash --norc -c '. "$1"; complete -p hpcpack' sh "$abs_top_srcdir/contrib/completion/hpcpack" >/dev/null ||
	bail "the completion does not load"
completes() { # WORDS...: what is offered for the last of them
	bash --norc -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hpcpack; printf "%s\n" "${COMPREPLY[@]}"' \
		sh "$abs_top_srcdir/contrib/completion/hpcpack" "$@" | sort -u
}
is "$(completes hpcpack '' | grep -v -- --)" "$(sort "$T/commands")" "the completion offers every command"
while read -r command; do
	awk -F'\t' -v c="$command" '$1 == c { print ($2 != "-" ? $2 : $3) }' "$T/table" | sort -u >"$T/names"
	is "$(diff "$T/names" <(completes hpcpack "$command" -))" "" "and every option of $command"
done <"$T/commands"
is "$(completes hpcpack upload --blob-type '' | tr '\n' ' ')" "block page " "and values"
is "$(completes hpcpack mount x --snapshot = '')" "latest" "behind a = too"
touch "$T/some.vhd"
is "$(cd "$T" && completes hpcpack upload so)" "some.vhd" "and files"

# --- hpcsync ---
hpcsync --dump-options >"$T/sync.table" || bail "no table of hpcsync's options"
cut -f 2,3 "$T/sync.table" | tr '\t' '\n' | grep -vx -- - | sort -u >"$T/sync.names"
is "$(diff "$T/sync.names" <(items "$man/hpcsync.1"))" "" "hpcsync(1) describes every option, and no other"
succeeds "hpcsync --help" hpcsync --help
missing=
for original in $(awk -F'\t' '$6 != "-" { print $6 }' "$T/sync.table" | tr ',' ' '); do
	grep -qF -- " $original" <<<"$out" || missing+=" $original"
	grep -qF -- "$original" "$man/hpcsync.1" || missing+=" $original(man)"
done
is "$missing" "" "and the original's spelling"
sync_completes() { # WORDS...
	bash --norc -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hpcsync; printf "%s\n" "${COMPREPLY[@]}"' \
		sh "$abs_top_srcdir/contrib/completion/hpcsync" "$@" | sort -u
}
is "$(diff <(cut -f 2 "$T/sync.table" | sort -u) <(sync_completes hpcsync -))" "" "its completion offers every option"
mkdir "$T/some-root"
is "$(cd "$T" && sync_completes hpcsync some-r)" "some-root" "and folders"

# --- the configuration ---
hpcpack --dump-config | sort >"$T/keys"
awk '/^\.Ss \[/ { section = substr($2, 2, length($2) - 2) }
	/^\.Sh / { section = "" }
	/^\.It Li / && section { print section "\t" $3 }' "$man/hpcpack.conf.5" | sort >"$T/keys.man"
is "$(diff "$T/keys" "$T/keys.man")" "" "hpcpack.conf(5) describes every key, and no other"

# --- the agent ---
if hpcagentd --help >"$T/agent.help" 2>&1; then
	grep -oE -- '(^| )(--[a-z-]+|-[a-z]\b)' "$T/agent.help" | tr -d ' ' | sort -u >"$T/agent.names"
	is "$(diff "$T/agent.names" <(items "$man/hpcagentd.8"))" "" "hpcagentd(8) describes every option"
else
	not_ok "hpcagentd --help"
fi
succeeds "hpcpack --version" hpcpack --version
like "$out" '^hpcpack [0-9]+\.[0-9]+\.[0-9]+$' "says it"
succeeds "hpcpack --help" hpcpack --help
succeeds "hpcpack help mount" hpcpack help mount
succeeds "hpcpack Mount /?" hpcpack Mount '/?'
fails_with 2 "unknown command 'mout'.*mount" "an unknown command" hpcpack mout
fails_with 2 "no command.*mount" "no command at all" hpcpack

for page in "$man"/*.[1-8]; do
	holds "${page##*/} is clean" mandoc -T lint -W warning "$page"
done
done_testing
