#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# kube-proxy in each of its modes on the same node, and what else AKS lays beside it: laid before nmi starts and
# while it runs, written anew again and again while pods ask. Nobody notices the other.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
e2e_begin kube-proxy
tool=$SB_BUILD/tests/platform/platform-tool
node() { sb_in "$SB_NODE" "$@"; }
flavour=''

# Behind the service; what it says has the address that it sees.
for pod in billing plain; do sb_start "svc-$pod" "$(sb_pod_ns "$pod")" "$tool" serve 0.0.0.0 8080 svc; done

jumps() { # of kube-proxy, which it makes once: CHAIN TO, in $1
	case $1 in
	iptables) printf '%s\n' 'filter FORWARD KUBE-FORWARD' 'filter INPUT KUBE-NODEPORTS' 'filter INPUT KUBE-FIREWALL' \
		'filter FORWARD KUBE-SERVICES' 'filter OUTPUT KUBE-FIREWALL' ;;
	ipvs) printf '%s\n' 'filter FORWARD KUBE-FORWARD' 'filter INPUT KUBE-IPVS-FILTER' ;;
	esac
	printf '%s\n' 'nat PREROUTING KUBE-SERVICES' 'nat OUTPUT KUBE-SERVICES' 'nat POSTROUTING KUBE-POSTROUTING'
}

lay_iptables() { # FILE KIND
	local table chain to
	node "iptables$flavour-restore" -w 5 --noflush <"$here/neighbours/$1" || return
	jumps "$2" | while read -r table chain to; do
		node "iptables$flavour" -w 5 -t "$table" -C "$chain" -j "$to" 2>/dev/null ||
			node "iptables$flavour" -w 5 -t "$table" -I "$chain" -j "$to"
	done
}

lay_sets() {
	node ipset restore -exist <<-'END'
		create KUBE-CLUSTER-IP hash:ip,port
		create KUBE-IPVS-IPS hash:ip
		create KUBE-LOOP-BACK hash:ip,port,ip
		create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
		add KUBE-CLUSTER-IP 10.0.0.50,tcp:80
		add KUBE-IPVS-IPS 10.0.0.50
		add KUBE-LOOP-BACK 10.244.0.12,tcp:8080,10.244.0.12
		add KUBE-NODE-PORT-TCP 30080
	END
	# a dummy there; this kernel may have none
	node ip link add kube-ipvs0 type dummy 2>/dev/null || node ip link add kube-ipvs0 type bridge 2>/dev/null
	node ip addr replace 10.0.0.50/32 dev kube-ipvs0
}

lay() { # MODE: again is a sync
	case $1 in
	iptables-nft) flavour=-nft && lay_iptables kube-proxy.iptables iptables ;;
	iptables-legacy) flavour=-legacy && lay_iptables kube-proxy.iptables iptables ;;
	ipvs) flavour=-nft && lay_sets && lay_iptables ipvs.iptables ipvs ;;
	nftables) { echo 'table ip kube-proxy { }; delete table ip kube-proxy'; cat "$here/neighbours/kube-proxy.nft"; } | node nft -f - ;;
	esac
}

lay_extras() { # once
	flavour=-nft
	[[ $1 != iptables-legacy ]] || flavour=-legacy
	node "iptables$flavour-restore" -w 5 --noflush <"$here/neighbours/azure.iptables"
}

# Everything is taken and laid again, as by a restart of kube-proxy, or by whoever restores a saved ruleset.
restart() { # MODE
	case $1 in
	nftables) node nft delete table ip kube-proxy ;;
	*)
		node "iptables$flavour-save" >"$SB_DIR/saved"
		node "iptables$flavour-restore" -w 5 <"$SB_DIR/saved" # without --noflush
		node "iptables$flavour" -w 5 -t nat -F
		node "iptables$flavour-restore" -w 5 <"$SB_DIR/saved"
		;;
	esac
	lay "$1"
}

clear_away() {
	local t
	for flavour in -nft -legacy; do
		for t in raw mangle filter nat; do
			node "iptables$flavour" -w 5 -t $t -F 2>/dev/null
			node "iptables$flavour" -w 5 -t $t -X 2>/dev/null
		done
	done
	node nft delete table ip kube-proxy 2>/dev/null
	node ip link del kube-ipvs0 2>/dev/null
	node ipset destroy 2>/dev/null
}

service() { # NAMESPACE ADDRESS PORT
	sb_in "$1" "$tool" get "$2" "$3" 2>&1
}

check() { # MODE WHEN
	[[ ${NMI_BACKEND:-} ]] && eventually 5 asks_as web "$SB_SHOP"
	gives "$1, $2: a pod is served as itself" "$SB_SHOP" web "$SB_ASK"
	answers "$1, $2: a pod without identity is refused" 400 no_label plain "$SB_ASK"
	no_leak "$1, $2: IMDS saw no pod"
	# where nmi's own rules are in iptables, what restores all of it takes them away
	[[ ${NMI_BACKEND:-} ]] || is "$1, $2: nobody had to repair anything" "$(metric nmi_redirect_repairs_total)" 0
	if [[ $1 == ipvs ]]; then
		echo "# $1, $2: this kernel has no ip_vs, so there are only the rules"
		return
	fi
	is "$1, $2: a ClusterIP answers, and sees the pod's address" "$(service "$(sb_pod_ns web)" 10.0.0.50 80)" 'svc 10.244.0.11'
	is "$1, $2: a NodePort answers, masqueraded" "$(service "$SB_API" "$SB_NODE_IP" 30080)" "svc $SB_NODE_IP"
	is "$1, $2: the node reaches the ClusterIP" "$(service "$SB_NODE" 10.0.0.50 80)" "svc $SB_NODE_IP"
}

for mode in iptables-nft iptables-legacy ipvs nftables; do
	sb_stop_nmi
	node "$(sb_program nmi)" uninstall >/dev/null 2>&1
	passes "$mode: the rules can be laid" lay $mode
	lay_extras $mode || not_ok "$mode: the extras cannot be laid"
	sb_start_nmi || bail 'nmi does not start'
	sb_imds reset >/dev/null
	check $mode 'laid before nmi'
	asking web "$SB_ASK"
	asking plain "$SB_ASK"
	for _ in {1..10}; do lay $mode; done
	for _ in {1..5}; do restart $mode; done
	answered
	echo "# $mode: $(tr '\n' ' ' <<<"$replies")"
	like "$mode, synced and restarted: the pod was served" "$replies" '(^|'$'\n'')200 [0-9]+'
	[[ ${NMI_BACKEND:-} ]] || unlike "$mode, synced and restarted: no request was lost or refused by the way" "$replies" 'error [0-9]+'
	check $mode 'synced and restarted'
	clear_away
	passes "$mode, gone: a pod is served" eventually 5 asks_as web "$SB_SHOP"
	lay $mode && lay_extras $mode
	check $mode 'laid after nmi'
	clear_away
done
e2e_end
