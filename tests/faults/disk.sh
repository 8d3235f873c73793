#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A node whose disk is full before the agent starts, so that there is no room for its log, its audit log and its sockets'
# directory: it serves all the same, and says what is missing once there is room. While it runs: `disk full` of faults.py.
set -uo pipefail
# shellcheck source=tests/faults/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

fill() { # nothing is left for one more byte
	head -c 64m /dev/zero >"$disk/filler" 2>/dev/null
	dd if=/dev/zero of="$disk/filler" oflag=append conv=notrunc bs=1 count=8192 2>/dev/null
	! echo x 2>/dev/null >"$disk/more"
	rm -f "$disk/more"
}

faults_box disk 256k
fill
is 'there is no room on the disk' "$(df --output=avail "$disk" | tail -n 1 | xargs)" 0
faults_launch nmi
passes 'the agent starts' eventually 15 sb_nmi_ready
gives 'a pod is served' "$SB_SHOP" web "$SB_ASK"
gives 'one with a secret in the API server is, too' "$SP" sp "$SB_ASK"
answers 'one without identity is refused' 400 'no_label|Identity not found' plain "$SB_ASK"
passes 'it can be asked for its status' sb_in "$SB_NODE" "$(sb_program nmi)" status --run-directory="$disk/nmi"
is 'nothing stands in log and audit log' "$(cat "$disk"/{nmi,audit}.log)" ''
at_least 'records are counted as dropped' "$(metric nmi_audit_dropped_total)" 3
pid=$(sb_pid nmi)

rm "$disk/filler"
told() { asks_ok web && grep -q '"event":"dropped"' "$disk/audit.log"; }
passes 'with room, the audit log says how many are missing' eventually 5 told
gives 'a pod is served' "$SB_BILLING" billing "$SB_ASK"
passes 'which the log says' eventually 5 grep -q 'token granted.*pod=billing' "$disk/nmi.log"
for _ in 1 2 3; do
	fill
	gives 'the disk is full again: a pod is served' "$SB_SHOP" web "$SB_TOKEN?api-version=2018-02-01&resource=https://d$RANDOM.example.com"
	rm "$disk/filler"
done
is 'by the same process' "$(sb_pid nmi)" "$pid"
is 'each line of the log is whole' "$(grep -vcE '^20[0-9T:.-]+Z (error|warn|info|debug) ' "$disk/nmi.log")" 0
no_leak 'IMDS saw no pod'
faults_end
