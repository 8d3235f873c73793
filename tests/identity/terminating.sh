#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A pod that is being deleted is served in its grace period, for as long as its link stands. Once that has
# gone, its UID never claims the address again; another UID does.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
IP=10.244.0.11
WEB=api/v1/namespaces/shop/pods/web
e2e_begin terminating --pod-wait=1s

web() { sb_api GET "$WEB" | tr -d ' \n'; }
finalizers() { # JSON: what keeps the object while the pod is being deleted
	sb_api PATCH "$WEB" "{\"metadata\":{\"finalizers\":$1}}" application/merge-patch+json >/dev/null
}
log_says() { grep -qF "$1" "$SB_DIR/nmi.log"; }

gives 'a pod has its token' "$SB_SHOP" web "$SB_ASK"
uid=$(web | grep -o '"uid":"[^"]*"' | tail -n 1)
finalizers '["sandbox.example.com/hold"]'
sb_api DELETE "$WEB?gracePeriodSeconds=30" >/dev/null
like 'it is being deleted' "$(web)" '"deletionTimestamp":"[^"]+"'
sleep 0.3
gives 'and has its token' "$SB_SHOP" web "$SB_ASK"
sleep 1.5 # it has stopped, as far as the API server knows; only a controller holds the object
gives 'as long as it runs' "$SB_SHOP" web "$SB_ASK"

ip -n "$SB_NODE" link del "$(<"$SB_DIR/pods/web.link")"
sb_del_pod_net web
sb_pod_net web "$IP" # the same UID, the same address, another link
answers 'its UID is not served by another link' 503 'no pod|not known|unknown' web "$SB_ASK" -m 10
like 'though the API server still has it' "$(web)" "$uid"
sb_pod_object heir shop "$IP" aadpodidbinding=billing
passes 'another UID is, as itself' eventually 3 asks_as web "$SB_BILLING" # asked from the same namespace

# Whose link it is, an agent that has not seen the first one's cannot know while both are there.
sb_stop_nmi
sb_start_nmi --pod-wait=1s || bail 'nmi does not start'
answers 'after a restart neither is' 503 "$IP" web "$SB_ASK" -m 10
finalizers '[]'
passes 'until the one that is being deleted has gone' eventually 3 asks_as web "$SB_BILLING"
no_leak 'IMDS has seen no pod'
e2e_end
