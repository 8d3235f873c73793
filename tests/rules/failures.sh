#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All that may happen to the rules and to the agent, while pods ask on and on: none of them reaches IMDS.
#
# A row is a line of output: what the pods were told, how many reached IMDS, and how long the rules were away where an
# agent is there to put them back. What older kernels do about the latter is tests/e2e/flush.sh's.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

guard_file=$e2e_here/../../deploy/boot-guard/nmi-boot.nft
instance='/metadata/instance?api-version=2021-02-01'
TRIALS=200

asking() { # POD TARGET: in the background
	sb_spawn "$1" nice -n 5 python3 "$e2e_here/asker.py" "$2" >"$SB_DIR/asked.$1"
	askers+=("$SB_SPAWNED")
}

# A row. What happens prints what was measured, and fails if it could not be done.
row() { # NAME COMMAND...
	local name=$1 pid pod measured done_at_all=no replies
	shift
	sb_imds reset >/dev/null
	askers=()
	asking web "$SB_ASK"
	asking plain "$SB_ASK"
	asking addon "$instance"
	for pod in web plain addon; do eventually 10 grep -q asking "$SB_DIR/asked.$pod" || bail "$name: pod $pod does not ask"; done
	"$@" >"$SB_DIR/measured" 2>"$SB_DIR/failed" && done_at_all=yes
	for pid in "${askers[@]}"; do kill -TERM "$pid" && wait "$pid"; done
	replies=$(cat "$SB_DIR"/asked.* | awk '/^[0-9e]/ { n[$1] += $2 } END { for (s in n) printf "%s×%d ", s, n[s] }')
	rm -f "$SB_DIR"/asked.*
	measured=$(paste -sd , "$SB_DIR/measured") leaks=$(sb_leaks)
	echo "# $name: answers $replies; reached IMDS: $leaks${measured:+; $measured}"
	like "$name: pods asked all the while" "$replies" '^[0-9e]'
	is "$name: it happened" "$done_at_all $(<"$SB_DIR/failed")" 'yes '
	[[ -n ${control:-} ]] || is "$name: no pod reached IMDS" "$leaks" 0
}

served() { asks_as web "$SB_SHOP"; }
until_served() { # how long, from now
	local t=$EPOCHREALTIME
	eventually 10 served && echo "served after $(msec_since "$t") ms"
}
in_node() { sb_in "$SB_NODE" "$@"; }

# ---- a row each ----

nothing() { sleep 0.5; }

crash() {
	sb_kill_nmi && sleep 0.7 && sb_launch_nmi && until_served
}

crash_of_the_redirector() {
	kill -KILL "$(redirector_pid)" && eventually 5 eval '! sb_pid nmi' && sleep 0.3 && sb_launch_nmi && until_served
}

stop() {
	sb_stop_nmi && sleep 0.7 && sb_launch_nmi && until_served
}

# One takes over from the other, and a third from that.
next_to() { # NAME: of the one that starts
	sb_start "$1" "$SB_NODE" env KUBECONFIG="$SB_NMI_KUBECONFIG" FORCENAMESPACED=true "$(sb_program nmi)" --node "$SB_NODE_NAME" \
		--operation-mode=managed --http-probe-port=8085 --prometheus-port=9090 --run-directory="$SB_DIR/nmi" &&
		eventually 10 is_in_charge "$1"
}
is_in_charge() { "$(sb_program nmi)" probe ready "$(sb_pid "$1")" --run-directory="$SB_DIR/nmi"; }
upgrade() {
	next_to nmi2 && served && sb_stop_nmi && until_served && sleep 0.3 &&
		next_to nmi && sb_stop nmi2 TERM && until_served && cat "$SB_DIR/nmi2.log" >>"$SB_DIR/nmi.log"
}

# All that the node knew is gone, and what its unit loads is there before anything else.
reboot() {
	sb_kill_nmi && in_node nft -f - <<<"flush ruleset; include \"$guard_file\"" && sleep 0.7 && sb_launch_nmi && until_served
}

flush_while_dead() {
	in_node nft -f "$guard_file" && sb_kill_nmi && sleep 0.2 &&
		for _ in {1..20}; do in_node nft -f - <<<"flush ruleset; include \"$guard_file\"" || return; done &&
		sleep 0.3 && sb_launch_nmi && until_served && in_node nft delete table ip nmi-boot
}

policies() { # FLAVOUR
	in_node "iptables-$1" -P FORWARD DROP && sleep 0.4 && in_node "iptables-$1" -P INPUT DROP && sleep 0.6 &&
		in_node "iptables-$1" -P INPUT ACCEPT && in_node "iptables-$1" -P FORWARD ACCEPT && until_served
}

iptables_flushed() { # FLAVOUR
	for _ in {1..20}; do
		in_node sh -c "iptables-$1 -F; iptables-$1 -t nat -F; iptables-$1 -t raw -F; iptables-$1 -t mangle -F" || return
	done
	in_node sh -c "iptables-$1 -X; iptables-$1 -t nat -X" && until_served
}

removed() { # COMMAND...: TRIALS times; what the kernel told of the rules meanwhile
	in_node nice -n -5 python3 "$e2e_here/flusher.py" $TRIALS "$@" 2>&1 && served
}

# ---- the table ----

e2e_box failures
control=yes
row 'no rules, no agent' nothing
control=''
like 'without rules the same requests do reach IMDS' "$leaks" '^[1-9]'
sb_start_nmi || bail 'nmi does not start'

row 'agent killed' crash
row 'redirector killed' crash_of_the_redirector
row 'agent stopped' stop
row 'agent upgraded' upgrade
row 'reboot, with the boot guard' reboot
row 'flush by a file with the boot guard, while the agent is dead' flush_while_dead
passes 'the agent is ready' eventually 10 sb_nmi_ready
for flavour in nft legacy; do
	row "iptables-$flavour, policies DROP and back" policies $flavour
	row "iptables-$flavour flushed" iptables_flushed $flavour
done

# What this kernel has: from Linux 6.9 on nobody else can take the rules away; before, a copy is out of reach, and the
# other is back at once for the most part (flush.sh says for which).
passes 'the agent is ready' eventually 10 sb_nmi_ready
handle=$(in_node nft -a list chain ip nmi to_agent | sed -nE 's/.*dnat to .* # handle ([0-9]+)/\1/p')
like 'there is a rule to be deleted' "$handle" '^[0-9]+$'
IFS=.- read -r major minor _ <<<"$(uname -r)"
p99=99 held=no
((major < 6 || (major == 6 && minor < 9))) || held=yes p99=10
for what in "flush ruleset" "delete rule ip nmi to_agent handle $handle" "delete table ip nmi"; do
	name="nft ${what%% handle *}" whole=$(in_node nft -s list table ip nmi)
	# shellcheck disable=SC2086 # words
	row "$name" removed nft $what
	numbers=$(<"$SB_DIR/measured")
	like "$name: the rules are there after each of $TRIALS times" "$numbers" "back $TRIALS "
	like "$name: there was no moment without redirect and guard" "$numbers" ' open 0 '
	at_most "$name: back within ms, p99" "$(sed -nE 's/.* p99 ([0-9.]+).*/\1/p' <<<"$numbers")" $p99
	is "$name: and they are as they were" "$(in_node nft -s list table ip nmi)" "$whole"
	[[ $held == no ]] || like "$name: they never went" "$numbers" ' gone 0 '
done
passes 'and the agent is ready' sb_nmi_ready
e2e_end
