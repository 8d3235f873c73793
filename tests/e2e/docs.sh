#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the documents tell people to type works: the README's demo, and each command of the pages below, tried on a box.
# A command that no case here knows is a failure. docs/quick-start.md has a test of its own, tests/deploy/quick-start.sh.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$sb_root" || exit 1
demo=docs-demo${NMI_E2E_BOX:-}

# ---- the README's first command, and what it says one can do then ----

# numbers differ from run to run, and the width of a column with them
plain() { sed -E 's/[0-9]+(\.[0-9]+)?/N/g; s/ +/ /g' <<<"$1"; }
demo() { NMI_SANDBOX=$demo tests/demo "$@" 2>&1; }
demo_end() { demo --down >/dev/null; }

trap demo_end EXIT
trap 'exit 1' INT TERM
out=$(demo --keep)
is 'the demo succeeds' "$?" 0
told=$(sed -n '/^The box stays up/,/--down removes it/p' <<<"$out")
shown=$(sed '/^The box stays up/,/--down removes it/d; /^[12]\. /d' <<<"$out" | cat -s)
sample=$(sed -n '/^3\. Raising/,/^```/p' README.md | sed '$d' | cat -s)
is 'and prints what the README shows' "$(plain "$shown")" "$(plain "$sample")"

kubectl_line=$(grep -m 1 ' kubectl ' <<<"$told")
like 'its kubectl line works' "$(eval "$kubectl_line" 2>&1)" 'azureidentitybinding.*/shop'
shell_line=$(grep -m 1 ' exec web ' <<<"$told")
curl_line=$(grep -m 1 ' curl ' <<<"$told")
like 'its shell line and the curl in it do' "$(eval "${shell_line%%#*}" <<<"$curl_line" 2>/dev/null)" '"access_token"'
down_line=$(grep -m 1 -- '--down' <<<"$told")
sb_use "$demo"
hold_namespaces
like 'until then there are processes in it' "$(still_in "$inodes")" 'net:'
eval "${down_line% removes it.}"
is 'its last line removes the box' "$(sb_namespaces; ls -d "$SB_DIR" 2>/dev/null)" ''
demo_ended() { ! still_in "$inodes"; }
eventually 10 demo_ended || true
passes 'and every process of it' demo_ended
release_namespaces

# ---- the README's line that runs the agent ----

e2e_box docs
sb_assigned shop web shop "$SB_SHOP" Assigned || bail 'no assigned identity'
sb_add_pod agent kube-system 10.244.0.20 app=nmi || bail 'no pod for the agent'
sb_secret shop sp certificate=any || bail 'no Secret'
line=$(grep -m 1 '^KUBECONFIG=.* build/nmi/nmi ' README.md)
line=${line/\/path\/to\/kubeconfig/$SB_NMI_KUBECONFIG} line=${line/NAME/$SB_NODE_NAME}
line=${line/build\/nmi\/nmi/$(sb_program nmi)}
# shellcheck disable=SC2086 # words of the README
sb_start nmi "$SB_NODE" env $line
passes 'the README'"'"'s line starts the agent' eventually 10 asks_as web "$SB_SHOP"
gives 'which serves' "$SB_SHOP" web "$SB_ASK"
sb_ask plain "$SB_ASK"
passes 'a refusal is an Event, as the guide says' eventually 5 \
	sh -c "'$sb_root/tests/sandbox/cluster.sh' --name '$SB_NAME' kubectl get events -A | grep -q NmiNoLabel"

# ---- the guide, and other pages with commands ----

pages=(docs/troubleshooting.md docs/faq.md docs/federation.md docs/boot-guard.md docs/cilium.md)
sb_identity shop web "$SB_SHOP" && sb_account shop web || bail 'no objects for docs/federation.md'

commands() { # PAGE...: what stands between plain fences, or indented, a command a line
	awk '/^ *```/ { fence = !fence; inside = fence && /^ *```$/; next } inside || !fence && /^    +[a-z]/' "$@" |
		sed -e ':a' -e '/\\$/{N;s/ *\\\n */ /;ba' -e '}' | grep -vE '^ *$'
}

filled() { # LINE: with the names of this box in the place of the guide's; without its note and its pipe
	sed -E "s/ +# .*//; s/ \| .*//; s/^ +//; s/\bNMI_NS\b/kube-system/g; s/\bNS\b( |$)/shop\1/g
		s/\bPOD\b/web/g; s/\bNMI\b/agent/g; s/=NODE\b/=$SB_NODE_NAME/g; s/\bIDENTITY\b( |$)/shop\1/g
		s/ SECRET\b/ sp/g; s/ ACCOUNT\b/ default/g; s/ IP\b/ 10.244.0.11/g" <<<"$1"
}

# The words of our own pages, so the shell may read them.
kubectl_case() {
	local said
	if said=$(eval "sb_$1" 2>&1); then ok "$1"; else not_ok "$1" "$said"; fi
}

tried=0
while IFS= read -r command; do
	tried=$((tried + 1))
	command=$(filled "$command")
	case $command in
	# a kubelet, an authorizer or Azure would have to answer
	'kubectl -n kube-system logs '* | 'kubectl -n kube-system exec '* | *'/proxy/'* | 'kubectl auth can-i '* | 'az '*) ;;
	# of kinds that the box does not have: tests/interop reads the files as an API server does
	'kubectl apply -f deploy/'*) passes "$command" xargs -n 1 test -f < <(grep -oE 'deploy/[^ ]+' <<<"$command") ;;
	'kubectl create '* | 'kubectl -n '*' create '*) kubectl_case "$command --dry-run=client -o name" ;;
	'nmi status') passes 'nmi status' sb_in "$SB_NODE" "$(sb_program nmi)" status ;;
	'kubectl '*) kubectl_case "$command" ;;
	*'/metadata/identity/'*) like "in a pod: ${command%% *}" "$(eval "sb_exec web $command" 2>/dev/null)" '"access_token"' ;;
	'curl '*) passes "on the node: ${command:0:60}" eval "sb_in $SB_NODE ${command/curl/curl -f -o /dev/null}" ;;
	'iptables '*)
		sb_in "$SB_NODE" iptables -t nat -N aad-metadata
		passes "on the node: $command" eval "sb_in $SB_NODE $command >/dev/null"
		;;
	'ip '* | 'ss '* | 'nft list '* | iptables-save) passes "on the node: $command" eval "sb_in $SB_NODE $command >/dev/null" ;;
	*) not_ok "nobody tries this line of the guide: $command" ;;
	esac
done < <(commands "${pages[@]}")
is 'the guide has commands' "$((tried > 60))" 1

# ---- the page about logs: its commands, each with what it is to find ----

# With the names of this box; there is no kubelet to give an agent's log, which is a file here, or to start a program.
logs_command() { # LINE POD
	local line=$1
	line=${line/kubectl -n NMI_NS logs NMI/cat \"\$SB_DIR/nmi.log\"}
	line=${line/kubectl -n NMI_NS exec NMI -- nmi/sb_in \"\$SB_NODE\" \"\$(sb_program nmi)\"}
	line=${line/\/var\/log\/nmi\/audit.log/\"\$SB_DIR/audit.log\"}
	sed -E "s/\bNS\b/shop/g; s/\bPOD\b/$2/g" <<<"$line"
}
sb_stop_nmi
: >"$SB_DIR/nmi.log"
# shellcheck disable=SC2086 # words of the README
sb_start nmi "$SB_NODE" env $line --audit-log="$SB_DIR/audit.log"
eventually 10 asks_as web "$SB_SHOP"
sb_ask plain "$SB_ASK"
tried=0
while IFS= read -r command; do
	tried=$((tried + 1))
	case $command in
	*refused:*) like 'why was this pod refused' "$(eval "$(logs_command "$command" plain)")" 'reason=no_label .*pod=plain ' ;;
	*granted*) like 'which identity did it get, when does the token renew' "$(eval "$(logs_command "$command" web)")" \
		"identity=shop client_id=$SB_SHOP .*expires_on=2.* renew_at=2" ;;
	*'nmi status') like 'is the node protected' "$(eval "$(logs_command "$command" web)" | head -n 1)" '^Protected: ' ;;
	*'.pod =='*) like 'all three, of the audit log' "$(eval "$(logs_command "$command" plain)")" '"outcome":"refused","reason":"no_label"' ;;
	*dropped*) is 'and what is missing of it' "$(eval "$(logs_command "$command" web)")" '' ;;
	*) not_ok "nobody tries this line of the page: $command" ;;
	esac
done < <(awk '/^```/ { inside = ($0 == "```sh"); next } inside' docs/logs.md)
is 'each of the five' "$tried" 5

# ---- uninstall ----

sb_in "$SB_NODE" "$(sb_program nmi)" uninstall 2>/dev/null
is 'uninstall beside a living agent is refused' "$?" 1
sb_kill_nmi
like 'after a kill the rules are there' "$(sb_in "$SB_NODE" nft list tables)" 'table inet nmi|table ip nmi'
sb_in "$SB_NODE" "$(sb_program nmi)" uninstall 2>/dev/null
is 'uninstall works' "$?" 0
unlike 'and leaves no table of ours' "$(sb_in "$SB_NODE" nft list tables)" nmi
e2e_end
