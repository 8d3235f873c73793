#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Which lines and branches of the product its tests run: a build by clang that counts, the suites of programs, and the
# scripts below with the whole agent. Its counters are pages of a file (LLVM's continuous mode): they are there
# whatever a process may still do, and after SIGKILL. The table, worst first, goes to build-coverage/coverage.txt.
#
# TAP: at least 90 % of the lines, 80 % of the branches, and no file below half of its lines.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=../tap.sh
. "$here/../tap.sh"

SUITES=(unit fuzz scenario replay platform)
SCRIPTS=(e2e/token.sh e2e/refuse.sh e2e/kill.sh e2e/config.sh e2e/audit.sh rules/status.sh rules/uninstall.sh rules/upgrade.sh rules/surroundings.sh)

dir=$root/build-coverage
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/raw"
export LLVM_PROFILE_FILE=$work/raw/%p%c.profraw

cd "$root" || exit 1
if [[ ! -f $dir/build.ninja ]]; then
	CC=clang meson setup "$dir" --buildtype=debugoptimized -Doptimization=1 -Db_lundef=false \
		-Dc_args='-fprofile-instr-generate -fcoverage-mapping -mllvm -runtime-counter-relocation' \
		-Dc_link_args=-fprofile-instr-generate >"$work/setup" 2>&1 || bail "meson setup: $(tail -n 3 "$work/setup")"
fi
LLVM_PROFILE_FILE=/dev/null ninja -C "$dir" >"$work/build" 2>&1 || bail "the build: $(tail -n 5 "$work/build")"

# what fails here passes or fails in its own suite: this one is only about what was run
meson test -C "$dir" --no-rebuild "${SUITES[@]/#/--suite=}" --timeout-multiplier 5 >"$work/tests" 2>&1 &
for s in "${SCRIPTS[@]}"; do
	NMI_BUILD=$dir timeout 300 "$root/tests/$s" >"$work/script" 2>&1
done
wait

llvm-profdata merge -sparse -o "$work/all" "$work"/raw/*.profraw || bail 'the counters could not be read'
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
