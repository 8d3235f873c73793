#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A guard in the forward hook: out of the way of redirected packets, in the way of all others.

TOOL=$1
. "$(dirname "$0")/lib.sh"
make_node
start_agent

rules <<END
table ip t {
	chain c { type nat hook prerouting priority -199
		ip daddr $IMDS tcp dport 80 dnat to $NODE_IP:$AGENT_PORT
	}
	chain guard { type filter hook forward priority -300
		ip daddr $IMDS tcp dport 80 counter reject with tcp reset
	}
}
END
is "$(get "$a")" "agent $POD_A" "redirected packets do not meet the guard"
is "$(on "$node" nft list chain ip t guard)" "*packets 0 *" "its counter says so"

on "$node" nft "add table ip raw; add chain ip raw c { type filter hook prerouting priority -300; }; add rule ip raw c ip daddr $IMDS notrack"
is "$(get "$a")" refused "with a foreign NOTRACK, which keeps DNAT from happening, it resets"
is "$(get "$node")" "imds *" "the host reaches the metadata service"
on "$node" nft delete table ip raw

on "$node" nft delete chain ip t c
is "$(get "$a")" refused "without the redirect it resets"
is "$(get "$node")" "imds *" "the host still reaches the metadata service"

on "$node" nft "add table ip other; add chain ip other c { type filter hook forward priority -400; }; add rule ip other c accept"
is "$(get "$a")" refused "a foreign accept before it changes nothing"
on "$node" nft delete table ip t
is "$(get "$a")" "imds *" "without the guard the pod would get through"
finish
