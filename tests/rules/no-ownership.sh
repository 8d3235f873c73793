#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A kernel that knows no owner of a table (before Linux 5.12): anybody can take the rules away, and they are put back by
# event. In between a pod may reach IMDS, which is why there are better ways; its connection does not last. And one
# that cannot be asked for connections.
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
sb_spawn web python3 -uc 'import os, socket, sys, time
s = socket.create_connection(("169.254.169.254", 80), 5)
print("open")
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
try:
    s.settimeout(3)
    s.sendall(b"GET /metadata/instance?api-version=2021-02-01 HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n")
    print("heard", s.recv(100))
except OSError as e:
    print("heard nothing:", e)' "$SB_DIR/go" >"$SB_DIR/between" 2>&1
passes 'while nobody repairs, a pod reaches what is behind' eventually 5 grep -q open "$SB_DIR/between"
kill -CONT "$redirector"
passes 'once it is repaired pods are served' eventually 5 asks_as web "$SB_SHOP"
sleep 0.5 # connections are looked at behind the repair
touch "$SB_DIR/go"
passes 'a connection that was made in between hears nothing any more' eventually 8 grep -q 'heard nothing' "$SB_DIR/between"
echo "# $(tail -n 1 "$SB_DIR/between")"
gives 'the next request is answered by nmi' "$SB_SHOP" web "$SB_ASK"

# a kernel without a table of connections that can be asked: a note, no failure
sb_stop_nmi
unset NMI_NO_OWNER
: >"$SB_DIR/nmi.log"
export NMI_NO_CONNTRACK=yes
LD_PRELOAD=$SB_BUILD/tests/platform/no-hold.so sb_start_nmi || bail 'nmi does not start without connection tracking'
told() { grep -q 'info connections older than the rules are not ended' "$SB_DIR/nmi.log"; }
passes 'without it the log has a note' eventually 5 told
passes 'and nmi is ready' sb_nmi_ready
noted() { sb_in "$SB_NODE" "$(sb_program nmi)" status --output=json --run-directory="$SB_DIR/nmi" | grep -q 'older connections stay'; }
passes 'status has it too' eventually 3 noted
gives 'a pod is served without it' "$SB_SHOP" web "$SB_ASK"
e2e_end
