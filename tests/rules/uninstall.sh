#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# nmi uninstall: all of it or nothing, never beside an agent, and what is left is named.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SB_BRIDGED=yes e2e_begin uninstall
prog=$(sb_program nmi)
uninstall() { # [ARGUMENT...]: sets ST and OUT
	OUT=$(sb_in "$SB_NODE" timeout -s KILL 20 "${as[@]}" "$prog" uninstall --run-directory="$SB_DIR/nmi" "$@" 2>&1)
	ST=$?
}
as=()
tables() { sb_in "$SB_NODE" nft list tables | sort | tr '\n' ' '; }
has() { [[ $(tables) == *"$1"* ]]; }

asks_ok web || bail 'nothing works to begin with'
passes 'on a bridge there are tables of all kinds' eventually 5 has 'table bridge nmi-spoof'
is 'no rule of theirs is without a comment' "$(rules_without_comment)" ''
out=$(sb_in "$SB_NODE" "$prog" status --run-directory="$SB_DIR/nmi")
like 'nmi status shows those of the bridge too' "$out" 'table bridge nmi-spoof .*chain stranger'
like 'and how many addresses they tie' "$out" 'bridge ports +[1-9]'
sb_in "$SB_NODE" nft 'add table ip nmi-boot; add table ip other; add table inet nmi-other'
all=$(tables)
uninstall
is 'beside an agent it is refused' "$ST" 1
like 'the agent is named' "$OUT" "nmi [0-9.]+ runs for node $SB_NODE_NAME \(process $(sb_pid nmi)\): stop it first"
is 'and nothing was removed' "$(tables)" "$all"
uninstall --run-directory="$SB_DIR/elsewhere"
is 'also with another directory, where the kernel says it' "$ST" 1
like 'which knows the program' "$OUT" 'belongs to a running nmi-redirector: stop nmi first; left as it was: ip nmi,.*nmi-boot'
is 'and not even the boot guard was removed' "$(tables)" "$all"
kill -STOP "$(sb_pid nmi)"
uninstall
kill -CONT "$(sb_pid nmi)"
is 'beside one that is stopped too' "$ST" 1
like 'which is named by its process' "$OUT" "process $(sb_pid nmi) has .* does not answer"

at=$EPOCHREALTIME
uninstall --wait=1s
is 'told to wait, it is refused when the agent has not ended by then' "$ST $(($(msec_since "$at" | cut -d. -f1) >= 1000))" '1 1'
is 'and nothing was removed meanwhile' "$(tables)" "$all"
sb_kill_nmi
passes 'a dead one leaves its rules and its socket' test -S "$SB_DIR/nmi/nmi.sock"
like 'the rules' "$(tables)" 'table ip nmi '
as=(setpriv --bounding-set=-net_admin --inh-caps=-net_admin)
uninstall
is 'without CAP_NET_ADMIN it fails' "$ST" 1
like 'and says what is missing' "$OUT" 'CAP_NET_ADMIN'
as=()
sb_in "$SB_NODE" "$(sb_program nmi)" status --run-directory="$SB_DIR/nmi" >/dev/null
is 'no agent is left' "$?" 3
sb_ask web "$SB_ASK" -m 2
is 'until then no pod gets anything' "$SB_STATUS" 000
: >"$SB_DIR/nmi/of-somebody-else"
for name in handover.sock nmi.sock.0badcafe .0badcafe; do
	/usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$SB_DIR/nmi/$name"
done
uninstall
is 'then it does' "$ST" 0
is 'nothing of ours is left in the kernel, and all else is' "$(tables)" 'table inet nmi-other table ip other '
is 'nor in the directory, half-made ones of dead agents too' "$(ls -A "$SB_DIR/nmi")" of-somebody-else
sb_ask web "$SB_TOKEN?api-version=2018-02-01&resource=$SB_ARM"
is 'pods reach the metadata service again, as it says' "$SB_STATUS" 200
rm "$SB_DIR/nmi/of-somebody-else"
uninstall
is 'again is fine' "$ST" 0
is 'an empty directory goes too' "$(stat -c %F "$SB_DIR/nmi" 2>/dev/null)" ''
uninstall
is 'and again' "$ST" 0
sb_start_nmi || bail 'nmi does not start'
gives 'after which an agent starts as ever' "$SB_SHOP" web "$SB_ASK"
sb_stop_nmi
uninstall
is 'and can be removed' "$ST" 0
sb_in "$SB_NODE" nft 'delete table ip other; delete table inet nmi-other'
is 'not a table is left' "$(tables)" ''
e2e_end
