#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Readiness is that a connection to the metadata address reaches this agent: what /readyz says when something
# that is not ours stands in the way, and that a test leaves nothing behind.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_begin self-test

readyz() { sb_in "$SB_NODE" curl -s -m 2 "http://127.0.0.1:8085/readyz" | grep self-test; }
says() { [[ $(readyz) =~ $1 ]]; }
tests_of() { metric "nmi_self_tests_total{result=\"$1\"}"; }

# The node's links and routes but for pods', with what a test would leave.
leftovers() {
	ip -n "$SB_NODE" -o link | grep -o 'nmi-test[0-9a-f]*'
	ip -n "$SB_NODE" route | grep 198.51.100.
	ip -n "$SB_NODE" neigh | grep 198.51.100.
}
nothing_left() { [[ -z $(leftovers) ]]; }
# A table of somebody else, until `rm_foreign`: what happens then is in /readyz.
foreign() { # TYPE-AND-HOOK RULE
	sb_in "$SB_NODE" nft -f - <<-END
		table ip foreign {
			chain c {
				type $1; policy accept;
				$2
			}
		}
	END
}
rm_foreign() { sb_in "$SB_NODE" nft delete table ip foreign; }

provoke() { # SENTENCE TYPE-AND-HOOK RULE REGEX: /readyz says so, and is well again afterwards
	foreign "$2" "$3"
	restart_tests
	passes "$1" eventually 12 says "$4" || readyz
	rm_foreign
	passes "... and once that is gone the node is ready again" eventually 12 sb_nmi_ready
}
restart_tests() { # or it would be a minute to the next one
	sb_stop_nmi
	sb_launch_nmi
	sb_wait 10 'nmi' says self-test
}

ready_line=$(readyz)
is 'a good node passes' "$ready_line" '[+]self-test ok'
is 'by a test, not by reading the rules' "$(tests_of passed)" 1
passes 'nothing of it is left on the node' eventually 2 nothing_left
is 'the metric says so too' "$(metric nmi_self_test_passed)" 1
is 'it counts as nobody'"'"'s request' "$(metric aadpodidentity_nmi_operations_duration_seconds_count)" 0
is 'and as no refusal' "$(metric nmi_refusals_total)" 0
is 'and as no borrowed address' "$(metric nmi_spoofed_packets_total)" 0
unlike 'and is in no line of the log as a request' "$(<"$SB_DIR/nmi.log")" '198\.51\.100|request of a pod'

# who tests
tester=$(tester_pid)
like 'there is one process that tests' "$tester" '^[0-9]+$'
is 'it has no capability' "$(sed -nE 's/^Cap(Prm|Eff|Inh|Amb|Bnd):\s*0*([0-9a-f]+)$/\2/p' "/proc/$tester/status" | sort -u)" 0
is 'no new privileges, and a filter' "$(sed -nE 's/^(NoNewPrivs|Seccomp):\s*//p' "/proc/$tester/status" | paste -sd' ')" '1 2'
is 'and no file but its channel' "$(find "/proc/$tester/fd" -lname 'socket:*' | wc -l) $(find "/proc/$tester/fd" -not -lname '/dev/null' -not -lname 'socket:*' -type l | wc -l)" '1 0'

# the failures, by what brings them about
# what came first is put behind our own: see tests/platform/detour.sh
sb_start other "$SB_NODE" python3 -m http.server --bind "$SB_NODE_IP" 8099
foreign 'nat hook prerouting priority -199' "ip daddr 169.254.169.254 tcp dport 80 dnat to $SB_NODE_IP:8099"
restart_tests
passes 'an earlier DNAT to somebody else: ours is put first, and the test passes' eventually 12 sb_nmi_ready
rm_foreign
sb_stop other
provoke 'a foreign NOTRACK' \
	'filter hook prerouting priority -300' 'ip daddr 169.254.169.254 notrack' \
	'connection to 169.254.169.254:80 was refused.*NOTRACK'
provoke 'packets to the port of the agent dropped by a foreign rule' \
	'filter hook input priority 0' 'tcp dport 2579 drop' \
	'hears nothing: packets to port 2579'
provoke 'answers dropped by a foreign rule' \
	'filter hook output priority 0' 'tcp sport 2579 tcp flags & (syn | psh) == psh drop' \
	'reached this agent, but its answer did not get back'
no_leak 'and no pod reached IMDS meanwhile'

# killed in the middle: a test that hears nothing takes two seconds
foreign 'filter hook input priority 0' 'tcp dport 2579 drop'
sb_stop_nmi
sb_launch_nmi
link_there() { ip -n "$SB_NODE" -o link | grep -q nmi-test; }
passes 'a test is under way' eventually 5 link_there
sb_kill_nmi
passes 'an agent that is killed in the middle leaves nothing behind' eventually 5 nothing_left
rm_foreign
nobody_tests() { [[ -z $(tester_pid) ]]; }
passes 'and no process' eventually 5 nobody_tests

# nobody can be asked to test
sb_start_nmi
kill -KILL "$(tester_pid)"
passes 'without the process that tests the node stays ready' sb_nmi_ready
passes 'and it is not started again' nobody_tests

# where no namespace can be made, as under the seccomp profile of a container runtime
sb_stop_nmi
cat >"$SB_DIR/no-namespaces" <<'END'
import ctypes, os, platform, struct, sys
unshare = {"x86_64": 272, "aarch64": 97}[platform.machine()]
code = b"".join(struct.pack("HBBI", *i) for i in (
    (0x20, 0, 0, 0), (0x15, 0, 1, unshare), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7fff0000)))
keep = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(keep)))
assert ctypes.CDLL(None).prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
END
sb_start nmi "$SB_NODE" python3 "$SB_DIR/no-namespaces" "$SB_BUILD/nmi/nmi" --kubeconfig "$SB_NMI_KUBECONFIG" \
	--node "$SB_NODE_NAME" --operation-mode=managed --http-probe-port=8085 --prometheus-port=9090 \
	--run-directory="$SB_DIR/nmi"
passes 'where no namespace can be made the rules are enough' eventually 10 sb_nmi_ready
is 'and the metrics tell the difference' "$(tests_of impossible) $(metric nmi_self_test_passed)" '1 0'
is 'as does one line of the log, with what to allow' \
	"$(grep -c 'self-test: it cannot be made (making a namespace: Operation not permitted), so .* weaker; allow user namespaces' "$SB_DIR/nmi.log")" 1
answers 'pods are served' 200 access_token web "$SB_ASK"

# switched off
sb_stop_nmi
sb_start_nmi --self-test=off
is 'off, there is none' "$(tests_of passed) $(tests_of impossible)" '0 0'
e2e_end
