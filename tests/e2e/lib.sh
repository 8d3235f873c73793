# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the end-to-end tests share: the real agent in a node in a box (tests/sandbox/cluster.sh), asked
# from pods. A script is: e2e_begin NAME, tests, e2e_end.

e2e_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/tap.sh
source "$e2e_here/../tap.sh"
# shellcheck source=tests/sandbox/cluster.sh
source "$e2e_here/../sandbox/cluster.sh"

e2e_ruleset() { nft list ruleset 2>/dev/null | grep -c . || true; }

e2e_begin() { # NAME [ARGUMENT of nmi...]: a box with the example in it and nmi running
	e2e_box "$1"
	shift
	sb_start_nmi "$@" || bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"
}

e2e_box() { # NAME: the same without nmi
	# another name, so that two trees can be tested on one machine
	sb_use "e2e${NMI_E2E_BOX:-}-$1"
	e2e_rules_before=$(e2e_ruleset)
	trap e2e_cleanup EXIT
	trap 'exit 1' INT TERM
	sb_up || bail 'the sandbox cannot be raised'
	# throttling has tests of its own; elsewhere it would only be in the way
	sb_imds limits token-rate=0 other-rate=0 token-concurrent=0 >/dev/null
	sb_example || bail 'the example cannot be laid out'
}

e2e_cleanup() {
	local status=$?
	if [[ -d $SB_DIR ]] && ((status || tap_failed)); then
		echo '# the last lines of nmi:'
		tail -n 20 "$SB_DIR/nmi.log" 2>/dev/null | cut -c1-300 | sed 's/^/#   /'
	fi
	sb_down
	return "$status"
}

still_in() { # INODES of network namespaces: who is in one of them, as "net:[INODE] PID NAME"
	local ns pid
	for ns in /proc/[0-9]*/ns/net; do
		pid=${ns#/proc/} pid=${pid%%/*}
		printf '%s %s %s\n' "$(readlink "$ns")" "$pid" "$(<"/proc/$pid/comm")"
	done 2>/dev/null | grep -F "$(for ns in $1; do printf 'net:[%s]\n' "$ns"; done)"
}

# Keeps the namespaces of the box until release_namespaces, so that no other box gets their inodes meanwhile; they are in $inodes.
hold_namespaces() {
	local ns fd
	inodes='' held=()
	for ns in $(sb_namespaces); do
		exec {fd}<"/run/netns/$ns" && held+=("$fd")
		inodes+=" $(stat -L -c %i "/run/netns/$ns")"
	done
}
release_namespaces() {
	local fd
	for fd in ${held[@]+"${held[@]}"}; do exec {fd}<&-; done
}

# In all that the agent has said to anybody, see sb_gather.
nothing_leaked() {
	sb_gather
	is 'no secret, key, assertion or token stands in what the agent said' "$(/usr/bin/python3 "$e2e_here/../leaks/search.py" "$SB_DIR/run" 2>&1)" ''
}

# What must hold after every script: nothing leaked, nothing left behind.
e2e_end() {
	local inodes held
	nothing_leaked
	unlike 'no sanitizer or assertion spoke' "$(<"$SB_DIR/nmi.log")" \
		'Sanitizer|runtime error:|Assertion .* failed|stack smashing|core dumped'
	hold_namespaces
	sb_down
	is 'every namespace is gone' "$(sb_namespaces)" ''
	# one that was killed may need a moment
	nobody_left() { ! still_in "$inodes"; }
	eventually 10 nobody_left || true
	passes 'every process is gone' nobody_left
	release_namespaces
	is 'the machine has the packet rules that it had' "$(e2e_ruleset)" "$e2e_rules_before"
	done_testing
}

no_leak() { # SENTENCE
	is "$1" "$(sb_leaks)" 0
}

# What must have come of the last request: the status, and what the body must match.
was_answered() { # SENTENCE STATUS REGEX
	# shellcheck disable=SC2053 # the status is a pattern
	if [[ $SB_STATUS == $2 && $SB_BODY =~ $3 ]]; then
		ok "$1"
	else
		not_ok "$1" "got:  $SB_STATUS $SB_BODY"$'\n'"want: $2 /$3/"
	fi
}

# A token of this client id, its signature and audience checked.
was_given() { # SENTENCE CLIENT-ID
	local appid
	appid=$(sb_claim appid)
	if [[ $SB_STATUS == 200 && $appid == "$2" ]]; then
		ok "$1"
	else
		not_ok "$1" "got:  $SB_STATUS, token of ${appid:-nobody}, $SB_BODY"$'\n'"want: 200, $2"
	fi
}

answers() { # SENTENCE STATUS REGEX POD TARGET [CURL-ARGUMENT...]
	sb_ask "${@:4}"
	was_answered "$1" "$2" "$3"
}

gives() { # SENTENCE CLIENT-ID POD TARGET [CURL-ARGUMENT...]
	sb_ask "${@:3}"
	was_given "$1" "$2"
}

asks_ok() { # POD: one quiet token request
	sb_ask "$1" "$SB_ASK" -m 2
	[[ $SB_STATUS == 200 ]]
}

asks_as() { # POD CLIENT-ID
	asks_ok "$1" && [[ $(sb_field client_id) == "$2" ]]
}

msec_since() { # EPOCHREALTIME
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f\n", (b - a) * 1000 }'
}

metric() { # SERIES: its value, or 0
	sb_metrics |
		awk -v s="$1" 'index($0, s) == 1 && (s ~ /{/ || substr($0, length(s) + 1) ~ /^[ {]/) { v = $NF } END { print v + 0 }'
}

# In the background: the answer is in $SB_DIR/bg, its status and time in $SB_DIR/bg.status.
ask_bg() { # POD TARGET [CURL-ARGUMENT...]; its pid is in SB_SPAWNED
	sb_spawn "$1" curl -s -m 30 -o "$SB_DIR/bg" -w '%{http_code} %{time_total}' -H Metadata:true "${@:3}" \
		"http://169.254.169.254$2" >"$SB_DIR/bg.status"
}
bg_client() { sed -nE 's/.*"client_id": ?"([^"]*)".*/\1/p' "$SB_DIR/bg"; }
waiting() { metric nmi_requests_waiting; }
is_waiting() { [[ $(waiting) == "$1" ]]; }

# Pods that ask all the while: `answered` then puts into $replies what came, of all of them.
askers=()
asking() { # POD [OPTION of asker.py...] TARGET
	local to=$SB_DIR/asked.$1.${#askers[@]}
	sb_spawn "$1" nice -n 5 python3 "$e2e_here/asker.py" "${@:2}" >"$to"
	askers+=("$SB_SPAWNED")
	eventually 10 grep -q asking "$to"
}

answered() {
	local pid
	for pid in "${askers[@]}"; do kill -TERM "$pid" && wait "$pid"; done
	# shellcheck disable=SC2034
	replies=$(grep -hv asking "$SB_DIR"/asked.*)
	rm -f "$SB_DIR"/asked.*
	askers=()
}

herd() { # PODS REQUESTS-A-POD TARGET: pods w1 to wPODS, at the same moment; adds up what they got
	local i pids=() start
	start=$(awk -v t="$EPOCHREALTIME" 'BEGIN { printf "%.3f", t + 2 }')
	for ((i = 1; i <= $1; i++)); do
		sb_exec "w$i" python3 "$e2e_here/herd.py" "$2" "$3" "$start" >"$SB_DIR/herd.$i" 2>&1 &
		pids+=($!)
	done
	wait "${pids[@]}"
	cat "$SB_DIR"/herd.* | awk '{ n[$1] += $2 } END { for (k in n) print k, n[k] }' | sort
	rm -f "$SB_DIR"/herd.*
}
