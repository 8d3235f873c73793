#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# alone: it takes every processor
#
# A short run of the fuzzer over every target, which begins with the kept corpus; the same for as long as one likes
# is tests/fuzz/run --seconds N. And one over a fault that was planted, to see that it would be found and told.
#
# TAP: a target a line.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tap.sh
. "$here/../tap.sh"

TOTAL=${NMI_FUZZ_SECONDS:-90}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$here/run" --seconds 60 --jobs 1 planted >"$work/planted" 2>&1
is 'a planted overflow ends the run with 1' $? 1
said=$(<"$work/planted")
like 'it says what was found, and where' "$said" 'ERROR: AddressSanitizer: heap-buffer-overflow'
find=$(grep -m 1 '^build-fuzz/finds/planted/crash-' "$work/planted")
passes 'the input that does it is kept' test -s "$here/../../${find:-nothing}"

"$here/run" --total "$TOTAL" >"$work/all" 2>&1
status=$?
n=0
while read -r name runs _ edges _ found; do
	[[ $runs =~ ^[0-9]+$ ]] || continue
	n=$((n + 1))
	if [[ -z $found ]] && ((runs > 0)); then ok "$name: $runs inputs, $edges edges, and nothing is found"
	else not_ok "$name: $runs inputs, $edges edges, and nothing is found" "$(sed -n "/^FOUND $name:/,/^\$/p" "$work/all")"; fi
done < <(sed -n '2,/^$/p' "$work/all")
is 'every target was run' "$n" "$(find "$here/corpus" -mindepth 1 -maxdepth 1 -type d | wc -l)"
is 'the status says so too' "$status" 0
((status == 0)) || tail -n 20 "$work/all" | sed 's/^/# /'
done_testing
