#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A pod on a bridge that sends from one MAC after the other: the kernel tells of each, faster than anybody can
# act on it. The other pods are served meanwhile, none is refused, and none waits long.
# alone: it makes all the load that the machine bears
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.sh
source "$here/../e2e/lib.sh"
export SB_BRIDGED=yes
e2e_begin flood-bridge
for ((i = 0; i < 20; i++)); do sb_pod_object "silent$i" shop "10.244.0.$((100 + i))"; done
gives 'the pod has its token' "$SB_SHOP" web "$SB_ASK"
gives 'so has the one that is going to flood' "$SB_BILLING" billing "$SB_ASK"

learned() { bridge -n "$SB_NODE" fdb show br cbr0 | grep -c '^02:ff:'; }
is_learning() { (($(learned) > 500)); }
sb_spawn billing python3 "$here/macs.py" eth0 10.244.0.12 $SB_BRIDGE_IP 400000 30
flood=$SB_SPAWNED
passes 'it floods the bridge with MACs' eventually 3 is_learning
served=0 msec=()
for ((i = 0; i < 50; i++)); do
	sb_ask web "$SB_ASK" -m 10
	[[ $SB_STATUS == 200 && $(sb_field client_id) == "$SB_SHOP" ]] && ((++served))
	msec+=("$SB_MSEC")
done
is 'it floods all the while' "$(sb_born "$flood" | grep -c .)" 1
is 'the pod is served each time' "$served" 50
at_most 'as fast as ever: half of the times (ms)' "$(printf '%s\n' "${msec[@]}" | sort -g | sed -n 25p)" 50
at_most 'and never slowly (ms)' "$(printf '%s\n' "${msec[@]}" | sort -g | tail -n 1)" 500
sb_add_pod heir shop 10.244.0.31 aadpodidbinding=billing
gives 'so is one that starts now' "$SB_BILLING" heir "$SB_ASK"
at_most 'at once (ms)' "$SB_MSEC" 1000
sb_end_pid "$flood"
passes 'those were more MACs than the kernel queues news' test "$(learned)" -gt 5000

# What came late, or was lost, is made good: who takes an address on the quiet is seen.
sb_exec plain ip addr add 10.244.0.11/24 dev eth0
sb_ask plain "$SB_ASK" -m 2 --interface 10.244.0.11
is 'a neighbour under the address of the pod hears nothing' "$SB_STATUS$SB_BODY" 000
gives 'the pod is served' "$SB_SHOP" web "$SB_ASK"
no_leak 'IMDS has seen no pod'
e2e_end
