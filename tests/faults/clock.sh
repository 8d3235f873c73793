#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Somebody sets the node's clock. Back: no token is handed out past its real end, though by that clock it has hours to go.
# Forward: none that is over by it. Once it is right again all is as before, at once.
set -uo pipefail
# shellcheck source=tests/faults/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

set_clock() { # SECONDS that the agent's is off; the file is mapped, so it is written in place
	/usr/bin/python3 -c 'import struct, sys
with open(sys.argv[1], "r+b") as f: f.write(struct.pack("q", int(sys.argv[2])))' "$SB_DIR/clock" "$1"
}
left() { # seconds that the last token is good, by the right clock
	echo $(($(sb_claim exp) - EPOCHSECONDS))
}
asked() { sb_imds stats | python3 -c 'import json,sys; print(json.load(sys.stdin)["total"]["token"])'; }

faults_begin clock -v 9
sb_imds lifetime seconds=16 >/dev/null # half of it is usable, see nmi/token/policy.c
vault="$SB_TOKEN?api-version=2018-02-01&resource=https://vault.azure.net"
gives 'a pod is served' "$SB_SHOP" web "$vault"
first=$SB_BODY
set_clock -7200
like 'the agent believes it' "$(sleep 0.2; asks_ok plain; tail -n 1 "$SB_DIR/nmi.log" | cut -c1-13; TZ=UTC printf '%(%Y-%m-%dT%H)T' $((EPOCHSECONDS - 7200)))" $'^([^\n]*)\n\\1$'
gives 'put back two hours: the token at hand is handed out' "$SB_SHOP" web "$vault"
is '... the same' "$(sb_field access_token | md5sum)" "$(SB_BODY=$first && sb_field access_token | md5sum)"
least=99 worst=0 n=$(asked)
for _ in {1..44}; do # 22 s: longer than it is good
	sleep 0.5
	sb_ask web "$vault"
	[[ $SB_STATUS == 200 ]] || { worst=$SB_STATUS && continue; }
	now=$(left)
	((now >= least)) || least=$now
done
is 'for as long as a token lives, and longer, each request is answered' "$worst" 0
at_least '... with tokens that are still good (seconds left, at least)' "$least" 1
at_least '... since they are fetched anew as ever' "$(($(asked) - n))" 2
set_clock 0
gives 'put right again: served' "$SB_SHOP" web "$vault"

sb_imds lifetime seconds=86400 >/dev/null
long="$SB_TOKEN?api-version=2018-02-01&resource=https://long.example.com"
gives 'a token of a day' "$SB_SHOP" web "$long"
n=$(asked)
gives '... is in the cache' "$SB_SHOP" web "$long"
is '... indeed' "$(($(asked) - n))" 0
set_clock 90000
answers 'put forward past its end: it is not handed out, nor what IMDS gives, which is over as well' 50\? 'expire|over|clock|ended' web "$long"
set_clock 0
t=$EPOCHREALTIME
passes 'put right again: served' eventually 5 asks_ok web
again() { sb_ask web "$long" -m 2 && [[ $SB_STATUS == 200 ]]; }
passes '... that, too' eventually 5 again
at_most '... in time (ms)' "$(msec_since "$t")" 5000
faults_end
