#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The iptables backend under nmi, with each of the two iptables: served, refused, flushed, altered, uninstalled;
# then with programs of iptables that fail in every way. tests/platform/iptables.sh has each rule by itself.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_box iptables

ipt() { sb_in "$SB_NODE" "$NMI_BACKEND" "$@"; }
save() { sb_in "$SB_NODE" "$NMI_BACKEND-save" 2>/dev/null; }
repairs() { metric nmi_redirect_repairs_total; }
first_in() { save | sed -n "/^\*$1\$/,/^COMMIT/p" | grep -m1 -- "^-A $2 "; }
not_ready() { ! sb_nmi_ready; }

# What it promises: put back by the next look, which comes at once in the nft flavour while there is budget for it and
# within a second or so in the legacy one; meanwhile no pod passes, by the guard in nftables.
attack() { # WHAT COMMAND...
	local what="$NMI_BACKEND, $1" before t
	shift
	before=$(repairs)
	sb_imds reset >/dev/null
	askers=()
	asking web "$SB_ASK"
	asking plain "$SB_ASK"
	t=$EPOCHREALTIME
	"$@"
	repaired() { (($(repairs) > before)); }
	passes "$what: put back" eventually 10 repaired
	echo "# $what: after $(msec_since "$t") ms"
	sleep 0.2
	answered
	no_leak "$what: IMDS saw no pod"
	like "$what: the bound pod was served" "$replies" '(^|'$'\n'')200 [0-9]+'
	like "$what: the one without identity was refused" "$replies" '(^|'$'\n'')400 [0-9]+'
	gives "$what: and all is well" "$SB_SHOP" web "$SB_ASK"
	is "$what: the redirect is first" "$(first_in nat PREROUTING)" '-A PREROUTING -j aad-metadata'
	passes "$what: nmi is ready" eventually 5 sb_nmi_ready
}
flush() { ipt -F && ipt -t nat -F && ipt -t raw -F; }

over() { # FLAVOUR
	NMI_BACKEND=iptables-$1
	sb_start_nmi || bail "nmi does not start over $NMI_BACKEND"
	like "$1: the flavour is said, and why" "$(<"$SB_DIR/nmi.log")" "iptables of this node: $NMI_BACKEND \(the kubelet's chains are there\)"
	like "$1: and what protects the rules" "$(<"$SB_DIR/nmi.log")" 'packet rules in place \(iptables, put back when removed, a guard cannot be\)'
	gives "$1: a bound pod is served" "$SB_SHOP" web "$SB_ASK"
	answers "$1: one without identity is refused" 400 no_label plain "$SB_ASK"
	sb_ask_from "$SB_NODE" '/metadata/instance?api-version=2021-02-01' -H Metadata:true -m 3
	is "$1: the host reaches IMDS" "$SB_STATUS" 200
	passes "$1: the redirect is where users of aad-pod-identity look for it" ipt -t nat --check PREROUTING -j aad-metadata
	attack 'flush of all tables' flush
	attack 'one rule deleted' ipt -D nmi-guard 1
	attack 'another rule in front' ipt -t nat -I PREROUTING -d 169.254.0.0/16 -j ACCEPT
	ipt -t nat -D PREROUTING -d 169.254.0.0/16 -j ACCEPT
	sb_imds reset >/dev/null
	sb_kill_nmi
	flush
	sb_ask web "$SB_ASK" -m 3
	is "$1: killed and flushed: a pod is refused" "$SB_STATUS" 000
	no_leak "$1: killed and flushed: IMDS saw no pod"
	passes "$1: started again" sb_start_nmi
	gives "$1: started again: served" "$SB_SHOP" web "$SB_ASK"
	sb_stop_nmi
	passes "$1: nmi uninstall" sb_in "$SB_NODE" "$(sb_program nmi)" uninstall
	is "$1: uninstalled: no rule is left" "$(save | grep -E 'nmi|aad-metadata'; sb_in "$SB_NODE" nft list ruleset | grep -E 'nmi|aad-metadata')" ''
	ipt -t mangle -X KUBE-IPTABLES-HINT
}
over nft
over legacy

# The programs of iptables as $SB_DIR/mode says, for nmi alone: it has a mount namespace of its own.
NMI_BACKEND=iptables-nft
cp /usr/sbin/xtables-nft-multi "$SB_DIR/real"
cat >"$SB_DIR/fake" <<-END
	#!/bin/sh
	case \$(cat $SB_DIR/mode) in
	fail) echo "no can do" >&2; echo more >&2; exit 3 ;;
	hang) exec sleep 60 ;;
	garbled) echo "I am a teapot"; exit 0 ;;
	nothing) exit 0 ;;
	endless) exec yes ;;
	crash) kill -SEGV \$\$ ;;
	esac
	exec /bin/bash -c 'exec -a "\$0" $SB_DIR/real "\$@"' "\${0##*/}" "\$@"
END
chmod +x "$SB_DIR/fake"
# shellcheck disable=SC2016 # for the shell that it is given to
SB_UNDER=(unshare --mount sh -c 'mount --bind "$0" /usr/sbin/xtables-nft-multi && exec "$@"' "$SB_DIR/fake")

why() { sb_in "$SB_NODE" curl -s -m 2 'http://127.0.0.1:8085/readyz?verbose'; }
says() { [[ $(why) =~ $1 ]]; }
mode() { echo "$1" >"$SB_DIR/mode"; }

broken() { # MODE REGEX: while it runs
	sb_imds reset >/dev/null
	flush
	mode "$1"
	flush
	passes "$1: not ready, with the reason" eventually 15 says "$2"
	sb_ask plain "$SB_ASK" -m 3
	like "$1: a pod is refused" "$SB_STATUS" '^(000|400)$'
	no_leak "$1: IMDS saw no pod"
	mode ok
	passes "$1: mended, it is ready" eventually 15 sb_nmi_ready
	gives "$1: and pods are served" "$SB_SHOP" web "$SB_ASK"
}

mode fail
sb_launch_nmi
# a flavour that cannot be had is none: legacy is all that there is then
passes 'nft failing at the start: the other flavour' eventually 10 sb_nmi_ready
like 'and the log says why' "$(<"$SB_DIR/nmi.log")" 'iptables-legacy \(the other one cannot be had here\)'
sb_stop_nmi
sb_in "$SB_NODE" "$(sb_program nmi)" uninstall >/dev/null 2>&1
mode garbled
sb_imds reset >/dev/null
sb_launch_nmi
passes 'garbled at the start: not ready, with the reason' eventually 10 says 'is no listing: .I am a teapot'
sb_ask plain "$SB_ASK" -m 3
is 'garbled at the start: a pod is refused' "$SB_STATUS" 000
no_leak 'garbled at the start: IMDS saw no pod'
sleep 2
is 'and it is said in one line' "$(grep -c 'not as they should be.*teapot' "$SB_DIR/nmi.log")" 1
mode ok
passes 'mended, it is ready' eventually 15 sb_nmi_ready
processes="$(sb_pid nmi) $(redirector_pid)"
broken fail 'status 3, no can do'
broken garbled 'I am a teapot'
broken nothing 'took the rules, but afterwards'
broken crash 'ended by signal 11'
broken endless 'is no listing: .y.|says more than'
broken hang 'does not end within'
is 'it never ended' "$(sb_pid nmi) $(redirector_pid)" "$processes"
sb_stop_nmi

# not installed at all
: >"$SB_DIR/none"
# shellcheck disable=SC2016
SB_UNDER=(unshare --mount sh -c 'for p in nft legacy; do mount --bind "$0" /usr/sbin/xtables-$p-multi || exit; done; exec "$@"' "$SB_DIR/none")
flush
sb_imds reset >/dev/null
sb_launch_nmi
passes 'not installed: not ready, with the reason' eventually 10 says 'no iptables can be had here: iptables-nft is not installed'
sb_ask plain "$SB_ASK" -m 3
is 'not installed: a pod is refused' "$SB_STATUS" 000
no_leak 'not installed: IMDS saw no pod'
sb_stop_nmi

# nothing but programs that are called plainly iptables-...: their version says what they are
mkdir "$SB_DIR/plain"
cp /usr/sbin/xtables-legacy-multi "$SB_DIR/plain/"
# shellcheck disable=SC2016
SB_UNDER=(unshare --mount sh -c 'mount --bind "$0" /usr/sbin && exec "$@"' "$SB_DIR/plain")
for p in restore save; do ln -s xtables-legacy-multi "$SB_DIR/plain/iptables-$p"; done
passes 'programs without a flavour in their name' sb_start_nmi
like 'the flavour is that of their version' "$(tail -n 20 "$SB_DIR/nmi.log")" 'iptables-legacy \(the other one cannot be had here\), by /usr/sbin/iptables-restore'
gives 'and pods are served' "$SB_SHOP" web "$SB_ASK"
sb_stop_nmi
SB_UNDER=()
passes 'nmi uninstall, in the end' sb_in "$SB_NODE" "$(sb_program nmi)" uninstall
e2e_end
