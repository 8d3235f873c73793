#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The iptables backend, on a node of its own: see lib.sh for the picture.
# Usage: iptables.sh TOOL DRIVER FLAVOUR
# FLAVOUR: nft or legacy, which the node shows as a kubelet does.

TOOL=$1 DRIVER=$2 FLAVOUR=$3
. "$(dirname "$0")/lib.sh"
OTHER=legacy
[ "$FLAVOUR" = nft ] || OTHER=nft
# what the backend needs beside it to be told of, or to look again
WITHIN=$((20 * ${NMI_SLOW:-1}))

ipt() { on "$node" "iptables-$FLAVOUR" "$@"; }
save() { on "$node" "iptables-${1:-$FLAVOUR}-save" 2>/dev/null; } # [FLAVOUR]
ours() { save | grep -cE -- '-A .*(nmi|aad-metadata)'; }

start_driver() { # start_driver [BACKEND [PORT]]
	spawn "$tmp/driver" ip netns exec "$node" "$DRIVER" run $NODE_IP "${2:-$AGENT_PORT}" "${1:-iptables}"
	driver=$last
	wait_for "$tmp/driver" "^active" || bail "the redirector does not become active"
	child=$(cat "/proc/$driver/task/$driver/children")
	child=${child// /}
}

stop_driver() {
	kill -TERM "$driver"
	wait "$driver" 2>/dev/null
	local i
	for ((i = 0; i < 500; i++)); do
		grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$child/status" 2>/dev/null || return 0
		sleep 0.01
	done
	return 1
}

within() { # within SECONDS COMMAND...: until it succeeds
	local i
	for ((i = 0; i < $1 * 50; i++)); do
		"${@:2}" >/dev/null 2>&1 && return 0
		sleep 0.02
	done
	return 1
}

first_in() { # first_in TABLE CHAIN: the first rule there
	save | sed -n "/^\*$1\$/,/^COMMIT/p" | grep -m1 -- "^-A $2 "
}

repairs() { tail -1 "$tmp/driver" | sed 's/.*repairs=\([0-9]*\).*/\1/'; }

start_asking() {
	rm -f "$tmp/stop"
	mkfifo "$tmp/stop"
	ip netns exec "$a" "$TOOL" hammer $IMDS 80 <"$tmp/stop" >"$tmp/hammer" &
	hammer=$!
	pids+=("$hammer")
	exec 9>"$tmp/stop"
}

end_asking() {
	exec 9>&-
	wait "$hammer"
	counts=$(cat "$tmp/hammer")
}

make_node
add_pod "$b" $POD_B pod-b
start_agent
ipt -t mangle -N KUBE-IPTABLES-HINT
# rules of other tenants in the other flavour, more than in this one
for i in 1 2 3; do on "$node" iptables-$OTHER -A FORWARD -s "192.0.2.$i" -j ACCEPT; done
others=$(save $OTHER | grep ^-)
# what aad-pod-identity leaves
ipt -t nat -N aad-metadata
ipt -t nat -A aad-metadata ! -s 127.0.0.1/32 -d $IMDS/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 127.0.0.1:2579
ipt -t nat -A aad-metadata -j RETURN
ipt -t nat -I PREROUTING -j aad-metadata
# and what another put in front of it since
ipt -t nat -I PREROUTING -d 169.254.0.0/16 -j ACCEPT
is "$(get "$a")" "imds *" "with an earlier ACCEPT a pod reaches the metadata service: the hole to close"

start_driver
is "$(cat "$tmp/driver.err")" "*iptables of this node: iptables-$FLAVOUR (the kubelet's chains are there)*" "the flavour of the kubelet is taken, and said"
is "$(awk '/^CapEff|^CapPrm/ { print $2 }' "/proc/$child/status" | sort -u)" 0000000000003000 "it has the two capabilities that iptables needs, and no other"
is "$(awk '/^CapInh|^CapAmb/ { print $2 }' "/proc/$child/status" | sort -u)" 0000000000000000 "and hands none on but to what it runs"
is "$(awk '/^NoNewPrivs/ { print $2 }' "/proc/$child/status")" 1 "no-new-privileges is set"

is "$(get "$a")" "agent $POD_A" "a pod reaches the agent, under its own address"
is "$(get "$b")" "agent $POD_B" "so does another pod"
is "$(get "$node")" "imds $NODE_IP" "the host still reaches the metadata service"
is "$(get "$a" $NODE_IP $AGENT_PORT)" timeout "a pod cannot speak to the agent's port directly"
is "$(get "$imds" $NODE_IP $AGENT_PORT)" timeout "nor can the network outside"
is "$(get "$node" 127.0.0.1 $AGENT_PORT)" "agent 127.0.0.1" "the host itself can"
ip -n "$b" addr add $POD_A/32 dev eth0
is "$(get "$b" $IMDS 80 $POD_A)" timeout "a pod that borrows another's address is dropped"
is "$(get "$a")" "agent $POD_A" "and the true owner is served"
is "$(first_in nat PREROUTING)" "-A PREROUTING -j aad-metadata" "the redirect is asked first"
ipt -t nat --check PREROUTING -j aad-metadata
ok $? "and is found as scripts for aad-pod-identity look for it"
is "$(save | grep -c '127.0.0.1:2579\|-A aad-metadata -j RETURN')" 0 "what aad-pod-identity wrote is replaced"
is "$(save | grep -c -- '-A PREROUTING -d 169.254.0.0/16 -j ACCEPT')" 1 "the other's rule stays"
is "$(save | grep -cE -- '-A (nmi-|aad-metadata|(FORWARD|INPUT|PREROUTING) -m comment).*--comment "nmi: ')" 8 "each rule says what it is for"
is "$(save $OTHER | grep ^-)" "$others" "the other flavour is untouched"
is "$(on "$node" nft list table ip nmi | grep -E '^\s+chain' | tr -d '\n\t{')" "chain agent_port chain guard chain detour_out chain detour_in " "beside it stands table nmi with guard and agent_port"
is "$(grep -c "^active guarded " "$tmp/driver")" "[1-9]*" "the protection is said as it is"
sleep 0.5
is "$(repairs)" 0 "and nothing had to be repaired"
list=$(on "$node" "$DRIVER" list-iptables)
is "$(head -n 1 <<<"$list")" "# iptables-$FLAVOUR" "a listing names the flavour"
is "$(grep -cE "^(filter|raw|nat) \[[0-9]+:[0-9]+\] -A " <<<"$list")" 9 "and has every rule and jump of ours"
is "$(grep -cE "^nat \[[1-9][0-9]*:[0-9]+\] -A aad-metadata " <<<"$list")" 1 "with how often it was met"

# somebody takes them away
served() { [ "$(get "$a")" = "agent $POD_A" ]; }
undone() { # undone WHAT COMMAND...: is repaired, and meanwhile nobody got through
	local before what=$1
	shift
	before=$(repairs)
	start_asking
	"$@"
	wait_for "$tmp/driver" "repairs=$((before + 1)) " || within "$WITHIN" grep -q "repairs=$((before + 1)) " "$tmp/driver"
	ok $? "$what: put back"
	# of several commands a look may have seen the first, and another the rest
	within "$WITHIN" served
	end_asking
	is "$counts" "*imds=0 *" "$what: no pod reached the metadata service: $counts"
	is "$(get "$a")" "agent $POD_A" "$what: and all is well"
}
flush() { ipt -F && ipt -t nat -F && ipt -t raw -F; }
undone "iptables -F, of all tables" flush
undone "the jump deleted" ipt -t nat -D PREROUTING -j aad-metadata
undone "a rule deleted" ipt -D nmi-agent-port 2
undone "a rule altered" ipt -R nmi-guard 1 -d $IMDS/32 -p tcp -m tcp --dport 81 -j DROP
undone "a rule more" ipt -t nat -I aad-metadata -d $IMDS -j ACCEPT
undone "another rule in front" ipt -t nat -I PREROUTING -s $POD_A -j ACCEPT
is "$(first_in nat PREROUTING)" "-A PREROUTING -j aad-metadata" "the redirect is first again"
undone "the guard's jump twice" ipt -A FORWARD -j nmi-guard
undone "the jump altered" ipt -R INPUT 1 -s 192.0.2.9 -j nmi-agent-port
if [ "$FLAVOUR" = nft ]; then
	undone "nft flush ruleset" on "$node" nft flush ruleset
	# the others' rules are gone with it
	ipt -t mangle -N KUBE-IPTABLES-HINT
fi
is "$(save | grep -c -- '-A PREROUTING -j aad-metadata')" 1 "there is one jump"

# an idle node costs little
ticks() { awk '{ print $14 + $15 + $16 + $17 }' "/proc/$child/stat"; }
before=$(ticks)
sleep 5
is "$(($(ticks) - before <= 5 * ${NMI_SLOW:-1} + 2))" 1 "looking takes no more than a hundredth of a CPU ($(($(ticks) - before)) ticks in 5 s)"

# end and return
stop_driver
ok $? "it ends in an orderly way"
is "$(get "$a")" "agent *" "the rules stay"
kill -9 "$agent"
wait "$agent" 2>/dev/null
is "$(get "$a")" refused "with the agent dead a pod is refused at once"
flush
is "$(get "$a")" refused "and after a flush too, by the guard beside"
is "$(get "$node")" "imds *" "while the host reaches the metadata service"
AGENT_PORT=2580
start_agent
start_driver iptables 2580
is "$(get "$a")" "agent $POD_A" "restarted on another port, it replaces what it finds"
is "$(save | grep -c 2579)" 0 "nothing of the old port is left"
stop_driver

# from one backend to the other and back
start_driver nft 2580
is "$(get "$a")" "agent $POD_A" "the nft backend in its place: served"
gone() { [ "$(ours)" = 0 ]; }
within 3 gone
ok $? "and the rules of the iptables backend are gone"
is "$(grep -c aad-pod-identity "$tmp/driver")" 0 "and were not taken for those of aad-pod-identity"
is "$(save $OTHER | grep ^-)" "${others_left-$others}" "those of others are not"
stop_driver
start_asking
start_driver iptables 2580
sleep 0.2
end_asking
is "$counts" "*imds=0 *" "back again: no pod reached the metadata service: $counts"
is "$(on "$node" nft list table ip nmi | grep -c dnat\ to)" 0 "the redirect of the nft backend is gone"
is "$(get "$a")" "agent $POD_A" "that of the iptables backend is there"

# uninstall
on "$node" "$DRIVER" uninstall 2>"$tmp/refusal"
is "$?" 1 "uninstall is refused while an nmi runs: $(cat "$tmp/refusal")"
stop_driver
on "$node" "$DRIVER" uninstall && on "$node" "$DRIVER" uninstall
is "$?" 0 "uninstall works, twice too"
is "$(save | grep -c 'nmi\|aad-metadata')" 0 "nothing is left in iptables-$FLAVOUR"
is "$(on "$node" nft list ruleset | grep -c 'nmi\|aad-metadata')" 0 "nor in nftables"
is "$(get "$a")" "imds *" "and pods reach the metadata service again"
finish
