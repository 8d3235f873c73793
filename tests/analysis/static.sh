#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What reads the product without running it, beside clang-tidy (tests/run tidy): cppcheck, and gcc's analyser over each
# file as it is compiled. TAP: no finding; what cppcheck gets wrong is in cppcheck.suppress, each with its reason.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=../tap.sh
. "$here/../tap.sh"

cd "$root" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mapfile -t sources < <(find lib nmi iptables mic-client -name '*.c' | sort)
cppcheck --quiet --enable=warning,performance,portability --std=c11 --library=posix --library=gnu \
	--library=tests/analysis/cppcheck.cfg --suppressions-list=tests/analysis/cppcheck.suppress \
	-D__GNUC__=12 -D_GNU_SOURCE -DNMI_VERSION='"0"' -I. -j "$(nproc)" \
	--template='{file}:{line}: {id}: {message}' "${sources[@]}" >"$work/cppcheck" 2>&1
is "cppcheck, ${#sources[@]} files" "$?$(cat "$work/cppcheck")" 0

python3 "$here/analyzer.py" build/compile_commands.json >"$work/analyzer" 2>&1
is 'gcc -fanalyzer' "$?$(grep -v '^#' "$work/analyzer")" 0
grep '^#' "$work/analyzer"
done_testing
