#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A connection belongs to the pod whose request was first decided on it: it does not become another pod's
# with the address.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.sh
source "$here/../e2e/lib.sh"
e2e_begin connection --pod-wait=2s

coproc HELD { exec nsenter --net="/run/netns/$(sb_pod_ns web)" python3 "$here/connection.py"; }
held() { # the next answer on the connection that is kept
	local line
	echo ask >&"${HELD[1]}"
	read -r -t 20 line <&"${HELD[0]}"
	printf '%s\n' "$line"
}
is 'a pod keeps its connection' "$(held)" "200 $SB_SHOP"
is 'and is served on it' "$(held)" "200 $SB_SHOP"
sb_pod_object web shop 10.244.0.11 app=web,aadpodidbinding=billing
passes 'its label changes' eventually 5 asks_as web "$SB_BILLING"
is 'the next request follows, on the same connection' "$(held)" "200 $SB_BILLING"

# The network stays as it is: only the objects say that the address has gone to another pod.
sb_api DELETE 'api/v1/namespaces/shop/pods/web?gracePeriodSeconds=0' >/dev/null
sb_pod_object successor shop 10.244.0.11 aadpodidbinding=shop
passes "the address becomes another pod's" eventually 5 asks_as web "$SB_SHOP"
is 'which is not answered on the connection of the first' "$(held)" closed
is 'that is counted' "$(metric 'nmi_refusals_total{reason="stale_connection"}')" 1
passes 'and logged, once' grep -q 'reason=stale_connection' "$SB_DIR/nmi.log"
unlike 'without the name of either pod' "$(grep stale_connection "$SB_DIR/nmi.log")" 'successor|shop/web'
gives 'a new connection is its own' "$SB_SHOP" web "$SB_ASK"
stop=${HELD[1]}
exec {stop}>&-
wait "$HELD_PID" 2>/dev/null
no_leak 'IMDS has seen no pod'
e2e_end
