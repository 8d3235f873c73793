#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One agent takes the place of another while pods share a bridge: at no moment is an address free to be borrowed.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/rules/agents.sh
source "$(dirname "${BASH_SOURCE[0]}")/agents.sh"
export SB_BRIDGED=yes
IP=10.244.0.11 # of the pod web
e2e_box upgrade-bridge
newest=$(sb_program nmi) || bail 'there is no nmi'

is_tied() { [[ $(metric nmi_bridge_ports) == 2 ]]; }
launch a1 "$newest"
passes 'the first agent is ready' eventually 10 is_ready a1 # before that there are no rules
passes 'a pod is served' eventually 10 asks_as web "$SB_SHOP"
passes 'so is its neighbour' eventually 5 asks_as billing "$SB_BILLING"
passes 'both are tied to their ports' eventually 5 is_tied

# every table that comes and goes, in the order of the kernel
sb_in "$SB_NODE" nft monitor tables >"$SB_DIR/tables" 2>&1 &
monitor=$!
# the neighbour asks under the address of the pod, again and again
sb_exec billing ip addr add $IP/24 dev eth0
borrow() {
	while [[ -e $SB_DIR/borrows ]]; do
		sb_exec billing curl -s -o /dev/null -m 0.1 -w '%{http_code}\n' --interface $IP -H Metadata:true \
			"http://169.254.169.254$SB_ASK"
	done
}
: >"$SB_DIR/borrows"
borrow >"$SB_DIR/borrowed" 2>/dev/null &
borrower=$!
stop_borrowing() {
	rm -f "$SB_DIR/borrows"
	kill "$monitor" 2>/dev/null
	wait "$monitor" "$borrower" 2>/dev/null
}
trap 'stop_borrowing; e2e_cleanup' EXIT

has_table() { sb_in "$SB_NODE" nft list table "$1" "$2"; }
has_no_stand_in() { ! has_table bridge nmi-spoof-next; }
for n in 2 3 4; do
	launch a$n "$newest"
	passes "a$n takes over" eventually 10 has_taken a$n
	passes "a$n: while both run its ports have a table of their own" eventually 3 has_table bridge nmi-spoof-next
	if ((n == 3)); then signal a2 KILL; else end_agent a$((n - 1)) "a$n"; fi
	passes "a$n: later they are in the one that everybody knows" eventually 3 has_no_stand_in
	passes "a$n: which is there" has_table bridge nmi-spoof
	passes "a$n: the pod is served" eventually 3 asks_as web "$SB_SHOP"
done
sleep 0.5
stop_borrowing
is 'the neighbour was never answered' "$(sort -u "$SB_DIR/borrowed")" 000
at_most 'though it asked all the while' "$((15 - $(wc -l <"$SB_DIR/borrowed")))" 0
least() { # how many of the tables there were at the least, NAME... being there at first
	/usr/bin/python3 - "$SB_DIR/tables" "$@" <<-'END'
		import re, sys
		there, least = set(sys.argv[2:]), len(sys.argv) - 2
		for what, name in re.findall(r"^(add|delete) table (.+?)(?: {.*)?$", open(sys.argv[1]).read(), re.M):
		    if name.startswith("bridge nmi-spoof"):
		        there.add(name) if what == "add" else there.discard(name)
		        least = min(least, len(there))
		print(least)
	END
}
is 'there was a table of ports at every moment' "$(least 'bridge nmi-spoof')" 1
no_leak 'IMDS saw no pod'
gather_agents
e2e_end
