#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Pods on links of their own: one that takes another's address gets no token by it, whether the other is
# there or gone; it is counted, and the log says which link it was.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
IP=10.244.0.11 # of the pod web
log_says() { grep -qE "$1" "$SB_DIR/nmi.log"; }
ask_as_web() { sb_ask billing "$SB_ASK" -m 2 --interface $IP; }
is_counted() { (($(metric nmi_spoofed_packets_total) > $1)); }

e2e_begin spoof-routed
gives 'the pod has its token' "$SB_SHOP" web "$SB_ASK"
gives 'so has another' "$SB_BILLING" billing "$SB_ASK"
is 'nothing was dropped' "$(metric nmi_spoofed_packets_total)" 0
sb_exec billing ip addr add $IP/32 dev eth0
ask_as_web
is 'the other under the address of the pod hears nothing' "$SB_STATUS$SB_BODY" 000
gives 'the pod is served meanwhile' "$SB_SHOP" web "$SB_ASK"
gives 'the other as itself' "$SB_BILLING" billing "$SB_ASK" --interface 10.244.0.12
passes 'it is counted' eventually 8 is_counted 0
passes 'a line in the log names address and link' eventually 12 \
	log_says "borrowed address: $IP came from link .*$(<"$SB_DIR/pods/billing.link")"

before=$(metric nmi_spoofed_packets_total)
sb_del_pod_net web
ask_as_web
is 'with the pod gone the other hears nothing' "$SB_STATUS$SB_BODY" 000
passes 'it is counted' eventually 8 is_counted "$before"
sb_api DELETE 'api/v1/namespaces/shop/pods/web?gracePeriodSeconds=0' >/dev/null
ask_as_web
is 'nor when the API server has forgotten the pod' "$SB_STATUS$SB_BODY" 000
is 'no pod is behind a bridge, so there is no table for any' \
	"$(sb_in "$SB_NODE" nft list tables | grep bridge)" ''
no_leak 'IMDS has seen no pod'
e2e_end
