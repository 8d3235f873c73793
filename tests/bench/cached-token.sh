#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A cached token through the redirect, beside nginx (one worker) that returns the same body over the same veth and a
# redirect of its own, in turns; what the agent takes in memory after that; what it adds to a token that is not cached; how
# long it takes to start. On a node with 250 pods, 1,000 identities and 1,000 bindings.
# alone: it measures
set -uo pipefail
# shellcheck source=tests/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cached() {
	local i seconds rounds
	seconds=$(mode 1 6) rounds=$(mode 10 15)
	load nmi warm 1 && load nginx warm 1 || return
	for ((i = 0; i < rounds; i++)); do
		# who is first may find the machine warmer
		if ((i % 2)); then load nmi cached "$seconds" && load nginx cached "$seconds"
		else load nginx cached "$seconds" && load nmi cached "$seconds"; fi || return
	done
}

cold() {
	sb_exec web /usr/bin/python3 "$bench_here/cold.py" "$(mode 60 180)" "$SB_NODE" "$(sb_pod_ns web)" "$(sb_pod_ns billing)" \
		"$(sb_pod_ns cold1)" "$(sb_pod_ns cold2)" >>"$bench_samples"
}

# From the moment that nmi is executed, on a node whose rules are there, until a pod that asks all the while has a token.
start() {
	local i first begin end refused
	# shellcheck disable=SC2016 # the inner shell expands these
	SB_UNDER=(sh -c 'date +%s.%N >"$0"; exec "$@"' "$SB_DIR/executed")
	for ((i = 0; i < $(mode 5 15); i++)); do
		sb_stop_nmi
		sb_spawn web /usr/bin/python3 "$bench_here/first.py" 10 >"$SB_DIR/first"
		first=$SB_SPAWNED
		eventually 5 grep -q asking "$SB_DIR/first"
		sb_launch_nmi && wait "$first" || return
		sample start_waited nmi "$(awk '{ printf "%.1f", $2 / 1e6 }' "/proc/$(sb_pid nmi)/schedstat")"
		begin=$(<"$SB_DIR/executed")
		read -r end refused < <(tail -n 1 "$SB_DIR/first")
		sample start nmi "$(awk -v a="$begin" -v b="$end" 'BEGIN { printf "%.1f", (b - a) * 1000 }')"
	done
	echo "# before that the pod was refused $refused times in the last round"
	unset SB_UNDER
}

bench_box cached-token
fill_routes 0 250 || bail routes
populate --pods 250 --objects 1000
sb_add_pod cold1 shop 10.244.0.21 aadpodidbinding=shop && sb_add_pod cold2 shop 10.244.0.22 aadpodidbinding=billing || bail 'pods'
nmi_start
nginx_start || bail 'nginx did not start'
series 'cached_rate cached_p99 cached_errors cached_cpu' cached
series 'pss dirty' memory memory
series cold cold
series start start
no_leak 'IMDS saw no pod'
e2e_end
