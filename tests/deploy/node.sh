# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154 # sb_* is of tests/sandbox/cluster.sh
# A node as the agent's DaemonSet sees it: what a kubelet and a container runtime do with the pod template, with crun
# as the runtime and the bundle that tests/interop/manifests/bundle makes. For scripts that have a box (tests/e2e/lib.sh).
# Not done are limits of memory and CPU.

node_tools=$sb_root/build/interop/manifests

node_need() {
	command -v crun >/dev/null || { sb_say 'crun is missing: tests/deps image'; return 1; }
	"$sb_root/tests/interop/install" "${node_tools%/*}" manifests || { sb_say 'the tools cannot be built'; return 1; }
}

# The node's own files, and what the kubelet mounts of the service account.
node_up() {
	node_dir=$SB_DIR/kubelet
	node_host=$node_dir/host
	mkdir -p "$node_host/etc" "$node_dir/account" "$node_dir/images" "$node_dir/pods"
	echo '127.0.0.1 localhost' >"$node_host/etc/hosts"
	: >"$node_host/etc/resolv.conf"
	cp "$SB_DIR/pki/ca.crt" "$node_dir/account/ca.crt"
	sed -nE 's/^ *token: *//p' "$SB_NMI_KUBECONFIG" >"$node_dir/account/token"
	printf kube-system >"$node_dir/account/namespace"
}

# No cgroups are made, but crun looks at what there are, and refuses a mixture of both versions.
node_runtime() {
	# shellcheck disable=SC2016 # the inner shell expands it
	unshare --mount --propagation private sh -c 'mount -t cgroup2 none /sys/fs/cgroup && exec crun "$@"' sh \
		--root "$node_dir/crun" --cgroup-manager=disabled "$@"
}

# IMAGE is an OCI layout. The output of the container goes to the agent's log; where it is the only one, the box knows it as nmi.
node_run() { # POD IMAGE RENDERED
	local pid bundle=$node_dir/pods/$1
	"$node_tools/make-bundle" -image "$2" -node "$SB_NODE_NAME" -netns "/run/netns/$SB_NODE" -host "$node_host" \
		-account "$node_dir/account" -env KUBERNETES_SERVICE_HOST="$SB_API_IP" -env KUBERNETES_SERVICE_PORT=6443 \
		"$bundle" <"$3" || return
	node_runtime run --bundle "$bundle" --detach --pid-file "$bundle/pid" "$1" </dev/null >>"$SB_DIR/nmi.log" 2>&1 || return
	pid=$(<"$bundle/pid")
	printf '%s %s\n' "$pid" "$(sb_born "$pid")" >"$SB_DIR/nmi.pid"
}

node_exec() { # POD COMMAND...
	node_runtime exec "$@"
}

node_probe() { # POD readiness|liveness
	local command
	mapfile -t command <"$node_dir/pods/$1/$2"
	node_exec "$1" "${command[@]}"
}

node_pids() { # POD: the processes of its container
	local space p
	space=$(readlink "/proc/$(<"$node_dir/pods/$1/pid")/ns/pid") || return
	for p in /proc/[0-9]*; do
		[[ $(readlink "$p/ns/pid" 2>/dev/null) != "$space" ]] || echo "${p##*/}"
	done
}

node_ended() { [[ -z $(sb_born "$(<"$node_dir/pods/$1/pid")") ]]; }

# As the kubelet: SIGTERM, and no more of it after the period of grace.
node_stop() { # POD
	sb_gather
	node_runtime kill "$1" TERM && sb_wait 30 "the end of $1" node_ended "$1" && node_runtime delete "$1"
}
