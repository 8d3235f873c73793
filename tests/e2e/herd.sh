#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Many at once: one upstream request for one token, never more at IMDS than it allows.
# alone: it makes all the load that the machine bears
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
ulimit -n 8192 2>/dev/null || true
e2e_begin herd

PODS=10
for ((i = 1; i <= PODS; i++)); do
	sb_add_pod "w$i" shop "10.244.0.$((100 + i))" aadpodidbinding=shop
done
passes 'the last pod is known' eventually 5 asks_ok "w$PODS"

seen() { sb_imds stats | python3 -c 'import json,sys; d=json.load(sys.stdin); print('"$1"')'; }

sb_imds reset >/dev/null
sb_imds latency area=token msec=400 >/dev/null
got=$(herd "$PODS" 100 "$SB_TOKEN?api-version=2018-02-01&resource=https://vault.azure.net")
is '1,000 requests at once are all answered' "$(grep -v bodies <<<"$got")" '200 1000'
is 'IMDS saw one' "$(seen 'd["total"]["token"]')" 1

# many different tokens: IMDS allows 5 at once, and 20 a second
sb_imds reset >/dev/null
sb_imds limits token-rate=0 token-concurrent=5 >/dev/null
sb_imds latency area=token msec=100 >/dev/null
pids=()
for ((i = 1; i <= 40; i++)); do
	sb_exec "w$((i % PODS + 1))" curl -s -m 30 -o /dev/null -w '%{http_code}\n' -H Metadata:true \
		"http://169.254.169.254$SB_TOKEN?api-version=2018-02-01&resource=https://r$i.example.com" \
		>"$SB_DIR/many.$i" &
	pids+=($!)
done
wait "${pids[@]}"
is '40 different tokens at once are all given' "$(cat "$SB_DIR"/many.* | sort | uniq -c | tr -s ' \n' ' ')" ' 40 200 '
at_most 'never more than 4 at IMDS at a time' "$(seen 'd["token_concurrent_max"]')" 4
is 'none was throttled' "$(seen 'd["throttled"]')" 0

# one pod asks without end, another is served all the same
sb_imds latency area=token msec=50 >/dev/null
sb_spawn w1 python3 "$e2e_here/herd.py" 200 "$SB_ASK&bypass_cache=true" >"$SB_DIR/greedy" 2>&1
greedy=$SB_SPAWNED
sleep 0.3
t=$EPOCHREALTIME
gives 'a greedy pod does not keep another from its token' "$SB_BILLING" billing "$SB_ASK"
at_most 'nor for long (ms)' "$(msec_since "$t")" 3000
kill "$greedy" 2>/dev/null
wait "$greedy" 2>/dev/null
no_leak 'IMDS has seen no pod'
e2e_end
