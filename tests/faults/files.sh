#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# There are no more file descriptors for the agent. Where all connections are kept alive and idle, one of who has the most
# ends for each new one, which is served as ever; where none is idle, a new one waits, costs nothing meanwhile, and is
# served as soon as there is a file.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.sh
source "$here/../e2e/lib.sh"

hold() { # POD N [TARGET]: in $SB_DIR/held.POD
	sb_spawn "$1" /usr/bin/python3 "$here/hold.py" "${@:2}" >"$SB_DIR/held.$1"
	holders[$1]=$SB_SPAWNED
}
held() { eventually 8 grep -qx "$2" "$SB_DIR/held.$1"; } # POD N
let_go() { # POD: how many of its connections were left is in $left
	kill -TERM "${holders[$1]}" && wait "${holders[$1]}"
	left=$(sed -n 's/^left //p' "$SB_DIR/held.$1")
}
files() { # MORE than it has now; or nothing: as many as it may
	local n=$files_max has=("/proc/$pid/fd"/*)
	[[ -z ${1:-} ]] || n=$((${#has[@]} + $1))
	prlimit --pid "$pid" --nofile="$n:"
}
ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }
ready() { sb_in "$SB_NODE" curl -sf -m 2 -o /dev/null http://127.0.0.1:8085/readyz; }

declare -A holders
e2e_begin files
pid=$(sb_pid nmi)
files_max=$(prlimit --pid "$pid" --nofile --noheadings --output=SOFT | xargs)
gives 'a pod is served' "$SB_SHOP" web "$SB_ASK"
gives '... and another' "$SB_BILLING" billing "$SB_ASK"

# ---- all are idle ----

hold billing 30 "$SB_ASK"
passes 'one keeps thirty connections' held billing 30
hold web 5 "$SB_ASK"
passes '... the other five' held web 5
files 0
t=$EPOCHREALTIME
gives 'without a file for it, who connects is served' "$SB_SHOP" web "$SB_ASK" -m 5
at_most '... at once (ms)' "$(msec_since "$t")" 1000
t=$EPOCHREALTIME
hold plain 10 "$SB_ASK"
passes 'ten that connect, and stay' held plain 10
at_most '... at once (ms)' "$(msec_since "$t")" 1500
passes 'a probe of the kubelet, too' ready
files
let_go web
is 'who has few keeps them all' "$left" 5
let_go plain
is '... as do those who came' "$left" 10
let_go billing
is 'who has the most has made room, for each once' "$((left >= 18 && left <= 20))" 1 || echo "# $left of 30 are left"
like 'the log says what is short, and what to do' "$(grep -c 'no more files may be open.*raise it' "$SB_DIR/nmi.log")" '^[12]$'

# ---- none is ----

hold plain 20
passes 'one has sent half a request on each of twenty' held plain 20
files 0
used=$(ticks) t=$EPOCHREALTIME
ask_bg web "$SB_ASK"
sleep 2
is 'who connects waits' "$(<"$SB_DIR/bg.status")" ''
at_most '... for which the agent uses no time (ticks of 10 ms, in 2 s)' "$(($(ticks) - used))" 10
t=$EPOCHREALTIME
let_go plain
wait "$SB_SPAWNED"
at_most 'a file is free: it is served at once (ms)' "$(msec_since "$t")" 1000
is '... with its token' "$(cut -d' ' -f1 "$SB_DIR/bg.status") $(bg_client)" "200 $SB_SHOP"
files
gives 'and all is as ever' "$SB_SHOP" web "$SB_ASK"
is 'by the same process' "$(sb_pid nmi)" "$pid"
no_leak 'IMDS saw no pod'
e2e_end
