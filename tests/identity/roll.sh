#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 200 pods come and go at ten addresses, each asking as long as it lives, while the API server's news are
# late: every token is the asker's own, and nobody is refused for good.
# alone: it makes all the load that the machine bears
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/identity/lib.sh
source "$here/lib.sh"
PODS=${NMI_IDENTITY_ROLL:-200}
SLOTS=10
LATE_MSEC=400 # later than the next pod's first requests

end_object() { # POD QUERY
	sb_api DELETE "api/v1/namespaces/shop/pods/$1?$2" >/dev/null || bail "pod $1 cannot be deleted"
}

end_net() { # POD: the link at once, since the kernel takes its time with a namespace
	ip -n "$SB_NODE" link del "$(<"$SB_DIR/pods/$1.link")" || bail "pod $1 has no link"
	sb_del_pod_net "$1"
}

end_pod() { # POD NUMBER: in one of the orders that there are
	case $(($2 % 3)) in
	0) # the network goes before the API server is told anything
		end_net "$1"
		end_object "$1" gracePeriodSeconds=0
		;;
	1) # as a kubelet does it: marked, network, object
		end_object "$1" gracePeriodSeconds=30
		end_net "$1"
		;;
	2) # by force: the object first
		end_object "$1" gracePeriodSeconds=0
		end_net "$1"
		;;
	esac
}

begin_pod() { # POD IP NUMBER: the next one at an address always has another identity
	local binding=shop client=$SB_SHOP
	(($3 / SLOTS % 2)) && binding=billing client=$SB_BILLING
	sb_pod_net "$1" "$2" || bail "no network for pod $1"
	nsenter --net="/run/netns/$(sb_pod_ns "$1")" python3 "$here/roll.py" "$SB_ASK" "$client" \
		>"$SB_DIR/roll/$1" 2>"$SB_DIR/roll/$1.err" &
	disown $!
	sb_pod_object "$1" shop "$2" "aadpodidbinding=$binding" || bail "pod $1 cannot be made"
}

roll() { # PODS: one after the other, so many
	local i
	rm -rf "$SB_DIR/roll"
	mkdir "$SB_DIR/roll"
	for ((i = 0; i < $1; i++)); do
		# each is told of before it ends: those that are not are early-late.sh's, they and who comes after them
		((i < SLOTS || i % SLOTS)) || sleep 0.6
		((i < SLOTS)) || end_pod "r$((i - SLOTS))" $i
		begin_pod "r$i" "10.244.1.$((i % SLOTS + 1))" $i
	done
	for ((i = $1 - SLOTS; i < $1; i++)); do
		eventually 5 grep -q own "$SB_DIR/roll/r$i"
	done
	for ((i = $1 - SLOTS; i < $1; i++)); do end_pod "r$i" 0; done
}

answers_like() { cat "$SB_DIR"/roll/r*[0-9] | grep -c "$1"; } # REGEX: how many
without_token() { grep -L '^own$' "$SB_DIR"/roll/r*[0-9] | sed 's|.*/||' | tr '\n' ' '; }
not_at_first() {
	local f
	for f in "$SB_DIR"/roll/r*[0-9]; do [[ $(head -n 1 "$f") == own ]] || echo "${f##*/}: $(head -n 1 "$f")"; done
}

# Without the binding, the hazard is real: else the rest of this would prove nothing.
e2e_begin roll --link-binding=off
delay "$LATE_MSEC"
roll $((3 * SLOTS))
wrong=$(answers_like WRONG)
passes '--link-binding=off: pods are given tokens of the pod before' test "$wrong" -gt 0
delay 0
sb_stop_nmi

sb_start_nmi || bail 'nmi does not start'
delay "$LATE_MSEC"
roll "$PODS"
is 'no token is another'\''s' "$(answers_like WRONG)" 0
is 'no refusal is for good' "$(grep -h '^4' "$SB_DIR"/roll/r*[0-9] | sort | uniq -c | head -n 5)" ''
is 'every pod was given its own' "$(without_token)" ''
is 'as the answer to its first request' "$(not_at_first | head -n 5)" ''
passes 'while they asked and asked' test "$(answers_like own)" -gt $((PODS * 20))
is 'no client failed by itself' "$(cat "$SB_DIR"/roll/*.err)" ''
echo "# $PODS pods: $(answers_like own) tokens, $(answers_like '^5') refusals to try again, $(answers_like 000) connections ended"
no_leak 'IMDS has seen no pod'
e2e_end
