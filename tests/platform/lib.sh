# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the scripts of this directory share: one node with pods and a metadata service, as network
# namespaces of their own, and TAP. Sourced; TOOL is the program made of tool.c.
#
#   pod a, b  10.244.0.5, .6   a /32 on a routed veth whose other end has no IPv4 address, as the
#                              Azure CNI and Calico make them
#   node      10.0.0.1         route_localnet is off, forwarding is on
#   imds      169.254.169.254  port 80

set -u

IMDS=169.254.169.254 NODE_IP=10.0.0.1 AGENT_PORT=2579
POD_A=10.244.0.5 POD_B=10.244.0.6
run=nmi-plat-$$
node=$run-node imds=$run-imds a=$run-a b=$run-b
tests=0 failed=0 pids=()
tmp=$(mktemp -d)

bail() {
	echo "Bail out! $*"
	exit 1
}

# These tests prove what the design rests on, so they are never skipped.
[ "$(id -u)" = 0 ] || bail "this test makes network namespaces: run it as root"
for program in ip nft; do
	command -v "$program" >/dev/null || bail "$program is not installed"
done

cleanup() {
	local p
	for p in "${pids[@]}"; do
		kill -9 "$p" 2>/dev/null
		wait "$p" 2>/dev/null
	done
	for p in "$node" "$imds" "$a" "$b"; do
		ip netns del "$p" 2>/dev/null
	done
	rm -rf "$tmp"
}
trap cleanup EXIT

ok() { # ok CONDITION-STATUS SENTENCE
	tests=$((tests + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tests - $2"
	else
		failed=$((failed + 1))
		echo "not ok $tests - $2"
	fi
}

is() { # is GOT WANTED SENTENCE; WANTED is a pattern
	# shellcheck disable=SC2053
	[[ $1 == $2 ]]
	local r=$?
	ok $r "$3"
	[ $r = 0 ] || echo "# got '$1', wanted '$2'"
}

finish() {
	echo "1..$tests"
	exit $((failed > 0))
}

on() { # on NAMESPACE COMMAND...
	local ns=$1
	shift
	ip netns exec "$ns" "$@"
}

# In the background; ends with the test. `last` is its pid.
spawn() { # spawn OUTPUT-FILE COMMAND...
	local out=$1
	shift
	: >"$out" # here, not in the background: wait_for must not find what an earlier one said
	"$@" >"$out" 2>"$out.err" 9>&- & # 9 is a pipe that the test closes to end a program
	last=$!
	pids+=("$last")
}

wait_for() { # wait_for FILE PATTERN: up to 5 seconds
	local i
	for ((i = 0; i < 500; i++)); do
		grep -q -- "$2" "$1" 2>/dev/null && return 0
		sleep 0.01
	done
	echo "# no '$2' in:"
	tail -n 5 "$1" "$1.err" 2>/dev/null | sed 's/^/# /'
	return 1
}

add_pod() { # add_pod NAMESPACE ADDRESS LINK
	ip netns add "$1"
	ip -n "$node" link add "$3" type veth peer name eth0 netns "$1"
	ip -n "$node" link set "$3" up
	ip -n "$node" route add "$2/32" dev "$3"
	ip -n "$1" link set lo up
	ip -n "$1" link set eth0 up
	ip -n "$1" addr add "$2/32" dev eth0
	ip -n "$1" route add 169.254.1.1 dev eth0 scope link
	ip -n "$1" route add default via 169.254.1.1 dev eth0
	ip -n "$1" neigh add 169.254.1.1 dev eth0 lladdr "$(on "$node" cat "/sys/class/net/$3/address")"
}

# As kubenet lays it: all pods on the ports of one bridge, which has an address of theirs.
BRIDGE_IP=10.244.1.1
add_bridge() {
	ip -n "$node" link add cbr0 type bridge
	ip -n "$node" link set cbr0 up
	ip -n "$node" addr add $BRIDGE_IP/24 dev cbr0
}

add_bridged_pod() { # add_bridged_pod NAMESPACE ADDRESS LINK
	ip netns add "$1"
	ip -n "$node" link add "$3" type veth peer name eth0 netns "$1"
	ip -n "$node" link set "$3" master cbr0 up
	ip -n "$1" link set lo up
	ip -n "$1" link set eth0 up
	ip -n "$1" addr add "$2/24" dev eth0
	ip -n "$1" route add default via $BRIDGE_IP dev eth0
}

make_node() {
	ip netns add "$node"
	ip netns add "$imds"
	on "$node" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.route_localnet=0 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	ip -n "$node" link set lo up
	ip -n "$node" link add up0 type veth peer name eth0 netns "$imds"
	ip -n "$node" link set up0 up
	ip -n "$node" addr add $NODE_IP/24 dev up0
	ip -n "$node" route add $IMDS/32 dev up0
	ip -n "$imds" link set lo up
	ip -n "$imds" link set eth0 up
	ip -n "$imds" addr add $IMDS/32 dev eth0
	ip -n "$imds" addr add 10.0.0.2/24 dev eth0
	ip -n "$imds" route add 10.244.0.0/16 via $NODE_IP
	add_pod "$a" $POD_A pod-a
	spawn "$tmp/imds" ip netns exec "$imds" "$TOOL" serve $IMDS 80 imds
	wait_for "$tmp/imds" ready || bail "the metadata service does not start"
}

start_agent() {
	spawn "$tmp/agent" ip netns exec "$node" "$TOOL" serve 0.0.0.0 $AGENT_PORT agent
	agent=$last
	wait_for "$tmp/agent" ready || bail "the agent does not start"
}

get() { # get NAMESPACE [ADDRESS PORT [FROM]]: what a client there is told
	local ns=$1
	shift
	[ $# -gt 0 ] || set -- $IMDS 80
	on "$ns" "$TOOL" get "$@"
}

dnat_table() { # dnat_table NAME PRIORITY STATEMENT
	rules <<END
table ip $1 {
	chain c {
		type nat hook prerouting priority $2
		ip daddr $IMDS tcp dport 80 $3
	}
}
END
}

rules() { # rules: nftables text on stdin, into the node
	on "$node" nft -f -
}
