#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Where a redirect may lead to, on a host link without an IPv4 address and with route_localnet off.

TOOL=$1
. "$(dirname "$0")/lib.sh"
make_node
start_agent

redirect() { # redirect STATEMENT: then what the pod is told
	on "$node" nft flush ruleset
	dnat_table t -199 "$1"
	get "$a"
}

is "$(ip -n "$node" -4 -o addr show dev pod-a)" "" "the pod's link has no IPv4 address on the host's side"
is "$(on "$node" sysctl -n net.ipv4.conf.pod-a.route_localnet net.ipv4.conf.all.route_localnet | tr -d '\n')" 00 "route_localnet is off"
is "$(redirect "dnat to $NODE_IP:$AGENT_PORT")" "agent $POD_A" "DNAT to an address of the node works, and keeps the pod's address"
is "$(redirect "dnat to 127.0.0.1:$AGENT_PORT")" timeout "DNAT to 127.0.0.1 does not"
is "$(redirect "redirect to :$AGENT_PORT")" timeout "redirect does not"
is "$(get "$node")" "imds $NODE_IP" "the host's own connections are not redirected"
finish
