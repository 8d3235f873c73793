#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a neighbour's rules can do to a pod's packet before, beside and after ours: each row of the table is
# laid on a node, before the redirector starts and while it runs. A pod is served by our agent or is
# refused; it never hears the metadata service, nor another agent.
# Usage: detour.sh TOOL DRIVER PROTECTION

TOOL=$1 DRIVER=$2 PROTECTION=$3
. "$(dirname "$0")/lib.sh"
IFS=.- read -r major minor _ <<<"$(uname -r)"
((major > 6 || (major == 6 && minor >= 9))) || PROTECTION=doubled
command -v iptables-legacy >/dev/null || bail "iptables-legacy is not installed"
make_node
add_pod "$b" $POD_B pod-b
start_agent

# two to be led to: another agent of the node, and the metadata service by another address
spawn "$tmp/other" ip netns exec "$node" "$TOOL" serve 0.0.0.0 9999 other
spawn "$tmp/elsewhere" ip netns exec "$imds" "$TOOL" serve 10.0.0.2 8080 imds
{ wait_for "$tmp/other" ready && wait_for "$tmp/elsewhere" ready; } || bail "the places to be led to are not there"

# and one that takes what is meant for any address
spawn "$tmp/transparent" ip netns exec "$node" python3 -c '
import socket
s = socket.socket()
s.setsockopt(socket.SOL_IP, 19, 1)
s.bind(("127.0.0.1", 9998))
s.listen()
print("ready", flush=True)
while True:
    c, a = s.accept()
    c.recv(100)
    c.sendall(b"other %s\n" % a[0].encode())
    c.close()'
wait_for "$tmp/transparent" ready

start_driver() {
	spawn "$tmp/driver" ip netns exec "$node" "$DRIVER" run $NODE_IP $AGENT_PORT
	driver=$last
	wait_for "$tmp/driver" "^active $PROTECTION" || bail "the redirector does not become active"
}

stop_driver() { # stop_driver [kept]: with its rules, unless they are kept
	kill -TERM "$driver"
	wait "$driver" 2>/dev/null
	[ $# -gt 0 ] || on "$node" "$DRIVER" uninstall
}

chain() { # chain FAMILY TYPE HOOK PRIORITY RULE...: a table of somebody else
	local rule
	printf 'table %s foreign {\n chain c { type %s hook %s priority %s; policy accept;\n' "$1" "$2" "$3" "$4"
	for rule in "${@:5}"; do printf '  %s\n' "$rule"; done
	printf ' }\n}\n'
}

M="ip daddr $IMDS tcp dport 80"
AGENT="agent $POD_A"

lay() { # lay ROW
	case $1 in
	iptables-accept) on "$node" iptables -t nat -I PREROUTING -d 169.254.0.0/16 -j ACCEPT ;;
	legacy-accept) on "$node" iptables-legacy -t nat -I PREROUTING -d 169.254.0.0/16 -j ACCEPT ;;
	iptables-other) on "$node" iptables -t nat -I PREROUTING -d $IMDS -p tcp --dport 80 -j DNAT --to $NODE_IP:9999 ;;
	legacy-other) on "$node" iptables-legacy -t nat -I PREROUTING -d $IMDS -p tcp --dport 80 -j DNAT --to $NODE_IP:9999 ;;
	accept-199) chain ip nat prerouting -199 "$M accept" | rules ;;
	accept-150) chain ip nat prerouting -150 "$M accept" | rules ;;
	other-199) chain ip nat prerouting -199 "$M dnat to $NODE_IP:9999" | rules ;;
	other-150) chain ip nat prerouting -150 "$M dnat to $NODE_IP:9999" | rules ;;
	elsewhere-199) chain ip nat prerouting -199 "$M dnat to 10.0.0.2:8080" | rules ;;
	elsewhere-inet) chain inet nat prerouting -199 "$M dnat ip to 10.0.0.2:8080" | rules ;;
	notrack) chain ip filter prerouting -300 "$M notrack" | rules ;;
	iptables-notrack) on "$node" iptables -t raw -I PREROUTING -d $IMDS -j CT --notrack ;;
	rewritten) chain ip filter prerouting -150 "$M ip daddr set 10.0.0.2 tcp dport set 8080" | rules ;;
	local-address)
		chain ip filter prerouting -300 "$M notrack" | rules
		ip -n "$node" addr add $IMDS/32 dev lo
		spawn "$tmp/local" ip netns exec "$node" "$TOOL" serve $IMDS 80 other
		local_pid=$last
		wait_for "$tmp/local" ready
		;;
	mark)
		chain ip filter prerouting -150 "$M meta mark set 7" | rules
		ip -n "$node" rule add fwmark 7 lookup 107 priority 1
		ip -n "$node" route add default via 10.0.0.2 dev up0 table 107
		;;
	forward-accept) chain ip filter forward -400 accept | rules ;;
	forward-stateless)
		{
			chain ip filter forward -400 accept
			chain ip filter prerouting -300 "$M notrack" | sed s/foreign/foreign2/
		} | rules
		;;
	kube-mark) chain ip filter prerouting -150 "$M meta mark set 0x4000" | rules ;;
	masquerade) chain ip nat postrouting 100 masquerade | rules ;;
	input-snat) chain ip nat input 100 "tcp dport $AGENT_PORT snat to $POD_B" | rules ;;
	tproxy)
		chain ip filter prerouting -150 "$M tproxy to 127.0.0.1:9998 meta mark set 8 accept" | rules
		ip -n "$node" rule add fwmark 8 lookup 108 priority 1
		ip -n "$node" route add local default dev lo table 108
		;;
	esac
}

clear_away() {
	on "$node" nft 'delete table ip foreign; ' 2>/dev/null
	on "$node" nft 'delete table ip foreign2; ' 2>/dev/null
	on "$node" nft 'delete table inet foreign; ' 2>/dev/null
	for t in nat raw; do
		on "$node" iptables -t $t -F PREROUTING
		on "$node" iptables-legacy -t $t -F PREROUTING 2>/dev/null
	done
	while ip -n "$node" rule del priority 1 2>/dev/null; do :; done
	if ip -n "$node" addr del $IMDS/32 dev lo 2>/dev/null; then kill "$local_pid"; fi
}

# ROW|what it is|what the pod hears (a pattern): our agent, or nobody
blocked='re*'
table=(
	"iptables-accept|iptables-nft accepts 169.254.0.0/16 in nat PREROUTING|$AGENT"
	"legacy-accept|iptables-legacy accepts 169.254.0.0/16 in nat PREROUTING|$AGENT"
	"iptables-other|iptables-nft leads to another agent|$AGENT"
	"legacy-other|iptables-legacy leads to another agent|$AGENT"
	"accept-199|an nft nat chain accepts at our priority|$AGENT"
	"accept-150|an nft nat chain accepts at -150|$AGENT"
	"other-150|an nft nat chain leads to another agent at -150|$AGENT"
	"other-199|an nft nat chain leads to another agent at our priority|$AGENT"
	"elsewhere-199|an nft nat chain leads to another machine at our priority|$AGENT"
	"elsewhere-inet|the same in a table of family inet|$AGENT"
	"masquerade|all that leaves is masqueraded|$AGENT"
	"mark|a mark and a policy route lead out of the node|$AGENT"
	"kube-mark|the mark by which kube-proxy masquerades|$AGENT"
	"forward-accept|a forward chain accepts before the guard|$AGENT"
	"forward-stateless|the same for what is not tracked|$blocked"
	"notrack|nft exempts it from connection tracking|$blocked"
	"iptables-notrack|iptables -t raw -j CT --notrack|$blocked"
	"local-address|not tracked, and the metadata address is one of the node's|$blocked"
	"input-snat|its source is rewritten on its way into the node|$blocked"
	"tproxy|a transparent proxy takes it|$blocked"
	"rewritten|its destination is rewritten without connection tracking|timeout"
)

judge() { # judge WHEN: the row that is laid
	local heard
	heard=$(get "$a")
	is "$heard" "$want" "$1: $what: the pod hears '$want'"
	[ "$row" = local-address ] || is "$(get "$node")" "imds *" "$1: $what: the host reaches the metadata service"
}

for line in "${table[@]}"; do
	# what a foreign rule does does not depend on whose the tables are; who comes first does
	case $PROTECTION:$line in
	doubled:*-199\|* | doubled:*-inet\|* | doubled:notrack\|* | doubled:tproxy\|* | held:*) ;;
	*) continue ;;
	esac
	IFS='|' read -r row what want <<<"$line"
	start_driver
	lay "$row"
	sleep "$(awk -v s="${NMI_SLOW:-1}" 'BEGIN { print 0.05 * s }')" # for what is answered by writing anew
	judge "while it runs"
	stop_driver kept
	# table nmi stays; nobody puts it first again
	clear_away
	lay "$row"
	case $row in
	*-199 | *-inet) [ "$row" = accept-199 ] || want=$blocked ;;
	esac
	judge "after its end"
	want=${line##*|}
	on "$node" "$DRIVER" uninstall
	start_driver
	judge "before it starts"
	clear_away
	stop_driver
done

# an address of somebody's that leads to the metadata service
start_driver
chain ip nat prerouting -150 "ip daddr 192.0.2.1 tcp dport 8000 dnat to $IMDS:80" | rules
is "$(get "$a" 192.0.2.1 8000)" refused "a foreign address that is translated to the metadata service's is guarded as well"
clear_away

# one that keeps coming back before ours
comes="add table ip foreign; add chain ip foreign c { type nat hook prerouting priority -199; }; add rule ip foreign c $M dnat to 10.0.0.2:8080"
for ((i = 0; i < 300; i++)); do
	echo "$comes"
	echo 'delete table ip foreign'
done >"$tmp/rival"
echo "$comes" >>"$tmp/rival"
coproc HAMMER { exec ip netns exec "$a" "$TOOL" hammer $IMDS 80 9>&-; }
on "$node" nft -i <"$tmp/rival" >"$tmp/nft" 2>&1
sleep 0.3
eval "exec ${HAMMER[1]}>&-"
counts=$(cat <&"${HAMMER[0]}")
is "$(grep -m1 'came before ours' "$tmp/driver.err")" "*table ip foreign, chain c came before ours; it was nft (process *" "whose chain came before ours is logged"
is "$counts" "agent=* imds=0 *" "one that comes back 300 times gets no pod: $counts"
stop_driver
finish
