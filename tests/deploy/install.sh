#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From a fresh copy of the tree to a running agent, by the commands of docs/install.md and nothing else; then an upgrade, the
# end, and the same with kustomize. Cluster, registry and Helm's releases are the functions below; what becomes of the
# rendered DaemonSet on a node is tests/deploy/node.sh.
set -uo pipefail
export SB_RBAC='nmi managed' # what is installed grants no more
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
# shellcheck source=tests/deploy/node.sh
source "$sb_root/tests/deploy/node.sh"

node_need || bail 'there is no container runtime to try it with'
e2e_box install
node_up
fresh=$SB_DIR/fresh
mkdir "$fresh"
(cd "$sb_root" && git ls-files -z | tar -c --null -T - | tar -x -C "$fresh") || bail 'there is no copy of the tree'
cd "$fresh" || bail 'nor a way there'
page=$fresh/docs/install.md
number=0 running=''

# ---- in the place of a registry, of Helm, of a cluster ----

skopeo() { # copy oci:LAYOUT docker://NAME
	mkdir -p "$(dirname "$node_dir/images/${3#docker://}")" && cp -r "${2#oci:}" "$node_dir/images/${3#docker://}"
}

# What was rendered is read as an API server reads it; its DaemonSet becomes a pod, once the one before it may go.
rolled_out() {
	local image
	"$node_tools/manifests" "$fresh"/deploy/crds/*.yaml <"$node_dir/rendered" >/dev/null || return
	image=$(sed -nE 's/^ *(- )?image: "?([^"]*)"?$/\2/p' "$node_dir/rendered")
	[[ -d $node_dir/images/$image ]] || { echo "nobody has the image $image"; return 1; }
	number=$((number + 1))
	node_run "nmi-$number" "$node_dir/images/$image" "$node_dir/rendered"
}

helm() {
	local arguments=() a
	case $1 in
	install | upgrade)
		# what a release knows, and --reset-then-reuse-values takes from it
		for a in "${@:4}"; do [[ $a == --reset-then-reuse-values ]] || arguments+=("$a"); done
		[[ $1 == install ]] || arguments=("${release[@]}" "${arguments[@]}")
		release=("${arguments[@]}")
		"$node_tools/helm" template "$2" "$3" --kube-version 1.31 "${arguments[@]}" >"$node_dir/rendered" 2>"$node_dir/helm" ||
			{ cat "$node_dir/helm"; return 1; }
		rolled_out
		;;
	uninstall) node_stop "$running" && running='' ;;
	*) return 1 ;;
	esac
}

is_ready() { node_probe "nmi-$number" readiness; }

kubectl() {
	case "$*" in
	'-n kube-system rollout status daemonset/nmi')
		sb_wait 20 "readiness: $(is_ready 2>&1)" is_ready || return
		# maxSurge: the old pod goes when the new one is ready
		[[ -z $running ]] || node_stop "$running" || return
		running=nmi-$number
		;;
	'-n kube-system exec daemonset/nmi -- '*) node_exec "$running" "${@:6}" ;;
	'apply -k '*) "$node_tools/kustomize" build "$3" >"$node_dir/rendered" && rolled_out ;;
	'apply -f deploy/crds/') "$node_tools/manifests" < <(for f in deploy/crds/*.yaml; do echo ---; cat "$f"; done) ;; # the box has them
	'apply -f '*) sb_kubectl apply --validate=false -f "$fresh/$3" ;;
	*) return 1 ;;
	esac
}

nmi() { sb_in "$SB_NODE" "$fresh/build-image/build/nmi/nmi" "$@"; }

# ---- the page ----

# Commands, a line each as "SECTION<TAB>COMMAND"; and files, whose name their first line says.
steps() {
	awk -v to="$fresh" '
		/^## /         { section = substr($0, 4) }
		/^## Network/  { exit }
		/^```$/        { commands = !commands && !file; if (file) close(file); file = ""; next }
		/^```yaml$/    { getline; file = to "/" $2; system("mkdir -p \"$(dirname \"" file "\")\""); printf "" >file; next }
		file           { gsub(/REGISTRY/, "registry.example"); print >file }
		commands && NF { gsub(/REGISTRY/, "registry.example"); print section "\t" $0 }' "$page"
}
steps >"$SB_DIR/steps"
is 'the page has its steps' "$(cut -f1 "$SB_DIR/steps" | uniq -c | xargs)" '3 The image 4 With Helm 2 Upgrade 2 Uninstall 2 With kustomize'

step() { # SECTION PATTERN: the next command, which is this
	local section command
	IFS=$'\t' read -r section command <&9
	# shellcheck disable=SC2053 # a pattern
	if [[ $section != "$1" || $command != $2 ]]; then
		not_ok "the page says: $2" "instead: $section: $command"
		return
	fi
	# not in a subshell: what stands in for a cluster remembers
	if eval "$command" >"$SB_DIR/said" 2>&1 </dev/null; then ok "$command"; else not_ok "$command" "$(tail -n 20 "$SB_DIR/said")"; fi
}
exec 9<"$SB_DIR/steps"


step 'The image' 'tests/deps *'
step 'The image' deploy/image/build
[[ -s build-image/digest ]] || bail 'there is no image'
step 'The image' 'skopeo copy *'
step 'With Helm' 'helm install *'
step 'With Helm' 'kubectl * rollout status *'
step 'With Helm' 'kubectl * exec *'
like 'which says that the node is protected' "$(<"$SB_DIR/said")" '^Protected: '
step 'With Helm' 'kubectl apply *'
sb_add_pod demo shop 10.244.0.21 aadpodidbinding=demo || bail 'no pod'
passes 'a pod of that binding has its token' eventually 5 asks_as demo "$SB_SHOP"
gives 'which is one' "$SB_SHOP" demo "$SB_ASK"
answers 'a pod without a label is refused' 400 no_label plain "$SB_ASK"
passes 'it is alive, as the kubelet asks' node_probe "$running" liveness

# what the container has
pid=$(sb_pid nmi)
is 'the agent has no capability' "$(awk '/^Cap(Eff|Prm|Amb):/ { print $2 }' "/proc/$pid/status" | sort -u)" 0000000000000000
is 'there are three processes, of which one may change the network, and none has more' \
	"$(for p in $(node_pids "$running"); do awk '/^Name:/ { name = $2 } /^CapEff:/ { print name, $2 }' "/proc/$p/status"; done | sort | xargs)" \
	'nmi 0000000000000000 nmi-redirector 0000000000001000 nmi-selftest 0000000000000000'
like 'no new privileges, and two filters: of the runtime, and its own' "$(cat "/proc/$pid/status")" $'NoNewPrivs:\t1.*Seccomp_filters:\t2'
like 'it may not gain any from the start' "$(<"$node_dir/pods/$running/config.json")" '"noNewPrivileges": true'
is 'its files are read-only' "$(awk '$2 == "/" { print substr($4, 1, 2) }' "/proc/$pid/mounts")" ro
like 'as the page says, RuntimeDefault does not let the self-test be made' "$(<"$SB_DIR/nmi.log")" 'self-test: it cannot be made \(making a namespace: Operation not permitted\)'

# a policy as Calico enforces it, at the way into the host
policy() { sb_in "$SB_NODE" nft -f -; }
policy <<-END
	table ip netpol {
		chain input {
			type filter hook input priority 0
			ip saddr 10.244.0.21 ip daddr != 169.254.169.254 drop
		}
	}
END
sb_ask demo "$SB_ASK" -m 1
is 'with a network policy that allows 169.254.169.254 alone a pod hears nothing' "$SB_STATUS" 000
policy <<<"insert rule ip netpol input ip saddr 10.244.0.21 ip daddr $SB_NODE_IP tcp dport 2579 accept"
gives "with the node's address, port 2579, it is served" "$SB_SHOP" demo "$SB_ASK"
policy <<<'delete table ip netpol'

# ---- upgrade, while pods ask ----

asking demo "$SB_ASK" || bail 'nobody asks'
step Upgrade 'helm upgrade *'
is 'there are two pods then' "$(node_pids nmi-1 | wc -l) $(node_pids nmi-2 | wc -l)" '3 3'
step Upgrade 'kubectl * rollout status *'
is 'the second one serves' "$running" nmi-2
like 'with what was changed' "$(tr '\0' ' ' <"/proc/$(sb_pid nmi)/cmdline")" ' -v=1 '
answered
echo "# $(xargs <<<"$replies") ms"
is 'each request meanwhile was answered with a token' "$(awk '$1 != "slowest" { print $1, ($2 > 20) }' <<<"$replies")" '200 1'

# ---- uninstall ----

step Uninstall 'helm uninstall *'
answers 'pods are refused by the rules that stay' 000 '' demo "$SB_ASK" -m 2
no_leak 'none has reached IMDS'
step Uninstall 'nmi uninstall'
unlike 'no rule of it is left' "$(sb_in "$SB_NODE" nft list tables)" nmi

# ---- kustomize, and the profile under which the self-test can be made ----

step 'With kustomize' 'kubectl apply -f deploy/crds/'
step 'With kustomize' 'kubectl apply -k mine'
kubectl -n kube-system rollout status daemonset/nmi >/dev/null || bail 'it is not ready'
gives 'a pod is served by what kustomize made' "$SB_SHOP" demo "$SB_ASK"
node_stop "$running"
running=''
mkdir -p "$node_host/var/lib/kubelet/seccomp"
cp deploy/seccomp/nmi.json "$node_host/var/lib/kubelet/seccomp/"
echo 'components: [../deploy/kustomize/components/seccomp]' >>mine/kustomization.yaml
kubectl apply -k mine || bail 'the component cannot be added'
: >"$SB_DIR/nmi.log"
kubectl -n kube-system rollout status daemonset/nmi >/dev/null || bail 'it is not ready'
like 'with the profile the self-test is made' "$(<"$SB_DIR/nmi.log")" 'self-test: a connection to 169.254.169.254:80 reaches this agent'
gives 'and pods are served' "$SB_SHOP" demo "$SB_ASK"
node_stop "$running"
running=''
nmi uninstall >/dev/null 2>&1

# ---- a node without nftables, as far as the agent is concerned ----

passes 'the image is made with iptables' deploy/image/build --iptables
at_most 'it is less than 25 MiB (bytes)' "$(du -sb --apparent-size build-image/rootfs | cut -f1)" $((25 * 1024 * 1024))
like 'and its bill of materials knows of it' "$(<build-image/nmi.spdx.json)" 'pkg:deb/debian/iptables@'
skopeo copy oci:build-image/nmi.oci docker://registry.example/nmi:iptables
sed -i '$d' mine/kustomization.yaml
printf '  newTag: iptables\ncomponents: [../deploy/kustomize/components/iptables]\n' >>mine/kustomization.yaml
kubectl apply -k mine || bail 'the component cannot be added'
kubectl -n kube-system rollout status daemonset/nmi >/dev/null || bail 'it is not ready'
like 'rules are made by iptables' "$(node_exec "$running" nmi status)" 'backend +iptables'
gives 'by which a pod is served' "$SB_SHOP" demo "$SB_ASK"
node_stop "$running"
no_leak 'none has reached IMDS'
cd / || exit 1
e2e_end
