#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A connection belongs to the pod whose request was first decided on it: it ends when that pod's claim on the
# address does, by its object or by its link, and does not become another pod's.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.sh
source "$here/../e2e/lib.sh"
e2e_begin connection --pod-wait=2s

coproc HELD { exec nsenter --net="/run/netns/$(sb_pod_ns web)" python3 "$here/connection.py"; }
let_go() {
	local end=${HELD[1]} pid=$HELD_PID
	exec {end}>&-
	wait "$pid" 2>/dev/null
}
connections() { metric nmi_connections; }
knows_pods() { [[ $(metric nmi_pods) == "$1" ]]; }
none_open() { [[ $(connections) == 0 ]]; }
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

is 'the agent has that one' "$(connections)" 1

# The network stays as it is: only the objects say that the address has gone to another pod.
sb_api DELETE 'api/v1/namespaces/shop/pods/web?gracePeriodSeconds=0' >/dev/null
passes 'it ends with the object of its pod, without a further request' eventually 1 none_open
sb_pod_object successor shop 10.244.0.11 aadpodidbinding=shop
passes "the address becomes another pod's" eventually 5 asks_as web "$SB_SHOP"
is 'which is not answered on the connection of the first' "$(held)" closed
gives 'a new connection is its own' "$SB_SHOP" web "$SB_ASK"
let_go

# The objects stay as they are: only the link says that the pod has gone. Nobody is left to close anything.
coproc HELD { exec nsenter --net="/run/netns/$(sb_pod_ns web)" python3 "$here/connection.py"; }
is 'that one keeps a connection too' "$(held)" "200 $SB_SHOP"
is 'which the agent has' "$(connections)" 1
ip -n "$SB_NODE" link del "$(<"$SB_DIR/pods/web.link")"
passes 'it ends with the link of its pod' eventually 1 none_open
is 'and nothing of it is left in the kernel' \
	"$(sb_in "$SB_NODE" ss -Htn dst 10.244.0.11 | grep -c ESTAB)" 0
sb_del_pod_net web # and what ran in it, which bash takes notice of itself
sb_add_pod heir shop 10.244.0.11 aadpodidbinding=billing
passes 'the next pod is served' eventually 5 asks_as heir "$SB_BILLING"
coproc HELD { exec nsenter --net="/run/netns/$(sb_pod_ns heir)" python3 "$here/connection.py"; }
is 'and opens a connection of its own' "$(held)" "200 $SB_BILLING"
sb_api DELETE 'api/v1/namespaces/shop/pods/successor?gracePeriodSeconds=0' >/dev/null
sb_pod_object marker shop 10.244.0.99 aadpodidbinding=shop
passes 'the late news of the last one come' eventually 5 knows_pods 5
is 'and do not end it' "$(held)" "200 $SB_BILLING"
let_go

# The answer of a connection that is closed behind it, which the pod never acknowledges: the kernel would
# send it again, to whoever has the address.
sb_exec heir nft 'add table ip deaf; add chain ip deaf in { type filter hook input priority 0; }
	add rule ip deaf in tcp sport 80 ip length > 200 drop' || bail 'the pod is not deaf'
in_flight() { sb_in "$SB_NODE" ss -Htn state fin-wait-1 dst 10.244.0.11 | grep -c .; }
is_in_flight() { (($(in_flight))); }
ask_bg heir "$SB_ASK" -m 5 -H 'Connection: close'
passes 'an answer is on its way to a pod that does not hear it' eventually 2 is_in_flight
ip -n "$SB_NODE" link del "$(<"$SB_DIR/pods/heir.link")"
passes 'it ends with the link of the pod' eventually 1 none_open
is 'and the kernel has nothing left to send again' "$(in_flight)" 0
no_leak 'IMDS has seen no pod'
e2e_end
