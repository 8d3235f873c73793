#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Who takes over from whom where it is not plain: a third agent, other settings, ports that are taken, clients
# that stay. Under load: upgrade.sh.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/rules/agents.sh
source "$(dirname "${BASH_SOURCE[0]}")/agents.sh"
e2e_box handover
nmi=$(sb_program nmi) || bail 'there is no nmi'
sb_down_all() { kill "${busy:-}" "${idle:-}" 2>/dev/null; e2e_cleanup; }
trap sb_down_all EXIT

# ---- a port that is taken ----

take_port() { # PORT: by a stranger
	nsenter --net="/run/netns/$SB_NODE" -- /usr/bin/python3 -c "import socket, time
s = socket.create_server(('0.0.0.0', $1)); print('listens', flush=True); time.sleep(60)" >"$SB_DIR/busy" &
	busy=$!
	eventually 5 grep -q listens "$SB_DIR/busy"
}
leave_port() { kill "$busy"; wait "$busy" 2>/dev/null; }

take_port 2579
launch a0 "$nmi"
passes 'a port that is taken: the log says by which setting, and that it tries again' eventually 5 \
	says a0 'port 2579 \(--nmi-port\) is taken .* trying again for 10 s'
signal a0 TERM
passes 'told to stop it does not try any longer' eventually 2 is_gone a0
launch a1 "$nmi"
eventually 5 says a1 'trying again'
leave_port
passes 'once the port is free it serves' eventually 5 asks_as web "$SB_SHOP"
sb_imds reset >/dev/null # before the first agent there were no rules

# ---- a third ----

signal apiserver STOP
launch a2 "$nmi"
passes 'a second agent waits for the API server' eventually 5 is_offered a2
launch a3 "$nmi"
passes 'a third is told to wait' eventually 5 says a3 'handing over to another agent already'
signal a2 KILL
passes 'when the second is gone it is its turn' eventually 5 is_offered a3
passes 'meanwhile the first serves' asks_as web "$SB_SHOP"
signal apiserver CONT
passes 'it takes over' eventually 5 has_taken a3
end_agent a1 'a third'

# ---- other settings ----

launch a4 "$nmi" --nmi-port=2580 --shutdown-grace=1s
passes 'another port: the log says which is not taken over' eventually 5 says a4 'listens on 10.240.0.4:2579, this one does not'
passes 'another port: it stands by, and says so' eventually 5 says a4 'leads pods to 10.240.0.4:2579.*until that one ends'
fails 'another port: it does not take over' has_taken a4
passes 'another port: a pod is served' asks_as web "$SB_SHOP"
end_agent a3 'another port'
passes 'another port: a pod is served once the old one has ended' eventually 3 asks_as web "$SB_SHOP"

# ---- a client that stays ----

# shellcheck disable=SC2016 # that shell's own
sb_spawn web bash -c 'exec 3<>/dev/tcp/169.254.169.254/80
	printf "GET %s HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n" "$0" >&3
	read -r line <&3 && echo "$line"; exec sleep 60' "$SB_ASK" >"$SB_DIR/idle" 2>&1
idle=$SB_SPAWNED
passes 'a client keeps its connection' eventually 5 grep -q '200 OK' "$SB_DIR/idle"
launch a5 "$nmi" --nmi-port=2580
passes 'it does so while another agent takes over' eventually 5 has_taken a5
sleep 1
fails 'the old one waits for it' is_gone a4
t=$EPOCHREALTIME
signal a4 TERM
sleep 0.7
fails 'told to stop it waits on' is_gone a4
passes 'for as long as --shutdown-grace says' eventually 3 is_gone a4
at_most 'and no longer (ms)' "$(msec_since "$t")" 2500
passes 'a pod is served' asks_as web "$SB_SHOP"

# ---- the end: nobody takes over ----

t=$EPOCHREALTIME
signal a5 TERM
passes 'without a successor it ends' eventually 5 is_gone a5
at_most 'soon (ms)' "$(msec_since "$t")" 2000
is 'and leaves no socket' "$(ls "$SB_DIR/nmi")" ''
sb_ask web "$SB_ASK" -m 2
is 'a pod is refused' "$SB_STATUS" 000
no_leak 'IMDS saw no pod'
kill "$idle" 2>/dev/null
gather_agents
e2e_end
