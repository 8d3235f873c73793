#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One decision for all spellings of a path: whatever a pod writes, it is answered as the plain spelling is,
# or refused; and IMDS never sees an identity request that is not the agent's own.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.sh
source "$here/../e2e/lib.sh"
e2e_begin paths

report() { # lines of paths.py
	local verdict what n=0
	while read -r verdict what; do
		n=$((n + 1))
		if [[ $verdict == ok ]]; then ok "$sentence: $what"; else not_ok "$sentence: $what"; fi
	done
	at_most "$sentence: nothing was left out" "$((n < $1))" 0
}

spell() { # SENTENCE POD token|instance EXPECTED CASES
	local sentence=$1
	report "$5" < <(sb_exec "$2" timeout 300 python3 "$here/paths.py" ask "$3" "$4" 2>&1)
	is "$sentence: by the same process" "$(sb_pid nmi)" "$pid"
	report 1 < <(sb_imds stats | python3 "$here/paths.py" forwarded 2>&1)
	is "$sentence: identity requests of the agent's own, as many as there are identities" \
		"$(sb_imds stats | python3 -c 'import json,sys; print(json.load(sys.stdin)["total"]["token"])')" "$tokens"
	no_leak "$sentence: IMDS has seen no pod"
}

pid=$(sb_pid nmi)
tokens=0
spell 'a pod without identity' plain token refused:no_label 200
spell 'instance metadata' plain instance metadata 150
tokens=1
spell 'a bound pod' web token token 200
sb_stop_nmi
sb_imds reset >/dev/null
sb_start_nmi --block-instance-metadata=true
pid=$(sb_pid nmi)
tokens=0
spell 'blocked' plain instance refused:blocked 150
spell 'blocked, a pod without identity' plain token refused:no_label 200
e2e_end
