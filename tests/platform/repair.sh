#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every way in which a table of ours can be altered, again and again: where others can do it, it is repaired, and
# how soon is measured; where they cannot, each is refused. Then news that are lost, and a fight.
# Usage: repair.sh TOOL DRIVER PROTECTION

TOOL=$1 DRIVER=$2 PROTECTION=$3
. "$(dirname "$0")/lib.sh"
here=$(dirname "$0")
IFS=.- read -r major minor _ <<<"$(uname -r)"
((major > 6 || (major == 6 && minor >= 9))) || PROTECTION=doubled
make_node
start_agent

start_driver() {
	spawn "$tmp/driver" ip netns exec "$node" "$DRIVER" run $NODE_IP $AGENT_PORT
	driver=$last
	wait_for "$tmp/driver" "^active $PROTECTION" || bail "the redirector does not become active"
	child=$(<"/proc/$driver/task/$driver/children")
	child=${child// /}
}

stop_driver() {
	kill -TERM "$driver"
	wait "$driver" 2>/dev/null
}

listing() { on "$node" nft -s list table ip nmi 2>&1 | sed 's/ # progname.*//'; }

PORT="iif != \"lo\" tcp dport $AGENT_PORT"
table=(
	"the table is deleted|delete table ip nmi"
	"the ruleset is flushed|flush ruleset"
	"a chain is deleted|delete chain ip nmi to_agent"
	"a chain's rules are deleted|flush chain ip nmi guard"
	"a chain is added|add chain ip nmi more"
	"a rule is added at the end|add rule ip nmi guard accept"
	"a rule is inserted in front|insert rule ip nmi guard accept"
	"a rule is altered|flush chain ip nmi guard; add rule ip nmi guard ip daddr 169.254.169.253 tcp dport 80 counter reject with tcp reset"
	"rules change places|flush chain ip nmi agent_port; add rule ip nmi agent_port $PORT counter drop; add rule ip nmi agent_port $PORT ct status dnat ct original ip daddr $IMDS ct original proto-dst 80 accept"
	"a chain's policy is changed|add chain ip nmi guard { policy drop; }"
	"a chain's priority is changed|delete chain ip nmi guard; add chain ip nmi guard { type filter hook forward priority 0; }; add rule ip nmi guard ip daddr $IMDS tcp dport 80 counter reject with tcp reset"
	"a chain's hook is changed|delete chain ip nmi guard; add chain ip nmi guard { type filter hook input priority -300; }; add rule ip nmi guard ip daddr $IMDS tcp dport 80 counter reject with tcp reset"
	"a chain's type is changed|delete chain ip nmi to_agent; add chain ip nmi to_agent { type filter hook prerouting priority -199; }"
	"the table is put to sleep|add table ip nmi { flags dormant; }"
	"a set is added|add set ip nmi more { type ipv4_addr; }"
	"a map with an element is added|add map ip nmi more { type inet_service : verdict; elements = { 80 : accept }; }"
)
owned=(
	"an element of the ports' set is deleted|flush set ip nmi-spoof seen"
	"the counting table is deleted|delete table ip nmi-spoof"
)
[ "$PROTECTION" = held ] || owned+=("the copy is deleted|delete table ip nmi-live" "a rule of the copy is deleted|flush chain ip nmi-live guard")

# 50 of each; where they are repaired 200, with a new redirector for each 67, since a burst of repairs is limited to 100
if [ "$PROTECTION" = held ]; then parts=(50); else parts=(67 67 66); fi
alter() { # alter COMMAND: in `made` and `refused` how many there were, in $tmp/msec their times
	local i line n no
	made=0 refused=0
	: >"$tmp/msec"
	for i in "${parts[@]}"; do
		start_driver
		on "$node" python3 "$here/repair.py" "$i" "$1" "$child" >"$tmp/rounds" 2>&1
		read -r line n _ no <"$tmp/rounds"
		made=$((made + n)) refused=$((refused + no))
		sed 1d "$tmp/rounds" >>"$tmp/msec"
		same() { [ "$(listing)" = "$whole" ]; }
		for _ in {1..50}; do same && break; sleep 0.02; done
		same || left=$(diff <(listing) <(echo "$whole") | head -3)
		stop_driver
	done
}

numbers() { # COLUMN: p50, p99 and the greatest, in milliseconds
	awk -v c="$1" '{ print $c }' "$tmp/msec" | sort -n |
		awk '{ v[NR] = $1 } END { printf "p50 %s p99 %s max %s", v[int((NR + 1) / 2)], v[int(NR * 0.99 + 0.999)], v[NR] }'
}

start_driver
whole=$(listing)
stop_driver
for line in "${table[@]}"; do
	IFS='|' read -r what command <<<"$line"
	[ "$PROTECTION:$command" != 'held:flush ruleset' ] || continue # nothing at all happens then, see redirector.sh
	left=''
	alter "$command"
	if [ "$PROTECTION" = held ]; then
		is "$made $refused" "0 50" "held: $what: refused, 50 of 50"
	else
		is "$made $refused" "200 0" "doubled: $what: repaired, 200 of 200"
		for _ in 1 2; do # once more if other work on the machine was in the way
			read -r _ p50 _ p99 _ <<<"$(numbers 1)"
			read -r _ own _ <<<"$(numbers 2)"
			echo "# $what: $(numbers 1) ms; after nft's own commit: $(numbers 3)"
			limit=$(awk -v o="$own" -v s="${NMI_SLOW:-1}" 'BEGIN { print 10 * s + o }')
			awk -v p="$p50" -v l="$limit" 'BEGIN { exit !(p < l) }' && break
			alter "$command"
		done
		awk -v p="$p50" -v l="$limit" 'BEGIN { exit !(p < l) }'
		ok $? "doubled: $what: half of the time and more within $limit ms, nft's own part included ($p50, p99 $p99)"
	fi
	is "$left" "" "$PROTECTION: $what: every chain and rule is what it was"
done
start_driver
for _ in {1..100}; do on "$node" nft list set ip nmi-spoof seen >/dev/null 2>&1 && break; sleep 0.02; done
for line in "${owned[@]}"; do
	IFS='|' read -r what command <<<"$line"
	is "$(on "$node" nft "$command" 2>&1)" "*Operation not permitted*" "$PROTECTION: $what: refused"
done
stop_driver

[ "$PROTECTION" = doubled ] || finish

# More news than the socket holds while the redirector sleeps, and among those that are lost the end of table nmi.
start_driver
kill -STOP "$child"
for ((i = 0; i < 3000; i++)); do
	echo "add table ip flood$i { comment \"$(printf %0100d $i)\"; }"
	echo "delete table ip flood$i"
done >"$tmp/flood"
on "$node" nft -i <"$tmp/flood" >/dev/null 2>&1
on "$node" nft delete table ip nmi
drops=$(awk '$2 == 12 { n += $9 } END { print n + 0 }' "/proc/$child/net/netlink")
[ "$drops" -gt 0 ]
ok $? "the kernel dropped news ($drops)"
kill -CONT "$child"
wait_for "$tmp/driver" "repairs=1 "
is "$(listing)" "$whole" "when news are lost all is compared, and what they would have told is repaired"
sleep 0.2
is "$(tail -1 "$tmp/driver")" "active doubled repairs=1 *" "once"
stop_driver

# A fight: what it costs, what is said, what pods hear
start_driver
mkfifo "$tmp/stop"
ip netns exec "$a" "$TOOL" hammer $IMDS 80 <"$tmp/stop" >"$tmp/hammer" &
hammer=$!
pids+=("$hammer")
exec 9>"$tmp/stop"
cpu() { awk '{ print $14 + $15 }' "/proc/$child/stat"; }
yes 'add table ip wall; delete table ip nmi' >"$tmp/yes" &
yes=$!
sleep 0.05
kill "$yes"
wait "$yes" 2>/dev/null
before=$(cpu)
timeout 8 sh -c "while cat '$tmp/yes'; do :; done 2>/dev/null | ip netns exec $node nft -i >/dev/null 2>&1"
ticks=$(($(cpu) - before))
exec 9>&-
wait "$hammer"
rm "$tmp/stop"
sleep 0.3
repairs=$(tail -1 "$tmp/driver" | sed 's/.*repairs=\([0-9]*\).*/\1/')
echo "# a fight of 8 s: $((ticks * 10)) ms of CPU, $repairs repairs, pods: $(cat "$tmp/hammer")"
is "$(cat "$tmp/hammer")" "agent=[1-9]* imds=0 none=0" "in a fight every pod is served"
[ "$repairs" -le 300 ]
ok $? "repairs are spaced out: $repairs in 8 s"
[ $((ticks / 8)) -le $((25 * ${NMI_SLOW:-1})) ]
ok $? "the redirector takes $((ticks / 8)) % of a CPU"
is "$(grep -c 'keeps undoing' "$tmp/driver.err")" 1 "there is one warning"
is "$(grep 'keeps undoing' "$tmp/driver.err")" "*keeps undoing them: nft (process [0-9]*)*" "that names the process: $(grep -o 'keeps undoing.*' "$tmp/driver.err")"
is "$(grep -m1 'keeps undoing' "$tmp/driver")" "failing *keeps undoing them: nft (process *" "and so does the status"
stop_driver
finish
