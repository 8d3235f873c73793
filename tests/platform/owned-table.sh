#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A table with the flag owner (Linux 5.12): nobody else can remove it, a foreign flush passes it by,
# and it ends with the socket that made it. An un-owned table is none of that.

TOOL=$1
. "$(dirname "$0")/lib.sh"
make_node

coproc OWNER { exec ip netns exec "$node" nft -i 2>&1; }
owner=$OWNER_PID
pids+=("$owner")
printf '%s\n' 'add table ip owned { flags owner; }' 'add chain ip owned c' >&"${OWNER[1]}"
on "$node" nft add table ip plain
for ((i = 0; i < 100; i++)); do
	on "$node" nft list chain ip owned c >/dev/null 2>&1 && break
	sleep 0.01
done
is "$(on "$node" nft list tables | sort | tr '\n' ' ')" "table ip owned table ip plain " "both tables are there"

is "$(on "$node" nft delete table ip owned 2>&1)" "*Operation not permitted*" "a foreign delete is refused"
is "$(on "$node" nft add rule ip owned c drop 2>&1)" "*Operation not permitted*" "so is a foreign rule"
is "$(on "$node" nft flush chain ip owned c 2>&1)" "*Operation not permitted*" "and a foreign flush of its chain"
is "$(on "$node" nft 'add table ip owned { flags dormant; }' 2>&1)" "*Error*" "and putting it to sleep"
on "$node" nft flush ruleset
is "$(on "$node" nft list tables)" "table ip owned" "flush ruleset takes the other table only"

kill -9 "$owner"
wait "$owner" 2>/dev/null
for ((i = 0; i < 100; i++)); do
	[ -z "$(on "$node" nft list tables)" ] && break
	sleep 0.01
done
is "$(on "$node" nft list tables)" "" "it ends with its owner"
finish
