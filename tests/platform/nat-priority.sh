#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The lowest priority of a nat chain in prerouting is just above connection tracking's -200.

TOOL=$1
. "$(dirname "$0")/lib.sh"
make_node

chain() { # chain PRIORITY
	on "$node" nft "add table ip t; add chain ip t c$((-$1)) { type nat hook prerouting priority $1; }" 2>&1
}

is "$(chain -199)" "" "-199 is taken"
is "$(chain -200)" "*Operation not supported*" "-200 is refused"

# The lower number wins, whoever came first.
start_agent
to() { # to TABLE PRIORITY ADDRESS:PORT
	dnat_table "$1" "$2" "dnat to $3"
}
to late -101 $NODE_IP:9
to ours -199 $NODE_IP:$AGENT_PORT
is "$(get "$a")" "agent *" "a DNAT at -199 wins over an earlier one at -101"
on "$node" nft flush ruleset
to ours -199 $NODE_IP:$AGENT_PORT
to later -199 $NODE_IP:9
is "$(get "$a")" refused "of two at -199 the later one wins: that a rule exists does not prove that it decides"
finish
