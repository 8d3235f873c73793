#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Whatever is changed in the cluster counts with the next request, also for a token that is cached and for a
# connection that is open.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
e2e_begin changes --pod-wait=1s

refused_with() { sb_ask web "$SB_ASK" -m 2; [[ $SB_STATUS == 4?? && $SB_BODY == *"\"$1\""* ]]; }
patch() { sb_api PATCH "$1" "$2" application/merge-patch+json >/dev/null; } # PATH JSON
pod=api/v1/namespaces/shop/pods/web identities=$SB_GROUP/namespaces/shop/azureidentities
bindings=$SB_GROUP/namespaces/shop/azureidentitybindings
exceptions=$SB_GROUP/namespaces/shop/azurepodidentityexceptions
tokens() { sb_imds stats | python3 -c 'import json,sys; print(json.load(sys.stdin)["total"]["token"])'; }

# Each begins and ends with the pod's own token, cached; as_ever() takes it back.
changes() { # SENTENCE WHAT-THEN(reason, or client id) COMMAND...
	local sentence=$1 then=$2 t
	shift 2
	gives "$sentence: before it, its own" "$SB_SHOP" web "$SB_ASK"
	"$@" >/dev/null
	t=$EPOCHREALTIME
	if [[ $then == *-* ]]; then
		passes "$sentence: another identity" eventually 2 asks_as web "$then"
	else
		passes "$sentence: refused, $then" eventually 2 refused_with "$then"
	fi
	at_most "$sentence: soon (ms)" "$(msec_since "$t")" 500
	as_ever
	passes "$sentence: taken back, its own" eventually 2 asks_as web "$SB_SHOP"
}

as_ever() { patch "$pod" '{"metadata":{"labels":{"aadpodidbinding":"shop"}}}'; }
changes 'the label is changed' "$SB_BILLING" \
	patch "$pod" '{"metadata":{"labels":{"aadpodidbinding":"billing"}}}'
changes 'the label is changed to one that nothing selects' no_binding \
	patch "$pod" '{"metadata":{"labels":{"aadpodidbinding":"nothing"}}}'
changes 'the label is emptied' no_label patch "$pod" '{"metadata":{"labels":{"aadpodidbinding":""}}}'
changes 'the label is removed' no_label patch "$pod" '{"metadata":{"labels":{"aadpodidbinding":null}}}'

as_ever() { sb_binding shop shop shop shop; }
changes 'the binding is deleted' no_binding sb_api DELETE "$bindings/shop"
changes 'the binding names another identity' "$SB_BILLING" \
	patch "$bindings/shop" '{"spec":{"azureIdentity":"billing"}}'
changes 'the binding names one that is not there' identity_not_found \
	patch "$bindings/shop" '{"spec":{"azureIdentity":"nowhere"}}'
changes 'the binding selects another label' no_binding \
	patch "$bindings/shop" '{"spec":{"selector":"else"}}'
as_ever() { sb_api DELETE "$bindings/heavy" >/dev/null; }
changes 'a heavier binding comes' "$SB_BILLING" sb_binding shop heavy billing shop 9

as_ever() { sb_identity shop shop "$SB_SHOP" "$SB_IDS/shop"; }
changes 'the identity is deleted' identity_not_found sb_api DELETE "$identities/shop"
changes 'the client id of the identity is edited' "$SB_BILLING" \
	patch "$identities/shop" "{\"spec\":{\"clientID\":\"$SB_BILLING\"}}"
changes 'the client id of the identity is removed' identity_invalid \
	patch "$identities/shop" '{"spec":{"clientID":""}}'

as_ever() { sb_api DELETE "$exceptions/web" >/dev/null; }
changes 'an exception covers it' "$SB_SYSTEM" sb_exception shop web app=web
sb_exception shop web app=nobody
changes 'an exception is widened' "$SB_SYSTEM" patch "$exceptions/web" '{"spec":{"podLabels":{"app":"WEB"}}}'

# what is written anew without a change fetches nothing
asked=$(tokens)
patch "$identities/shop" '{"metadata":{"annotations":{"note":"1"}}}'
patch "$bindings/shop" '{"metadata":{"annotations":{"note":"1"}}}'
patch "$pod" '{"metadata":{"annotations":{"note":"1"}}}'
sleep 0.3
gives 'notes on all three change nothing' "$SB_SHOP" web "$SB_ASK"
is 'and IMDS is not asked again' "$(tokens)" "$asked"

# a connection that is open, and a token under way
patch "$pod" '{"metadata":{"labels":{"aadpodidbinding":"billing"}}}'
passes 'relabelled' eventually 2 asks_as web "$SB_BILLING"
sb_imds latency msec=800 >/dev/null
ask_bg web "$SB_TOKEN?api-version=2018-02-01&resource=https://slow.example.com" && pid=$SB_SPAWNED
passes 'a token is under way' eventually 2 is_waiting 1
patch "$pod" '{"metadata":{"labels":{"aadpodidbinding":"nothing"}}}'
wait "$pid"
like 'the label is changed meanwhile: it is not handed out' "$(<"$SB_DIR/bg.status") $(<"$SB_DIR/bg")" '^400 .*no_binding'
sb_imds latency msec=0 >/dev/null

no_leak 'IMDS has seen no pod'
e2e_end
