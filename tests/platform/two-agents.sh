#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Two redirectors of ours that would lead pods to different ports: the first does, the second stands by, both
# say so, nobody undoes the other's work; then the first ends.
# Usage: two-agents.sh TOOL DRIVER PROTECTION

TOOL=$1 DRIVER=$2 PROTECTION=$3
. "$(dirname "$0")/lib.sh"
IFS=.- read -r major minor _ <<<"$(uname -r)"
((major > 6 || (major == 6 && minor >= 9))) || PROTECTION=doubled
make_node
spawn "$tmp/one" ip netns exec "$node" "$TOOL" serve 0.0.0.0 2579 "agent one"
spawn "$tmp/two" ip netns exec "$node" "$TOOL" serve 0.0.0.0 2580 "agent two"
{ wait_for "$tmp/one" ready && wait_for "$tmp/two" ready; } || bail "the agents do not start"

spawn "$tmp/first" ip netns exec "$node" "$DRIVER" run $NODE_IP 2579
first=$last
wait_for "$tmp/first" "^active $PROTECTION" || bail "the first is not active"
spawn "$tmp/second" ip netns exec "$node" "$DRIVER" run $NODE_IP 2580
second=$last
wait_for "$tmp/second" "^failing .*leads pods to $NODE_IP:2579; this one has no rules"
ok $? "the second is not ready, and says that it stands by, and for whom"
wait_for "$tmp/first" "another nmi with other settings waits"
ok $? "the first says that there is another"
is "$(get "$a")" "agent one *" "the first serves the pods"
generation() { on "$node" nft -j list ruleset | cksum; }
before=$(generation)
sleep 1.5
is "$(generation)" "$before" "nobody changes a rule"
is "$(grep -c 'repairs=[1-9]' "$tmp/first" "$tmp/second" | grep -vc ':0$')" 0 "nothing had to be repaired"
is "$(grep -c 'serves nobody' "$tmp/second.err") $(grep -c 'rules in place' "$tmp/second.err")" "1 0" "the log has it once, and claims nothing"

coproc HAMMER { exec ip netns exec "$a" "$TOOL" hammer $IMDS 80 9>&-; }
kill -TERM "$first"
wait "$first" 2>/dev/null
start=$EPOCHREALTIME
wait_for "$tmp/second" "^active $PROTECTION .*why=\$"
ok $? "when the first ends, the second takes over"
echo "# after $(((${EPOCHREALTIME/./} - ${start/./}) / 1000)) ms"
eval "exec ${HAMMER[1]}>&-"
counts=$(cat <&"${HAMMER[0]}")
is "$counts" "*imds=0*" "meanwhile no request reached the metadata service: $counts"
is "$(get "$a")" "agent two *" "and pods are served by the second"
is "$(on "$node" nft list tables | grep -c nmi-waits)" 0 "nobody waits any more"
kill -TERM "$second"
wait "$second" 2>/dev/null
finish
