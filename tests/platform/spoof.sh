#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# `fib saddr . iif oif missing` on routed links: a pod cannot speak under another's address.

TOOL=$1
. "$(dirname "$0")/lib.sh"
make_node
add_pod "$b" $POD_B pod-b
start_agent

rules <<END
table ip t {
	chain c { type nat hook prerouting priority -199
		ip daddr $IMDS tcp dport 80 dnat to $NODE_IP:$AGENT_PORT
	}
	chain spoof { type filter hook prerouting priority -310
		ip daddr $IMDS tcp dport 80 fib saddr . iif oif missing counter drop
	}
}
END
dropped() {
	on "$node" nft list chain ip t spoof | sed -n 's/.*packets \([0-9]*\).*/\1/p'
}
is "$(get "$a")" "agent $POD_A" "pod a is served"
is "$(get "$b")" "agent $POD_B" "pod b is served"
is "$(dropped)" 0 "neither was dropped"
ip -n "$b" addr add $POD_A/32 dev eth0
is "$(get "$b" $IMDS 80 $POD_A)" timeout "pod b under a's address is not"
ip -n "$b" addr add $NODE_IP/32 dev eth0
before=$(dropped)
is "$(get "$b" $IMDS 80 $NODE_IP)" timeout "nor under the node's"
is "$([ "$before" -ge 1 ] && [ "$(dropped)" -gt "$before" ] && echo counted)" counted "the check counted both"
is "$(get "$a")" "agent $POD_A" "pod a is served as before"
finish
