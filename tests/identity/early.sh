#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A pod that asks before the API server has said which IP it has: it waits for that, and for nothing else.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/identity/lib.sh
source "$here/lib.sh"
ulimit -n 8192 2>/dev/null || true
MANY=1000
e2e_begin early --pod-wait=60s

# The object of a pod that has no IP yet, and then has.
without_ip() { # POD
	sb_apply api/v1/namespaces/shop/pods "$1" "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",
		$(sb_meta shop "$1" '{"aadpodidbinding":"shop"}'),\"spec\":{\"nodeName\":\"$SB_NODE_NAME\",
		\"containers\":[{\"name\":\"main\",\"image\":\"sandbox\"}]},\"status\":{\"phase\":\"Pending\"}}"
}
give_ip() { # POD IP
	sb_api PATCH "api/v1/namespaces/shop/pods/$1/status" "{\"status\":{\"phase\":\"Running\",
		\"podIP\":\"$2\",\"podIPs\":[{\"ip\":\"$2\"}]}}" application/merge-patch+json >/dev/null
}
gives 'a token is in the cache' "$SB_SHOP" web "$SB_ASK"

late=()
for n in 1 2 3; do
	pod=early$n ip=10.244.0.$((60 + n))
	sb_pod_net "$pod" "$ip"
	without_ip "$pod"
	watch_for "$pod"
	passes "$pod: somebody else watches too" is_watched
	sb_spawn "$pod" python3 "$heir_py" wait "$SB_ASK" 30 >"$SB_DIR/answers" 2>&1
	asker=$SB_SPAWNED
	passes 'it waits' eventually 5 is_waiting 1
	sleep 0.5
	is 'and waits' "$(waiting) $(<"$SB_DIR/answers")" '1 '
	give_ip "$pod" "$ip"
	wait "$asker" "$watcher"
	like 'then it has its token' "$(<"$SB_DIR/answers")" "^[0-9.]+ 200 $SB_SHOP$"
	late+=("$(lateness)")
done
echo "# after the event: ${late[*]} ms"
at_most 'within 5 ms of its event (best of three)' "$(printf '%s\n' "${late[@]}" | sort -g | head -n 1)" 5

# What the many cost beside their connections, which the same number of idle ones have too.
dirty() { awk '/^Private_Dirty:/ { print $2 }' "/proc/$(sb_pid nmi)/smaps_rollup"; }
sb_pod_net many 10.244.0.70
before=$(dirty)
sb_spawn many python3 "$here/../e2e/herd.py" "$MANY" "$SB_ASK" >"$SB_DIR/herd" 2>&1
asker=$SB_SPAWNED
passes "$MANY requests wait at once" eventually 15 is_waiting "$MANY"
echo "# $MANY that wait: $(($(dirty) - before)) KiB, with their connections"
at_most 'for less than 12 KiB each, their connections included (KiB)' $((($(dirty) - before) / MANY)) 12
sb_pod_object many shop 10.244.0.70 aadpodidbinding=shop
wait "$asker"
is 'all are served by one event' "$(grep -v bodies "$SB_DIR/herd")" "200 $MANY"
no_leak 'IMDS has seen no pod'
e2e_end
