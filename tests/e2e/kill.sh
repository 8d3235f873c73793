#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# nmi dies: pods are refused, never let through; the host is not harmed; once back, it serves at once.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_begin kill

blocked() { # SENTENCE POD
	sb_ask "$2" "$SB_ASK" -m 3
	is "$1" "$SB_STATUS" 000
}

nmi_processes() { # in the node's namespace, how many
	local pid n=0
	for pid in $(ip netns pids "$SB_NODE"); do
		[[ $(readlink "/proc/$pid/exe") != */nmi ]] || n=$((n + 1))
	done
	echo $n
}
none_left() { [[ $(nmi_processes) == 0 ]]; }

host_reaches() { # SENTENCE
	sb_ask_from "$SB_NODE" '/metadata/instance?api-version=2021-02-01' -H Metadata:true -m 3
	is "$1" "$SB_STATUS" 200
}

host_reaches 'the host reaches IMDS while nmi runs'
three() { [[ $(nmi_processes) == 3 ]]; } # four for the moment of a self-test
passes 'nmi is three processes' eventually 2 three
gives 'a pod is served' "$SB_SHOP" web "$SB_ASK"
sb_imds reset >/dev/null

for round in 1 2 3; do
	sb_kill_nmi
	blocked "killed ($round): a bound pod is refused" web
	blocked "killed ($round): one without identity is refused" plain
	blocked "killed ($round): an excepted one is refused" addon
	passes "killed ($round): no process of it is left" eventually 3 none_left
	blocked "killed ($round): and still refused without it" web
	host_reaches "killed ($round): the host still reaches IMDS"
	no_leak "killed ($round): IMDS saw no pod"
	sb_launch_nmi
	t=$EPOCHREALTIME
	passes "started again ($round)" eventually 10 asks_as web "$SB_SHOP"
	at_most "started again ($round): served soon (ms)" "$(msec_since "$t")" 2000
	no_leak "started again ($round): IMDS saw no pod"
done

# An answer that its pod does not acknowledge: the kernel goes on sending it when nmi is dead.
sb_exec web nft 'add table ip deaf; add chain ip deaf in { type filter hook input priority 0; }
	add rule ip deaf in tcp sport 80 ip length > 200 drop' || bail 'the pod is not deaf'
unheard() { sb_in "$SB_NODE" ss -Htn dst 10.244.0.11 | awk '$3 > 0 || $2 > 0' | grep -c .; }
is_unheard() { (($(unheard))); }
is_given_up() { ! is_unheard; }
eventually 10 sb_nmi_ready
ask_bg web "$SB_ASK" -m 15
passes 'a pod does not hear its answer' eventually 2 is_unheard
sb_kill_nmi
passes 'killed: the kernel gives the answer up' eventually 8 is_given_up
sb_exec web nft delete table ip deaf
sb_launch_nmi
passes 'started again, it hears the next one' eventually 10 asks_as web "$SB_SHOP"

# the redirector alone
redirector=''
for pid in $(ip netns pids "$SB_NODE"); do
	[[ $(readlink "/proc/$pid/exe") != */nmi || $pid == $(sb_pid nmi) ]] || redirector=$pid
done
eventually 10 sb_nmi_ready
kill -KILL "$redirector"
sb_imds reset >/dev/null
sb_ask web "$SB_ASK" -m 3
like 'the redirector killed: served or refused' "$SB_STATUS" '^(200|000)$'
no_leak 'the redirector killed: IMDS saw no pod'
not_ready() { ! sb_nmi_ready; }
mended() { not_ready || [[ $(nmi_processes) == 2 ]]; }
passes 'the redirector killed: nmi is not ready, or has a new one' eventually 3 mended

# an orderly end
sb_stop_nmi
blocked 'SIGTERM: pods are refused' web
no_leak 'SIGTERM: IMDS saw no pod'
passes 'SIGTERM: no process is left' eventually 3 none_left
host_reaches 'SIGTERM: the host reaches IMDS'

# uninstalled
like 'before uninstall: the rules stand' "$(sb_in "$SB_NODE" nft list tables)" 'table ip nmi'
[[ ${NMI_BACKEND:-} != iptables-* ]] ||
	passes 'and those of iptables' sb_in "$SB_NODE" "$NMI_BACKEND" -t nat --check PREROUTING -j aad-metadata
passes 'nmi uninstall' sb_in "$SB_NODE" "$(sb_program nmi)" uninstall
# iptables leaves its own tables, and the chain that shows the flavour is not ours
left() { sb_in "$SB_NODE" nft list ruleset; sb_in "$SB_NODE" iptables-legacy-save; }
if [[ ${NMI_BACKEND:-} == iptables-* ]]; then
	is 'uninstalled: no rule is left' "$(left | grep -E 'nmi|aad-metadata|rule |^-A')" ''
else
	is 'uninstalled: no rule is left' "$(left)" ''
fi
passes 'uninstall again is no error' sb_in "$SB_NODE" "$(sb_program nmi)" uninstall
sb_ask web '/metadata/instance?api-version=2021-02-01' -m 3
is 'uninstalled: the node is as it was before nmi' "$SB_STATUS" 200
e2e_end
