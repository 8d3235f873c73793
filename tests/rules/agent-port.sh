#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The agent's port is reached through the redirect of the metadata address, or by the node itself; by nobody else,
# whatever way he takes.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_box agentport
sb_add_pod six shop 10.244.0.15,fd00:10:244::15 app=six,aadpodidbinding=shop || bail 'no pod with IPv6'
sb_start_nmi --pod-wait=300ms || bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"

LONE=10.244.0.11 # the address of pod web
pod() { sb_pod_ns "$1"; }
# What comes back, if it is only one byte of TCP: "nothing", or the status of HTTP.
asks() { # NAMESPACE ADDRESS:PORT [CURL-ARGUMENT...]
	local status code
	status=$(sb_in "$1" curl -s -m 0.7 -o "$SB_DIR/got" -w '%{http_code} %{time_connect}' -H 'Metadata: true' \
		"${@:3}" "http://$2$SB_ASK")
	code=$?
	case $code:$status in
	# refused, out of time, an address that cannot be used
	7:'000 0.000000' | 28:'000 0.000000' | 45:'000 0.000000') echo nothing ;;
	*:'000 '*) echo "curl $code after $status" ;;
	*) echo "${status% *}" ;;
	esac
}
nothing() { is "$1" "$(asks "${@:2}")" nothing; } # SENTENCE NAMESPACE ADDRESS:PORT [CURL-ARGUMENT...]
settings() { # NAME NAMESPACE: on for every link
	# shellcheck disable=SC2016 # the inner shell expands it
	sb_in "$2" sh -c 'for f in /proc/sys/net/ipv4/conf/*/'"$1"'; do echo 1 >"$f"; done'
}
node_nft() { sb_in "$SB_NODE" nft -f -; }

gives 'by the redirect a pod is served' "$SB_SHOP" web "$SB_ASK"

# ---- straight ----
nothing 'a pod, at the address of the node' "$(pod plain)" $SB_NODE_IP:2579
nothing 'a pod that is served otherwise, too' "$(pod web)" $SB_NODE_IP:2579
nothing "a pod, at the node's address on another link" "$(pod web)" 10.241.0.2:2579
nothing 'another node' "$SB_API" $SB_NODE_IP:2579
nothing 'what is beyond the node' "$SB_IMDS" 10.241.0.2:2579
nothing 'a pod, at the metadata address and our port' "$(pod web)" 169.254.169.254:2579
ip -n "$SB_API" addr add $LONE/32 dev lo
nothing "another node, under a pod's address" "$SB_API" $SB_NODE_IP:2579 --interface $LONE
ip -n "$SB_API" route add 169.254.169.254/32 via $SB_NODE_IP
nothing "another node, under a pod's address, by the redirect" "$SB_API" 169.254.169.254:80 --interface $LONE
ip -n "$SB_API" addr del $LONE/32 dev lo
# It is not a pod of this node: what it is told is that. IMDS itself is link-local, and no router's.
is 'another node, by the redirect: refused' "$(asks "$SB_API" 169.254.169.254:80 -m 3)" 503
like 'another node: as nobody known' "$(<"$SB_DIR/got")" 'pod_unknown'

# ---- services of a node that lead there ----
settings route_localnet "$SB_NODE"
for to in $SB_NODE_IP 127.0.0.1 10.241.0.2; do
	for priority in -199 -100; do
		node_nft <<-END
			table ip service {
				chain pre {
					type nat hook prerouting priority $priority
					tcp dport 30080 dnat to $to:2579
				}
				chain post {
					type nat hook postrouting priority 100
					masquerade
				}
			}
		END
		for from in "$(pod web)" "$SB_API"; do
			nothing "nftables, priority $priority, NodePort to $to, from ${from##*-}" "$from" $SB_NODE_IP:30080
		done
		sb_in "$SB_NODE" nft delete table ip service
	done
	for iptables in iptables-nft iptables-legacy; do
		sb_in "$SB_NODE" $iptables -t nat -A PREROUTING -p tcp --dport 30080 -j DNAT --to-destination "$to:2579" ||
			not_ok "$iptables makes a NodePort"
		nothing "$iptables, NodePort to $to, from a pod" "$(pod web)" $SB_NODE_IP:30080
		nothing "$iptables, NodePort to $to, from another node" "$SB_API" $SB_NODE_IP:30080
		sb_in "$SB_NODE" $iptables -t nat -F
	done
done
sb_in "$SB_NODE" iptables-nft -t nat -A PREROUTING -p tcp --dport 30080 -j REDIRECT --to-ports 2579
nothing 'REDIRECT' "$SB_API" $SB_NODE_IP:30080
# accepted first, not tracked: of no use
node_nft <<<'table ip service { chain in { type filter hook input priority -400; tcp dport 2579 accept; }; }'
nothing 'what another table accepts first' "$(pod web)" $SB_NODE_IP:2579
sb_in "$SB_NODE" nft flush ruleset
node_nft <<<'table ip service { chain pre { type filter hook prerouting priority -300; tcp dport 2579 notrack; }; }'
nothing 'what another table does not track' "$(pod web)" $SB_NODE_IP:2579
sb_in "$SB_NODE" nft flush ruleset

# ---- a load balancer's address ----
node_nft <<-END
	table ip balancer {
		chain pre {
			type nat hook prerouting priority -150
			ip daddr 10.99.0.1 tcp dport 80 dnat to 169.254.169.254:80
			ip daddr 10.99.0.2 tcp dport 80 dnat to $SB_NODE_IP:2579
			ip saddr != 10.244.0.0/16 ip daddr 169.254.169.254 tcp dport 80 dnat to $SB_NODE_IP:2579
		}
	}
END
ip -n "$SB_API" route add 10.99.0.0/24 via $SB_NODE_IP
for from in "$(pod web)" "$SB_API"; do
	nothing "a balancer's address that leads to the metadata service, from ${from##*-}" "$from" 10.99.0.1:80
	nothing "a balancer's address that leads to the agent, from ${from##*-}" "$from" 10.99.0.2:80
done
is 'a rule like ours for others, before it: refused' "$(asks "$SB_API" 169.254.169.254:80 -m 3)" 503
gives 'pods are served beside it' "$SB_SHOP" web "$SB_ASK"
sb_in "$SB_NODE" nft delete table ip balancer

# ---- options of IP ----
# A source route is followed after the redirect has looked: what it meets is the guard.
cat >"$SB_DIR/options.py" <<'END'
import socket, sys
to, port, options = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
s = socket.socket()
s.settimeout(0.7)
try:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
    s.connect((to, port))
    s.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\nMetadata: true\r\nConnection: close\r\n\r\n" % sys.argv[4].encode())
    print(s.recv(4096).split(b" ")[1].decode())
except OSError:
    print("nothing")
END
with_options() { # POD ADDRESS PORT OPTIONS
	sb_exec "$1" python3 "$SB_DIR/options.py" "${@:2}" "$SB_ASK"
}
hex() { # ADDRESS
	# shellcheck disable=SC2086 # four numbers
	printf '%02x' ${1//./ }
}
for ns in "$SB_NODE" "$SB_IMDS" "$(pod web)"; do settings accept_source_route "$ns"; done
options_dropped() { sb_in "$SB_NODE" nft list table ip nmi | awk '/hdrlength/ { sub(/.*packets /, ""); print $1 }'; }
NODE_HEX=$(hex $SB_NODE_IP)
is 'loose source route, by the node to the metadata service' "$(with_options web 169.254.169.254 80 "830704${NODE_HEX}00")" nothing
like 'it came to the guard' "$(options_dropped)" '^[1-9]'
is 'behind other options' "$(with_options web 169.254.169.254 80 "010101830704${NODE_HEX}0000")" nothing
is 'strict source route' "$(with_options web 169.254.169.254 80 "890704${NODE_HEX}00")" nothing
is "loose source route, by another link to the agent's port" "$(with_options web $SB_NODE_IP 2579 83070410f1000200)" nothing
like 'options that ask for nothing: served, or nothing' "$(with_options web 169.254.169.254 80 01010101)" '^(200|nothing)$'
like 'record route: served, or nothing' "$(with_options web 169.254.169.254 80 070704000000000000)" '^(200|nothing)$'

# ---- IPv6 ----
for address in "[$SB_NODE_IP6]" "[$SB_GATEWAY6%25eth0]" '[::ffff:10.240.0.4]'; do
	nothing "IPv6: $address" "$(pod six)" "$address:2579"
done

# ---- the node itself ----
is 'a process of the node, at the agent: it is no pod' "$(asks "$SB_NODE" $SB_NODE_IP:2579 -m 3)" 503
is 'a process of the node, by loopback: there is no such path' "$(asks "$SB_NODE" 127.0.0.1:2579 -m 3)" 404
is "under a pod's address: the kernel does not let it" "$(asks "$SB_NODE" $SB_NODE_IP:2579 --interface $LONE)" nothing
unlike 'no token was in any of them' "$(cat "$SB_DIR/got" 2>/dev/null)" access_token

# ---- health and metrics: for anybody, and nothing to hide in them ----
for port in 8085/readyz?verbose 8085/healthz 9090/metrics; do
	for from in "$(pod plain)" "$SB_API"; do
		is "port $port, from ${from##*-}" "$(sb_in "$from" curl -s -m 2 -o "$SB_DIR/got.${port%%/*}" -w '%{http_code}' "http://$SB_NODE_IP:$port")" 200
	done
	is "port $port has no token path" "$(sb_in "$(pod web)" curl -s -m 2 -o /dev/null -w '%{http_code}' -H Metadata:true "http://$SB_NODE_IP:${port%%/*}$SB_ASK")" 404
done
unlike 'metrics name no identity, and no address' "$(<"$SB_DIR/got.9090")" "$SB_SHOP|10\.244\.|/subscriptions/"

no_leak 'and none of it came to IMDS from a pod'
e2e_end
