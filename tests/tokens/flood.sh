#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fifty pods start at once, each with an identity of its own, eight processes and twenty resources, while
# one more asks for all that it can think of: 1,000 tokens, which IMDS gives at 20 a second and no faster.
# alone: it makes all the load that the machine bears
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ulimit -n 8192 2>/dev/null || true

PODS=50 PROCESSES=8 CONNECTIONS=4 RESOURCES=20 GREEDY_SECONDS=60

client_id() { printf '77777777-aaaa-4000-8000-%012d\n' "$1"; }

seen() { sb_imds stats | python3 -c 'import json,sys; d=json.load(sys.stdin); print('"$1"')'; }

queue_is_empty() { [[ $(metric 'nmi_token_fetches_queued{source="imds"}') == 0 ]]; }

# The machine has an identity for each pod.
identities() {
	python3 - "$e2e_here/../sandbox/identities.json" "$PODS" <<-'END'
		import json, sys
		d = json.load(open(sys.argv[1]))
		for i in range(int(sys.argv[2]) + 1):
		    d["userAssigned"].append({
		        "clientId": f"77777777-aaaa-4000-8000-{i:012d}",
		        "objectId": f"77777777-bbbb-4000-8000-{i:012d}",
		        "resourceId": d["userAssigned"][0]["resourceId"] + f"-{i}"})
		print(json.dumps(d))
	END
}

furnish() { # I: pod, identity and binding of this number
	sb_identity shop "p$1" "$(client_id "$1")" && sb_binding shop "p$1" "p$1" "p$1" &&
		sb_add_pod "p$1" shop "10.244.1.$((100 + $1))" "aadpodidbinding=p$1"
}

pods_start() { # START: all of them; what each says is in start.N
	local i pids=()
	for ((i = 1; i <= PODS; i++)); do
		sb_exec "p$i" python3 "$here/flood.py" start "$1" "$PROCESSES" "$CONNECTIONS" "$RESOURCES" \
			>"$SB_DIR/start.$i" 2>&1 &
		pids+=($!)
	done
	wait "${pids[@]}"
}

e2e_begin flood -v 9
identities >"$SB_DIR/identities"
passes 'IMDS has an identity for each pod' sb_imds identities "$SB_DIR/identities"
t=$EPOCHREALTIME
for ((i = 0; i <= PODS; i++)); do furnish "$i" || bail "pod $i cannot be made"; done
echo "# $((PODS + 1)) pods are made in $(msec_since "$t") ms"
passes 'the last pod is known' eventually 10 asks_ok "p$PODS"

# as strict as the real one, and about as quick
sb_imds limits token-rate=20 token-concurrent=5 >/dev/null
sb_imds latency area=token msec=40 >/dev/null
sleep 1
sb_imds reset >/dev/null
start=$(awk -v t="$EPOCHREALTIME" 'BEGIN { printf "%.3f", t + 8 }')
sb_spawn p0 python3 "$here/flood.py" greedy "$start" "$GREEDY_SECONDS" 100 >"$SB_DIR/greedy" 2>&1
greedy=$SB_SPAWNED
pods_start "$start"
wait "$greedy"

cat "$SB_DIR"/start.* | awk '$1 == "got" { n[$2] += $3 } END { for (k in n) print "# the pods got", k, n[k] }' | sort
sed 's/^/# the greedy one: /' "$SB_DIR/greedy"
is 'every process was given every token' \
	"$(cat "$SB_DIR"/start.* | awk '$2 == 200 { n += $3 } END { print n + 0 }')" $((PODS * PROCESSES * RESOURCES))
is 'and none was told anything but to come back' \
	"$(cat "$SB_DIR"/start.* | grep -cvE '^(seconds [0-9.]+|got (200|503/upstream_unavailable) [0-9]+)$')" 0
at_most 'IMDS never saw more than 4 at once' "$(seen 'd["token_concurrent_max"]')" 4
at_most 'nor more than 20 within a second' "$(seen 'd["token_second_max"]')" 20
is 'so it had to throttle nothing' "$(seen 'd["throttled"]')" 0
read -r median worst < <(cat "$SB_DIR"/start.* | awk '$1 == "seconds" { print $2 }' | sort -n |
	awk '{ s[NR] = $1 } END { print s[int((NR + 1) / 2)], s[NR] }')
echo "# the median pod took $median s, the slowest $worst s"
at_most 'no pod waited for another: the slowest to the median one' \
	"$(awk -v a="$worst" -v b="$median" 'BEGIN { printf "%.2f", a / b }')" 2
like 'the greedy one was told that it asks for too much' "$(<"$SB_DIR/greedy")" 'got 429/pod_limit [1-9]'
# 50 at once and 2 a second, and what was on its way at the end
at_most 'and cost IMDS no more than one pod may' \
	"$(($(seen 'd["total"]["token"]') - PODS * RESOURCES))" $((50 + 2 * GREEDY_SECONDS + 10))
passes 'the queue is empty in the end' eventually 20 queue_is_empty
is 'its waits were counted' "$(metric 'nmi_token_fetch_wait_seconds_count{source="imds"}')" \
	"$(($(seen 'd["total"]["token"]') + 1))"
no_leak 'IMDS has seen no pod'
e2e_end
