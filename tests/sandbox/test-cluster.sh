#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The node in a box, without the agent: pods reach IMDS and each other as the tests rely on, and
# nothing stays behind, however it ended.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/tap.sh
source "$here/../tap.sh"
# shellcheck source=tests/sandbox/cluster.sh
source "$here/cluster.sh"
sb_use self
trap sb_down EXIT

t=$SECONDS
passes 'up' sb_up
at_most 'within some seconds' $((SECONDS - t)) 15
passes 'the example' sb_example
like 'status names what runs' "$(sb_status)" 'apiserver +runs.*imds +runs.*pod billing +shop 10.244.0.12 azv2'

# without an agent the hole is there: what the tests then prove is that nmi closes it
sb_ask web "$SB_ASK"
is 'without nmi a pod gets the token of the node' "$SB_STATUS $(sb_claim appid)" "200 $SB_SYSTEM"
is 'and IMDS sees its address' "$(sb_leaks)" 1
sb_ask_from "$SB_NODE" "$SB_ASK" -H Metadata:true
is 'the host gets it as well' "$SB_STATUS" 200
sb_imds reset >/dev/null
is 'counts can be reset' "$(sb_leaks)" 0
is 'host ends of pods have no IPv4 address' "$(ip -n "$SB_NODE" -4 -o addr show | grep -c azv)" 0
is 'route_localnet is 0' "$(sb_in "$SB_NODE" sh -c 'cat /proc/sys/net/ipv4/conf/*/route_localnet | sort -u')" 0
passes 'pods reach one another' sb_exec web python3 - <<-'END'
	import socket, subprocess
	s = socket.socket(socket.AF_INET, socket.SOCK_STREAM); s.settimeout(2)
	try: s.connect(("10.244.0.12", 1))
	except ConnectionRefusedError: pass
END

like 'the API server has the pod' "$(sb_api GET api/v1/namespaces/shop/pods/web)" '"podIP": ?"10.244.0.11"'
like 'kubectl works' "$(sb_kubectl get azureidentities -A 2>&1)" 'shop +billing +0 +22222222-aaaa'
like 'by short name, with the columns that users know' "$(sb_kubectl get azidb -n shop 2>&1)" 'NAME +AZUREIDENTITY +SELECTOR +AGE'
sb_binding shop shop billing shop
like 'objects can be changed' "$(sb_api GET "$SB_GROUP/namespaces/shop/azureidentitybindings/shop")" '"azureIdentity": ?"billing"'
passes 'a pod can be deleted' sb_del_pod plain
is 'its namespace goes with it' "$(ip netns list | grep -c nmi-self-pod-plain)" 0

sb_exec web sleep 300 &
stray=$!
disown
passes 'up again over what is there' sb_up
is 'a stray process of a pod was ended' "$(sb_born $stray)" ''
passes 'down' sb_down
is 'down: no namespace' "$(ip netns list | grep -c nmi-self-)" 0
is 'down: no state' "$(ls -d "$SB_DIR" 2>/dev/null)" ''
passes 'down again' sb_down

# half an up: nothing to build from
NMI_BUILD=/nonexistent sb_use self
out=$(sb_up 2>&1)
status=$?
is 'up fails when a program is missing' "$status" 1
like 'and says which, and what to do' "$out" 'nmi-sandbox-apiserver is not in .*meson setup build'
is 'leaving no namespace' "$(ip netns list | grep -c nmi-self-)" 0
sb_use self
like 'a bad name is refused' "$(sb_use 'A b' 2>&1)" 'not a name'
done_testing
