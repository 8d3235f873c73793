#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Pods that share a bridge: nobody speaks, claims or hears under another's address. The picture is that of
# lib.sh, but pods a and b are on the bridge cbr0, and a third is on a routed link.
# Usage: spoof-bridge.sh TOOL DRIVER

TOOL=$1 DRIVER=$2
. "$(dirname "$0")/lib.sh"
POD_C=$POD_A NEW=10.244.1.7
make_node
c=$a a=$run-p b=$run-q # what is pod a there is c here
POD_A=10.244.1.5 POD_B=10.244.1.6
add_bridge
add_bridged_pod "$a" $POD_A port-a
add_bridged_pod "$b" $POD_B port-b
trap 'ip netns del "$c"; ip netns del "$run-b" 2>/dev/null; cleanup' EXIT
start_agent

mkfifo "$tmp/ports"
exec 8<>"$tmp/ports"
spawn "$tmp/driver" sh -c "exec ip netns exec $node '$DRIVER' run $NODE_IP $AGENT_PORT <'$tmp/ports'"
driver=$last
wait_for "$tmp/driver" "^active" || bail "the redirector does not become active"

ports() { # ports N LINK=IP...: tell the redirector, and wait until the N are in place
	local n=$1
	shift
	printf '%s\n' "$*" >&8
	wait_for "$tmp/driver" "ports=$n "
	for ((i = 0; i < 500; i++)); do
		tail -n 1 "$tmp/driver" | grep -q "ports=$n " && return
		sleep 0.01
	done
	return 1
}

spoofed() { # packets, as the table has it
	on "$node" nft list counter "${1:-bridge}" nmi-spoof spoofed | sed -n 's/.*packets \([0-9]*\).*/\1/p'
}

counts() { # counts COMMAND...: does the counter go up by it? What it printed is in `said`
	local before
	before=$(spoofed)
	said=$("$@")
	[ "$(spoofed)" -gt "$before" ] && echo "$said, counted" || echo "$said, not counted"
}

mac() { # mac NAMESPACE
	on "$1" cat /sys/class/net/eth0/address
}

# without ports
is "$(on "$node" nft list tables bridge)" "" "as long as no pod is known to be behind a bridge there is no table"
ip -n "$b" addr add $POD_A/24 dev eth0
is "$(get "$b" $IMDS 80 $POD_A)" "agent $POD_A" "without one, pod b under a's address is taken for a"
ip -n "$b" addr del $POD_A/24 dev eth0
ip -n "$node" neigh flush dev cbr0

# with them
ports 2 port-a=$POD_A port-b=$POD_B
ok $? "told of two pods, the redirector ties them to their ports"
is "$(on "$node" nft delete table bridge nmi-spoof 2>&1)" "*Operation not permitted*" "nobody else can remove that"
on "$node" nft flush ruleset
is "$(on "$node" nft list tables bridge)" "table bridge nmi-spoof" "and a foreign flush passes it by"
is "$(get "$a")" "agent $POD_A" "pod a is served"
is "$(get "$b")" "agent $POD_B" "pod b is served"
is "$(get "$c")" "agent $POD_C" "a pod on a routed link is served"
is "$(spoofed)" 0 "and nothing was dropped"

ip -n "$b" addr add $POD_A/24 dev eth0
is "$(counts get "$b" $IMDS 80 $POD_A)" "timeout, counted" "pod b under a's address is not served, and counted"
is "$(get "$a")" "agent $POD_A" "meanwhile pod a is"
is "$(get "$b" $IMDS 80 $POD_B)" "agent $POD_B" "and so is pod b under its own"
ip -n "$b" addr add 10.244.1.99/24 dev eth0
is "$(counts get "$b" $IMDS 80 10.244.1.99)" "timeout, counted" "nor is b under an address that nobody has"

# taking over by ARP
ip -n "$node" neigh flush dev cbr0
before=$(spoofed)
on "$b" "$TOOL" get $BRIDGE_IP 9 $POD_A >/dev/null # asks for the gateway in a's name
get "$a" >/dev/null
is "$(ip -n "$node" neigh show dev cbr0 | sed -n "s/^$POD_A .*lladdr \([^ ]*\).*/\1/p")" "$(mac "$a")" \
	"ARP of b for a's address does not reach the node"
[ "$(spoofed)" -gt "$before" ]
ok $? "it is counted"

# with a's MAC as well
mac_a=$(mac "$a") mac_b=$(mac "$b")
ip -n "$b" link set eth0 address "$mac_a"
is "$(counts get "$b" $IMDS 80 $POD_A)" "timeout, counted" "a's MAC does not help b"
wait_for "$tmp/driver" "spoofed=[3-9]"
ok $? "the count is told upwards"
wait_for "$tmp/driver.err" "borrowed address: $POD_A came from link .*port-b"
ok $? "and a line in the log names address and link"

# an answer on its way to another port
wait_for_answers() { # answers to pod a that pod b has seen
	on "$b" nft list chain ip probe heard | sed -n 's/.*packets \([0-9]*\).*/\1/p'
}
on "$b" nft -f - <<END
table ip probe { chain heard { type filter hook prerouting priority -310; ip saddr $IMDS ip daddr $POD_A tcp sport 80 counter; }; }
END
ip -n "$b" addr del $POD_A/24 dev eth0
on "$node" bridge fdb replace "$mac_a" dev port-b master static sticky
is "$(get "$a")" timeout "with a's MAC learned at b's port, a is not served"
is "$(wait_for_answers)" 0 "but b does not hear what a is told"
ports 0
is "$(get "$a")" timeout "without the ports"
is "$([ "$(wait_for_answers)" -gt 0 ] && echo heard)" heard "it would"
on "$node" bridge fdb del "$mac_a" dev port-b master
ip -n "$b" link set eth0 address "$mac_b"
is "$(on "$node" nft list tables bridge)" "" "and no table stays when no pod is behind a bridge"
on "$a" ping -c 1 -W 1 $BRIDGE_IP >/dev/null 2>&1 # the bridge learns

# tags
ports 2 port-a=$POD_A port-b=$POD_B
on "$node" nft -f - <<END
table ip probe { chain arrived { type filter hook prerouting priority -300; ip saddr 10.244.1.77 counter; }; }
END
arrived() {
	on "$node" nft list chain ip probe arrived | sed -n 's/.*packets \([0-9]*\).*/\1/p'
}
gateway=$(on "$node" cat /sys/class/net/cbr0/address)
for tags in 0 1 2 3; do
	on "$b" "$TOOL" frame eth0 "$gateway" 10.244.1.77 $IMDS 80 $tags
	is "$(arrived)" 0 "behind $tags VLAN tags a borrowed address does not arrive"
done
ports 0
for tags in 0 1 2; do
	on "$b" "$TOOL" frame eth0 "$gateway" 10.244.1.77 $IMDS 80 $tags
	is "$(arrived)" $((tags + 1)) "without ports $tags of them arrive"
done

# pods come and go
ports 1 port-b=$POD_B
ip -n "$b" addr add $POD_A/24 dev eth0
is "$(counts get "$b" $IMDS 80 $POD_A)" "timeout, counted" "with a gone, b under its address is not served either"
ip -n "$b" addr del $POD_A/24 dev eth0
ip -n "$node" neigh flush dev cbr0
is "$(get "$a")" "agent $POD_A" "a port and an address of which nothing is known are left to the agent"
add_bridged_pod "$run-b" $NEW port-n
b2=$run-b
is "$(get "$b2")" "agent $NEW" "so that a new pod does not wait"
is "$(counts on "$b2" "$TOOL" frame eth0 "$gateway" $POD_B $IMDS 80 0)" ", counted" \
	"but not under the address of one that is known"
ports 2 port-b=$POD_B port-n=$NEW
is "$(get "$b2")" "agent $NEW" "once it is known, it is served as well"
ip netns del "$b2"
add_bridged_pod "$b2" $NEW port-o
ports 2 port-b=$POD_B port-o=$NEW
is "$(get "$b2")" "agent $NEW" "so is the next pod with its address, at another port"
counted=$(spoofed)

# what cannot be
printf '%s\n' 'a"b=10.0.0.1' >&8
wait_for "$tmp/driver" "^refused: .*letters, digits"
ok $? "a link whose name nftables would misread is refused"
is "$(spoofed)" "$counted" "and those before stand"

# on a routed link
ip -n "$c" addr add 10.244.9.9/32 dev eth0
is "$(get "$c" $IMDS 80 10.244.9.9)" timeout "a borrowed address on a routed link is not served"
is "$(spoofed ip)" "[1-9]*" "and counted"
told() { # told PATTERN: in the log, where such lines come 10 seconds apart
	local i
	for ((i = 0; i < 2000; i++)); do
		grep -q -- "$1" "$tmp/driver.err" && return
		sleep 0.01
	done
	return 1
}
told "borrowed address: 10.244.9.9 came from link .*pod-a"
ok $? "with the link in the log"

# the end
kill -9 "$driver"
wait "$driver" 2>/dev/null
for ((i = 0; i < 500; i++)); do
	on "$node" nft list tables | grep -q spoof || break
	sleep 0.01
done
is "$(on "$node" nft list tables | grep spoof)" "" "with the redirector the tables go, lest they cut off a pod that comes later"
on "$node" "$DRIVER" probe-ports
ok $? "this kernel can do it"
is "$(on "$node" setpriv --bounding-set=-net_admin,-sys_admin "$DRIVER" probe-ports 2>&1)" "*CAP_NET_ADMIN is missing*" \
	"without the capability it cannot be told"
is "$(on "$node" nft list tables bridge)" "" "asking has left nothing"
finish
