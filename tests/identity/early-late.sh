#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Pods that live shorter than the API server's news of them take: the next pod at the address is never served
# as the one before, and gets its own token as soon as it can be told apart.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/identity/lib.sh
source "$here/lib.sh"
SLOTS=4
ROUNDS=${NMI_IDENTITY_ROUNDS:-2}
n=0

now() { printf '%s' "$EPOCHREALTIME"; }

end_net() { # POD
	ip -n "$SB_NODE" link del "$(<"$SB_DIR/pods/$1.link")" || bail "pod $1 has no link"
	sb_del_pod_net "$1"
}

end_pod() { # POD HOW
	local object=api/v1/namespaces/shop/pods/$1
	case $2 in
	job) # done, and told to be; its object stays
		end_net "$1"
		sb_pod_ended "$1" shop Succeeded
		;;
	quick-job) # told before its network goes
		sb_pod_ended "$1" shop Succeeded
		end_net "$1"
		;;
	deleted) # as a kubelet does it: marked, network, told to have ended, object
		sb_api DELETE "$object?gracePeriodSeconds=30" >/dev/null
		end_net "$1"
		sb_pod_ended "$1" shop Running
		# the API server removes it by itself after a second, which on a busy machine is before
		sb_api DELETE "$object?gracePeriodSeconds=0" >/dev/null 2>&1 || ! sb_api GET "$object" >/dev/null 2>&1
		;;
	forced) # its end is never told
		end_net "$1"
		sb_api DELETE "$object?gracePeriodSeconds=0" >/dev/null
		;;
	esac || bail "pod $1 cannot be ended"
}
HOW=(job deleted quick-job forced)

begin_pod() { # POD IP shop|billing
	local client=$SB_SHOP
	[[ $3 == shop ]] || client=$SB_BILLING
	sb_pod_net "$1" "$2" || bail "no network for pod $1"
	# what the plugin's gratuitous ARP does; by itself the node keeps to the old MAC for a while
	[[ ! -e $SB_DIR/bridged ]] || ip -n "$SB_NODE" neigh flush to "$2" dev cbr0
	nsenter --net="/run/netns/$(sb_pod_ns "$1")" python3 "$here/roll.py" "$SB_ASK" "$client" times \
		>"$SB_DIR/roll/$1" 2>"$SB_DIR/roll/$1.err" &
	disown $!
	sb_pod_object "$1" shop "$2" "aadpodidbinding=$3" || bail "pod $1 cannot be made"
	now >"$SB_DIR/roll/$1.began"
}

has_token() { grep -q own "$SB_DIR/roll/$1"; }

pairs() { # MSEC: short-lived pods and their heirs, with news so late
	local i round
	delay "$1"
	for ((round = 0; round < ROUNDS; round++, n++)); do
		for ((i = 0; i < SLOTS; i++)); do
			begin_pod "a$n-$i" "10.244.0.$((i + 201))" shop
		done
		for ((i = 0; i < SLOTS; i++)); do
			end_pod "a$n-$i" "${HOW[i]}"
			begin_pod "b$n-$i" "10.244.0.$((i + 201))" billing
		done
		for ((i = 0; i < SLOTS; i++)); do
			if [[ ${HOW[i]} == forced ]]; then
				sleep 0.2
			else
				eventually 14 has_token "b$n-$i" || echo "# b$n-$i (${HOW[i]}) has no token"
			fi
		done
		for ((i = 0; i < SLOTS; i++)); do end_pod "b$n-$i" job; done
		delay 0 # what is late comes now
		delay "$1"
	done
	delay 0
}

all() { cat "$SB_DIR"/roll/[ab]*[0-9]; }
count() { all | grep -c "$1"; } # REGEX
heirs_without() {
	local f
	for f in "$SB_DIR"/roll/b*-[0-2]; do grep -q own "$f" || echo "${f##*/}"; done
}
waits() { # MSEC: from each heir's news to its first token
	local f
	for f in "$SB_DIR"/roll/b*-[0-2]; do
		awk -v b="$(<"$f.began")" -v d="$1" '/own/ { printf "%.0f\n", ($1 - b) * 1000 - d; exit }' "$f"
	done | sort -n | xargs
}
begin_roll() { rm -rf "$SB_DIR/roll" && mkdir "$SB_DIR/roll"; }

try() { # WHAT MSEC...
	local what=$1 msec
	shift
	for msec; do
		begin_roll
		pairs "$msec"
		is "$what, news $msec ms late: no token is another's" "$(count WRONG)" 0
		is 'every heir has its own' "$(heirs_without)" ''
		echo "# $(count own) tokens; after its news an heir has waited (ms): $(waits "$msec")"
		is 'no client failed by itself' "$(cat "$SB_DIR"/roll/*.err)" ''
	done
}

# Without the binding, the hazard is real: else the rest of this would prove nothing.
e2e_begin early-late --link-binding=off
begin_roll
pairs 700
passes '--link-binding=off: heirs are given tokens of the pod before' test "$(count WRONG)" -gt 0
sb_stop_nmi
sb_start_nmi || bail 'nmi does not start'
try 'links of their own' 0 300 700 1500
no_leak 'IMDS has seen no pod'
sb_down

SB_BRIDGED=yes e2e_begin early-late-bridged
# as kubenet does: else it follows its ports, and each change makes the node forget where pods are
ip -n "$SB_NODE" link set cbr0 address 0a:58:0a:f4:00:01
SLOTS=3 # one that is deleted by force would leave all others of its bridge in doubt
ROUNDS=1
try 'a bridge' 300 1500
no_leak 'IMDS has seen no pod'
e2e_end
