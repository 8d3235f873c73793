#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What many connections, many requests that wait, and many watch events cost on a node with 250 pods: memory, the time of a
# cached token of somebody else meanwhile, and how late an event is heard.
# alone: it measures, and makes all the load that the machine bears
set -uo pipefail
# shellcheck source=tests/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

requests=$(mode 4000 20000)
LIMIT=$(sed -nE 's/^#define LIMIT_CONNECTIONS +([0-9]+).*/\1/p' "$sb_root/nmi/limits.h")

steady() { # WHAT X: somebody else, over a connection that is there before; it begins with steady_go
	rm -f "$SB_DIR/go" && mkfifo "$SB_DIR/go" && exec {steady_fd}<>"$SB_DIR/go" || return
	# not by sb_spawn: what a function starts in the background has /dev/null to read, and would begin at once
	sb_exec web /usr/bin/python3 "$bench_here/steady.py" "$1" "$requests" "$2" <"$SB_DIR/go" >"$SB_DIR/steady" 2>&1 &
	steady_pid=$!
	eventually 20 grep -q connected "$SB_DIR/steady"
}
steady_go() {
	! grep -q '^{' "$SB_DIR/steady" || { sb_say 'somebody else has asked before there was anything to disturb him' && return 1; }
	echo go >&"$steady_fd"
	exec {steady_fd}>&-
	wait "$steady_pid" || { sb_say "$(tail -n 1 "$SB_DIR/steady")" && return 1; }
	grep '^{' "$SB_DIR/steady" >>"$bench_samples"
}

held() { # PART X TARGET POD...: so many connections, with a request on each
	local pods=() pod said hold
	for pod in "${@:4}"; do pods+=("$(sb_pod_ns "$pod")"); done
	steady "$1_one" "$2" || return
	/usr/bin/python3 "$bench_here/hold.py" "$2" "$3" "${pods[@]}" >"$SB_DIR/held" 2>&1 &
	hold=$!
	eventually 60 grep -q held "$SB_DIR/held" || { sb_say "$(tail -n 1 "$SB_DIR/held")" && return 1; }
	steady_go || return
	memory "$1" "$2"
	if [[ $1 == waiting ]]; then said=$(metric nmi_requests_waiting); else said=$(metric nmi_connections); fi
	sample "$1_there" nmi "$said" "$2"
	kill "$hold" && wait "$hold" 2>/dev/null
	# from three quarters on nobody is let in who has as many as those who have the most
	at_least "$1: of $2 as many were there as may be" "$said" $(($2 < LIMIT * 3 / 4 ? $2 : LIMIT * 3 / 4 - 16))
}
settled() { (($(metric nmi_connections) <= 2)); }

# A new agent each time: what one has once used, its allocator keeps.
connections() {
	local x
	for x in $(mode '10 1000' '10 100 1000 3000 10000'); do
		sb_stop_nmi && nmi_start || return
		held idle "$x" "$SB_ASK" h1 h2 h3 h4 h5 h6 || return
		eventually 10 settled || return
	done
	for x in $(mode '10 1000' '10 100 1000 3000'); do
		sb_stop_nmi && nmi_start --pod-wait=2m || return
		held waiting "$x" "$SB_ASK" u1 u2 u3 || return
		eventually 10 settled || return
	done
}

events() {
	local x seconds ns0 ns begin changes
	seconds=$(mode 4 15)
	for x in $(mode '0 100 1000' '0 10 100 300 1000'); do
		steady events_one "$x" || return
		sb_in "$SB_NODE" /usr/bin/python3 "$bench_here/changes.py" --server "$SB_API_URL" --ca "$SB_DIR/pki/ca.crt" --token "$SB_DIR/token" \
			--node "$SB_NODE_NAME" --rate "$x" --seconds "$seconds" >"$SB_DIR/changes" 2>&1 &
		changes=$!
		sleep 0.5
		begin=$EPOCHREALTIME
		read -r ns0 _ < <(cpu_of "$(sb_pid nmi)")
		sleep 1
		read -r ns _ < <(cpu_of "$(sb_pid nmi)")
		sample events_cpu nmi "$(awk -v d=$((ns - ns0)) -v ms="$(msec_since "$begin")" 'BEGIN { printf "%.2f", d / ms / 1e4 }')" "$x"
		served events_served "$(mode 8 50)" "$x" && steady_go || return
		wait "$changes" || { sb_say "$(tail -n 1 "$SB_DIR/changes")" && return 1; }
		sample events_there nmi "$(<"$SB_DIR/changes")" "$x"
	done
}

bench_box growth-load
fill_routes 0 250 || bail routes
populate --pods 250
for i in 1 2 3 4 5 6; do
	sb_add_pod h$i shop 10.244.0.$((70 + i)) aadpodidbinding=shop || bail "pod h$i"
done
for i in 1 2 3; do
	sb_pod_net u$i 10.244.0.$((80 + i)) || bail "pod u$i"
done
nmi_start
connections || bail 'connections cannot be measured'
sb_stop_nmi
nmi_start
events || bail 'events cannot be measured'
no_leak 'IMDS saw no pod'
e2e_end
