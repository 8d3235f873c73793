#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The self-test again and again: what it costs, and that nothing adds up. See lib.sh for the picture.
# Usage: self-test.sh TOOL DRIVER

TOOL=$1 DRIVER=$2
. "$(dirname "$0")/lib.sh"

RUNS=${SELF_TEST_RUNS:-50}

make_node
spawn "$tmp/agent" ip netns exec "$node" python3 -um http.server --bind $NODE_IP $AGENT_PORT
wait_for "$tmp/agent" Serving || bail 'the server does not start'
mkfifo "$tmp/lines"

backend=auto
start_driver() { # start_driver [COMMAND...]: that runs it
	exec 8<>"$tmp/lines" # for both, or one would wait for the other
	: >"$tmp/driver"
	ip netns exec "$node" "$@" "$DRIVER" run $NODE_IP $AGENT_PORT "$backend" <&8 >"$tmp/driver" 2>"$tmp/driver.err" &
	driver=$!
	pids+=("$driver")
	wait_for "$tmp/driver" '^active' || bail 'the redirector does not become active'
	redirector=$(child_of "$driver") tester=$(child_of "$redirector")
}
stop_driver() {
	exec 8>&-
	kill "$driver"
	wait "$driver" 2>/dev/null
}
child_of() { tr -d ' ' <"/proc/$1/task/$1/children"; }
tried() { grep -c '^tried' "$tmp/driver"; }
try() { # one, to its end
	local n i
	n=$(tried)
	echo try >&8
	for ((i = 0; i < 300 && $(tried) == n; i++)); do sleep 0.02; done
	tail -n 1 "$tmp/driver"
}
files() { find "/proc/$1/fd" -type l | wc -l; }
dirty() { awk '/^Private_Dirty:/ { print $2 }' "/proc/$1/smaps_rollup"; }
# In ms. Of the tester its children are what counts.
busy() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13 + $14 + $15) * 1000 / hz }' "/proc/$1/stat"; }
leftovers() {
	ip -n "$node" -o link | grep -c nmi-test
	ip -n "$node" route | grep -c 198.51.100.
}
state() { echo "$(files "$redirector") $(files "$tester")"; }

start_driver
answer=$(try)
is "$answer" 'tried 0 404 HTTP/1.0 404 File not found|SimpleHTTP/*' 'the answer of whoever is behind the redirect is told'
before=$(state) memory=$(($(dirty "$redirector") + $(dirty "$tester")))
cpu_r=$(busy "$redirector") cpu_t=$(busy "$tester") begun=$EPOCHREALTIME
for ((i = 0; i < RUNS; i++)); do try; done >"$tmp/answers"
took=$(awk -v a="$begun" -v b="$EPOCHREALTIME" -v n="$RUNS" 'BEGIN { printf "%.1f", (b - a) * 1000 / n }')
same=$(grep -c '^tried 0 404 ' "$tmp/answers")
ok $((same < RUNS - 2)) "$same of $RUNS further ones end in the same way; a busy machine may let one hear nothing"
is "$(state)" "$before" 'no process has more files open afterwards'
grown=$(($(dirty "$redirector") + $(dirty "$tester") - memory))
# a sanitizer keeps back what was freed, up to a limit of its own
most=$((${NMI_SLOW:-1} == 1 ? 64 : 65536))
ok $((grown > most)) "nor more than $most KiB more memory ($grown KiB)"
cpu_r=$(($(busy "$redirector") - cpu_r)) cpu_t=$(($(busy "$tester") - cpu_t))
echo "# a test: $took ms, CPU of the redirector $(awk "BEGIN { print $cpu_r / $RUNS }") ms, of who tests $(awk "BEGIN { print $cpu_t / $RUNS }") ms"
echo "# memory: $(grep -E '^(Pss|Private_Dirty)' "/proc/$tester/smaps_rollup" | tr -s ' ' | paste -sd,)"
for ((i = 0; i < 200; i++)); do [ "$(leftovers | paste -sd' ')" != '0 0' ] || break; sleep 0.01; done
is "$(leftovers | paste -sd' ')" '0 0' 'no link and no route is left'

# strict reverse path check, as hardened nodes have it
on "$node" sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1 \
	net.ipv4.conf.all.arp_ignore=8 net.ipv4.conf.all.arp_filter=1
is "$(try)" 'tried 0 404 *' 'it passes a strict reverse path check, and needs no ARP'

# killed: who tests in the middle, then for good
ip netns exec "$node" nft -f - <<<"table ip f {
	chain c { type filter hook input priority 0
	tcp dport $AGENT_PORT drop
	}
}"
echo try >&8
for ((i = 0; i < 200; i++)); do middle=$(child_of "$tester"); [ -z "$middle" ] || break; sleep 0.005; done
kill -KILL "$middle"
n=$(tried)
for ((i = 0; i < 700 && $(tried) == n; i++)); do sleep 0.01; done
is "$(tail -n 1 "$tmp/driver")" 'tried 6 0 *did not end in time*' 'a test that is killed is told of'
on "$node" nft delete table ip f
is "$(try)" 'tried 0 404 *' 'and the next one is made'
kill -KILL "$tester"
is "$(try)" 'tried 6 0 *has ended*' 'without the process that tests, that is told each time'
is "$(try)" 'tried 6 0 *has ended*' 'and the redirector goes on'
stop_driver

# as another user: whoever makes a namespace has rights over it in the parent's eyes
start_driver setpriv --reuid 65533 --clear-groups --inh-caps +net_admin --ambient-caps +net_admin
is "$(try)" 'tried 0 404 *' 'it works as another user, with CAP_NET_ADMIN alone'
stop_driver
# and without any right nothing is made, and that is said
backend=none start_driver setpriv --reuid 65533 --clear-groups --bounding-set=-all
is "$(try)" 'tried 6 0 veth pair: CAP_NET_ADMIN is missing*' 'without the right to make a link, that is the reason'
stop_driver
finish
