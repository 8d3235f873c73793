# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Several agents on one node, as in an upgrade: each has a name, and a log of its own.

agents=()
launch() { # NAME PROGRAM [ARGUMENT...]
	agents+=("$1")
	sb_start "$1" "$SB_NODE" env KUBECONFIG="$SB_NMI_KUBECONFIG" "$2" --node "$SB_NODE_NAME" --operation-mode=managed \
		--http-probe-port=8085 --prometheus-port=9090 --run-directory="$SB_DIR/nmi" "${@:3}"
}
says() { grep -qE "$2" "$SB_DIR/$1.log"; } # NAME REGEX
is_offered() { says "$1" 'another agent is in charge'; }
has_taken() { says "$1" 'took over from|accepting in its place'; }
has_accepted_again() { says "$1" 'accepting again'; }
is_gone() { ! sb_pid "$1" >/dev/null; }
signal() { kill -"$2" "$(sb_pid "$1")"; }                                            # NAME SIGNAL
is_ready() { "$(sb_program nmi)" probe ready "$(sb_pid "$1")" --run-directory="$SB_DIR/nmi"; } # as the kubelet asks it
end_agent() { # NAME SENTENCE
	signal "$1" TERM
	passes "$2: the old one ends, its connections having moved" eventually 10 is_gone "$1"
}
msec_to_take() { # NAME: from its first line to the one that says so, by its own clock
	/usr/bin/python3 - "$SB_DIR/$1.log" <<-'END'
		import datetime, re, sys
		lines = open(sys.argv[1]).read().splitlines()
		at = lambda line: datetime.datetime.fromisoformat(line.split(" ")[0].rstrip("Z"))
		end = next(line for line in lines if re.search("took over from|in its place", line))
		print(round((at(end) - at(lines[0])).total_seconds() * 1000))
	END
}
gather_agents() { # what they said, for the search at the end
	local a
	for a in "${agents[@]}"; do cat "$SB_DIR/$a.log"; done >>"$SB_DIR/nmi.log"
}
diag() { printf '# %s\n' "$*"; }
fails() { if "${@:2}" >/dev/null 2>&1; then not_ok "$1"; else ok "$1"; fi; } # SENTENCE COMMAND...

# What load.py, whose pid is $load, has seen since the last report: into $errors, $refused, $slowest, $rate, $asked.
has_report() { [[ -e $SB_DIR/report ]]; }
# shellcheck disable=SC2034,SC2154 # for whoever sources this; load is theirs
report() {
	rm -f "$SB_DIR/report"
	kill -USR1 "$load" || return
	eventually 5 has_report || return
	read -r errors refused slowest rate asked < <(/usr/bin/python3 -c 'import json, sys
r = json.load(open(sys.argv[1]))
print(r["errors"], sum(n for k, n in r["kinds"].items() if k.startswith("connecting")), r["slowest_msec"], r["rate"], r["asked"])' "$SB_DIR/report")
}
