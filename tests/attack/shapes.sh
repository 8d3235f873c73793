#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Requests that two readers may take for different ones: one 400 at most, never two answers, never a token.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.sh
source "$here/../e2e/lib.sh"
e2e_begin shapes
pid=$(sb_pid nmi)
sb_imds reset >/dev/null
gives 'the pod itself is served' "$SB_SHOP" web "$SB_ASK"
last=nothing
while read -r verdict what; do
	last=$what
	if [[ $verdict == ok ]]; then ok "$what"; else not_ok "${what%% (cut*}" "$what"; fi
done < <(sb_exec web timeout 300 /usr/bin/python3 "$here/smuggle.py" 2>&1)
is 'that is the last line' "$last" 'all of them were sent'
gives 'and is served as before' "$SB_SHOP" web "$SB_ASK"
is 'by the same process' "$(sb_pid nmi)" "$pid"
is 'nothing of it was passed on' "$(sb_imds stats | python3 -c 'import json, sys
print(sum(sum(n.values()) for n in json.load(sys.stdin)["sources"].values()))')" 1
no_leak 'IMDS has seen no pod'
e2e_end
