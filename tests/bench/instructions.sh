#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a cached token costs in instructions of the processor, from the pod's socket to the answer, counted by
# callgrind: nearly the same on every run, whatever else the machine is doing. The kernel's are not among them.
# With a ceiling, so that nobody makes it dearer without saying so here; and how often the allocator is called.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=../tap.sh
. "$here/../tap.sh"

out=$root/build/bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

count() { # MODE N: counted in $work/MODE.N
	CK_FORK=no BENCH_MODE=$1 BENCH_REQUESTS=$2 valgrind --tool=callgrind --callgrind-out-file="$work/$1.$2" \
		--toggle-collect=__wrap_loop_turn --compress-strings=no --compress-pos=no \
		"$root/build/tests/bench/cached-token" >"$work/said" 2>&1 || bail "callgrind: $(tail -n 3 "$work/said")"
}

# What each of the requests between N and 2N cost; callgrind's own count of calls is of all times.
each() { # MODE N: "INSTRUCTIONS BYTES-CLEARED CALLS" in $work/MODE
	local calls
	count "$1" "$2"
	count "$1" $(($2 * 2))
	calls=$(awk -v n=$(($2 * 2)) '/calls of the allocator/ { print $1 / n }' "$work/said")
	python3 "$here/instructions.py" "$work/$1.$2" "$work/$1.$(($2 * 2))" "$2" "$1" "$out/instructions.$1.json" \
		>"$work/$1" || bail "the counts of $1 could not be read"
	printf '%s %s\n' "$(<"$work/$1")" "$calls" >"$work/$1"
}

each same 500
each each 500
read -r same cleared calls <"$work/same"
read -r renewed renewed_cleared renewed_calls <"$work/each"
printf '# a cached token: %s instructions, %s bytes cleared, %s calls of the allocator\n' "$same" "$cleared" "$calls"
printf '# the first of a second: %s instructions, %s bytes cleared, %s calls of the allocator\n' "$renewed" \
	"$renewed_cleared" "$renewed_calls"
samples=$out/samples/instructions.jsonl
mkdir -p "${samples%/*}"
printf '{"what":"instructions","who":"%s","value":%s}\n' nmi "$same" renewed "$renewed" >"$samples"
printf '{"what":"allocations","who":"%s","value":%s}\n' nmi "$calls" renewed "$renewed_calls" >>"$samples"
at_most 'a cached token costs no more instructions than it did' "$same" 12100
at_most 'it calls the allocator never' "$calls" 0
at_most 'the first of a second costs no more than it did' "$renewed" 18700
at_most 'it calls the allocator no more often than it did' "$renewed_calls" 6
done_testing
