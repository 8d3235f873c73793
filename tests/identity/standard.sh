#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Standard mode: what the controller has assigned decides; what it has not assigned yet is waited for, by
# event.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
STANDARD=(--operation-mode=standard --forceNamespaced=false -v 4)

ms_beside() { awk -v m="$SB_MSEC" -v w="$1" 'BEGIN { d = m - w; print d < 0 ? -d : d }'; }

e2e_box standard
sb_start_nmi "${STANDARD[@]}" || bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"
like 'the log says the mode' "$(<"$SB_DIR/nmi.log")" 'in standard mode for node'
for r in azureassignedidentities azurepodidentityexceptions pods; do
	is "$r are watched" "$(metric "nmi_watch_up{resource=\"$r\"}")" 1
done
unlike 'identities and bindings are not' "$(sb_metrics)" 'resource="azureidentit'

# the example has identity, binding and label; the controller has not said a word
ask_bg web "$SB_ASK" && pid=$SB_SPAWNED
passes 'nothing assigned: the request waits' eventually 5 is_waiting 1
sb_assigned shop web shop "$SB_SHOP" Created
sleep 0.3
is 'Created: it waits on' "$(waiting) $(sb_born "$pid" | grep -c .)" '1 1'
t=$EPOCHREALTIME
sb_assigned_state shop web shop Assigned
wait "$pid"
at_most 'Assigned: it is answered, tools included (ms)' "$(msec_since "$t")" 1000
like 'with 200' "$(<"$SB_DIR/bg.status")" '^200 '
is 'by the identity that was assigned' "$(bg_client)" "$SB_SHOP"
gives 'from then on at once' "$SB_SHOP" web "$SB_ASK"
is 'and nobody waits' "$(waiting)" 0

# how soon, measured from the change sent to the API server
out=$(sb_in "$SB_NODE" python3 "$here/assign.py" 15 "$(sb_pod_ns web)" "$SB_ASK" "$SB_API_IP:6443" \
	"$SB_DIR/pki/ca.crt" "$SB_DIR/token" "$(sb_assigned_path shop web shop)" 2>&1)
is 'fifteen times Created, Assigned: each time the pod waits and has its token' \
	"$(cut -d' ' -f1 <<<"$out" | sort | uniq -c | xargs)" '15 200'
at_most 'within 10 ms of the word, median of 15' "$(cut -d' ' -f2 <<<"$out" | sort -n | sed -n 8p)" 10

# a caller that hangs up
sb_assigned_state shop web shop Created
passes 'Created again, although its token is cached: it waits' eventually 5 eval '
	ask_bg web "$SB_ASK"; p=$SB_SPAWNED; eventually 1 is_waiting 1; r=$?; kill $p; wait $p 2>/dev/null; ((r == 0))'
passes 'who hangs up does not wait any more' eventually 2 is_waiting 0
sb_assigned_state shop web shop Assigned
passes 'and the next is served' eventually 2 asks_as web "$SB_SHOP"

# whose it is
sb_assigned shop billing billing "$SB_BILLING" Assigned node=another-node
sb_ask billing "$SB_ASK" -m 1
is "another node's is not this one's" "$SB_STATUS" 000
sb_assigned shop billing billing "$SB_BILLING" Assigned
passes 'once it is of this node it is' eventually 2 asks_as billing "$SB_BILLING"
sb_assigned shop billing billing "$SB_BILLING" Assigned node=another-node
sleep 0.3
sb_ask billing "$SB_ASK" -m 1
is 'and when it moves away no more, cached token or not' "$SB_STATUS" 000
sb_assigned shop billing billing "$SB_BILLING" ''
passes 'without a state, of an old controller: usable' eventually 2 asks_as billing "$SB_BILLING"
answers 'a pod without the label is refused' 400 no_label plain "$SB_ASK"
at_most 'at once (ms)' "$SB_MSEC" 1000
sb_assigned shop plain shop "$SB_SHOP" Assigned
answers 'whatever is assigned to it' 400 no_label plain "$SB_ASK"
sb_api PATCH api/v1/namespaces/shop/pods/billing '{"metadata":{"labels":{"aadpodidbinding":"other"}}}' application/merge-patch+json >/dev/null
sleep 0.3
sb_ask billing "$SB_ASK" -m 1
is 'a label that was changed takes the old identity away' "$SB_STATUS" 000
sb_assigned shop billing billing "$SB_BILLING" Assigned selector=other
passes 'until the controller has seen it' eventually 2 asks_as billing "$SB_BILLING"

# several, and by id
sb_assigned shop web billing "$SB_BILLING" Assigned selector=shop weight=5
passes 'of two the heavier binding wins' eventually 2 asks_as web "$SB_BILLING"
gives 'the other is had by its client id, in any case' "$SB_SHOP" web "$SB_ASK&client_id=${SB_SHOP^^}"
gives 'or resource id' "$SB_SHOP" web "$SB_ASK&msi_res_id=${SB_IDS^^}/SHOP"
answers 'an id that it does not have is refused, not waited for' 403 access_denied web "$SB_ASK&client_id=$SB_KUBELET"
at_most 'at once (ms)' "$SB_MSEC" 1000
answers 'object_id is refused' 400 selector_unsupported web "$SB_ASK&object_id=22222222-bbbb-4000-8000-000000000002"
sb_assigned_state shop web billing Created
passes 'what is not assigned is not chosen' eventually 2 asks_as web "$SB_SHOP"
sb_api DELETE "$(sb_assigned_path shop web billing)" >/dev/null

# namespaces
sb_add_pod spaced other 10.244.0.31 aadpodidbinding=shop
sb_assigned other spaced shop "$SB_SHOP" Assigned ns=shop
passes 'an identity of another namespace is given' eventually 2 asks_as spaced "$SB_SHOP"
sb_assigned other spaced shop "$SB_SHOP" Assigned ns=shop behavior=namespaced
mismatch() { sb_ask "$1" "$SB_ASK" -m 2; [[ $SB_STATUS == 403 && $SB_BODY == *namespace_mismatch* ]]; }
passes 'unless it is annotated, token cached or not' eventually 2 mismatch spaced

# exceptions, and the controller itself
gives 'an excepted pod gets what the node gets' "$SB_SYSTEM" addon "$SB_ASK"
sb_account default aad-pod-id-mic-service-account
sb_account default mic
sb_account shop aad-pod-id-mic-service-account
sb_add_pod mic-1 default 10.244.0.32 app=mic aad-pod-id-mic-service-account
sb_add_pod mic-2 default 10.244.0.33 app=mic mic
sb_add_pod mic-3 shop 10.244.0.34 app=mic aad-pod-id-mic-service-account
gives "so does the controller's pod" "$SB_SYSTEM" mic-1 "$SB_ASK"
gives 'by client id as well' "$SB_KUBELET" mic-1 "$SB_ASK&client_id=$SB_KUBELET"
answers 'a pod of a name like it does not' 400 no_label mic-2 "$SB_ASK"
answers 'nor one of that account elsewhere' 400 no_label mic-3 "$SB_ASK"

# the longest waits, and the other settings
sb_stop_nmi
sb_start_nmi "${STANDARD[@]}" --retry-attempts-for-created=2 --retry-attempts-for-assigned=1 \
	--find-identity-retry-interval=1 --set-retry-after-header=true --mic-service-account=other,mic ||
	bail 'nmi does not start again'
sb_add_pod fresh shop 10.244.0.35 aadpodidbinding=shop
answers 'nothing assigned: told so after the longest wait' 503 'no AzureAssignedIdentity exists.*not_assigned_yet' fresh "$SB_ASK"
at_most 'which is two intervals (ms beside it)' "$(ms_beside 2000)" 900
like 'and when to come back' "$SB_HEAD" 'Retry-After: [0-9]+'
sb_assigned shop fresh shop "$SB_SHOP" Created
answers 'Created: told so after the longer one' 503 'in state Created.*MIC.*not_assigned_yet' fresh "$SB_ASK"
at_most 'which is three intervals (ms beside it)' "$(ms_beside 3000)" 900
like 'counted by reason' "$(metric 'nmi_refusals_total{reason="not_assigned_yet"}')" '^2$'
gives 'the accounts of the controller can be set' "$SB_SYSTEM" mic-2 "$SB_ASK"
answers 'in place of the usual ones' 400 no_label mic-1 "$SB_ASK"
sb_stop_nmi
sb_start_nmi "${STANDARD[@]}" --forceNamespaced=true || bail 'nmi does not start namespaced'
like 'the log says namespaced' "$(tail -n 20 "$SB_DIR/nmi.log")" 'in standard mode, namespaced, for node'
sb_assigned other spaced shop "$SB_SHOP" Assigned ns=shop
passes 'namespaced, it counts in its namespace only' eventually 2 mismatch spaced
gives 'where it does' "$SB_SHOP" web "$SB_ASK"

no_leak 'IMDS has seen no pod'
e2e_end
