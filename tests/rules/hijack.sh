#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What somebody can do who has taken over nmi, or its redirector: the agent as it is shipped is made to try
# it (hijack.c), as root and as a user of its own.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_box hijack

work=$(mktemp -d)
chmod 755 "$work"
helpers=()
after() {
	local status=$? p
	for p in "${helpers[@]}"; do kill -9 "$p" 2>/dev/null; done
	rm -rf "$work"
	(exit "$status")
	e2e_cleanup
}
trap after EXIT

# A process of USER that is nothing to nmi, with no capability either, and a file of USER.
surround() { # USER
	setpriv --reuid "$1" --clear-groups --inh-caps=-all --bounding-set=-all sleep 600 &
	other=$!
	helpers+=("$other")
	eventually 5 grep -q '^sleep$' "/proc/$other/comm"
	printf 'untouched\n' >"$work/file"
	chown "$1" "$work" "$work/file"
}

# As a container runtime has it, for whoever is root; here for anybody.
python3 - "$work/runtime" <<'END' &
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
s.listen()
time.sleep(600)
END
helpers+=($!)
eventually 5 test -S "$work/runtime" || bail 'no socket to stand in for a container runtime'

start() { # [ARGUMENT of nmi...]
	: >"$SB_DIR/nmi.log"
	LD_PRELOAD=$SB_BUILD/tests/rules/hijack.so NMI_HIJACK_OTHER=$other NMI_HIJACK_FILE=$work/file \
		NMI_HIJACK_RUNTIME=$work/runtime sb_start_nmi "$@" || bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"
	nmi=$(sb_pid nmi) redirector=$(redirector_pid)
}

hijack() { # PID: in `came` what came of each attempt
	: >"$SB_DIR/nmi.log"
	kill -40 "$1"
	eventually 10 grep -q '^hijack: end' "$SB_DIR/nmi.log" || not_ok 'the attempts come to an end' "$(tail -n 3 "$SB_DIR/nmi.log")"
	came=$(sed -n 's/^hijack: //p' "$SB_DIR/nmi.log")
}

# Rows NAME... ERRNO. What is in no row must fail by EPERM, whatever it is.
expect() { # WHO, the rows on stdin
	local names errno name got others=$came
	while read -r names; do
		errno=${names##* }
		for name in ${names% *}; do
			got=$(sed -n "s/^$name //p" <<<"$came")
			is "$1: $name" "$got" "$errno"
			others=$(grep -v "^$name " <<<"$others")
		done
	done
	is "$1: $(grep -c . <<<"$others") more are refused" "$(grep -v ' EPERM$' <<<"$others")" ''
}

lives() { # WHO
	is "$1: nothing of the file has changed" "$(stat -c %a "$work/file") $(<"$work/file") $(cd "$work" && echo *)" '644 untouched file runtime'
	passes "$1: the other process lives" test -e "/proc/$other/exe"
	is "$1: nmi and its redirector live" "$(sb_pid nmi) $(redirector_pid)" "$nmi $redirector"
	gives "$1: and pods are served" "$SB_SHOP" web "$SB_ASK"
}

for user in root nobody; do
	surround $user
	start --user=$user

	who="nmi as $user"
	hijack "$nmi"
	# TCP and UDP are its work. A route or link it can ask for, and the kernel refuses, as setsockopt does. A
	# ptrace access check refuses what is in /proc; where it is not refused for want of a capability, as with
	# the other process, it is by Landlock.
	expect "$who" <<-END
		tcp udp OK
		clone3 ENOSYS
		mem-read-relative environ-relative files-relative root-relative netns-relative mntns-relative EACCES
		mem-read-other environ-other files-other root-other netns-other mntns-other EACCES
		netns-init EACCES
		rename unlink mkdir EACCES
		read relative-lives code end OK
	END
	lives "$who"

	who="the redirector as $user"
	hijack "$redirector"
	# of all of it, netfilter, links and routes: it has switched off the loopback link
	ip -n "$SB_NODE" link set lo up
	expect "$who" <<-END
		netfilter set-link-netlink end OK
	END
	lives "$who"
	sb_stop_nmi
	kill "$other"
done

no_leak 'and no pod came to IMDS'
e2e_end
