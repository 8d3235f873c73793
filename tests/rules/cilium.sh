#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# An agent in a pod's network, without packet rules and without a capability, as docs/cilium.md has it: whoever is
# asking is served, refused, and never reaches the metadata service. Rules of nftables on the node stand for Cilium's
# local redirect policy, and for its network policy.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_box cilium
AGENT_IP=10.244.0.20
sb_add_pod nmi kube-system $AGENT_IP app=nmi || bail 'no pod for the agent'
link=$(<"$SB_DIR/pods/nmi.link")

# What the manifests and the page say, so that what is tried here is what is shipped.
mapfile -t args < <(sed -nE "/^\`\`\`yaml/,/^\`\`\`\$/s/^ *- (--[a-z-]+=[^ ]*).*/\\1/p" "$sb_root/docs/cilium.md")
is 'docs/cilium.md has the settings' "${args[*]}" '--redirect-backend=none --nmi-listen-address=0.0.0.0 --link-binding=off --host-token=off'
frontend=$(sed -nE 's/^ +ip: (.*)/\1/p' "$sb_root/deploy/cilium/redirect.yaml")
read -r front back < <(sed -nE 's/^ +- port: "([0-9]+)"/\1/p' "$sb_root/deploy/cilium/redirect.yaml" | tr '\n' ' ')
is 'what is redirected, and where to' "$frontend:$front to port $back" '169.254.169.254:80 to port 2579'

redirect() { # as Cilium does while an agent is ready
	sb_in "$SB_NODE" nft "table ip stand-in-redirect { chain pre { type nat hook prerouting priority dstnat;
		iifname != $link ip daddr $frontend tcp dport $front dnat to $AGENT_IP:$back; }; }"
}
no_redirect() { sb_in "$SB_NODE" nft delete table ip stand-in-redirect; }
guard() {
	sb_in "$SB_NODE" nft "table ip stand-in-guard { chain forward { type filter hook forward priority 0;
		iifname != { $link, imds0 } ip daddr $frontend tcp dport 80 drop; }; }"
}
no_guard() { sb_in "$SB_NODE" nft delete table ip stand-in-guard; }

launch() { # [ARGUMENT...]: with the user nobody, and not a capability
	local prog
	prog=$(sb_program nmi) || return
	: >"$SB_DIR/nmi.log"
	install -d -o 65534 "$SB_DIR/agent"
	chmod 711 "$SB_DIR" "$SB_DIR/pki" && chmod 644 "$SB_NMI_KUBECONFIG" "$SB_DIR/pki/ca.crt"
	sb_start nmi "$(sb_pod_ns nmi)" setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all --inh-caps=-all \
		--no-new-privs env ASAN_OPTIONS=detect_leaks=0 KUBECONFIG="$SB_NMI_KUBECONFIG" FORCENAMESPACED=true "$prog" --node "$SB_NODE_NAME" \
		--operation-mode=managed --http-probe-port=8085 --prometheus-port=9090 --run-directory="$SB_DIR/agent" "$@"
}
# Who reached IMDS: every pod but the agent, which is to.
leaks() {
	sb_imds stats | python3 -c 'import json, sys
print(sum(sum(n.values()) for ip, n in json.load(sys.stdin)["sources"].items() if ip.startswith("10.244.") and ip != "'$AGENT_IP'"))'
}
closed() { is "$1" "$(leaks)" 0; }

guard
redirect
launch "${args[@]}"
passes 'the agent serves' eventually 10 asks_ok web
capabilities() {
	local pid
	for pid in $(ip netns pids "$(sb_pod_ns nmi)"); do sed -nE 's/^Cap(Prm|Eff|Bnd):\s*//p' "/proc/$pid/status"; done | sort -u
}
is 'without a capability in any process' "$(capabilities)" 0000000000000000
like 'and says what is different' "$(<"$SB_DIR/nmi.log")" 'the kernel drops nothing \(--redirect-backend=none\)'
unlike 'it does not complain of its surroundings' "$(<"$SB_DIR/nmi.log")" 'around this node'
gives 'a pod has its identity, which the agent got of IMDS' "$SB_SHOP" web "$SB_ASK"
gives 'its neighbour has another' "$SB_BILLING" billing "$SB_ASK"
answers 'one without is refused' 400 no_label plain "$SB_ASK"
answers 'as is one that asks for what is not its own' 403 identity_not_bound web "$SB_ASK&client_id=$SB_BILLING"
answers 'credentials of the VM are not passed on' 404 not_found web '/metadata/identity/getplatformmetadata?cred-api-version=2.0'
gives "an exception has the node's, through the agent" "$SB_SYSTEM" addon "$SB_ASK"
answers 'instance metadata is' 200 vmId web '/metadata/instance?api-version=2021-02-01'
closed 'no pod reached IMDS'

# the agent's port, without the redirect
direct() { # NAMESPACE TARGET [CURL-ARGUMENT...]
	local out
	out=$(sb_in "$1" curl -s -m 15 -w '\n%{http_code}' -H 'Metadata: true' "${@:3}" "http://$AGENT_IP:2579$2")
	SB_BODY=${out%$'\n'*} SB_STATUS=${out##*$'\n'}
}
direct "$(sb_pod_ns plain)" "$SB_ASK"
was_answered 'at its own port everybody is who he is' 400 no_label
direct "$(sb_pod_ns plain)" "$SB_ASK" -H 'X-Forwarded-For: 10.244.0.11'
was_answered 'whatever he says' 400 'X-Forwarded-For'
direct "$(sb_pod_ns web)" "$SB_ASK"
was_given 'the owner of an identity too' "$SB_SHOP"
direct "$SB_API" "$SB_ASK"
was_answered 'a host beyond the node is no pod' 503 pod_unknown
direct "$(sb_pod_ns web)" "/host/token/?resource=$SB_ARM" -H 'podns: shop' -H 'podname: billing'
was_answered 'nobody asks for another' 404 not_found
direct "$(sb_pod_ns nmi)" "/host/token/?resource=$SB_ARM" -H 'podns: shop' -H 'podname: billing'
was_answered 'not in its own network either' 404 not_found
closed 'all that reached no IMDS'

# the agent is away: Cilium has nowhere to redirect to, and does not
sb_kill_nmi
no_redirect
sb_ask web "$SB_ASK" -m 1
is 'while no agent is ready a pod gets nothing' "$SB_STATUS" 000
closed 'and reaches nothing'
launch "${args[@]}"
redirect
passes 'the next agent serves' eventually 10 asks_ok web
closed 'without a request that went astray'

# what the settings are for
sb_stop_nmi
launch --redirect-backend=none --nmi-listen-address=0.0.0.0 --host-token=off --pod-wait=200ms
passes 'without --link-binding=off ...' eventually 10 sb_exec nmi curl -s -m 1 -o "$SB_DIR/livez" http://127.0.0.1:8085/livez
answers '... the link that is seen is nobody'"'"'s own' 503 link_mismatch web "$SB_ASK"
sb_stop_nmi
no_redirect
no_guard
sb_ask web "$SB_ASK"
was_given "without the guard, and without a ready agent, a pod has the node's identity" "$SB_SYSTEM"
e2e_end
