#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A kernel that lacks what the rules need: no pod is served, and none gets past. See lib.sh for the picture.
# Usage: no-nat.sh TOOL DRIVER DRIVER-ON-SUCH-A-KERNEL

TOOL=$1 DRIVER=$2 LACKING=$3
. "$(dirname "$0")/lib.sh"

make_node
start_agent
is "$(get "$a")" "imds *" "without rules a pod reaches the metadata service: the hole to close"

spawn "$tmp/lacking" ip netns exec "$node" "$LACKING" run $NODE_IP $AGENT_PORT nft
lacking=$last
wait_for "$tmp/lacking" "^failing .*refuses the packet rules .*Operation not supported.*guard.*load nft_chain_nat"
ok $? "the redirector fails, says what the kernel said, and what to load"
is "$(on "$node" nft list tables | tr -d '\n')" "table ip nmi" "table nmi is there"
is "$(on "$node" nft list table ip nmi | grep -c 'chain ')" 1 "with one chain, the guard"
is "$(get "$a")" timeout "a pod does not reach the metadata service"
is "$(get "$node")" "imds *" "the host does"
on "$node" nft flush ruleset
for ((i = 0; i < 1000; i++)); do
	on "$node" nft list table ip nmi >/dev/null 2>&1 && break
	sleep 0.01
done
is "$(get "$a")" timeout "a guard that was flushed comes back with the next try"
is "$(grep -c . "$tmp/lacking.err")" 1 "tries that fail alike are logged once"
kill -TERM "$lacking"
wait "$lacking" 2>/dev/null
is "$(get "$a")" timeout "it outlives the redirector"

spawn "$tmp/driver" ip netns exec "$node" "$DRIVER" run $NODE_IP $AGENT_PORT
driver=$last
wait_for "$tmp/driver" "^active "
ok $? "once the kernel can, the whole takes its place"
is "$(get "$a")" "agent $POD_A" "and the pod reaches the agent"

# rules that stand when the kernel lacks something: nothing may open while they are replaced
kill -TERM "$driver"
wait "$driver" 2>/dev/null
spawn "$tmp/lacking" ip netns exec "$node" "$LACKING" run $NODE_IP $AGENT_PORT nft
lacking=$last
wait_for "$tmp/lacking" "^failing "
is "$(get "$a")" timeout "rules of an earlier run give way to the guard"
kill -TERM "$lacking"
wait "$lacking" 2>/dev/null

# left to choose, it takes iptables there
on "$node" iptables-legacy -t mangle -N KUBE-IPTABLES-HINT
spawn "$tmp/lacking" ip netns exec "$node" "$LACKING" run $NODE_IP $AGENT_PORT auto
lacking=$last
wait_for "$tmp/lacking" "^active guarded "
ok $? "auto: it is iptables then"
is "$(cat "$tmp/lacking.err")" "*redirect backend: iptables, since nftables does not work here: *Operation not supported*" "and the reason is said"
is "$(get "$a")" "agent $POD_A" "the pod reaches the agent"
kill -TERM "$lacking"
wait "$lacking" 2>/dev/null
on "$node" "$DRIVER" uninstall
is "$(on "$node" nft list tables)" "" "uninstall removes it"
is "$(get "$a")" "imds *" "and pods reach the metadata service again"
finish
