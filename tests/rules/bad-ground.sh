#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A kernel that does not do what the packet rules need, or stops doing it: nmi says so once, is not ready, tries
# again, lives, and lets nobody past the rules that it has; when the ground is good again all is in place.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_box badground

ground() { # STATE [bad]
	export LD_PRELOAD_NMI=$SB_BUILD/tests/rules/ground.so NMI_GROUND=$1
	unset NMI_GROUND_BAD
	[[ -z ${2:-} ]] || export NMI_GROUND_BAD=yes
}
launch() {
	: >"$SB_DIR/nmi.log"
	LD_PRELOAD=${LD_PRELOAD_NMI:-} sb_launch_nmi --redirect-backend=nft --ipt-update-interval-sec=1 --run-directory=
}
not_ready() { ! sb_nmi_ready && sb_in "$SB_NODE" curl -s -m 2 -o /dev/null "http://127.0.0.1:8085/healthz"; }
turns() { # good|bad
	local signal=42
	[[ $1 == good ]] || signal=41
	kill -$signal "$(redirector_pid)"
}
readiness() { sb_in "$SB_NODE" curl -s -m 2 "http://127.0.0.1:8085/readyz?verbose"; }
complaints() { grep -cE ' (warn|error) .*packet rules' "$SB_DIR/nmi.log"; }
both_live() { sb_pid nmi >/dev/null && [[ $(redirector_pid) =~ ^[0-9]+$ ]]; }

recovers() { # WHO: after the ground has become good
	local start=$EPOCHREALTIME
	eventually 15 sb_nmi_ready || not_ok "$1: ready again" "$(readiness)"
	# the longest wait is drawn between 5 and 10 s; the rest is what a busy machine takes to look
	at_most "$1: ready again after ... ms" "$(msec_since "$start")" 13000
	gives "$1: and pods are served" "$SB_SHOP" web "$SB_ASK"
}

# ---- from the start: nothing can be had ----

# It never was closed, so a pod that asks reaches what it reached before.
starts_badly() { # WHO REASON [COMMAND...]
	local who=$1 reason=$2
	passes "$who: not ready, and answers" eventually 5 not_ready
	says_why() { [[ $(readiness) =~ $reason ]]; }
	eventually 3 says_why # the first try may be under way
	like "$who: readiness says why" "$(readiness)" "$reason"
	sleep 1.5 # some tries
	is "$who: one line says so" "$(complaints)" 1
	like "$who: with the reason" "$(grep 'packet rules' "$SB_DIR/nmi.log")" "$reason"
	passes "$who: both processes live" both_live
}

ground absent bad
launch
starts_badly 'no nfnetlink' 'has no support'
turns good
recovers 'no nfnetlink'
sb_stop_nmi

ground none
sb_launch_limited() { # as in a container that was not given it
	local saved
	saved=$(declare -f sb_start)
	eval "${saved/sb_start/started}"
	sb_start() { started "$1" "$2" setpriv --bounding-set -net_admin "${@:3}"; }
	launch
	eval "$saved"
}
sb_launch_limited
starts_badly 'no CAP_NET_ADMIN' 'CAP_NET_ADMIN'
is 'no CAP_NET_ADMIN: the rules of the run before keep pods away' "$(sb_leaks)" 0
sb_ask plain "$SB_ASK" -m 2
no_leak 'no CAP_NET_ADMIN: from the metadata service'
sb_stop_nmi

for state in memory buffers; do
	ground $state bad
	launch
	starts_badly "at the start, $state" 'memory|buffer'
	turns good
	recovers "at the start, $state"
	sb_stop_nmi
done

# ---- later: the rules stand, and cannot be looked at ----

for state in absent memory buffers garbage short lost; do
	ground $state
	launch
	passes "$state: ready at first" eventually 10 sb_nmi_ready
	nmi=$(sb_pid nmi) redirector=$(redirector_pid)
	: >"$SB_DIR/nmi.log"
	turns bad
	[[ $state == absent || $state == lost ]] || passes "$state: is noticed" eventually 8 not_ready
	sleep 2
	sb_ask web "$SB_ASK" -m 5
	was_given "$state: the rules stand, pods are served" "$SB_SHOP"
	is "$state: both processes live" "$(sb_pid nmi) $(redirector_pid)" "$nmi $redirector"
	at_most "$state: lines about it" "$(complaints)" 2
	at_most "$state: the redirector is busy for ... hundredths of a second in one" \
		"$(a=$(awk '{ print $14 + $15 }' "/proc/$redirector/stat"); sleep 1; awk -v a="$a" '{ print $14 + $15 - a }' "/proc/$redirector/stat")" 30
	turns good
	recovers "$state"
	sb_stop_nmi
done
unset LD_PRELOAD_NMI NMI_GROUND

# ---- much beside ours ----

sb_in "$SB_NODE" nft -f - < <(
	echo 'table ip much { chain c { type filter hook prerouting priority 300'
	for ((i = 0; i < 100000; i++)); do echo "ip saddr 198.18.$((i >> 8 & 255)).$((i & 255)) tcp dport $((i % 60000 + 1)) counter accept"; done
	echo '}; }'
) || not_ok 'a table of 100,000 rules'
start=$EPOCHREALTIME
launch
passes '100,000 rules beside ours: ready' eventually 10 sb_nmi_ready
at_most '100,000 rules beside ours: after ... ms' "$(msec_since "$start")" 5000
gives '100,000 rules beside ours: pods are served' "$SB_SHOP" web "$SB_ASK"
sb_in "$SB_NODE" nft flush ruleset
eventually 5 sb_nmi_ready
gives 'flushed, with ours: pods are served' "$SB_SHOP" web "$SB_ASK"

no_leak 'no pod came to IMDS after there once were rules'
e2e_end
