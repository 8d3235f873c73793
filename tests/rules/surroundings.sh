#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a node has around the agent is laid there for real; the agent names it, what follows and what to do, in its
# log, word for word. And what it costs to look, on a node with 10,000 rules of kube-proxy.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_box around

node() { sb_in "$SB_NODE" "$@"; }
NOTHING='nothing to do'
AFTER="its rules come after the redirect; $NOTHING"
NO_PROXY="info kube-proxy-none: no rules of kube-proxy; something else does services, or it has not started yet; $NOTHING"

# Starts the agent, lets it look, ends it. What it found: I or W, and the line.
found() { # [ARGUMENT of nmi...]
	: >"$SB_DIR/nmi.log"
	sb_launch_nmi "$@"
	eventually 10 grep -qE 'listening on|nmi-listen-address=auto|nmi-port' "$SB_DIR/nmi.log"
	sb_stop_nmi
	sed -nE 's/^[^ ]+ (info|warn) around this node: /\1 /p' "$SB_DIR/nmi.log"
}

names() { # SENTENCE LINES [ARGUMENT of nmi...]
	is "$1" "$(found "${@:3}")" "$2"
}

listen() { # PORT: on 127.0.0.1 of the node
	sb_start "listener$1" "$SB_NODE" python3 -m http.server --bind 127.0.0.1 "$1"
	eventually 5 node curl -s -o "$SB_DIR/listener" "http://127.0.0.1:$1/" || bail "no listener on port $1"
}

clear_rules() {
	local table
	node nft flush ruleset
	for table in nat raw filter mangle; do
		node iptables-legacy -t $table -F
		node iptables-legacy -t $table -X
	done 2>"$SB_DIR/legacy"
}

restriction=(! -s "$SB_NODE_IP" -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -m comment
	--comment 'AKS managed: added by AgentBaker ensureIMDSRestriction for IMDS restriction feature' -j DROP)

names 'a node with nothing around' "$NO_PROXY"
names 'our own rules of before are not somebody' "$NO_PROXY"

for flavour in nft legacy; do
	node iptables-$flavour -t nat -N KUBE-SERVICES
	names "kube-proxy in mode iptables ($flavour)" "info kube-proxy-iptables: kube-proxy in mode iptables (chain KUBE-SERVICES, $flavour); $AFTER"
	node iptables-$flavour -t filter -I FORWARD 1 "${restriction[@]}"
	node iptables-$flavour -t nat -N aad-metadata
	node iptables-$flavour -t nat -A aad-metadata -d 169.254.169.254/32 -p tcp -j DNAT --to-destination 127.0.0.1:2579
	names "and the IMDS restriction of AKS and another NMI" "info kube-proxy-iptables: kube-proxy in mode iptables (chain KUBE-SERVICES, $flavour); $AFTER
info imds-restriction: the IMDS restriction of AKS (a rule in FORWARD, $flavour); redirected requests do not pass its rule, which drops what was not redirected; $NOTHING
warn other-nmi: another aad-pod-identity NMI (chain aad-metadata, $flavour); this agent comes first, and where it is away pods are refused: the other one serves nobody; uninstall it: docs/troubleshooting.md"
	clear_rules
done

node iptables-nft -t nat -N KUBE-SERVICES
node iptables-legacy -t nat -N KUBE-SERVICES
node iptables-nft -t mangle -I FORWARD 1 "${restriction[@]}"
node iptables-legacy -t mangle -I FORWARD 1 "${restriction[@]}"
node iptables-nft -t nat -N aad-metadata
node iptables-nft -t nat -A aad-metadata -m comment --comment 'nmi: pods to the agent' -j RETURN
node iptables-legacy -t nat -N aad-metadata
node iptables-legacy -t nat -A aad-metadata -m comment --comment 'nmi: pods to the agent' -j RETURN
names 'both kinds of iptables at once; a chain aad-metadata of ours is nobody' "info kube-proxy-iptables: kube-proxy in mode iptables (chain KUBE-SERVICES, nft and legacy); $AFTER
info imds-restriction: the IMDS restriction of AKS (a rule in FORWARD, nft and legacy); redirected requests do not pass its rule, which drops what was not redirected; $NOTHING"

ip -n "$SB_NODE" link add kube-ipvs0 type bridge
names 'kube-proxy in mode ipvs has a link, and rules beside it' "info kube-proxy-ipvs: kube-proxy in mode ipvs (link kube-ipvs0); $AFTER
info imds-restriction: the IMDS restriction of AKS (a rule in FORWARD, nft and legacy); redirected requests do not pass its rule, which drops what was not redirected; $NOTHING"
ip -n "$SB_NODE" link del kube-ipvs0
clear_rules

node nft 'add table ip kube-proxy; add chain ip kube-proxy services; add chain ip kube-proxy nat-prerouting { type nat hook prerouting priority dstnat; }'
names 'kube-proxy in mode nftables' "info kube-proxy-nftables: kube-proxy in mode nftables (table kube-proxy); $AFTER"

ip -n "$SB_NODE" link add cilium_host type veth peer name cilium_net
names 'Cilium beside it' "info kube-proxy-nftables: kube-proxy in mode nftables (table kube-proxy); $AFTER
info cilium: Cilium, beside kube-proxy (link cilium_host); where it routes by eBPF alone, the packets of pods do not meet the packet rules; if pods get no answer, or the node's own identity: docs/cilium.md"
clear_rules
names 'Cilium in its place' "$NO_PROXY
warn cilium-alone: Cilium in place of kube-proxy (link cilium_host); the packets of pods may never meet the packet rules, and so reach the metadata service itself; let Cilium redirect and guard them, with --redirect-backend=none: docs/cilium.md"
names 'Cilium, where it redirects' "info cilium-redirects: Cilium, and no packet rules of ours (link cilium_host); its local redirect policy brings the requests, and lets them pass to the metadata service while no agent is ready; have deploy/cilium/guard.yaml in place too: docs/cilium.md" \
	--redirect-backend=none --nmi-listen-address=0.0.0.0
ip -n "$SB_NODE" link del cilium_host
node iptables-nft -t nat -N CILIUM_PRE_nat
names 'Cilium whose links are not there yet' "$NO_PROXY
warn cilium-alone: Cilium in place of kube-proxy (chains CILIUM_, nft); the packets of pods may never meet the packet rules, and so reach the metadata service itself; let Cilium redirect and guard them, with --redirect-backend=none: docs/cilium.md"
clear_rules

listen 3080
names 'the Azure Guest Proxy Agent' "$NO_PROXY
warn guest-proxy-agent: the Azure Guest Proxy Agent (127.0.0.1:3080); what this agent asks of the metadata service goes through it; it may also catch pods before any packet rule does; in mode Enforce, allow nmi to ask for /metadata: docs/troubleshooting.md"
sb_stop listener3080
listen 2579
names "another NMI's listener" "$NO_PROXY
warn other-listener: a listener on the port of this agent (127.0.0.1:2579); it may be another aad-pod-identity NMI, to which pods could be sent; find it with: ss -ltnp; docs/troubleshooting.md"
for own in '' 127.0.0.1; do
	names 'whatever port this agent has' "$NO_PROXY
warn other-listener: a listener on the port of this agent (127.0.0.1:2579); it may be another aad-pod-identity NMI, to which pods could be sent; find it with: ss -ltnp; docs/troubleshooting.md" --nmi-port=2580 ${own:+--nmi-listen-address=$own}
done
names 'at its own address and port it may be one that makes way' "$NO_PROXY" --nmi-listen-address=127.0.0.1
node iptables-nft -t nat -N aad-metadata
names 'with its chain' "$NO_PROXY
warn other-nmi: another aad-pod-identity NMI (chain aad-metadata, nft; it listens on 127.0.0.1:2579); this agent comes first, and where it is away pods are refused: the other one serves nobody; uninstall it: docs/troubleshooting.md"
sb_stop listener2579
clear_rules

node sh -c 'echo 1 >/proc/sys/net/ipv4/conf/imds0/route_localnet'
LOCALNET='pods can reach what listens on 127.0.0.1 of this node, where no other rule drops that; this agent does not need it; nothing to do for this agent'
names 'route_localnet of a link' "$NO_PROXY
info route-localnet: route_localnet is set (imds0); $LOCALNET"
node sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet'
names 'route_localnet of all' "$NO_PROXY
info route-localnet: route_localnet is set (all); $LOCALNET"
node sh -c 'echo 0 >/proc/sys/net/ipv4/conf/all/route_localnet; echo 0 >/proc/sys/net/ipv4/conf/imds0/route_localnet'

node nft 'add table ip early; add chain ip early to_proxy { type nat hook prerouting priority -199; };
	add chain ip early later { type nat hook prerouting priority -150; }'
node nft 'add table inet other; add chain inet other pre { type filter hook prerouting priority -350; };
	add chain inet other sub; add rule inet other sub ip daddr 10.0.0.10 notrack; add rule inet other pre jump sub'
node nft 'add table inet harmless; add chain inet harmless pre { type filter hook prerouting priority -400; };
	add rule inet harmless pre ip daddr 10.0.0.10 counter accept'
node iptables-nft -t raw -A PREROUTING -d 10.0.0.10/32 -j CT --notrack
node iptables-legacy -t raw -A PREROUTING -d 10.0.0.10/32 -j CT --notrack
UNTRACKED='what it exempts cannot be redirected, and is rejected by the guard; if pods are refused a connection, leave 169.254.169.254 out of it'
names 'chains that come before ours' "$NO_PROXY
warn earlier-nat: a chain that rewrites destinations as early as ours (ip early to_proxy, priority -199); ours is put before it while this agent runs; without one, what it sends elsewhere is refused; give it a priority above -199, or leave 169.254.169.254 out of it
info notrack: a chain that exempts packets from connection tracking (inet other pre, priority -350); $UNTRACKED
info notrack: a chain that exempts packets from connection tracking (ip raw PREROUTING, priority -300); $UNTRACKED
info notrack: a chain that exempts packets from connection tracking (iptables-legacy raw PREROUTING, priority -300); $UNTRACKED"
clear_rules
node iptables-legacy -t raw -A PREROUTING -d 10.0.0.10/32 -j CT --zone 3
names 'CT has other uses' "$NO_PROXY"
clear_rules

# ---- the cost, on a node with 10,000 rules of kube-proxy ----

look=$SB_BUILD/tests/platform/platform-look-around
slow=${NMI_SLOW:-1}
cost() { # FLAVOUR
	local usec kib
	read -r usec kib < <(node "$look")
	at_most "$1: the dearest of ten looks takes at most 50 ms of the processor (us)" "$usec" $((50000 * slow))
	at_most "$1: the process is at most 256 KiB larger (KiB)" "$kib" $((256 * slow))
	like "$1: it sees kube-proxy" "$(node "$look")" "chain KUBE-SERVICES, $1"
}
for flavour in nft legacy; do
	# as kube-proxy writes them: a service has a chain, and one for its endpoint
	python3 - "$SB_DIR/rules" <<-'END'
		import sys
		n = range(1, 3001)
		with open(sys.argv[1], "w") as f:
		    print("*nat", *(f":KUBE-S{x}-{i:05} - [0:0]" for i in n for x in ("VC", "EP")), ":KUBE-SERVICES - [0:0]",
		          *(f'-A KUBE-SERVICES -d 10.1.2.3/32 -p tcp -m comment --comment "shop/web-{i} cluster IP" -m tcp --dport 80 -j KUBE-SVC-{i:05}' for i in n),
		          *(f"-A KUBE-SVC-{i:05} -j KUBE-SEP-{i:05}" for i in n),
		          *(f"-A KUBE-SEP-{i:05} -s 10.244.0.9/32 -j MARK --set-xmark 0x4000/0x4000" for i in n),
		          *(f"-A KUBE-SEP-{i:05} -p tcp -m tcp -j DNAT --to-destination 10.244.0.9:8080" for i in n), "COMMIT", sep="\n", file=f)
	END
	node iptables-$flavour-restore <"$SB_DIR/rules" || bail "iptables-$flavour-restore"
	cost $flavour
	clear_rules
done

# ---- last, since the box does not work afterwards: no IPv4 ----

ip -n "$SB_NODE" addr add fd00:10:240::4/64 dev eth0 nodad
for link in eth0 imds0; do ip -n "$SB_NODE" -4 addr flush dev $link; done
names 'a node with IPv6 alone' "$NO_PROXY
warn ipv6-only: no IPv4 address besides loopback and link-local ones (but IPv6); the metadata service has an IPv4 address only, so there is nothing to redirect pods to; give this node an IPv4 address, or its pods workload identity without this agent"
like 'and the agent ends, with a reason that is no riddle' "$(tail -n 1 "$SB_DIR/nmi.log")" 'nmi-listen-address=auto: this node has no IPv4 address'
e2e_end
