#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Requests that come before the agent knows their pod, or anything at all: they wait for the event, then the
# API server is asked once, then they are told when to come back. Who hangs up costs nothing further.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
e2e_begin wait --pod-wait=3s

tokens() { sb_imds stats | python3 -c 'import json,sys; print(json.load(sys.stdin)["total"]["token"])'; }
requests() { sb_api GET _sandbox/stats | python3 -c 'import json,sys; print(json.load(sys.stdin)["requests"])'; }
ms_beside() { awk -v m="$1" -v w="$2" 'BEGIN { d = m - w; print (d < 0 ? -d : d) }'; }

# ---- before its pod's event ----
sb_pod_net early 10.244.0.51
ask_bg early "$SB_ASK" && pid=$SB_SPAWNED
passes 'its pod is not known: the request waits' eventually 2 is_waiting 1
sleep 0.5
is 'and is not answered' "$(sb_born "$pid" | grep -c .)" 1
t=$EPOCHREALTIME
sb_pod_object early shop 10.244.0.51 aadpodidbinding=shop
wait "$pid"
at_most 'the event ends the wait, tools included (ms)' "$(msec_since "$t")" 1000
like 'with a token' "$(<"$SB_DIR/bg.status")" '^200 '
is 'of its own' "$(bg_client)" "$SB_SHOP"
is 'and nobody waits' "$(waiting)" 0

# a pod that is known, and has no address yet
sb_pod_net bare 10.244.0.52
sb_api POST api/v1/namespaces/shop/pods '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"bare",
	"namespace":"shop","labels":{"aadpodidbinding":"billing"}},"spec":{"nodeName":"'"$SB_NODE_NAME"'",
	"containers":[{"name":"main","image":"sandbox"}]},"status":{"phase":"Pending"}}' >/dev/null
ask_bg bare "$SB_ASK" && pid=$SB_SPAWNED
passes 'its pod has no address yet: the request waits' eventually 2 is_waiting 1
sb_pod_object bare shop 10.244.0.52 aadpodidbinding=billing
wait "$pid"
is 'until it has' "$(bg_client)" "$SB_BILLING"

# a crowd from one address
sb_pod_net crowd 10.244.0.53
# shellcheck disable=SC2016 # expanded there
sb_exec crowd sh -c 'for i in $(seq 50); do curl -s -m 20 -o /dev/null -w "%{http_code}\n" -H Metadata:true "http://169.254.169.254$1" & done; wait' \
	sh "$SB_ASK" >"$SB_DIR/crowd" &
crowd=$!
passes 'fifty wait' eventually 3 is_waiting 50
sb_pod_object crowd shop 10.244.0.53 aadpodidbinding=shop
wait $crowd
is 'and are served by one event' "$(sort "$SB_DIR/crowd" | uniq -c | xargs)" '50 200'

# ---- the watch is behind, or there is no such pod ----
one=$(requests)
two=$(requests) # what the question itself counts
sb_pod_net stranger 10.244.0.54
before=$(requests)
answers 'nobody has the address: asked to come back' 503 '10\.244\.0\.54.*pod_unknown' stranger "$SB_ASK"
at_most 'after the wait (ms beside it)' "$(ms_beside "$SB_MSEC" 3000)" 900
like 'and told when' "$SB_HEAD" 'Retry-After: [0-9]+'
is 'the API server was asked once' "$(($(requests) - before - (two - one)))" 1
sb_api POST '_sandbox/delay?msec=60000' >/dev/null
sb_add_pod late shop 10.244.0.55 aadpodidbinding=billing
before=$(requests)
gives 'its event does not come: the API server is asked' "$SB_BILLING" late "$SB_ASK"
at_most 'after the wait (ms beside it)' "$(ms_beside "$SB_MSEC" 3000)" 900
is 'once' "$(($(requests) - before - (two - one)))" 1
sb_api POST '_sandbox/delay?msec=0' >/dev/null
at_once() { asks_as late "$SB_BILLING" && ((${SB_MSEC%.*} < 500)); }
passes 'when it comes it is served at once' eventually 3 at_once

# ---- who hangs up ----
sb_identity shop quiet "$SB_KUBELET" "$SB_IDS/kubelet"
sb_binding shop quiet quiet quiet
hangs_up() { # POD TARGET: once it waits
	ask_bg "$1" "$2" && pid=$SB_SPAWNED
	eventually 2 is_waiting 1 || return
	kill "$pid"
	wait "$pid" 2>/dev/null
	eventually 2 is_waiting 0
}
sb_pod_net gone 10.244.0.56
asked=$(tokens) before=$(requests)
passes 'it hangs up while its pod is not known: it waits no more' hangs_up gone "$SB_ASK"
sleep 3.5
is 'the API server is not asked for it' "$(($(requests) - before - (two - one)))" 0
passes 'it hangs up again' hangs_up gone "$SB_ASK"
sb_pod_object gone shop 10.244.0.56 aadpodidbinding=quiet
sleep 0.5 # its pod is known
is 'no token is fetched for it' "$(tokens)" "$asked"
gives 'the next request is served' "$SB_KUBELET" gone "$SB_ASK"

# one that is at IMDS already is not taken back: its answer is for whoever asks next
sb_imds latency msec=1000 >/dev/null
asked=$(tokens)
passes 'it hangs up while its token is fetched: it waits no more' hangs_up gone "$SB_TOKEN?api-version=2018-02-01&resource=https://slow.example.com"
sleep 1.2
sb_imds latency msec=0 >/dev/null
gives 'the next request is served' "$SB_KUBELET" gone "$SB_TOKEN?api-version=2018-02-01&resource=https://slow.example.com"
is 'by what was fetched then' "$(tokens)" $((asked + 1))

# ---- start-up ----
restart() { # with an API server that says nothing
	sb_stop_nmi
	sb_api POST _sandbox/drop >/dev/null
	sb_imds reset >/dev/null
	sb_launch_nmi --pod-wait=10s
	sb_wait 10 'the listener' sb_in "$SB_NODE" curl -sf -m 2 http://127.0.0.1:8085/livez
}
not_ready() { ! sb_nmi_ready; }
restart
passes 'started, and the API server says nothing: not ready' not_ready
ask_bg web "$SB_ASK" && pid=$SB_SPAWNED
passes 'a request waits' eventually 3 is_waiting 1
sleep 1.5
is 'and is not refused' "$(sb_born "$pid" | grep -c .)" 1
sb_api POST '_sandbox/drop?on=0' >/dev/null
wait "$pid"
like 'once the lists are there it is served' "$(<"$SB_DIR/bg.status")" '^200 '
is 'as itself' "$(bg_client)" "$SB_SHOP"
passes 'and nmi is ready' eventually 5 sb_nmi_ready
restart
passes 'it hangs up during start-up: it waits no more' hangs_up web "$SB_ASK"
sb_api POST '_sandbox/drop?on=0' >/dev/null
passes 'nmi becomes ready' eventually 20 sb_nmi_ready
is 'no token is fetched for it' "$(tokens)" 0
gives 'the next request is served' "$SB_SHOP" web "$SB_ASK"

no_leak 'IMDS has seen no pod'
e2e_end
