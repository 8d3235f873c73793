# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the tests of the packet rules share: those of tests/e2e/lib.sh, and a second look at the node.

# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"

# The process that keeps the rules, and the one that tests the way to the agent; nmi's own is $(sb_pid nmi).
redirector_pid() { child_pid nmi-redirector; }
tester_pid() { child_pid nmi-selftest; }
child_pid() { # NAME
	local pid
	for pid in $(ip netns pids "$SB_NODE"); do
		[[ $(readlink "/proc/$pid/exe") != */nmi || $(</proc/"$pid"/comm) != "$1" ]] || echo "$pid"
	done
}

# Of all tables of ours, as the kernel has them; a rule is what has a verdict, or counts.
rules_without_comment() {
	sb_in "$SB_NODE" nft list ruleset | awk '/^table / { ours = $3 ~ /^nmi(-|$)/ }
		/^\tchain / { chain = 1 } /^\t}/ { chain = 0 }
		ours && chain && /^\t\t/ && !/^\t\t(type|comment) / && !/ comment "nmi: / { print }'
}
