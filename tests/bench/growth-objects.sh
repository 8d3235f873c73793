#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What more identities and bindings of the cluster cost: memory, and the rate of a cached token beside nginx.
# alone: it measures
set -uo pipefail
# shellcheck source=tests/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

points=$(mode '10 5000' '10 100 1000 10000 100000')
curve() {
	local to
	growth_again
	for to in $points; do
		sb_stop_nmi
		if ((made == 0)); then
			populate --objects "$to"
		else # the ones without the others, to tell what each takes
			populate --identities-from "$made" --identities "$to"
			nmi_start
			load nmi warm 1
			memory identities "$to"
			sb_stop_nmi
			populate --bindings-from "$made" --bindings "$to"
		fi
		made=$to
		nmi_start
		point objects "$to" || return
	done
}
bench_box growth-objects
growth_begin
series 'identity_bytes binding_bytes objects_flat' curve
no_leak 'IMDS saw no pod'
e2e_end
