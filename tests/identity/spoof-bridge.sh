#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Pods that share a bridge, as on kubenet: one that takes its neighbour's address, and its MAC, gets no
# token by it, whether the neighbour is there or gone; it is counted, and the log says which link it was. And
# a pod of which the kernel has forgotten where it is, is served as ever.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.sh
source "$here/../e2e/lib.sh"
export SB_BRIDGED=yes
IP=10.244.0.11 # of the pod web
log_says() { grep -qE "$1" "$SB_DIR/nmi.log"; }
ask_as_web() { sb_ask "$1" "$SB_ASK" -m 2 --interface $IP; }
is_tied() { [[ $(metric nmi_bridge_ports) == "$1" ]]; }
is_counted() { (($(metric nmi_spoofed_packets_total) > $1)); }
# Not from /sys, which shows the links of the namespace in which it was mounted.
mac() { ip -n "$(sb_pod_ns "$1")" -br link show dev eth0 | awk '{ print $3 }'; }
# What the kernel knows of an address and a port, as after a long silence.
forget() { # POD IP
	local link
	link=$(<"$SB_DIR/pods/$1.link")
	ip -n "$SB_NODE" neigh del "$2" dev cbr0
	bridge -n "$SB_NODE" fdb del "$(mac "$1")" dev "$link" master
}
knows() { [[ -n $(ip -n "$SB_NODE" neigh show "$1" dev cbr0) ]]; }
held() { # the next answer on the connection that is kept
	local line
	echo ask >&"${HELD[1]}"
	read -r -t 20 line <&"${HELD[0]}"
	printf '%s\n' "$line"
}

# What is done about it, switched off: the hazard is real, else the rest would prove nothing.
e2e_begin spoof-bridge --link-binding=off
gives 'the pod has its token' "$SB_SHOP" web "$SB_ASK"
sb_exec billing ip addr add $IP/24 dev eth0
ask_as_web billing
was_given '--link-binding=off: its neighbour is given it too' "$SB_SHOP"
sb_stop_nmi
sb_exec billing ip addr del $IP/24 dev eth0
ip -n "$SB_NODE" neigh flush dev cbr0

printf 'KUBELET_FLAGS=--network-plugin=kubenet\n' >"$SB_DIR/kubelet"
: >"$SB_DIR/nmi.log"
sb_launch_nmi --kubelet-config="$SB_DIR/kubelet" --link-binding=off
passes 'so that nmi does not start like that on kubenet' eventually 5 \
	log_says 'not supported for Kubenet.*switched off.*--allow-network-plugin-kubenet=true'
fails() { ! "$@"; }
passes 'and ends' eventually 5 fails sb_pid nmi

sb_start_nmi --kubelet-config="$SB_DIR/kubelet" || bail 'nmi does not start on kubenet'
passes 'it starts where addresses are tied to ports, and says so' log_says 'kubenet: .* tied to its ports'
gives 'the pod has its token' "$SB_SHOP" web "$SB_ASK"
gives 'so has its neighbour' "$SB_BILLING" billing "$SB_ASK"
passes 'the kernel ties both to their ports' eventually 2 is_tied 2
is 'nothing was dropped' "$(metric nmi_spoofed_packets_total)" 0

sb_exec billing ip addr add $IP/24 dev eth0
ask_as_web billing
is 'the neighbour under the address of the pod hears nothing' "$SB_STATUS$SB_BODY" 000
gives 'the pod is served meanwhile' "$SB_SHOP" web "$SB_ASK"
gives 'the neighbour as itself' "$SB_BILLING" billing "$SB_ASK" --interface 10.244.0.12
passes 'it is counted' eventually 8 is_counted 0
passes 'a line in the log names address and link' eventually 12 \
	log_says "borrowed address: $IP came from link .*$(<"$SB_DIR/pods/billing.link")"
own=$(mac billing)
sb_exec billing ip link set eth0 address "$(mac web)"
is 'the neighbour takes its MAC as well' "$(mac billing)" "$(mac web)"
unlike 'which is not the own' "$own" "$(mac web)"
ask_as_web billing
is 'nor does its MAC help' "$SB_STATUS$SB_BODY" 000
sb_exec billing ip link set eth0 address "$own"
gives 'with its own again it is served' "$SB_BILLING" billing "$SB_ASK" --interface 10.244.0.12

# The node asks again where a pod is when it has to say something to it: later than nmi reads a request on a
# connection that was kept.
coproc HELD { exec nsenter --net="/run/netns/$(sb_pod_ns web)" python3 "$here/connection.py"; }
is 'a pod keeps its connection' "$(held)" "200 $SB_SHOP"
forget web $IP
is 'and is served on it when the kernel has forgotten where it is' "$(held)" "200 $SB_SHOP"
passes 'which it then knows' knows $IP
end=${HELD[1]} pid=$HELD_PID
exec {end}>&-
wait "$pid" 2>/dev/null

# One of which nothing is known yet, since it has said nothing.
sb_add_pod lurker shop 10.244.0.32 app=lurker
sb_exec lurker ip addr del 10.244.0.32/24 dev eth0
sb_exec lurker ip addr add $IP/24 dev eth0
sb_exec lurker ip route add default via $SB_BRIDGE_IP dev eth0 || bail 'the lurker has no network'
ask_as_web lurker
is 'a pod that has never spoken under its own address hears nothing either' "$SB_STATUS$SB_BODY" 000
gives 'the pod is served' "$SB_SHOP" web "$SB_ASK"

# The pod is gone; the API server does not know it yet, then it does.
before=$(metric nmi_spoofed_packets_total)
sb_del_pod_net web
passes 'with its link it loses the port' eventually 2 is_tied 1
ask_as_web billing
is 'with the pod gone its neighbour hears nothing' "$SB_STATUS$SB_BODY" 000
ask_as_web lurker
unlike 'and whoever the kernel does not know is refused by the agent' "$SB_STATUS $SB_BODY" '^200|access_token'
passes 'it is counted' eventually 8 is_counted "$before"
sb_api DELETE 'api/v1/namespaces/shop/pods/web?gracePeriodSeconds=0' >/dev/null
ask_as_web billing
is 'nor when the API server has forgotten the pod' "$SB_STATUS$SB_BODY" 000
sb_del_pod lurker
sb_exec billing ip addr del $IP/24 dev eth0

# The next pod with its address.
sb_add_pod heir shop $IP app=heir,aadpodidbinding=billing
gives 'the next pod with the address is served as itself' "$SB_BILLING" heir "$SB_ASK"
at_most 'at once: its first packet is not lost (ms)' "$SB_MSEC" 500
passes 'and is tied to its port' eventually 2 is_tied 2

# As nmi dies the rules do, so that they cut off nobody who comes later; nobody is served then either.
sb_kill_nmi
eventually 2 fails sb_in "$SB_NODE" nft list table bridge nmi-spoof
is 'without nmi there is no rule about ports' "$(sb_in "$SB_NODE" nft list tables | grep bridge)" ''
forget heir $IP
ip -n "$SB_NODE" neigh replace 10.244.0.12 dev cbr0 nud failed
sb_start_nmi || bail 'nmi does not come back'
gives 'started again, it serves the one, whom the kernel has forgotten' "$SB_BILLING" heir "$SB_ASK"
at_most 'at once (ms)' "$SB_MSEC" 900
gives 'and the other, whom the kernel has failed to find' "$SB_BILLING" billing "$SB_ASK"
at_most 'at once (ms)' "$SB_MSEC" 900
passes 'and ties again' eventually 2 is_tied 2
no_leak 'IMDS has seen no pod'
e2e_end
