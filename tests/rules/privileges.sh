#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the two processes may do, as the kernel sees it.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_begin privileges

capabilities() { # PID SET
	sed -nE "s/^Cap$2:\s*0*([0-9a-f]+)$/\1/p" "/proc/$1/status"
}

nmi=$(sb_pid nmi) redirector=$(redirector_pid)
like 'there is one redirector' "$redirector" '^[0-9]+$'
for set in Inh Prm Eff Bnd Amb; do
	is "nmi has no capability ($set)" "$(capabilities "$nmi" $set)" 0
done
# 1 << 12
for set in Prm Eff; do is "the redirector has CAP_NET_ADMIN alone ($set)" "$(capabilities "$redirector" $set)" 1000; done
for set in Inh Amb; do is "and hands none on ($set)" "$(capabilities "$redirector" $set)" 0; done
e2e_end
