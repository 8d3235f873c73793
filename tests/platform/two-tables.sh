#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The same DNAT in two tables at the same priority: one translates, the other finds it done.

TOOL=$1
. "$(dirname "$0")/lib.sh"
make_node
start_agent

for t in one two; do
	dnat_table $t -199 "counter dnat to $NODE_IP:$AGENT_PORT"
done
hits() {
	for t in one two; do
		on "$node" nft list chain ip $t c | sed -n 's/.*packets \([0-9]*\).*/\1/p'
	done | tr '\n' ' '
}
is "$(get "$a")" "agent $POD_A" "the pod reaches the agent"
is "$(hits | tr ' ' '\n' | sort | tr -d '\n')" 01 "one of the two was asked: $(hits)"
on "$node" nft delete table ip one
is "$(get "$a")" "agent $POD_A" "also when the first goes"
dnat_table one -199 "counter dnat to $NODE_IP:$AGENT_PORT"
on "$node" nft delete table ip two
is "$(get "$a")" "agent $POD_A" "and when the second goes"
finish
