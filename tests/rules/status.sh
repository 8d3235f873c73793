#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# nmi status: of an agent that runs, is not ready, is stopped, has died, or is somebody else; with the rules in
# place and flushed; asked by root, by nobody, by two at once, and beside a crowd that says nothing.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
e2e_begin status
prog=$(sb_program nmi)

# Sets ST (exit status), OUT, and MSEC.
status() { # [ARGUMENT...]
	local start=$EPOCHREALTIME
	OUT=$(sb_in "$SB_NODE" timeout -s KILL 20 "${as[@]}" "$prog" status --run-directory="$SB_DIR/nmi" "$@" 2>&1)
	ST=$?
	MSEC=$(msec_since "$start")
}
as=()
line() { sed -n "$1p" <<<"$OUT"; }
judge() { # SENTENCE EXPRESSION...: of the document
	printf '%s\n' "$OUT" >"$SB_DIR/status.json"
	is "$1" "$(/usr/bin/python3 "$here/status_json.py" "$SB_DIR/status.json" "$sb_root/docs/status.rst" "${@:2}" 2>&1)" ''
}

# ---- it runs ----

for _ in 1 2 3; do sb_ask web "$SB_ASK"; done
sb_ask plain "$SB_ASK"
status
is 'of a ready agent it exits 0' "$ST" 0
like 'the first line says that the node is protected' "$(line 1)" '^Protected: the agent answers'
like 'the next that the agent is ready' "$(sed -n 2,3p <<<"$OUT")" $'(^|\n)Ready: the agent serves pods'
is 'all but the rules fits 80 columns' "$(sed '/^Rules in the kernel/q' <<<"$OUT" | awk 'length > 79')" ''
like 'the rules are there with their counters' "$OUT" 'tcp dport 80 counter packets [0-9]+ bytes [0-9]+ dnat to 10\.240\.0\.4:2579 comment "nmi: '
at_most 'it takes milliseconds' "$MSEC" 1500

status --output=json
is 'the same as JSON' "$ST" 0
pid=$(sb_pid nmi) redirector=$(redirector_pid)
judge 'every field is as the page says' 'd["schema"] == 1 and a["schema"] == 1'
judge 'it says what is so' \
	'd["protected"] is True and d["ready"] is True and d["agent_error"] is None and d["rules_error"] is None' \
	"a['node'] == '$SB_NODE_NAME' and a['mode'] == 'managed' and a['pid'] == $pid" \
	'a["ready"] is True and a["stopping"] is False and 0 <= a["uptime_seconds"] < 60' \
	"abs(a['since'] + a['uptime_seconds'] - $EPOCHSECONDS) < 3" \
	'[c["name"] for c in a["checks"]][:3] == ["redirect", "pods", "identities"]' \
	'all(c["ok"] and c["why"] is None for c in a["checks"])' \
	'a["rules"]["state"] == "active" and a["rules"]["backend"] == "nft" and a["rules"]["repairs"] == 0' \
	'a["rules"]["metadata"] == "169.254.169.254:80" and a["rules"]["agent"] == "10.240.0.4:2579"' \
	'a["rules"]["protection"] is not None and "auto" in a["rules"]["chosen"]' \
	'a["rules"]["last_repair_usec"] is None and a["rules"]["spoofed_packets"] == 0 and a["rules"]["bridge_ports"] == 0' \
	'a["known"] == {"pods": 4, "identities": 2, "bindings": 2, "exceptions": 1, "assigned": None, "service_accounts": None}' \
	'a["requests"]["answered"] == 4 and a["requests"]["refused"] == 1 and a["requests"]["waiting"] == 0' \
	'a["requests"]["log_dropped"] == 0 and a["requests"]["audit_dropped"] is None' \
	'(a["cache"]["tokens"], a["cache"]["misses"], a["cache"]["hits"], a["cache"]["fetches"]) == (1, 1, 2, 1)' \
	'a["cache"]["stale"] == 0 and a["cache"]["in_flight"] == 0 and a["cache"]["failures"] == 0' \
	'[s["name"] for s in a["sources"]] == ["imds"] and a["sources"][0]["max_in_flight"] == 4' \
	'a["sources"][0]["per_second"] == 20 and 18 <= a["sources"][0]["left_this_second"] <= 20 and a["sources"][0]["braked_msec"] is None' \
	'{w["name"] for w in a["watches"]} >= {"pods", "azureidentities", "azureidentitybindings"}' \
	'all(w["state"] == "synced" and w["synced"] and w["error"] is None and w["last_event_seconds"] < 60 for w in a["watches"])' \
	"[(p['name'], p['pid']) for p in a['processes']] == [('nmi', $pid), ('nmi-redirector', $redirector)]" \
	'all(100 < p["shared_kib"] < p["resident_kib"] < 100000 for p in a["processes"])' \
	"abs(a['processes'][0]['open_files'] - $(find "/proc/$pid/fd" -mindepth 1 | wc -l)) <= 2" \
	'"chain guard" in d["rules"]'

# what a person who lists the rules is told
listed() { # FAMILY TABLE: without what differs from run to run, or from kernel to kernel
	sb_in "$SB_NODE" nft -s list table "$1" "$2" | sed -E 's/ # progname .*//; /^\tflags /d'
}
is 'nft list table ip nmi reads as it should' "$(listed ip nmi)" "$(cat "$here/readable.nft")"
is 'no rule of ours is without a comment' "$(rules_without_comment)" ''
like 'the socket is root'"'"'s, and of its group' "$(stat -c '%a %U %F' "$SB_DIR/nmi/nmi.sock")" '^660 root socket$'

# ---- who asks, and how many ----

as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
chmod go+rx "$SB_DIR" # or nobody does not get there
status
chmod go-rx "$SB_DIR"
is 'nobody is told nothing' "$ST" 3
like 'but who may ask' "$(tr -s ' \n' ' ' <<<"$OUT")" 'NO AGENT: .*ask as root'
like 'and what reading the rules needs' "$OUT" 'CAP_NET_ADMIN is'
like 'it does not say what it does not know' "$(line 1)" '^Protection not known'
as=(setpriv --bounding-set=-net_admin --inh-caps=-net_admin)
status
is 'root without CAP_NET_ADMIN asks the agent' "$ST" 0
like 'and is told why it has no rules' "$(tail -n 3 <<<"$OUT")" 'CAP_NET_ADMIN is'
like 'the agent'"'"'s word is called so' "$(line 1)" '^Protected: the agent says'
as=()
(status; exit "$ST") & one=$!
(status; exit "$ST") & two=$!
wait "$one" && wait "$two"
is 'two at once are both answered' "$?" 0

before=$(find "/proc/$pid/fd" -mindepth 1 | wc -l)
/usr/bin/python3 - "$SB_DIR/nmi/nmi.sock" <<-'END' &
	import socket, sys, time
	crowd = []
	for _ in range(100):
	    s = socket.socket(socket.AF_UNIX)
	    s.connect(sys.argv[1])
	    crowd.append(s)
	time.sleep(4)
END
crowd=$!
good=0 slowest=0
for ((i = 0; i < 40; i++)); do
	sb_ask web "$SB_ASK" -m 2
	[[ $SB_STATUS != 200 ]] || good=$((good + 1))
	slowest=$(awk -v a="$slowest" -v b="$SB_MSEC" 'BEGIN { print (a > b ? a : b) }')
done
is 'beside a hundred who say nothing pods are served' "$good" 40
at_most 'as fast as ever (ms, the slowest of 40)' "$slowest" 250
status
is 'and a question is answered' "$ST" 0
wait "$crowd"
quiet() { (($(find "/proc/$pid/fd" -mindepth 1 | wc -l) <= before + 1)); }
passes 'nothing is left of them' eventually 4 quiet
is 'an unknown line is answered too' "$(/usr/bin/python3 - "$SB_DIR/nmi/nmi.sock" <<-'END'
	import json, socket, sys
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	s.sendall(b"token please\n")
	print(json.loads(s.makefile().read())["error"]["code"])
END
)" unknown_command

# ---- two agents: who came last has the name ----

sb_start second "$SB_NODE" env KUBECONFIG="$SB_NMI_KUBECONFIG" "$prog" --node "$SB_NODE_NAME" \
	--operation-mode=managed --http-probe-port=8086 --prometheus-port=9091 --nmi-port=2580 --run-directory="$SB_DIR/nmi"
second_pid() { sb_pid second; }
is_second() { status --output=json && [[ $(sed -nE 's/^    "pid": ([0-9]+),.*/\1/p' <<<"$OUT") == "$(second_pid)" ]]; }
passes 'a second agent takes the name' eventually 10 is_second
sb_stop second
status
is 'when it ends, the first is not asked any more' "$ST" 3
like 'since nobody has the name' "$OUT" 'there is no .*nmi\.sock'
like 'what protects the node is told' "$(line 1)" '^Protected: the guard in the kernel'
sb_stop_nmi
sb_start_nmi || bail 'nmi does not start again'
status
is 'the next agent has it again' "$ST" 0

# ---- it is stopped, dies, or is somebody else ----

kill -STOP "$(sb_pid nmi)"
status
kill -CONT "$(sb_pid nmi)"
is 'of an agent that is stopped it exits 3' "$ST" 3
at_most 'within the time (ms)' "$MSEC" 5000
like 'and says so' "$(tr -s ' \n' ' ' <<<"$OUT")" 'NO AGENT: process [0-9]+ has .* and does not answer: it is stopped or'
status
is 'it goes on, and is asked again' "$ST" 0
sb_kill_nmi
status
is 'of a dead one too' "$ST" 3
like 'with what it left' "$(sed -n 3,5p <<<"$OUT")" 'has died'
like 'the guard stands' "$(line 1)" '^Protected: the guard in the kernel keeps pods'
like 'and is shown' "$OUT" 'chain guard'
sb_in "$SB_NODE" nft flush chain ip nmi guard
status
like 'a guard without its rule is none' "$(line 1)" '^NOT PROTECTED: no guard stands'
sb_in "$SB_NODE" nft flush ruleset
status
is 'without rules it exits the same' "$ST" 3
like 'and says that the node is open' "$(line 1)" '^NOT PROTECTED: no rule of nmi stands in the kernel'
status --output=json
judge 'as JSON' 'd["protected"] is False and d["ready"] is False and d["agent"] is None and d["rules"] == ""' \
	'"has died" in d["agent_error"]'

liar() { # CODE: of a server that has the agent's name
	rm -f "$SB_DIR/nmi/nmi.sock"
	/usr/bin/python3 -c "
import socket, sys, time
l = socket.socket(socket.AF_UNIX)
l.bind(sys.argv[1])
l.listen()
s, _ = l.accept()
s.recv(100)
$1" "$SB_DIR/nmi/nmi.sock" &
	liar=$!
	eventually 5 test -S "$SB_DIR/nmi/nmi.sock"
	sleep 0.1
	status
	kill "$liar" 2>/dev/null
	wait "$liar" 2>/dev/null
}
liar 's.sendall(b"\x1b[2J" + bytes(range(256)) * 50)'
is 'garbage is no answer' "$ST" 3
like 'and called so' "$OUT" 'NO AGENT: what process [0-9]+ answers .* is no status'
unlike 'nothing of it reaches the terminal' "$(tr -d '\n\t' <<<"$OUT" | LC_ALL=C grep -P '[^ -~]')" .
liar 's.sendall(b"{\"schema\":1,\"ready\":true,\"rules\":{\"state\":\"active\"}}")'
like 'a liar is not believed about the rules' "$(line 1)" '^NOT PROTECTED: the agent says'
liar 'time.sleep(30)'
at_most 'one that is silent is not waited for (ms)' "$MSEC" 5000
liar 'try:
	while True: s.sendall(b" " * 65536)
except OSError: pass'
is 'nor one that never ends' "$ST" 3
rm -f "$SB_DIR/nmi/nmi.sock"

# ---- it runs and is not ready ----

sb_in "$SB_API" nft 'add table ip away; add chain ip away in { type filter hook input priority 0; };
	add rule ip away in ip saddr '"$SB_NODE_IP"' tcp dport 6443 reject with tcp reset'
sb_launch_nmi
answered() { status; ((ST != 3)) && [[ $OUT == *'Protected: '* ]]; }
passes 'without an API server the agent answers' eventually 5 answered
status
is 'it is not ready' "$ST" 1
like 'what is missing stands on top' "$(head -n 8 <<<"$OUT")" $'NOT READY: .*\n  pods +.*not listed yet'
like 'and what to do' "$(head -n 8 <<<"$OUT")" 'what to do .*API server'
like 'the node is protected all the same' "$(line 1)" '^Protected: '
status --output=json
judge 'as JSON' 'd["ready"] is False and a["ready"] is False and d["protected"] is True' \
	'[c["ok"] for c in a["checks"] if c["name"] == "pods"] == [False]' \
	'"not listed" in next(c["why"] for c in a["checks"] if c["name"] == "pods")' \
	'all(w["state"] == "starting" and not w["synced"] for w in a["watches"])'
sb_in "$SB_API" nft delete table ip away
passes 'with one it is' eventually 15 sb_nmi_ready
status
is 'and says so' "$ST" 0
sb_stop_nmi
is 'one that ends in order takes its socket along' "$(ls "$SB_DIR/nmi")" ''

# ---- its rules are flushed while it runs, as on a kernel where that can be ----

LD_PRELOAD=${NMI_PLAIN_BUILD:-$SB_BUILD}/tests/platform/no-hold.so sb_start_nmi || bail 'nmi does not start where nothing can be held'
sb_in "$SB_NODE" nft flush ruleset
repaired() { status --output=json && [[ $OUT == *'"repairs": 1,'* ]]; }
passes 'a flush is repaired, which is told' eventually 5 repaired
status --output=json
judge 'with how long it took' 'd["protected"] is True and d["ready"] is True' \
	'a["rules"]["state"] == "active" and 0 < a["rules"]["last_repair_usec"] < 5000000' \
	'"table ip nmi-live" in d["rules"]'
is 'no rule of that table is without a comment either' "$(rules_without_comment)" ''
sb_stop_nmi

# ---- with a user of its own ----

sb_start_nmi --user=nobody || bail 'nmi does not start as nobody'
like 'the socket is its user'"'"'s' "$(stat -c '%a %U' "$SB_DIR/nmi/nmi.sock")" '^660 nobody$'
status
is 'root asks it' "$ST" 0
as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
chmod go+rx "$SB_DIR"
status
chmod go-rx "$SB_DIR"
is 'and its own user does' "$ST" 0
as=()
sb_stop_nmi
is 'it takes its socket along as well' "$(ls "$SB_DIR/nmi")" ''
sb_in "$SB_NODE" "$prog" status --output=xml >/dev/null 2>&1
is 'a wrong setting is a usage error' "$?" 2
e2e_end
