#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The API server is away for a minute, in the two ways that it can be: known pods are served all the
# while, and what changed meanwhile counts within a second of its return.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
AWAY_SEC=${NMI_E2E_AWAY_SEC:-60}
e2e_begin api-down
asks_ok web || bail 'nothing works to begin with'

# Refused: as when the process is gone. Silent: as when the machine or the way to it is. The server
# itself goes on, and is changed from where it runs.
refused() {
	sb_in "$SB_API" nft 'add table ip away;
		add chain ip away in { type filter hook input priority 0; };
		add chain ip away out { type filter hook output priority 0; };
		add rule ip away in ip saddr '"$SB_NODE_IP"' tcp dport 6443 reject with tcp reset;
		add rule ip away out ip daddr '"$SB_NODE_IP"' tcp sport 6443 tcp flags & rst == 0 drop'
	sb_in "$SB_API" ss -K dst "$SB_NODE_IP" >/dev/null 2>&1 || true
}
silent() {
	sb_in "$SB_API" nft 'add table ip away;
		add chain ip away in { type filter hook input priority 0; };
		add chain ip away out { type filter hook output priority 0; };
		add rule ip away in ip saddr '"$SB_NODE_IP"' tcp dport 6443 drop;
		add rule ip away out ip daddr '"$SB_NODE_IP"' tcp sport 6443 drop'
}
back() { sb_in "$SB_API" nft delete table ip away; }
from_the_server() { SB_FROM=$SB_API "$@"; }

away() { # HOW SECONDS-AWAY SECONDS-TO-RETURN NUMBER
	local how=$1 end=$((SECONDS + $2)) good=0 bad='' n=0 t
	"$how"
	while ((SECONDS < end)); do
		n=$((n + 1))
		sb_ask web "$SB_ASK" -m 5
		if [[ $SB_STATUS == 200 ]]; then good=$((good + 1)); else bad+="$SB_STATUS $SB_BODY"; fi
		sb_ask billing "$SB_TOKEN?api-version=2018-02-01&resource=https://$how$n.example.com" -m 5
		if [[ $SB_STATUS == 200 ]]; then good=$((good + 1)); else bad+="$SB_STATUS $SB_BODY"; fi
		sleep 0.5
	done
	is "$how: known pods are served all the while, cached tokens and new ones" "$good of $((2 * n)) $bad" "$((2 * n)) of $((2 * n)) "
	sb_ask plain "$SB_ASK" -m 5
	is "$how: who has no identity still has none" "$SB_STATUS" 400
	t=$(sb_in "$SB_NODE" curl -s -m 5 -o /dev/null -w '%{http_code}' http://127.0.0.1:8085/healthz)
	is "$how: nmi is alive" "$t" 200

	# changed while nmi cannot see it
	from_the_server sb_binding shop shop billing shop
	from_the_server sb_add_pod "new$4" shop "10.244.0.4$4" aadpodidbinding=shop
	from_the_server sb_api DELETE "$SB_GROUP/namespaces/shop/azureidentitybindings/billing" >/dev/null
	gives "$how: nothing of that counts yet" "$SB_SHOP" web "$SB_ASK"
	back
	t=$EPOCHREALTIME
	passes "$how: a binding changed meanwhile counts" eventually 40 asks_as web "$SB_BILLING"
	at_most "$how: in time (ms)" "$(msec_since "$t")" "$3"
	passes "$how: a pod that came meanwhile is served" eventually 5 asks_as "new$4" "$SB_BILLING"
	at_most "$how: as much in time (ms)" "$(msec_since "$t")" "$3"
	gone() { sb_ask billing "$SB_ASK" -m 2; [[ $SB_STATUS == 400 ]]; }
	passes "$how: a binding deleted meanwhile is gone" eventually 5 gone
	at_most "$how: in time too (ms)" "$(msec_since "$t")" "$3"
	sb_binding shop billing billing billing
	sb_binding shop shop shop shop
	passes "$how: and all is as before" eventually 2 asks_as web "$SB_SHOP"
	passes "$how: the watches are up" eventually 5 sb_nmi_ready
}

away refused "$AWAY_SEC" 1000 1
# a lost packet is not news: what is sent into silence is repeated by the kernel ever more slowly
away silent $((AWAY_SEC / 3)) 5000 2

# started while it is away: requests wait, nobody is let through
refused
sb_kill_nmi
sb_launch_nmi
sb_imds reset >/dev/null
sb_ask web "$SB_ASK" -m 3
like 'started without API server: not served' "$SB_STATUS" '^(000|503)$'
no_leak 'started without API server: IMDS saw no pod'
not_ready() { ! sb_nmi_ready; }
passes 'started without API server: not ready' not_ready
sb_ask web "$SB_ASK" -m 25 &
back
passes 'once it is there: served' eventually 5 asks_as web "$SB_SHOP"
passes 'and ready' eventually 2 sb_nmi_ready
wait
no_leak 'IMDS has seen no pod'
e2e_end
