#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A connection keeps the way of its first packet, whatever the rules say later, until its flow goes.
# Usage: conntrack.sh TOOL DELETER

TOOL=$1 DELETER=$2
. "$(dirname "$0")/lib.sh"
make_node
start_agent
# Something must want connection tracking before the connection is made, as kube-proxy does.
on "$node" nft "add table ip kube; add chain ip kube c { type nat hook postrouting priority 100; }"
on "$node" nft "add chain ip kube f { type filter hook forward priority 0; }; add rule ip kube f ct state established accept"

coproc HOLD { exec ip netns exec "$a" "$TOOL" hold $IMDS 80; }
pids+=("$HOLD_PID")
ask() {
	echo ask >&"${HOLD[1]}"
	read -r -t 5 answer <&"${HOLD[0]}"
	echo "$answer"
}
is "$(ask)" "imds $POD_A" "before the redirect a pod has a connection to the metadata service"
dnat_table t -199 "dnat to $NODE_IP:$AGENT_PORT"
is "$(get "$a")" "agent *" "a new connection goes to the agent"
is "$(ask)" "imds $POD_A" "the old one does not care"
is "$(on "$node" "$DELETER" $NODE_IP $AGENT_PORT)" 1 "one flow is stale, and is deleted; the one to the agent is not"
is "$(ask)" "reset" "the old connection ends"
is "$(on "$node" "$DELETER" $NODE_IP $AGENT_PORT)" 0 "nothing is left to delete"
is "$(on "$node" "$DELETER" $NODE_IP 9 | grep -c '[1-9]')" 1 "flows that were translated to an earlier agent are stale as well"
is "$(on "$node" setpriv --bounding-set -net_admin "$DELETER" $NODE_IP $AGENT_PORT 2>&1)" "*CAP_NET_ADMIN is missing*" "without the privilege that is what it says"
finish
