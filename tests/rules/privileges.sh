#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the processes may do, as the kernel sees it: as root and as another user, with all capabilities to begin
# with, with CAP_NET_ADMIN alone as in a container, and without it.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_box privileges

status() { # PID NAME
	sed -nE "s/^$2:\s*0*([0-9a-f])/\1/p" "/proc/$1/status"
}

# Of what kind each file is; numbers of pipes and sockets do not matter, nor where the log goes.
files() { # PID
	local f to log
	log=$(readlink -f "$SB_DIR/nmi.log")
	for f in /proc/"$1"/fd/*; do
		to=$(readlink "$f") || continue
		case $to in
		socket:*) echo socket ;;
		"$log") echo log ;;
		*) echo "$to" ;;
		esac
	done | sort -u | tr '\n' ' '
}

sockets() { # PID PROTOCOL...: ss's options
	sb_in "$SB_NODE" ss -Hanp "${@:2}" | grep -c "pid=$1,"
}

holds() { # WHO UID-OF-NMI CAPABILITIES-OF-THE-REDIRECTOR
	local nmi redirector tester set p uid
	nmi=$(sb_pid nmi) redirector=$(redirector_pid) tester=$(tester_pid)
	like "$1: there is one redirector, and one tester" "$redirector $tester" '^[0-9]+ [0-9]+$'
	is "$1: and no other process of ours" "$(ours)" 3
	for set in Inh Prm Eff Bnd Amb; do
		for p in nmi tester; do is "$1: $p has no capability ($set)" "$(status "${!p}" Cap$set)" 0; done
	done
	for set in Prm Eff; do is "$1: the redirector has CAP_NET_ADMIN alone ($set)" "$(status "$redirector" Cap$set)" "$3"; done
	for set in Inh Amb; do is "$1: and hands none on ($set)" "$(status "$redirector" Cap$set)" 0; done
	like "$1: nmi is user $2" "$(status "$nmi" Uid)" "^$2\s$2\s$2\s$2$"
	[[ $2 == 0 ]] || is "$1: and in no group of root's" "$(status "$nmi" Groups | grep -cw 0)" 0
	for p in nmi redirector tester; do
		is "$1: $p has a seccomp filter" "$(status "${!p}" Seccomp)" 2
		is "$1: $p can get no new privileges" "$(status "${!p}" NoNewPrivs)" 1
		# the kernel gives the files in /proc of what may not be dumped to root, whoever runs it
		is "$1: $p is not dumpable" "$(stat -c %u "/proc/${!p}/mem") $(sed -n 's/^Max core file size *//p' "/proc/${!p}/limits")" '0 0                    0                    bytes     '
		uid=$(setpriv --reuid "$(awk '/^Uid/ { print $2 }' "/proc/${!p}/status")" --clear-groups --inh-caps=-all --bounding-set=-all \
			cat "/proc/${!p}/environ" 2>&1 | tr -d '\0')
		like "$1: nor read by its own user, without a capability" "$uid" 'Permission denied$'
	done
	is "$1: the redirector's files" "$(files "$redirector")" '/dev/null anon_inode:[eventpoll] log socket '
	is "$1: the tester's files" "$(files "$tester")" '/dev/null socket '
	is "$1: it has no socket of the network" "$(sockets "$tester" -tuw -0)" 0
	is "$1: it has no socket of the network" "$(sockets "$redirector" -tuw -0)" 0
	like "$1: nmi's files" "$(files "$nmi")" '^/dev/null ('"$SB_DIR/nmi"' )?anon_inode:\[eventpoll\] anon_inode:\[signalfd\] log socket $'
	is "$1: it has no raw socket" "$(sockets "$nmi" -w -0)" 0
}

ours() { # how many processes
	local pid n=0
	for pid in $(ip netns pids "$SB_NODE"); do [[ $(readlink "/proc/$pid/exe") != */nmi ]] || n=$((n + 1)); done
	echo $n
}

# With a file open that is none of its business.
start() { # COMMAND-BEFORE... -- ARGUMENT of nmi...
	local before=() saved
	while [[ $1 != -- ]]; do before+=("$1") && shift; done
	shift
	saved=$(declare -f sb_start)
	eval "${saved/sb_start/started}"
	sb_start() { started "$1" "$2" "${before[@]}" "${@:3}"; }
	sb_start_nmi "$@" 7<"$SB_DIR/token" 8<>"$SB_DIR/nmi.log" || not_ok "nmi starts: ${before[*]}" "$(tail -n 5 "$SB_DIR/nmi.log")"
	eval "$saved"
}

start env --
holds 'root' 0 1000
sb_stop_nmi

nobody=$(id -u nobody)
start env -- --user=nobody --run-directory=
holds 'another user' "$nobody" 1000
gives 'another user: pods are served' "$SB_SHOP" web "$SB_ASK"
sb_stop_nmi

# 1 << 12. No CAP_SYS_NICE, so no priority; no CAP_SETPCAP, so the bounding set stays, without exec
start setpriv --bounding-set -all,+net_admin --inh-caps -all -- --run-directory=
nmi=$(sb_pid nmi) redirector=$(redirector_pid)
is 'a container: nmi has no capability' "$(status "$nmi" CapPrm) $(status "$nmi" CapEff) $(status "$nmi" CapInh) $(status "$nmi" CapAmb)" '0 0 0 0'
is 'a container: the redirector has CAP_NET_ADMIN alone' "$(status "$redirector" CapPrm) $(status "$redirector" CapEff) $(status "$redirector" CapInh) $(status "$redirector" CapAmb)" '1000 1000 0 0'
is 'a container: the redirector has no priority' "$(chrt -p "$redirector" | sed -n 's/.*policy: //p')" SCHED_OTHER
for p in nmi redirector; do
	is "a container: $p has a filter, and can get nothing" "$(status "${!p}" Seccomp) $(status "${!p}" NoNewPrivs)" '2 1'
done
gives 'a container: pods are served' "$SB_SHOP" web "$SB_ASK"
sb_stop_nmi

start setpriv --bounding-set -sys_nice -- --run-directory=
holds 'without CAP_SYS_NICE' 0 1000
gives 'without CAP_SYS_NICE: pods are served' "$SB_SHOP" web "$SB_ASK"
e2e_end
