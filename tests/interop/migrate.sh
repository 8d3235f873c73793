#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# docs/migrate-from-aad-pod-identity.md, gone through on a node: aad-pod-identity's own NMI (v1.8.17) serves, ours comes
# beside it, the old one goes, and back again, while pods ask all the time.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../rules/lib.sh"
# shellcheck source=tests/interop/old.sh
source "$sb_root/tests/interop/old.sh"
page=$sb_root/docs/migrate-from-aad-pod-identity.md

e2e_box migrate
: >"$SB_DIR/kubelet"
# kube-proxy in iptables mode does that, and the old agent cannot do without
# shellcheck disable=SC2016 # the inner shell expands it
sb_in "$SB_NODE" sh -c 'for f in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 1 >"$f"; done'

# The values that the page has in its blocks of YAML; which one is said in its first line.
values_of() { # NAME: into $SB_DIR/NAME.yaml
	awk -v first="# $1.yaml" '/^```/ { inside = 0 } inside { print } $0 == first { inside = 1 }' "$page" >"$SB_DIR/$1.yaml"
	[[ -s $SB_DIR/$1.yaml ]] || bail "$page has no $1.yaml"
}

# ---- two agents ----

# shellcheck disable=SC2120 # most of the time without
start_old() { # [PATH to be searched first]
	passed "$source/deploy/infra/managed-mode-deployment.yaml"
	sb_start old "$SB_NODE" env PATH="${1:+$1:}$PATH" KUBECONFIG="$SB_NMI_KUBECONFIG" "$tools/old-agent/nmi" "${args[@]}" --kubelet-config="$SB_DIR/kubelet"
	eventually 20 old_active
}
old_active() { [[ $(sb_in "$SB_NODE" curl -s -m 2 http://127.0.0.1:8085/healthz) == Active ]]; }
start_ours() { # NAME MANIFESTS [ARGUMENT...]
	passed "$2"
	sb_start "$1" "$SB_NODE" env KUBECONFIG="$SB_NMI_KUBECONFIG" NMI_RUN_DIRECTORY="$SB_DIR/nmi" "$(sb_program nmi)" "${args[@]}" "${@:3}"
}
is_ready() { # NAME: as the kubelet asks
	"$(sb_program nmi)" probe ready "$(sb_pid "$1")" --run-directory="$SB_DIR/nmi"
}
# As the manifest says it.
uninstall() {
	local words
	IFS=', ' read -r -a words < <(sed -nE 's/^ *command: \[(.*)\]$/\1/p' "$sb_root/deploy/migrate/uninstall.yaml")
	[[ ${words[*]:0:2} == '/usr/sbin/nmi uninstall' ]] || bail 'deploy/migrate/uninstall.yaml has no command'
	sb_in "$SB_NODE" "$(sb_program nmi)" "${words[@]:1}" --run-directory="$SB_DIR/nmi"
}

# Everything about packets on this node, without counters.
rules() {
	sb_in "$SB_NODE" iptables-save | sed -E '/^#/d; s/\[[0-9]+:[0-9]+\]/[]/'
	sb_in "$SB_NODE" nft -s list ruleset 2>/dev/null | sort # chains are listed in the order in which they were made
}
chain_is_there() { # PROGRAM
	sb_in "$SB_NODE" "$1" -t nat -S aad-metadata >/dev/null 2>&1
}

# ---- pods that ask all the while ----

everybody_asks() {
	local option
	leaks=$(sb_leaks)
	for option in '' --keep; do
		# shellcheck disable=SC2086 # no option is no word
		asking web --of="$SB_SHOP" $option "$SB_ASK" && asking billing --of="$SB_BILLING" $option "$SB_ASK" || bail 'a pod does not ask'
	done
}
tally() { # REGEX: how many of the replies
	awk -v re="$1" '$0 ~ re { n += $NF } END { print n + 0 }' <<<"$replies"
}
leaked() { echo $(($(sb_leaks) - leaks)); }
nobody_noticed() { # SENTENCE [CUT]: so many kept connections may have ended during a request
	answered
	is "$1: of $(tally '^[^s]') requests none failed, and each token was the right one" "$(grep -vE '^(200|slowest|cut) ' <<<"$replies")" ''
	at_most "$1: kept connections that ended during a request" "$(tally '^cut')" "${2:-0}"
	is "$1: no pod reached the metadata service itself" "$(leaked)" 0
	echo "# $1: slowest $(grep slowest <<<"$replies" | sort -k2n | tail -n 1 | cut -d' ' -f2) ms"
}

# ---- the old agent ----

sb_imds latency area=token msec=20 >/dev/null # about what IMDS takes
values_of beside
render "$SB_DIR/beside.out" -f "$SB_DIR/beside.yaml" || bail "the chart does not take the page's values: $(cat "$SB_DIR/beside.out.err")"
render "$SB_DIR/after.out" || bail "the chart is not rendered: $(cat "$SB_DIR/after.out.err")"

passes 'the old agent runs, with the arguments of its manifest' start_old
gives 'and serves' "$SB_SHOP" web "$SB_ASK"
answers 'as it does: a pod without the label gets 404' 404 'no azure identity found' plain "$SB_ASK"
passes 'by its chain' chain_is_there iptables
rules >"$SB_DIR/rules.old"

# ---- ours beside it, then in its place ----

sb_imds latency area=token msec=300 >/dev/null # so that everybody has a request under way
everybody_asks
start_ours ours "$SB_DIR/beside.out"
passes 'ours gets ready beside the old one' eventually 15 is_ready ours
sb_in "$SB_NODE" "$(sb_program nmi)" status --run-directory="$SB_DIR/nmi" >/dev/null
is 'nmi status is content' "$?" 0
passes 'the old one is still there' old_active
sleep 1
nobody_noticed 'ours beside the old one'
sb_imds latency area=token msec=20 >/dev/null
answers 'now ours answers: who has no label is told so' 400 no_label plain "$SB_ASK"

everybody_asks
sb_stop old TERM
sleep 1
nobody_noticed 'the old one ends'
chain_is_there iptables
is 'it took its chain with it' "$?" 1
gives 'ours goes on' "$SB_SHOP" web "$SB_ASK"

everybody_asks
start_ours final "$SB_DIR/after.out"
passes 'the next agent has the ports of before' eventually 15 is_ready final
sb_stop ours TERM
sleep 1
nobody_noticed 'ours moves to the ports of before'
like 'processes of the node have their address again' \
	"$(sb_in "$SB_NODE" curl -s -m 5 -H podname:web -H podns:shop "http://127.0.0.1:2579/host/token?resource=$SB_ARM")" '"access_token"'
like 'the metrics' "$(sb_metrics)" aadpodidentity_nmi_operations_duration_seconds
is 'and the probe' "$(sb_in "$SB_NODE" curl -s -m 5 http://127.0.0.1:8085/healthz)" Active

# ---- and back ----

everybody_asks
start_ours ours "$SB_DIR/beside.out"
passes 'back: ours makes room for the old one' eventually 15 is_ready ours
sb_stop final TERM
start_old || not_ok 'the old one starts beside it'
sleep 1
nobody_noticed 'the old one comes back beside ours'
gives 'it is still ours that answers' "$SB_SHOP" web "$SB_ASK"
answers 'which knows why' 400 no_label plain "$SB_ASK"
everybody_asks
uninstall >"$SB_DIR/uninstall.log" 2>&1 &
remover=$!
sleep 1
at=$EPOCHREALTIME
sb_stop ours TERM
wait "$remover"
is 'nmi uninstall waits for the end of ours, and takes everything away' "$? $(<"$SB_DIR/uninstall.log")" \
	"0 $(printf 'nmi: every packet rule of ours is removed; pods reach the metadata service again,\nunless a boot guard made with iptables stands (chain nmi-boot: docs/boot-guard.md)')"
gap=$(msec_since "$at")
sleep 1
answered
is 'ours goes: no pod reached the metadata service itself' "$(leaked)" 0
is 'and whoever had a token had the right one' "$(tally '^wrong')" 0
echo "# ours went: $(tally '^(error|cut|4|5)') of $(tally '^[^s]') requests failed; $gap ms from SIGTERM until the rules were gone"
at_most 'pods are refused for less than a second (ms)' "$gap" 1000
answers 'the old one answers again' 404 'no azure identity found' plain "$SB_ASK"
gives 'with the right tokens' "$SB_SHOP" web "$SB_ASK"
is 'and the rules of the node are those that it had' "$(rules | diff "$SB_DIR/rules.old" -)" ''
sb_stop old TERM

# ---- where the node has iptables-legacy ----

mkdir "$SB_DIR/legacy"
ln -s "$(PATH=/usr/sbin:$PATH command -v iptables-legacy)" "$SB_DIR/legacy/iptables"
passes 'with iptables-legacy: the old agent runs' start_old "$SB_DIR/legacy"
passes 'by its chain there' chain_is_there iptables-legacy
everybody_asks
start_ours ours "$SB_DIR/beside.out"
passes 'ours gets ready beside it' eventually 15 is_ready ours
sb_stop old TERM
nobody_noticed 'with iptables-legacy' 2 # kept connections to the old one, which exits without waiting for what it has under way
answers 'ours has taken its place' 400 no_label plain "$SB_ASK"
sb_stop ours TERM
passes 'and is removed' uninstall

# ---- and where nmi can have no nftables: both have one chain ----

start_old || bail 'the old agent does not start'
everybody_asks
start_ours ours "$SB_DIR/beside.out" --redirect-backend=iptables
passes 'over iptables: ours gets ready beside it' eventually 15 is_ready ours
sb_stop old TERM
has_repaired() { grep -q 'packet rules put back' "$SB_DIR/ours.log"; }
passes 'what the old one took away with it is put back' eventually 5 has_repaired
sleep 1
answered
is 'over iptables: no pod reached the metadata service itself' "$(leaked)" 0
is 'and whoever had a token had the right one' "$(tally '^wrong')" 0
echo "# over iptables: $(tally '^(error|cut|4|5)') of $(tally '^[^s]') requests failed; $(grep -oE 'put back after [0-9]+ us' "$SB_DIR/ours.log" | tail -n 1)"
answers 'ours has taken its place' 400 no_label plain "$SB_ASK"
sb_stop ours TERM
passes 'and is removed' uninstall
# ---- the old agent by itself; last, since much of it stays in the kernel's memory for a while ----

start_old || bail 'the old agent does not start'
everybody_asks
sb_stop old TERM
start_old || bail 'the old agent does not start again'
answered
like 'when it is restarted, pods get tokens of the node' "$replies" 'wrong, '
echo "# the old agent restarted: $(leaked) requests of pods reached the metadata service itself, $(tally '^wrong') got a token of the node, $(tally '^(error|cut|4|5)') failed"
is 'from the metadata service itself' "$(($(leaked) > 0))" 1
sb_stop old TERM
for log in ours final; do cat "$SB_DIR/$log.log"; done >>"$SB_DIR/nmi.log" # for the search at the end
e2e_end
