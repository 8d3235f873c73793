#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One agent takes the place of another while 20 pods ask 500 times a second: no request fails, whichever is
# older; and whoever dies on the way, only what it had under way does.
# alone: it makes 500 requests a second, none of which may fail
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/rules/agents.sh
source "$here/agents.sh"

# ---- the oldest agent that hands over, built once ----

sb_use upgrade
newest=$(sb_program nmi) || exit 1
commit=$(grep -v '^#' "$here/oldest")
build_oldest() { # prints the program
	local dir=$SB_BUILD/oldest-${commit:0:12} src
	src=$dir/src
	if [[ ! -x $dir/build/nmi/nmi ]]; then
		rm -rf "$dir" && mkdir -p "$src" && git -C "$sb_root" archive "$commit" | tar -x -C "$src" &&
			meson setup -Dtests=false "$dir/build" "$src" && ninja -C "$dir/build" nmi/nmi || return
	fi >"$SB_BUILD/oldest.log" 2>&1
	echo "$dir/build/nmi/nmi"
}
if git -C "$sb_root" cat-file -e "$commit^{commit}" 2>/dev/null; then
	oldest=$(build_oldest) || bail "the oldest agent does not build: $SB_BUILD/oldest.log"
	oldest_is=oldest
else
	oldest=$newest oldest_is='oldest (there is no history here: the newest)'
fi

e2e_box upgrade

# ---- the load ----

pods=()
for i in {1..20}; do
	sb_add_pod "p$i" shop "10.244.0.$((20 + i))" "app=p$i,aadpodidbinding=$( ((i % 2)) && echo shop || echo billing)" ||
		bail "pod p$i"
	pods+=("$(sb_pod_ns "p$i")")
done
launch a1 "$newest"
passes 'the first agent is ready' eventually 10 sb_in "$SB_NODE" curl -sf -m 2 http://127.0.0.1:8085/readyz
/usr/bin/python3 "$here/load.py" 500 "$SB_DIR/report" "${pods[@]}" >"$SB_DIR/load.log" 2>&1 &
load=$!
stop_load() { kill "$load" 2>/dev/null; wait "$load" 2>/dev/null; }
trap 'stop_load; e2e_cleanup' EXIT

unharmed() { # SENTENCE
	report || bail 'the load reports nothing'
	is "$1: of $asked requests none failed" "$errors" 0
	diag "$1: slowest request $slowest ms, $rate requests/s"
}
harmed_little() { # SENTENCE MOST: what was under way in the process that was killed
	report || bail 'the load reports nothing'
	is "$1: no connection was refused" "$refused" 0
	at_most "$1: lost is what was under way in it" "$errors" "$2"
	diag "$1: $errors of $asked lost, slowest request $slowest ms"
}

sleep 2
report
at_most 'there is the load that was meant' "$((400 - rate))" 0
is 'and it is served' "$errors" 0

# ---- upgrades ----

# What nft names the owner of ends with it: only one redirector is left, and these are its own.
has_tables() {
	[[ $(redirector_pid | wc -l) == 1 ]] && sb_in "$SB_NODE" nft list table ip nmi-spoof &&
		[[ $(sb_in "$SB_NODE" nft list table ip nmi | head -n 1) == *'# progname nmi'* ]]
}
n=1 current=a1 # the agent in charge, of n
upgrade() { # SENTENCE PROGRAM [ARGUMENT...]: from the current one to the next
	local old=$current
	n=$((n + 1)) current=a$n
	launch "a$n" "${@:2}"
	passes "$1: the new one takes over" eventually 10 has_taken "a$n"
	diag "$1: $(msec_to_take "a$n") ms from start to taking over"
	if [[ $2 == "$newest" ]]; then
		passes "$1: and says that it is ready" eventually 5 is_ready "a$n"
	fi
	sleep 0.3
	end_agent "$old" "$1"
	passes "$1: the new redirector takes the tables over" eventually 5 has_tables
	unharmed "$1"
}
upgrade 'newest to newest' "$newest"
upgrade 'and again' "$newest"
upgrade "newest to $oldest_is" "$oldest"
upgrade "$oldest_is to newest" "$newest"
holds_tables() { # nobody else may remove the one, and the other counts again
	! sb_in "$SB_NODE" nft delete table ip nmi && sb_in "$SB_NODE" nft list table ip nmi-spoof
}
passes 'the last one holds the tables' eventually 3 holds_tables

# ---- one that cannot get ready ----

freeze() { signal apiserver STOP; }
thaw() { signal apiserver CONT; }
next() { # the API server does not answer: it stays on the threshold
	n=$((n + 1))
	launch "a$n" "$newest"
	eventually 5 is_offered "a$n" || bail "a$n is not offered anything"
}

freeze
next
sleep 1.5
fails 'without the API server: the new one does not take over' has_taken "a$n"
fails 'without the API server: nor does it say that it is ready' is_ready "a$n"
passes 'without the API server: the old one does' is_ready "$current"
unharmed 'without the API server'
signal "a$n" KILL
unharmed 'it is killed on the threshold'
next
end_agent "a$n" 'it is ended on the threshold'
unharmed 'it is ended on the threshold'

# the old one is told to stop, or dies, while the new one is not ready: what comes waits for it
old=$current
next
signal "$old" TERM
passes 'the old one stops, the new one not being ready: that accepts' eventually 5 has_taken "a$n"
sleep 1
thaw
passes 'and the old one ends' eventually 10 is_gone "$old"
sleep 1
unharmed 'the old one stops, the new one not being ready'
freeze
old=a$n
next
current=a$n
signal "$old" KILL
passes 'the old one is killed, the new one not being ready: that accepts' eventually 2 has_taken "a$n"
sleep 1
thaw
sleep 1
harmed_little 'the old one is killed, the new one not being ready' 20

# ---- one that dies in the middle ----

takes() { # what it says waits for the old one to read it, at a socket that was made by another name: local_socket.c
	sb_in "$SB_NODE" ss -xH | awk -v dir="$SB_DIR/nmi/." '$1 == "u_seq" && $3 > 0 && index($5, dir) == 1 { n = 1 } END { exit !n }'
}
freeze
old=$current
next
signal "$old" STOP
fails 'one that is not ready does not say TAKE' takes
thaw
passes 'one that gets ready says TAKE to the old one, which is stopped and does not hear it' eventually 5 takes
signal "a$n" KILL
signal "$old" CONT
passes 'the new one is killed between TAKE and YOURS: the old one goes on' eventually 5 has_accepted_again "$old"
sleep 0.5
unharmed 'the new one is killed between TAKE and YOURS'

n=$((n + 1))
launch "a$n" "$newest"
eventually 10 has_taken "a$n"
sleep 0.5
signal "a$n" KILL
again_twice() { [[ $(grep -c 'accepting again' "$SB_DIR/$old.log") == 2 ]]; }
eventually 5 again_twice || true
is 'the new one is killed in charge: the old one accepts again' "$(grep -c 'accepting again' "$SB_DIR/$old.log")" 2
harmed_little 'the new one is killed in charge' 20

# ---- after all that ----

upgrade 'after all that' "$newest"
stop_load
gives 'a pod is served' "$SB_SHOP" p1 "$SB_ASK"
no_leak 'IMDS saw no pod'
gather_agents
e2e_end
