#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What more pods on the node cost: memory, and the rate of a cached token beside nginx.
# alone: it measures
set -uo pipefail
# shellcheck source=tests/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

points=$(mode '10 1000' '10 30 100 300 1000 3000 10000')
curve() {
	local to
	growth_again
	for to in $points; do
		sb_stop_nmi
		if ((to > made)); then
			fill_routes "$made" "$to" || return
			populate --pods-from "$made" --pods "$to"
			made=$to
		fi
		nmi_start
		point pods "$to" || return
	done
}
bench_box growth-pods
growth_begin
series 'pod_bytes pods_flat' curve
no_leak 'IMDS saw no pod'
e2e_end
