#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One of two agents is killed at every moment of a hand-over: the new one, and the pods do not notice; the old one,
# and they do for what was under way in it. What may go wrong by design, one thing at a time, is tests/rules/upgrade.sh.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../rules/lib.sh"
# shellcheck source=tests/rules/agents.sh
source "$(dirname "${BASH_SOURCE[0]}")/../rules/agents.sh"

e2e_box kill-upgrade
nmi=$(sb_program nmi)
launch a1 "$nmi"
passes 'an agent serves' eventually 10 asks_as web "$SB_SHOP"
sb_imds reset >/dev/null # there were no rules before the first one
current=a1 n=1
pause() { sleep "$(awk -v m="$1" 'BEGIN { print m / 1000 }')"; }
serves() { asks_as web "$SB_SHOP"; }
took=0 refused='' lost=0 asked=0 stuck=''

count() { # of what askers were told: errors into lost, all into asked; anything but 200 and 503 is remembered
	local status number
	answered
	while read -r status number; do
		[[ $status != slowest && -n $status ]] || continue
		asked=$((asked + number))
		case $status in
		200) ;;
		error | cut) lost=$((lost + number)) ;;
		*) refused+=" $status×$number" ;;
		esac
	done <<<"$replies"
}

for ((msec = 10; msec <= 490; msec += 30)); do
	n=$((n + 1))
	asking web --of="$SB_SHOP" "$SB_ASK"
	launch "a$n" "$nmi"
	pause $msec
	! has_taken "a$n" || took=$((took + 1))
	signal "a$n" KILL
	pause 150
	count
	serves || stuck+=" $msec"
done
is 'the new one is killed, at every moment: the old one serves on' "$stuck" ''
is '... every request is answered rightly' "$refused" ''
at_most '... or lost with the one that had taken over and was killed' "$lost" $((5 * took))
at_least '... of many' "$asked" 300
echo "# $asked asked, $lost lost; $took of 17 were killed after they had taken over"

took=0 refused='' lost=0 asked=0 stuck=''
for ((msec = 10; msec <= 490; msec += 30)); do
	old=$current n=$((n + 1)) current=a$((n))
	asking web --of="$SB_SHOP" "$SB_ASK"
	launch "$current" "$nmi"
	pause $msec
	! has_taken "$current" || took=$((took + 1))
	signal "$old" KILL
	eventually 5 serves || stuck+=" $msec"
	passes "the old one is killed after $msec ms: the new one gets ready" eventually 10 is_ready "$current"
	count
done
is 'the old one is killed, at every moment: the new one serves' "$stuck" ''
is '... every request is answered rightly, or not' "$refused" ''
echo "# $asked asked, $lost lost; $took of 17 were killed after the new one had taken over"
no_leak 'IMDS saw no pod'
only_one() { [[ $(for p in $(ip netns pids "$SB_NODE"); do readlink "/proc/$p/exe"; done | grep -c '/nmi$') == 3 ]]; }
passes 'one agent is left, of three processes' eventually 5 only_one
gather_agents
e2e_end
