#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Which lines and branches of the product its tests run: those of the suite sanitize, whose build counts them: the
# programs, and the scripts with the whole agent. The table, worst first, goes to build-sanitize/coverage.txt.
#
# TAP: at least 90 % of the lines, 80 % of the branches, and no file below half of its lines.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=../tap.sh
. "$here/../tap.sh"

dir=$root/build-sanitize
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$root" || exit 1
# what fails there is told there: this one is only about what was run
llvm-profdata merge -sparse -o "$work/all" "$dir"/profiles/*.profraw ||
	bail 'no counters can be read; they are left by: tests/run sanitize'
objects=()
while read -r f; do objects+=(-object "$f"); done < <(find "$dir/nmi/nmi" "$dir"/tests/{unit,fuzz,scenario,replay,platform} \
	-maxdepth 1 -type f -perm -100)
llvm-cov export -summary-only "${objects[@]:1}" -instr-profile="$work/all" -ignore-filename-regex='(tests|docs)/' \
	>"$work/summary" || bail 'llvm-cov'
python3 "$here/coverage.py" "$work/summary" "$dir/coverage.txt" >"$work/figures" || bail 'the figures could not be read'
read -r lines branches worst name <"$work/figures"
sed -n '1,12s/^/# /p' "$dir/coverage.txt"
at_least 'of the lines of the product that tests run, in percent' "$lines" 90
at_least 'of its branches' "$branches" 80
at_least "of the lines of $name, which has the fewest" "$worst" 50
done_testing
