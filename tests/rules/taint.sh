#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The start-up taint: it stays until the agent is ready, then it goes, once, and nothing else of the node does.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

KEY=nmi.azure.com/not-ready
NODE=api/v1/nodes/$SB_NODE_NAME
OURS="{\"key\":\"$KEY\",\"value\":\"true\",\"effect\":\"NoSchedule\"}"
OURS_TOO="{\"key\":\"$KEY\",\"effect\":\"NoExecute\"}"
GPU='{"key":"sku","value":"gpu","effect":"NoSchedule"}'
FULL='{"key":"node.kubernetes.io/disk-pressure","effect":"NoSchedule"}'
LATE='{"key":"late","effect":"NoExecute"}'

taint() { # TAINT...: these and no others
	local IFS=,
	sb_api PATCH "$NODE" "{\"spec\":{\"taints\":[$*]}}" application/merge-patch+json >/dev/null
}
node() { # EXPRESSION of the node
	sb_api GET "$NODE" | python3 -c "import json, sys; n = json.load(sys.stdin); print($1)"
}
taints() { node "' '.join(t['key'] + ':' + t['effect'] for t in n['spec'].get('taints', []))"; }
taints_are() { [[ $(taints) == "$1" ]]; }
raise() { # FILES of deploy/rbac
	sb_down
	{ SB_RBAC=$1 sb_up && sb_example; } || bail "the box with $1 cannot be raised"
}
says() { grep -cE "$1" "$SB_DIR/nmi.log"; } # of this run and those before
OTHERS='sku:NoSchedule node.kubernetes.io/disk-pressure:NoSchedule'

e2e_box taint
raise 'nmi managed startup-taint'

# ---- what the API server takes for taints; the real one's rules ----

for bad in "$OURS,$OURS" '{"key":"a b","effect":"NoSchedule"}' '{"key":"a"}' '{"key":"a","effect":"Never"}'; do
	like "no node can have the taints $bad" "$(sb_api PATCH "$NODE" \
		"{\"spec\":{\"taints\":[$bad]}}" application/merge-patch+json 2>/dev/null)" '"code": ?422'
done
taint "$GPU" "$FULL"
sb_api PATCH "$NODE" "{\"spec\":{\"taints\":[$LATE]}}" application/strategic-merge-patch+json >/dev/null
is 'their list is atomic' "$(taints)" late:NoExecute

# ---- not before the agent is ready ----

taint "$GPU" "$OURS" "$FULL" "$OURS_TOO"
sb_api PATCH "$NODE" '{"metadata":{"labels":{"pool":"one"}}}' application/merge-patch+json >/dev/null
tainted=$(taints)
sb_api POST '_sandbox/forbid?resource=azureidentities' >/dev/null
sb_launch_nmi --startup-taint="$KEY"
passes 'an agent that is not ready' eventually 10 says 'packet rules in place'
sleep 1
passes 'is not ready a second later' eval '! sb_nmi_ready'
is 'and the node has its taints' "$(taints)" "$tainted"
sb_api POST '_sandbox/forbid?on=0' >/dev/null
passes 'the agent gets ready' eventually 30 sb_nmi_ready
passes 'then both taints of the key go, and no other' eventually 3 taints_are "$OTHERS"
is 'nor anything else of the node' "$(node "n['metadata']['labels']['pool'], n['status']['conditions'][0]['type']")" 'one Ready'
is 'which is one line' "$(says "taint $KEY removed from node $SB_NODE_NAME: the agent is ready")" 1
gives 'pods are served' "$SB_SHOP" web "$SB_ASK"

# ---- by an administrator again ----

taint "$GPU" "$OURS" "$FULL"
before=$(taints)
sleep 1.5
is 'put back by somebody, it stays while this agent runs' "$(taints)" "$before"
sb_stop_nmi
is 'and when it stops' "$(taints)" "$before"
sb_start_nmi --startup-taint="$KEY" || bail 'nmi does not start a second time'
passes 'until the next one is ready' eventually 3 taints_are "$OTHERS"
sb_stop_nmi

# ---- somebody else changes them at the same time ----

overtaken() { # SENTENCE TAINTS-AT-THE-SAME-TIME WANT
	taint "$GPU" "$OURS" "$FULL"
	sb_api POST _sandbox/overtake "{\"spec\":{\"taints\":[$2]}}" >/dev/null
	sb_start_nmi --startup-taint="$KEY" || bail 'nmi does not start'
	passes "$1" eventually 5 taints_are "$3"
	sb_stop_nmi
}
overtaken 'one that is added behind is kept' "$GPU,$OURS,$FULL,$LATE" "$OTHERS late:NoExecute"
overtaken 'one that is added before is kept' "$LATE,$GPU,$OURS,$FULL" "late:NoExecute $OTHERS"
overtaken 'one that takes its place is kept' "$GPU,$LATE" 'sku:NoSchedule late:NoExecute'
overtaken 'all gone' '' ''
is 'and there was nothing to warn of' "$(says 'cannot be removed')" 0

# ---- not asked for ----

taint "$OURS"
sb_start_nmi || bail 'nmi does not start without the setting'
sleep 1
is 'without the setting it stays' "$(taints)" "$KEY:NoSchedule"
sb_stop_nmi

# ---- without the right ----

raise 'nmi managed'
taint "$OURS"
sb_start_nmi --startup-taint="$KEY" || bail 'nmi does not get ready without the right'
passes 'without the right: what is missing is told' eventually 5 \
	says "taint $KEY of node $SB_NODE_NAME cannot be removed.*get and patch on nodes .deploy/rbac/startup-taint.yaml"
gives 'and pods are served' "$SB_SHOP" web "$SB_ASK"
sleep 3
is 'it is told once' "$(says 'cannot be removed')" 1
is 'and the node keeps it' "$(taints)" "$KEY:NoSchedule"
sb_stop_nmi

# ---- a right that is there in half, and comes ----

raise 'nmi managed startup-taint'
taint "$OURS"
sb_api POST '_sandbox/forbid?resource=nodes&verbs=patch' >/dev/null
sb_start_nmi --startup-taint="$KEY" || bail 'nmi does not get ready'
passes 'without patch it is told too' eventually 5 says 'HTTP 403: .*cannot patch resource'
sb_api POST '_sandbox/forbid?on=0' >/dev/null
passes 'once it is granted the taint goes, without a restart' eventually 10 taints_are ''
e2e_end
