#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# An agent is killed at every point of its start, and so is its redirector: after each line that it logs, and at
# many moments between. No pod reaches IMDS, nothing is left behind, and the next one starts as if nothing had been.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../rules/lib.sh"

e2e_begin kill-start
instance='/metadata/instance?api-version=2021-02-01'
passes 'a pod is served to begin with' eventually 5 asks_as web "$SB_SHOP"
lines() { wc -l <"$SB_DIR/nmi.log"; }
sb_kill_nmi
before=$(lines)
sb_start_nmi
usual=$(($(lines) - before))
at_least 'a start has several lines' "$usual" 6
agents() { # of all names
	local pid
	for pid in $(ip netns pids "$SB_NODE"); do [[ $(readlink "/proc/$pid/exe") != */nmi ]] || echo "$pid"; done
}
none_left() { [[ -z $(agents) ]]; }
sb_imds reset >/dev/null
asking web --of="$SB_SHOP" "$SB_ASK"
asking plain --of=nobody "$SB_ASK"
asking addon "$instance"

has_lines() { (($(lines) >= before + $1)); }
left='' odd='' killed=0
die() { # WHO nmi | redirector
	local pid
	pid=$(sb_pid nmi)
	[[ $1 != redirector ]] || pid=$(child_pid nmi-redirector | tail -n 1)
	kill -KILL "${pid:-$(sb_pid nmi)}" 2>/dev/null && killed=$((killed + 1))
	# whose redirector is gone ends by itself
	eventually 5 none_left || { left+=" $(agents | xargs)"; sb_kill_nmi; }
}
for who in nmi redirector; do
	for ((n = 1; n <= usual; n++)); do
		sb_kill_nmi
		before=$(lines)
		sb_launch_nmi
		eventually 5 has_lines "$n" || odd+=" $who at line $n"
		die "$who"
	done
done
is 'each was killed after each line of its start' "$killed$odd" $((2 * usual))
for ((msec = 5; msec <= 400; msec += 15)); do
	sb_launch_nmi
	sleep "$(awk -v m=$msec 'BEGIN { print m / 1000 }')"
	die "$( ((msec % 2)) && echo nmi || echo redirector)"
done
at_least 'and at many moments between' "$killed" $((2 * usual + 25))
is 'none left a process behind' "$left" ''
answered
like 'pods asked all the while' "$replies" 'error'
no_leak 'and none reached IMDS'
unlike 'nor was one answered with what is not its own' "$replies" 'wrong'

t=$EPOCHREALTIME
sb_launch_nmi
passes 'the next one serves' eventually 5 asks_as web "$SB_SHOP"
at_most 'in time (ms)' "$(msec_since "$t")" 2000
passes 'and is ready' eventually 5 sb_nmi_ready
is 'with the rules as they should be, once' "$(sb_in "$SB_NODE" nft list tables | grep -c ' nmi$')" 1
answers 'a pod without identity is refused' 400 'no_label|Identity not found' plain "$SB_ASK"
e2e_end
