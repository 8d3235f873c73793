#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Why not? A refused pod finds the reason where people look: `kubectl describe pod`; and the answer, the
# log line and the Event speak of the same request.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
e2e_begin whynot --pod-wait=500ms

events() { # NAMESPACE [POD]: reason, count, pod and message of each Event, oldest first
	sb_api GET "api/v1/namespaces/$1/events" | python3 -c 'import json, sys
for e in json.load(sys.stdin)["items"]:
    if len(sys.argv) < 2 or e["involvedObject"]["name"] == sys.argv[1]:
        print(e["reason"], e["count"], e["involvedObject"]["name"], e["message"], sep="\t")' "${@:2}"
}
has_event() { # NAMESPACE POD REASON
	events "$1" "$2" | cut -f1 | grep -qxF "$3"
}
count_events() { events "$@" | wc -l; }
told() { # SENTENCE NAMESPACE POD REASON REGEX: the Event comes, and what it must say
	passes "$1: an Event" eventually 3 has_event "$2" "$3" "$4"
	like "$1: which says" "$(events "$2" "$3" | grep "^$4")" "$5"
}

# ---- one mistake, a hundred requests ----

answers 'a pod without label is refused' 400 '"reason": ?"no_label"' plain "$SB_ASK"
first=$(sb_field correlation_id)
sentence=$(sb_field error_description)
like 'the request has an id' "$first" '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
for _ in {1..99}; do asks_ok plain; done
told 'a pod without label' shop plain NmiNoLabel 'no label aadpodidbinding'
sleep 1.5
is 'a hundred refusals are one Event' "$(count_events shop plain)" 1
is 'in the words of the answer, with its id' "$(events shop plain | cut -f4)" "$sentence (request $first)"
like 'the same id is in the log' "$(grep "request=$first" "$SB_DIR/nmi.log")" 'refused.*reason=no_label'
is 'the metric has counted it' "$(metric 'nmi_events_total{result="created"}')" 1

said=$(sb_kubectl -n shop describe pod plain 2>&1 | sed -n '/^Events:/,$p')
like 'kubectl describe pod: type, reason and who says it' "$said" 'Warning +NmiNoLabel +[^ ]+ +nmi'
like 'kubectl describe pod: the whole sentence' "$said" 'add it with the selector of an AzureIdentityBinding in namespace shop'
like 'kubectl describe pod: the request' "$said" "$first"
like 'kubectl get events finds all of them by reason' \
	"$(sb_kubectl get events -A --field-selector=reason=NmiNoLabel 2>&1)" 'pod/plain'

# ---- each mistake its own Event ----

sb_add_pod typo shop 10.244.0.31 aadpodidbinding=shpo
asks_ok typo
told 'a label that no binding selects' shop typo NmiNoBinding 'AzureIdentityBinding in namespace shop.*shpo'
sb_binding shop dangling nowhere dangling
sb_add_pod dangling shop 10.244.0.32 aadpodidbinding=dangling
asks_ok dangling
told 'a binding of no identity' shop dangling NmiIdentityNotFound 'AzureIdentity.*nowhere.*does not exist'
sb_ask web "$SB_ASK&client_id=$SB_BILLING"
told "somebody else's client id" shop web NmiIdentityNotBound "$SB_BILLING"
sb_identity other gone 99999999-aaaa-4000-8000-000000000009 "$SB_IDS/gone"
sb_binding other gone gone gone
sb_add_pod orphan other 10.244.0.22 aadpodidbinding=gone
asks_ok orphan
told 'an identity that the machine does not have' other orphan NmiUpstreamRefused 'az vmss identity assign.*/gone'
sb_imds fault area=token status=500 >/dev/null
sb_ask billing "$SB_TOKEN?api-version=2018-02-01&resource=https://down.example.com"
is 'IMDS out of order is a refusal' "$SB_STATUS" 503
sb_imds clear >/dev/null

# ---- two pods with one address ----

sb_pod_object twin shop 10.244.0.12 aadpodidbinding=billing
asks_503() { sb_ask billing "$SB_ASK" -m 3; [[ $SB_STATUS == 503 ]]; }
passes 'two pods with one address: nobody is served' eventually 5 asks_503
told 'the one' shop billing NmiAmbiguousIp '10\.244\.0\.12'
told 'the other' shop twin NmiAmbiguousIp '10\.244\.0\.12'
request_of() { events shop "$1" | sed -nE 's/.*\(request ([0-9a-f-]+)\)$/\1/p'; }
is 'both are of one request' "$(request_of twin)" "$(request_of billing)"
like 'which is in the log' "$(grep "request=$(request_of twin)" "$SB_DIR/nmi.log")" 'reason=ambiguous_ip'
sb_api DELETE 'api/v1/namespaces/shop/pods/twin?gracePeriodSeconds=0' >/dev/null
passes 'one again: served' eventually 2 asks_as billing "$SB_BILLING"
sleep 1
is 'what passes by itself made no Event' "$(events shop billing | cut -f1)" NmiAmbiguousIp

# ---- a pod that makes up ids ----

sb_add_pod nosy shop 10.244.0.33 aadpodidbinding=shop
msec=()
for n in {10..59}; do
	sb_ask nosy "$SB_ASK&client_id=99999999-0000-4000-8000-0000000000$n"
	msec+=("$SB_MSEC")
done
sleep 3
is 'a pod that asks for many ids gets four Events' "$(count_events shop nosy)" 4
at_most 'a refusal takes no longer for it: half of the times (ms)' "$(printf '%s\n' "${msec[@]}" | sort -g | sed -n 25p)" 100

# ---- without the right, without the API server, without Events ----

sb_stop_nmi
sb_api POST '_sandbox/forbid?resource=events' >/dev/null
sb_start_nmi --pod-wait=500ms
before=$(count_events shop)
sb_add_pod bare shop 10.244.0.34
sb_add_pod bare2 shop 10.244.0.35
answers 'no right to create events: the answer is as ever' 400 '"reason": ?"no_label"' bare "$SB_ASK"
answers 'no right to create events: also that of another pod' 400 '"reason": ?"no_label"' bare2 "$SB_ASK"
gives 'no right to create events: tokens are served' "$SB_SHOP" web "$SB_ASK"
failed_twice() { [[ $(metric 'nmi_events_total{result="failed"}') == 2 ]]; }
passes 'no right to create events: both were tried' eventually 5 failed_twice
is 'the log says once what is missing' "$(grep -c 'verb create on events' "$SB_DIR/nmi.log")" 1
sb_api POST '_sandbox/forbid?on=0' >/dev/null
is 'no Event was made' "$(count_events shop)" "$before"

sb_stop_nmi
sb_start_nmi --pod-wait=500ms
sb_api POST _sandbox/drop >/dev/null
answers 'an API server that does not answer: refused as ever' 400 '"reason": ?"no_label"' bare "$SB_ASK"
msec=("$SB_MSEC")
for n in 1 2; do
	sb_ask bare "$SB_ASK"
	msec+=("$SB_MSEC")
done
at_most 'an API server that does not answer: as quickly, the best of three (ms)' "$(printf '%s\n' "${msec[@]}" | sort -g | head -n 1)" 100
gives 'an API server that does not answer: tokens are served' "$SB_SHOP" web "$SB_ASK"
sb_api POST '_sandbox/drop?on=0' >/dev/null

sb_stop_nmi
sb_start_nmi --pod-wait=500ms --events=false
before=$(count_events shop)
answers '--events=false: refused as ever' 400 '"reason": ?"no_label"' bare2 "$SB_ASK"
sleep 1
is '--events=false: no Event' "$(count_events shop)" "$before"
is '--events=false: none was tried' "$(metric 'nmi_events_total')" 0

no_leak 'IMDS has seen no pod'
e2e_end
