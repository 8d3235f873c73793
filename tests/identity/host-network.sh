#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Pods on the host's network have the node's address, as every process of the node has: it is nobody's.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
e2e_begin hostnet --pod-wait=500ms --events=true

events() { sb_api GET "api/v1/namespaces/shop/events" | grep -o "\"name\":\"$1\"" | wc -l; }
host_ask() { # TARGET [CURL-ARGUMENT...]: a process of the node, at the agent's port
	local out
	out=$(sb_in "$SB_NODE" curl -s -m 10 -w '\n%{http_code}' -H 'Metadata: true' "${@:2}" "http://$SB_NODE_IP:2579$1")
	SB_BODY=${out%$'\n'*} SB_STATUS=${out##*$'\n'}
}

sb_pod_object proxy shop $SB_NODE_IP aadpodidbinding=shop
is 'a pod on the host network' "$(sb_kubectl -n shop get pod proxy -o 'jsonpath={.spec.hostNetwork} {.status.podIP}')" "true $SB_NODE_IP"
gives 'a pod of its own network is served beside it' "$SB_SHOP" web "$SB_ASK"

host_ask "$SB_ASK"
was_answered "the node asks the agent: it is not the pod on the host's network" 503 "no running pod .*$SB_NODE_IP.*host's network.*pod_unknown"
sb_pod_object exporter shop $SB_NODE_IP aadpodidbinding=billing
host_ask "$SB_ASK"
was_answered 'two of them are no doubled address' 503 pod_unknown
host_ask "$SB_ASK&client_id=$SB_SHOP"
was_answered 'nor is one had by its client id' 503 pod_unknown
sb_exception shop hosts app=hosts
sb_pod_object excepted shop $SB_NODE_IP app=hosts
host_ask "$SB_ASK"
was_answered 'nor by an exception' 503 pod_unknown
is 'no Event blames them' "$(events proxy) $(events exporter) $(events excepted)" '0 0 0'

asked() { metric 'aadpodidentity_nmi_operations_duration_seconds_count{namespace="",operation_type="/metadata/identity/oauth2/token"'; }
before=$(asked)
sb_ask_from "$SB_NODE" "$SB_ASK" -H 'Metadata: true'
was_given 'at the metadata address the node has its own identity, as ever' "$SB_SYSTEM"
is 'without the agent' "$(asked)" "$before"

# in its name the host may ask, as for every pod: a volume of it is mounted so
host_token() {
	local out
	out=$(sb_in "$SB_NODE" curl -s -m 10 -w '\n%{http_code}' -H 'podns: shop' -H "podname: $1" "http://127.0.0.1:2579/host/token/?resource=$SB_ARM")
	SB_BODY=${out%$'\n'*} SB_STATUS=${out##*$'\n'}
}
host_token proxy
was_given "root in its name: the identity that it is bound to" "$SB_SHOP"
host_token exporter
was_given 'and in the name of the other' "$SB_BILLING"

# it says that it has the address of another: that one is not hidden by it
sb_api POST api/v1/namespaces/shop/pods '{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop","name":"liar",
	"labels":{"aadpodidbinding":"billing"}},"spec":{"nodeName":"'"$SB_NODE_NAME"'","hostNetwork":true,
	"containers":[{"name":"a","image":"b"}]},"status":{"phase":"Running"}}' >/dev/null
sb_api PATCH api/v1/namespaces/shop/pods/liar/status '{"status":{"phase":"Running","podIP":"10.244.0.11",
	"podIPs":[{"ip":"10.244.0.11"}]}}' application/merge-patch+json >/dev/null
is 'one that says so' "$(sb_kubectl -n shop get pod liar -o 'jsonpath={.status.podIP}')" 10.244.0.11
sleep 0.3
gives 'is not served at it, and does not hide its owner' "$SB_SHOP" web "$SB_ASK"

# without rules the agent hears the node by loopback too
sb_stop_nmi
sb_start_nmi --pod-wait=500ms --redirect-backend=none --nmi-listen-address=0.0.0.0
for address in 127.0.0.1 127.0.0.9; do
	out=$(sb_in "$SB_NODE" curl -s -m 10 -w '\n%{http_code}' -H 'Metadata: true' "http://$address:2579$SB_ASK")
	SB_BODY=${out%$'\n'*} SB_STATUS=${out##*$'\n'}
	was_answered "the node asks by $address: no pod's token" 403 'from the node itself.*source_address'
done
is 'nor does an Event tell of it' "$(events proxy)" 0

no_leak 'IMDS has seen no pod'
e2e_end
