#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A kernel that knows no owner of a table (before Linux 5.12): anybody can take the rules away, and they are put back by
# event. In between a pod may reach IMDS, which is why there are better ways; its connection does not last.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_box noowner
export NMI_NO_OWNER=yes
LD_PRELOAD=$SB_BUILD/tests/platform/no-hold.so sb_start_nmi || bail 'nmi does not start'
like 'nmi says so' "$(grep 'rules in place: ' "$SB_DIR/nmi.log" | tail -n 1)" 'rules in place: put back when removed$'
like 'and why' "$(sb_in "$SB_NODE" "$(sb_program nmi)" status --run-directory="$SB_DIR/nmi")" 'no owned tables'
gives 'a pod is served' "$SB_SHOP" web "$SB_ASK"

rounds=200
line=$(sb_in "$SB_NODE" python3 "$e2e_here/flusher.py" $rounds nft delete table ip nmi 2>&1)
echo "# delete table: $line"
like 'the table is back after each round' "$line" "gone $rounds back $rounds "
wake=$(sed -nE 's/.* wake ([0-9.]+).*/\1/p' <<<"$line")
at_most 'half of the time within 10 ms, and what this machine takes to wake a process' \
	"$(sed -nE 's/.* p50 ([0-9.]+).*/\1/p' <<<"$line")" "$(awk -v w="$wake" 'BEGIN { print 10 + w }')"
passes 'nmi is ready' eventually 5 sb_nmi_ready
gives 'and a pod is served' "$SB_SHOP" web "$SB_ASK"

# a connection that was made in between: as long as the redirector sleeps, so to speak
redirector=$(redirector_pid)
kill -STOP "$redirector"
sb_in "$SB_NODE" nft delete table ip nmi
# shellcheck disable=SC2016 # that shell's own
sb_spawn web bash -c 'exec 3<>/dev/tcp/169.254.169.254/80 && echo open
	read -r -t 20 line <&3; echo "ended $?"' >"$SB_DIR/between" 2>&1
passes 'while nobody repairs, a pod reaches what is behind' eventually 5 grep -q open "$SB_DIR/between"
kill -CONT "$redirector"
passes 'its connection is ended with the repair' eventually 10 sh -c "
	'$sb_root/tests/sandbox/cluster.sh' --name '$SB_NAME' exec web true &&
	! ip netns exec '$SB_NODE' grep -q 'dst=169.254.169.254.*dport=80 .*src=169.254.169.254' /proc/net/nf_conntrack"
gives 'the next request is answered by nmi' "$SB_SHOP" web "$SB_ASK"
e2e_end
