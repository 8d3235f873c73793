#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What happens on a node, and how soon all is well again: a pod is new, a thousand ask for the same at once, somebody flushes
# the rules, one agent takes the place of another. With the means of tests/e2e and tests/rules, which say what must hold; here
# it is measured.
# alone: it measures, and makes all the load that the machine bears
set -uo pipefail
# shellcheck source=tests/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/rules/agents.sh
source "$bench_here/../rules/agents.sh"
ulimit -n 8192 2>/dev/null || true

a_herd() {
	local got
	sb_imds reset >/dev/null
	sb_imds latency area=token msec=400 >/dev/null
	got=$(herd 10 100 "$SB_TOKEN?api-version=2018-02-01&resource=https://herd.example.com/$EPOCHREALTIME")
	sb_imds clear >/dev/null
	sample herd nmi "$(sb_imds stats | python3 -c 'import json, sys; print(json.load(sys.stdin)["total"]["token"])')"
	sample herd_answered nmi "$(awk '$1 == 200 { n = $2 } END { print n + 0 }' <<<"$got")"
}

flushed() { # held|doubled ROUNDS COMMAND...
	local line
	sb_imds reset >/dev/null
	asking web "$SB_ASK"
	asking plain "$SB_ASK"
	line=$(sb_in "$SB_NODE" python3 "$e2e_here/flusher.py" --samples="$SB_DIR/flushed" "${@:2}" 2>&1)
	answered
	echo "# $1: $line; answers: $(tr '\n' ' ' <<<"$replies")"
	[[ $line =~ back\ $2\ .*open\ ([0-9]+)\ wake\ ([0-9.]+) ]] || return
	sample "$1" nmi "$(<"$SB_DIR/flushed")"
	[[ $1 != doubled ]] || sample wake nmi "${BASH_REMATCH[2]}"
	sample open "$1" "${BASH_REMATCH[1]}"
	sample reached_imds "$1" "$(sb_leaks)"
}

an_upgrade() {
	local old=$current
	n=$((n + 1)) current=a$n
	launch "$current" "$(sb_program nmi)"
	eventually 10 has_taken "$current" || return
	eventually 5 is_ready "$current" || return
	sleep 0.3
	signal "$old" TERM
	eventually 10 is_gone "$old" || return
	sleep 0.7 # the new redirector takes the tables over
	report || return
	sample upgrade_failed nmi "$errors"
	sample upgrade_asked nmi "$asked"
	sample upgrade_slowest nmi "$slowest"
}

upgrades() {
	local i pods=() n=1 current=a1 load
	launch a1 "$(sb_program nmi)"
	eventually 10 is_ready a1 || return
	for i in {1..20}; do pods+=("$(sb_pod_ns "w$i")"); done
	/usr/bin/python3 "$bench_here/../rules/load.py" 500 "$SB_DIR/report" "${pods[@]}" >"$SB_DIR/load.log" 2>&1 &
	load=$!
	sleep 1
	for ((i = 0; i < $(mode 3 10); i++)); do
		an_upgrade || break
	done
	kill "$load" && wait "$load" 2>/dev/null
	sb_stop "$current"
	((i == $(mode 3 10)))
}

bench_box node
for i in {1..20}; do
	sb_add_pod "w$i" shop "10.244.0.$((100 + i))" "aadpodidbinding=$( ((i <= 10)) && echo shop || echo billing)" || bail "pod w$i"
done
nmi_start
series served served served "$(mode 20 200)"
series 'herd herd_lost' a_herd
rounds=$(mode 50 300)
IFS=.- read -r major minor _ < <(uname -r)
if ((major > 6 || (major == 6 && minor >= 9))); then
	series held flushed held "$rounds" sh -c 'nft add table ip canary && nft flush ruleset'
	sb_stop_nmi
	LD_PRELOAD=$SB_BUILD/tests/platform/no-hold.so nmi_start
fi
series doubled flushed doubled "$rounds" nft delete table ip nmi
judge open
sb_stop_nmi
series upgrade upgrades
gather_agents
nmi_start
no_leak 'IMDS saw no pod'
e2e_end
