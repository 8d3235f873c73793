#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A node in a box: a cluster of one node, made of network namespaces, for the tests and the demo.
#
#	api  10.240.0.1 ──────── eth0 10.240.0.4  node ── azv1 ── eth0 10.244.0.11  pod
#	(API server)                               │    ── azv2 ── eth0 10.244.0.12  pod
#	imds 169.254.169.254 ─── imds0 ────────────┘       …
#
# As Azure CNI lays it: a pod has a /32 on a veth of its own, its gateway is 169.254.1.1 with a fixed
# neighbour entry, and the host's end has no IPv4 address. IMDS is beyond the node, so that forwarding,
# guards and leaks are real: what the node forwards is answered, and counted by source. The node has
# net.ipv4.conf.*.route_localnet=0. With sb_entra_up there is also Microsoft Entra: entra.sh.
#
# With SB_BRIDGED=yes when the box is raised, as kubenet lays it: every pod is on a port (veth1, ...) of
# the bridge cbr0, 10.244.0.1/24, which is its gateway.
#
# What the agent may do at the API server are the roles of deploy/rbac, and nothing else: SB_RBAC has the names
# of the files, all of them unless it is set when the box is raised.
#
# A pod may have two addresses, "10.244.0.15,fd00:10:244::15": the first is its primary one. Then the node
# has an IPv6 address too, and the pod's gateway is the link-local one of the host's end.
#
# Sourced, it gives the functions sb_*; run, it is
#	cluster.sh [--name NAME] COMMAND [ARGUMENT...]
# Each NAME is a box of its own; everything of it is called nmi-NAME-..., and `down` ends and removes
# it all, whatever state it is in.
#
# shellcheck disable=SC2034 # variables that are for whoever sources this

PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH # Debian's own tools first

sb_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
sb_root=$(cd "$sb_here/../.." && pwd)

SB_NODE_NAME=aks-nodepool1-12345678-vmss000000
SB_NODE_IP=10.240.0.4
SB_NODE_IP6=fd00:10:240::4 # once a pod has an IPv6 address
SB_API_IP=10.240.0.1
SB_API_URL=https://$SB_API_IP:6443
SB_IMDS_CONTROL=10.241.0.1:8169
SB_GATEWAY=169.254.1.1
SB_GATEWAY_MAC=ee:ee:ee:ee:ee:ee
SB_GATEWAY6=fe80::ecee:eeff:feee:eeee # made of it
SB_GROUP=apis/aadpodidentity.k8s.io/v1
SB_ISSUER=$SB_API_URL/ # of service account tokens; with the slash at the end that AKS has there

# shellcheck source=tests/sandbox/entra.sh
source "$sb_here/entra.sh"

sb_use() { # NAME: which box the other functions are about
	local base=/run
	[[ $1 =~ ^[a-z0-9][a-z0-9-]{0,30}$ ]] || { sb_say "not a name for a sandbox: $1"; return 2; }
	[[ -w $base ]] || base=${TMPDIR:-/tmp}
	SB_NAME=$1
	SB_DIR=$base/nmi-sandbox/$1
	SB_NODE=nmi-$1-node
	SB_IMDS=nmi-$1-imds
	SB_API=nmi-$1-api
	SB_ENTRA=nmi-$1-entra
	SB_KUBECONFIG=$SB_DIR/pki/kubeconfig
	SB_NMI_KUBECONFIG=$SB_DIR/pki/kubeconfig-nmi
	SB_BUILD=${NMI_BUILD:-$sb_root/build}
	export NMI_REFUSALS=$SB_DIR/run/said/refusals # for clients in pods: what they were answered but 200
}

sb_say() { printf 'sandbox: %s\n' "$*" >&2; }

# ---- what must be there ----

sb_need() {
	local c missing=()
	((EUID == 0)) || { sb_say "this makes network namespaces and so must be run as root"; return 1; }
	for c in ip nft curl nsenter openssl python3; do
		command -v "$c" >/dev/null || missing+=("$c")
	done
	((${#missing[@]} == 0)) || { sb_say "missing: ${missing[*]}; run tests/deps test"; return 1; }
	if ! unshare --net true 2>/dev/null; then
		sb_say "no network namespace may be made here: CAP_SYS_ADMIN and CAP_NET_ADMIN are needed" \
			"(docker run --privileged)"
		return 1
	fi
	if ! unshare --net nft 'add table ip probe' 2>/dev/null; then
		sb_say "the kernel refuses nftables here: CONFIG_NF_TABLES and CAP_NET_ADMIN are needed"
		return 1
	fi
}

sb_program() { # NAME: where the build put it
	local p
	for p in "$SB_BUILD"/nmi/"$1" "$SB_BUILD"/tests/sandbox/"$1" "$SB_BUILD"/tests/sandbox/*/"$1"; do
		[[ -x $p && -f $p ]] && { printf '%s\n' "$p"; return; }
	done
	sb_say "$1 is not in $SB_BUILD: run meson setup build && ninja -C build"
	return 1
}

# ---- processes: known by pid and by when they started, since pids come round again ----

sb_born() { # PID: its start time, or nothing when it is gone or a zombie
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	read -r -a stat <<<"${stat##*) }"
	[[ ${stat[0]} == Z ]] || printf '%s\n' "${stat[19]}"
}

sb_in() { # NAMESPACE COMMAND...
	local ns=$1
	shift
	nsenter --net="/run/netns/$ns" -- "$@"
}

sb_start() { # NAME NAMESPACE COMMAND...: in the background; its output goes to NAME.log
	local name=$1 ns=$2 pid
	shift 2
	setsid nsenter --net="/run/netns/$ns" -- "$@" </dev/null >>"$SB_DIR/$name.log" 2>&1 &
	pid=$!
	disown "$pid" 2>/dev/null || true
	printf '%s %s\n' "$pid" "$(sb_born "$pid")" >"$SB_DIR/$name.pid"
}

sb_pid() { # NAME: the pid, if it runs
	local pid born
	read -r pid born 2>/dev/null <"$SB_DIR/$1.pid" || return 1
	[[ -n $born && $(sb_born "$pid") == "$born" ]] || return 1
	printf '%s\n' "$pid"
}

sb_end_pid() { # PID [SIGNAL]: and wait; SIGKILL after 5 s
	local pid=$1 born i
	born=$(sb_born "$pid")
	[[ -n $born ]] || return 0
	kill -"${2:-TERM}" "$pid" 2>/dev/null || return 0
	for ((i = 0; i < 500; i++)); do
		[[ $(sb_born "$pid") == "$born" ]] || return 0
		((i == 250)) && kill -KILL "$pid" 2>/dev/null
		sleep 0.01
	done
	sb_say "process $pid does not end"
	return 1
}

sb_stop() { # NAME [SIGNAL]
	local pid
	pid=$(sb_pid "$1") || { rm -f "$SB_DIR/$1.pid"; return 0; }
	[[ $1 != nmi ]] || sb_gather
	sb_end_pid "$pid" "${2:-TERM}" || return
	rm -f "$SB_DIR/$1.pid"
}

sb_wait() { # SECONDS WHAT COMMAND...: until COMMAND succeeds
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		((${EPOCHREALTIME/./} < end)) || { sb_say "$what: not within the time"; return 1; }
		sleep 0.02
	done
}

# ---- the network ----

sb_net_up() {
	ip -batch - <<-END || return
		netns add $SB_NODE
		netns add $SB_IMDS
		netns add $SB_API
		link add eth0 netns $SB_NODE type veth peer name eth0 netns $SB_API
		link add imds0 netns $SB_NODE type veth peer name eth0 netns $SB_IMDS
	END
	sb_in "$SB_NODE" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' || return
	sb_link_settings "$SB_NODE" all default eth0 imds0 || return
	ip -n "$SB_NODE" -batch - <<-END || return
		link set lo up
		addr add $SB_NODE_IP/24 dev eth0
		link set eth0 up
		addr add 10.241.0.2/30 dev imds0
		link set imds0 up
		route add default via $SB_API_IP dev eth0
		route add 169.254.169.254/32 via 10.241.0.1 dev imds0 src $SB_NODE_IP
	END
	ip -n "$SB_IMDS" -batch - <<-END || return
		link set lo up
		addr add 169.254.169.254/32 dev lo
		addr add 10.241.0.1/30 dev eth0
		link set eth0 up
		route add default via 10.241.0.2 dev eth0
	END
	ip -n "$SB_API" -batch - <<-END
		link set lo up
		addr add $SB_API_IP/24 dev eth0
		link set eth0 up
		route add 10.244.0.0/16 via $SB_NODE_IP dev eth0
	END
}

sb_link_settings() { # NAMESPACE LINK...: what kube-proxy in nftables mode and the CNI leave them at
	local ns=$1 link text=
	shift
	for link in "$@"; do
		text+="cd /proc/sys/net/ipv4/conf/$link
			echo 2 >rp_filter; echo 0 >route_localnet; echo 0 >send_redirects
		"
	done
	sb_in "$ns" sh -ec "$text"
}

sb_pod_ns() { printf 'nmi-%s-pod-%s\n' "$SB_NAME" "$1"; }

SB_BRIDGE_IP=10.244.0.1
sb_bridge_up() {
	ip -n "$SB_NODE" link add cbr0 type bridge || return
	sb_link_settings "$SB_NODE" cbr0 || return
	ip -n "$SB_NODE" -batch - <<-END || return
		addr add $SB_BRIDGE_IP/24 dev cbr0
		link set cbr0 up
	END
	: >"$SB_DIR/bridged"
}

sb_port_net() { # POD IP LINK: the same on the bridge
	local ns
	ns=$(sb_pod_ns "$1")
	ip netns add "$ns" || return
	ip link add "$3" netns "$SB_NODE" type veth peer name eth0 netns "$ns" || return
	ip -n "$SB_NODE" link set "$3" master cbr0 up || return
	ip -n "$ns" -batch - <<-END || return
		link set lo up
		addr add $2/24 dev eth0
		link set eth0 up
		route add default via $SB_BRIDGE_IP dev eth0
	END
	printf '%s\n' "$3" >"$SB_DIR/pods/$1.link"
}

sb_pod_time() { # POD started|ran: when it was first taken up, and run, as the kubelet writes it
	[[ -e $SB_DIR/pods/$1.$2 ]] || TZ=UTC printf '%(%Y-%m-%dT%H:%M:%SZ)T\n' -1 >"$SB_DIR/pods/$1.$2"
	printf '%s' "$(<"$SB_DIR/pods/$1.$2")"
}

sb_pod_net() { # POD IP[,IP]: what the CNI does
	local ns link n=0 ip
	ns=$(sb_pod_ns "$1")
	[[ ! -e $SB_DIR/links ]] || n=$(<"$SB_DIR/links")
	printf '%d\n' $((n + 1)) >"$SB_DIR/links"
	sb_pod_time "$1" started >/dev/null
	if [[ -e $SB_DIR/bridged ]]; then
		sb_port_net "$1" "$2" veth$((n + 1))
		return
	fi
	link=azv$((n + 1))
	ip netns add "$ns" || return
	ip link add "$link" netns "$SB_NODE" type veth peer name eth0 netns "$ns" || return
	sb_link_settings "$SB_NODE" "$link" || return
	ip -n "$SB_NODE" link set "$link" address $SB_GATEWAY_MAC
	ip -n "$ns" link set lo up
	for ip in ${2//,/ }; do
		if [[ $ip == *:* ]]; then sb_pod_ip6 "$ns" "$link" "$ip"; else sb_pod_ip4 "$ns" "$link" "$ip"; fi || return
	done
	printf '%s\n' "$link" >"$SB_DIR/pods/$1.link"
}

sb_pod_ip4() { # NAMESPACE LINK IP
	ip -n "$SB_NODE" -batch - <<-END || return
		link set $2 up
		route add $3/32 dev $2 scope link
	END
	ip -n "$1" -batch - <<-END
		addr add $3/32 dev eth0
		link set eth0 up
		neigh add $SB_GATEWAY lladdr $SB_GATEWAY_MAC dev eth0 nud permanent
		route add $SB_GATEWAY/32 dev eth0 scope link
		route add default via $SB_GATEWAY dev eth0
	END
}

sb_pod_ip6() { # NAMESPACE LINK IP
	local mac
	mac=$(ip -n "$1" -br link show dev eth0 | awk '{ print $3 }')
	# no detection of duplicates, no discovery of neighbours: both take seconds at first
	sb_in "$SB_NODE" sh -c "echo 0 >/proc/sys/net/ipv6/conf/$2/accept_dad" || return
	sb_in "$1" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad' || return
	ip -n "$SB_NODE" -batch - <<-END || return
		addr replace $SB_NODE_IP6/64 dev eth0 nodad
		link set $2 up
		neigh add $3 lladdr $mac dev $2 nud permanent
		route add $3/128 dev $2
	END
	ip -n "$1" -batch - <<-END
		addr add $3/128 dev eth0 nodad
		link set eth0 up
		neigh add $SB_GATEWAY6 lladdr $SB_GATEWAY_MAC dev eth0 nud permanent
		route add default via $SB_GATEWAY6 dev eth0 onlink
	END
}

# ---- up and down ----

sb_credentials() {
	"$sb_here/certs.sh" "$SB_DIR/pki" sandbox "$SB_API_IP" >>"$SB_DIR/certs.log" 2>&1 ||
		{ sb_say "no certificates: $(tail -n 3 "$SB_DIR/certs.log")"; return 1; }
	sed -n '1s/ .*//p' "$SB_DIR/pki/tokens" >"$SB_DIR/token" # of the admin
}

sb_api_start() {
	local prog role rbac=(--rbac "$sb_here/rbac.yaml")
	prog=$(sb_program nmi-sandbox-apiserver) || return
	for role in ${SB_RBAC-nmi managed standard secrets secrets-watch federation workload-identity}; do
		rbac+=(--rbac "$sb_root/deploy/rbac/$role.yaml")
	done
	sb_start apiserver "$SB_API" "$prog" --listen "$SB_API_IP:6443" --cert "$SB_DIR/pki/server.crt" \
		--key "$SB_DIR/pki/server.key" --token-file "$SB_DIR/pki/tokens" \
		"${rbac[@]}" --crds "$sb_root/deploy/crds" --node "$SB_NODE_NAME" --issuer="$SB_ISSUER" --public-keys \
		--jwks-uri="$SB_API_URL/openid/v1/jwks" --ledger="$SB_DIR/run/ledger/apiserver" \
		--event-log="$SB_DIR/run/said/events"
	sb_wait 10 "API server ($SB_DIR/apiserver.log)" sb_api GET readyz
}

sb_imds_start() {
	local prog
	prog=$(sb_program nmi-sandbox-imds) || return
	sb_start imds "$SB_IMDS" "$prog" --identities "$sb_here/identities.json" --key "$SB_DIR/imds.key" \
		--ledger "$SB_DIR/run/ledger/imds" --listen 169.254.169.254:80 --control "$SB_IMDS_CONTROL"
	sb_wait 10 "IMDS ($SB_DIR/imds.log)" sb_imds stats || return
	sb_imds jwks >"$SB_DIR/jwks"
}

sb_up_parts() {
	mkdir -p "$SB_DIR" 2>/dev/null # once more, if what it is in was removed under our hands by the last box that went
	mkdir -p "$SB_DIR/pods" "$SB_DIR/namespaces" && chmod 711 "$SB_DIR" && sb_run_dir && sb_net_up &&
		{ [[ -z ${SB_BRIDGED:-} ]] || sb_bridge_up; } && sb_credentials && sb_api_start &&
		sb_imds_start
}

sb_up() {
	sb_need || return
	sb_down || return
	sb_up_parts && return
	for log in apiserver imds; do
		[[ ! -s $SB_DIR/$log.log ]] || tail -n 5 "$SB_DIR/$log.log" | sed "s/^/sandbox: $log: /" >&2
	done
	sb_down
	return 1
}

sb_namespaces() { # those of this box that exist
	local ns
	for ns in /run/netns/nmi-"$SB_NAME"-{node,imds,api,entra,pod-*}; do
		[[ ! -e $ns ]] || printf '%s\n' "${ns##*/}"
	done
}

sb_down() {
	local f ns pid r=0
	for f in "$SB_DIR"/*.pid; do
		[[ ! -e $f ]] || { f=${f##*/}; sb_stop "${f%.pid}" || r=1; }
	done
	sb_gather # once more: its last words, or of one that ended by itself
	for ns in $(sb_namespaces); do
		# what was started in it by hand, or outlived its parent
		for pid in $(ip netns pids "$ns" 2>/dev/null); do sb_end_pid "$pid" || r=1; done
		ip netns del "$ns" || r=1
	done
	[[ ! -d $SB_DIR/run/said ]] || : >"$SB_DIR/run/complete"
	rm -rf "$SB_DIR"
	rmdir "${SB_DIR%/*}" 2>/dev/null || true
	return $r
}

# ---- what must be known of a box for the search for leaks (tests/leaks/search.py) ----

# $SB_DIR/run has what the stand-ins gave and were given (ledger), and what the agent said to anybody (said).
# Within a run of tests/run it is a directory of that, and outlives the box.
sb_run_dir() {
	if [[ -n ${NMI_RUN:-} ]]; then
		ln -s "$(mktemp -d "$NMI_RUN/boxes/${NMI_SUITE:-other}.$SB_NAME.XXXX")" "$SB_DIR/run" || return
	fi
	mkdir -p "$SB_DIR/run/ledger" "$SB_DIR/run/said"
}

# nmi's metrics as they are now: a page is made anew every LIMIT_SCRAPE_MSEC (nmi/limits.h), and who asks before
# that has the last one again.
sb_metrics() { # [CURL-ARGUMENT...]
	sleep 0.11
	sb_in "$SB_NODE" curl -s -m 5 "$@" http://127.0.0.1:9090/metrics
}

# What the agent has said so far: its log, metrics, health, what /proc shows of it. Events and refusals are
# there already. And the private keys that the box has.
sb_gather() {
	local said=$SB_DIR/run/said n pid key name
	[[ -d $said ]] || return 0 # no box, or one that was left by a run that is gone
	n=$(find "$said" -type f | wc -l)
	for key in "$SB_DIR"/*.key "$SB_DIR"/{certs,pki,entra}/*.key; do
		name=${key#"$SB_DIR/"}
		[[ ! -s $key ]] || cp "$key" "$SB_DIR/run/ledger/${name//\//-}"
	done
	[[ ! -s $SB_DIR/nmi.log ]] || cp "$SB_DIR/nmi.log" "$said/log.$n"
	[[ ! -s $SB_DIR/audit.log ]] || cp "$SB_DIR/audit.log" "$said/audit.$n"
	[[ ! -s $SB_DIR/sdk.log ]] || cp "$SB_DIR/sdk.log" "$said/sdk.$n"
	pid=$(sb_pid nmi) || return 0
	sb_metrics -m 2 >"$said/metrics.$n"
	sb_in "$SB_NODE" curl -s -m 2 http://127.0.0.1:8085/readyz?verbose >"$said/readyz.$n"
	sb_in "$SB_NODE" timeout 5 "$(sb_program nmi)" status --run-directory="$SB_DIR/nmi" --output=json >"$said/status.$n" 2>&1
	cat "/proc/$pid/cmdline" "/proc/$pid/environ" >"$said/proc.$n" 2>/dev/null
	return 0
}

# ---- the API server ----

# The answer; fails when the status is not 2xx. SB_FROM: the namespace to ask from, else the node.
sb_api() { # METHOD PATH [JSON [CONTENT-TYPE]]
	local body=()
	[[ -z ${3:-} ]] || body=(-H "Content-Type: ${4:-application/json}" --data-binary "$3")
	sb_in "${SB_FROM:-$SB_NODE}" curl -sS --fail-with-body -m 20 --cacert "$SB_DIR/pki/ca.crt" -X "$1" \
		-H "Authorization: Bearer $(<"$SB_DIR/token")" ${body[@]+"${body[@]}"} "$SB_API_URL/$2"
}

sb_apply() { # COLLECTION NAME JSON: create, or merge into what is there
	local out
	if out=$(sb_api POST "$1" "$3" 2>&1); then return; fi
	if [[ $out == *AlreadyExists* ]]; then
		sb_api PATCH "$1/$2" "$3" application/merge-patch+json >/dev/null
		return
	fi
	sb_say "$1/$2: $out"
	return 1
}

sb_meta() { # NAMESPACE NAME [LABELS (JSON)]
	printf '"metadata":{"namespace":"%s","name":"%s","labels":%s}' "$1" "$2" "${3:-{\}}"
}

sb_labels() { # key=value,... as JSON
	local pair out='' IFS=,
	for pair in $1; do out+="${out:+,}\"${pair%%=*}\":\"${pair#*=}\""; done
	printf '{%s}' "$out"
}

# Options, as key=value: tenant; secret, the name of the Secret in its namespace, or NAMESPACE/NAME; endpoint
# (adEndpoint); auxiliary, tenants with commas; note, an annotation as KEY=VALUE.
sb_identity() { # NAMESPACE NAME CLIENT-ID [RESOURCE-ID [TYPE [OPTION...]]]
	local o spec="\"type\":${5:-0},\"clientID\":\"$3\",\"resourceID\":\"${4:-}\"" notes='' ref
	for o in "${@:6}"; do
		case $o in
		tenant=*) spec+=",\"tenantID\":\"${o#*=}\"" ;;
		endpoint=*) spec+=",\"adEndpoint\":\"${o#*=}\"" ;;
		auxiliary=*) o=${o#*=} && spec+=",\"auxiliaryTenantIDs\":[\"${o//,/\",\"}\"]" ;;
		secret=*)
			ref=${o#*=} && [[ $ref == */* ]] || ref=$1/$ref
			spec+=",\"clientPassword\":{\"namespace\":\"${ref%/*}\",\"name\":\"${ref#*/}\"}"
			;;
		note=*) o=${o#*=} && notes+="${notes:+,}\"${o%%=*}\":\"${o#*=}\"" ;;
		*) sb_say "sb_identity: what is $o?" && return 2 ;;
		esac
	done
	sb_namespace "$1" || return
	sb_apply "$SB_GROUP/namespaces/$1/azureidentities" "$2" "{\"apiVersion\":\"${SB_GROUP#apis/}\",
		\"kind\":\"AzureIdentity\",\"metadata\":{\"namespace\":\"$1\",\"name\":\"$2\",
		\"annotations\":{$notes}},\"spec\":{$spec}}"
}

sb_binding() { # NAMESPACE NAME IDENTITY SELECTOR [WEIGHT]
	sb_apply "$SB_GROUP/namespaces/$1/azureidentitybindings" "$2" "{\"apiVersion\":\"${SB_GROUP#apis/}\",
		\"kind\":\"AzureIdentityBinding\",$(sb_meta "$1" "$2"),
		\"spec\":{\"azureIdentity\":\"$3\",\"selector\":\"$4\",\"weight\":${5:-0}}}"
}

sb_exception() { # NAMESPACE NAME key=value,...
	sb_namespace "$1" || return
	sb_apply "$SB_GROUP/namespaces/$1/azurepodidentityexceptions" "$2" "{\"apiVersion\":\"${SB_GROUP#apis/}\",
		\"kind\":\"AzurePodIdentityException\",$(sb_meta "$1" "$2"),
		\"spec\":{\"podLabels\":$(sb_labels "$3")}}"
}

# What the controller (MIC) writes in standard mode. Options, as key=value: ns, the identity's namespace
# (the pod's); selector (the identity's name); weight; node; behavior, the annotation.
sb_assigned() { # POD-NAMESPACE POD IDENTITY CLIENT-ID STATE [OPTION...]
	local o name=$2-$1-$3 spec
	local -A opt=([ns]=$1 [selector]=$3 [weight]=0 [node]=$SB_NODE_NAME [behavior]='')
	for o in "${@:6}"; do opt[${o%%=*}]=${o#*=}; done
	spec="\"azureIdentityRef\":{\"apiVersion\":\"${SB_GROUP#apis/}\",\"kind\":\"v1.AzureIdentity\",\"metadata\":{
		\"namespace\":\"${opt[ns]}\",\"name\":\"$3\",
		\"annotations\":{\"aadpodidentity.k8s.io/Behavior\":\"${opt[behavior]}\"}},
		\"spec\":{\"type\":0,\"clientID\":\"$4\",\"resourceID\":\"$SB_IDS/$3\"}},
		\"azureBindingRef\":{\"apiVersion\":\"${SB_GROUP#apis/}\",\"kind\":\"v1.AzureIdentityBinding\",
		$(sb_meta "${opt[ns]}" "$3"),\"spec\":{\"azureIdentity\":\"$3\",\"selector\":\"${opt[selector]}\",
		\"weight\":${opt[weight]}}}"
	sb_namespace default && sb_apply "$SB_GROUP/namespaces/default/azureassignedidentities" "$name" "{
		\"apiVersion\":\"${SB_GROUP#apis/}\",\"kind\":\"AzureAssignedIdentity\",
		$(sb_meta default "$name" "{\"nodename\":\"${opt[node]}\"}"),\"spec\":{$spec,
		\"pod\":\"$2\",\"podNamespace\":\"$1\",\"nodename\":\"${opt[node]}\"},
		\"status\":{\"status\":\"$5\"}}"
}

sb_assigned_path() { # POD-NAMESPACE POD IDENTITY
	printf '%s/namespaces/default/azureassignedidentities/%s-%s-%s\n' "$SB_GROUP" "$2" "$1" "$3"
}

sb_assigned_state() { # POD-NAMESPACE POD IDENTITY STATE: as the controller does it
	sb_api PATCH "$(sb_assigned_path "$1" "$2" "$3")" "{\"status\":{\"status\":\"$4\"}}" \
		application/merge-patch+json >/dev/null
}

sb_account() { # NAMESPACE NAME
	sb_namespace "$1" || return
	sb_apply "api/v1/namespaces/$1/serviceaccounts" "$2" "{\"apiVersion\":\"v1\",
		\"kind\":\"ServiceAccount\",$(sb_meta "$1" "$2")}"
}

# With the node's own address it is on the host's network.
sb_pod_object() { # POD NAMESPACE IP[,IP] [key=value,... [SERVICE-ACCOUNT]]
	local status host=''
	sb_namespace "$2" || return
	[[ $3 != "$SB_NODE_IP" ]] || host='"hostNetwork":true,'
	status="\"status\":{\"phase\":\"Running\",\"startTime\":\"$(sb_pod_time "$1" started)\",\"hostIP\":\"$SB_NODE_IP\",\"podIP\":\"${3%%,*}\",
		\"podIPs\":[{\"ip\":\"${3//,/\"\},\{\"ip\":\"}\"}],\"containerStatuses\":[{\"name\":\"main\",\"image\":\"sandbox\",
		\"imageID\":\"\",\"ready\":true,\"restartCount\":0,\"state\":{
		\"running\":{\"startedAt\":\"$(sb_pod_time "$1" ran)\"}}}]}"
	sb_apply "api/v1/namespaces/$2/pods" "$1" "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",
		$(sb_meta "$2" "$1" "$(sb_labels "${4:-}")"),\"spec\":{${host}\"nodeName\":\"$SB_NODE_NAME\",
		\"serviceAccountName\":\"${5:-default}\",\"containers\":[{\"name\":\"main\",\"image\":\"sandbox\"}]},
		$status}" || return
	# a real API server takes no status from whoever creates
	sb_api PATCH "api/v1/namespaces/$2/pods/$1/status" "{$status}" application/merge-patch+json >/dev/null
}

sb_pod_ended() { # POD NAMESPACE PHASE: its container has ended, as the kubelet tells
	sb_api PATCH "api/v1/namespaces/$2/pods/$1/status" "{\"status\":{\"phase\":\"$3\",\"containerStatuses\":[
		{\"name\":\"main\",\"image\":\"sandbox\",\"imageID\":\"\",\"ready\":false,\"restartCount\":0,\"state\":{
		\"terminated\":{\"exitCode\":0,\"startedAt\":\"$(sb_pod_time "$1" ran)\"}}}]}}" \
		application/merge-patch+json >/dev/null
}

sb_add_pod() { # POD NAMESPACE IP[,IP] [key=value,... [SERVICE-ACCOUNT]]
	rm -f "$SB_DIR/pods/$1".{started,ran}
	printf '%s %s\n' "$2" "$3" >"$SB_DIR/pods/$1"
	sb_pod_net "$1" "$3" && sb_pod_object "$@"
}

sb_del_pod() { # POD: in the order of a real node: the network first, the object after
	local ns
	read -r ns _ <"$SB_DIR/pods/$1" || return
	sb_del_pod_net "$1"
	rm -f "$SB_DIR/pods/$1"
	sb_api DELETE "api/v1/namespaces/$ns/pods/$1?gracePeriodSeconds=0" >/dev/null
}

sb_del_pod_net() { # POD: the CNI's part alone
	local pid
	for pid in $(ip netns pids "$(sb_pod_ns "$1")" 2>/dev/null); do sb_end_pid "$pid" KILL; done
	# by itself it, and its route, would go some time after the namespace, and the next pod have no route to the address
	[[ ! -e $SB_DIR/pods/$1.link ]] || ip -n "$SB_NODE" link del "$(<"$SB_DIR/pods/$1.link")" 2>/dev/null
	ip netns del "$(sb_pod_ns "$1")"
	rm -f "$SB_DIR/pods/$1.link"
}

sb_exec() { # POD COMMAND...
	local pod=$1
	shift
	sb_in "$(sb_pod_ns "$pod")" "$@"
}

sb_spawn() { # POD COMMAND...: in the background; its pid is in SB_SPAWNED
	nsenter --net="/run/netns/$(sb_pod_ns "$1")" -- "${@:2}" &
	SB_SPAWNED=$!
}

sb_kubectl() {
	sb_in "$SB_NODE" env HOME="$SB_DIR" kubectl --kubeconfig "$SB_KUBECONFIG" "$@"
}

sb_namespace() { # NAMESPACE, with the account that the controller manager would make; again is fine
	[[ ! -e $SB_DIR/namespaces/$1 ]] || return 0
	sb_apply api/v1/namespaces "$1" "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",
		\"metadata\":{\"name\":\"$1\"}}" || return
	sb_apply "api/v1/namespaces/$1/serviceaccounts" default "{\"apiVersion\":\"v1\",
		\"kind\":\"ServiceAccount\",$(sb_meta "$1" default)}" || return
	: >"$SB_DIR/namespaces/$1"
}

# ---- IMDS ----

sb_imds() { # stats | jwks | reset | clear | forget | fault k=v... | latency k=v... | limits k=v... | ...
	local method=POST what=$1 query='' arg=()
	shift
	case $what in
	stats | jwks) method=GET ;;
	identities)
		method=PUT
		arg=(--data-binary "@$1")
		shift
		;;
	esac
	while (($#)); do query+="${query:+&}$1" && shift; done
	sb_in "$SB_IMDS" curl -sS --fail-with-body -m 20 -X "$method" ${arg[@]+"${arg[@]}"} \
		"http://$SB_IMDS_CONTROL/$what${query:+?$query}"
}

sb_leaks() { # how many requests IMDS saw from addresses of pods
	sb_imds stats | python3 -c 'import json, sys
print(sum(sum(n.values()) for ip, n in json.load(sys.stdin)["sources"].items() if ip.startswith("10.244.")))'
}

# ---- the agent ----

sb_start_nmi() { # [ARGUMENT...]: beside the usual ones; ready when it returns
	sb_launch_nmi "$@" && sb_wait 15 "nmi ($SB_DIR/nmi.log)" sb_nmi_ready
}

# As a container runtime does it: ROOT read-only, but for the box's own directory; nothing else of the machine. For SB_UNDER.
sb_contained() { # ROOT [env NAME=VALUE...] COMMAND...
	local root=$1
	shift
	if [[ $1 == env ]]; then
		shift
		while [[ $1 == *=* ]]; do export "${1?}" && shift; done
	fi
	# shellcheck disable=SC2016 # the inner shell expands these
	exec unshare --mount --propagation private sh -c 'root=$1 box=$2; shift 2
		mount --bind "$root" "$root" && mount -o remount,bind,ro "$root" && mount -t tmpfs tmpfs "$root/run" &&
		mount -t tmpfs tmpfs "$root/dev" && touch "$root/dev/null" && mount --bind /dev/null "$root/dev/null" &&
		mount -t proc proc "$root/proc" && mount -t sysfs -o ro sysfs "$root/sys" && mkdir -p "$root$box" &&
		mount --bind "$box" "$root$box" && exec chroot "$root" "$@"' sh "$root" "$SB_DIR" "$@"
}

# SB_UNDER: a command that runs it. NMI_BACKEND=iptables-nft or iptables-legacy: over iptables, of the flavour that a kubelet shows.
sb_launch_nmi() {
	local prog see=() backend=()
	prog=$(sb_program nmi) || return
	if [[ ${NMI_BACKEND:-} == iptables-* ]]; then
		backend=(--redirect-backend=iptables)
		sb_in "$SB_NODE" "$NMI_BACKEND" -t mangle -N KUBE-IPTABLES-HINT 2>/dev/null # it is there from the last time
	fi
	[[ ! -e $SB_DIR/entra/ca.crt ]] || see=("$sb_here/cluster.sh" --name "$SB_NAME" see)
	[[ -z ${SB_NMI_ROOT:-} ]] || prog=/usr/sbin/nmi # where that is in an image
	sb_start nmi "$SB_NODE" "${see[@]}" ${SB_UNDER[@]+"${SB_UNDER[@]}"} env KUBECONFIG="$SB_NMI_KUBECONFIG" FORCENAMESPACED=true "$prog" \
		--node "$SB_NODE_NAME" --operation-mode=managed --http-probe-port=8085 \
		--prometheus-port=9090 --run-directory="$SB_DIR/nmi" ${backend[@]+"${backend[@]}"} "$@"
}

sb_nmi_ready() {
	sb_pid nmi >/dev/null && sb_in "$SB_NODE" curl -sf -m 2 "http://127.0.0.1:8085/readyz"
}

sb_stop_nmi() { sb_stop nmi TERM; }
sb_kill_nmi() { sb_stop nmi KILL; }

# ---- asking ----

SB_TOKEN=/metadata/identity/oauth2/token
SB_ARM=https://management.azure.com/
SB_ASK="$SB_TOKEN?api-version=2018-02-01&resource=$SB_ARM"

# One request from a pod, with the header Metadata unless CURL-ARGUMENTs say otherwise. Sets
# SB_STATUS (000: no answer), SB_BODY, SB_HEAD and SB_MSEC.
sb_ask() { # POD TARGET [CURL-ARGUMENT...]
	local ns header=(-H 'Metadata: true')
	ns=$(sb_pod_ns "$1")
	[[ " ${*:3}" != *' Metadata:'* ]] || header=()
	sb_ask_from "$ns" "$2" ${header[@]+"${header[@]}"} "${@:3}"
}

sb_ask_from() { # NAMESPACE TARGET [CURL-ARGUMENT...]
	local out head=$SB_DIR/head.$BASHPID
	: >"$head"
	out=$(sb_in "$1" curl -s -m 30 --path-as-is -D "$head" -w '\n%{http_code} %{time_total}' "${@:3}" \
		"http://169.254.169.254$2" 2>/dev/null) || true
	SB_HEAD=$(tr -d '\r' <"$head")
	rm -f "$head"
	SB_BODY=${out%$'\n'*}
	read -r SB_STATUS SB_MSEC <<<"${out##*$'\n'}"
	if [[ $SB_STATUS != 200 ]]; then
		printf '%s\n%s\n' "$SB_HEAD" "$SB_BODY" >>"$NMI_REFUSALS"
	elif [[ $SB_BODY =~ \"access_token\":\ *\"([^\"]*) ]]; then
		printf '{"kind":"given","to":"%s %s","value":"%s"}\n' "$1" "${2//[\"\\]/}" "${BASH_REMATCH[1]}" >>"$SB_DIR/run/ledger/given"
	fi
	SB_MSEC=$(awk -v s="$SB_MSEC" 'BEGIN { printf "%.1f", s * 1000 }')
}

sb_field() { # NAME: of the last answer, a string
	[[ $SB_BODY =~ \"$1\":\ *\"([^\"]*)\" ]] && printf '%s\n' "${BASH_REMATCH[1]}"
}

sb_claims() { # the claims of the last answer's token, its signature checked; or why not
	sb_field access_token | "$(sb_program nmi-sandbox-imds)" --verify "$SB_DIR/jwks" 2>&1
}

sb_claim() { # NAME
	[[ $(sb_claims) =~ \"$1\":\"?([^\",}]*) ]] && printf '%s\n' "${BASH_REMATCH[1]}"
}

# ---- an example to work on ----

SB_SHOP=11111111-aaaa-4000-8000-000000000001
SB_BILLING=22222222-aaaa-4000-8000-000000000002
SB_KUBELET=33333333-aaaa-4000-8000-000000000003
SB_SYSTEM=00000000-aaaa-4000-8000-000000000001
SB_IDS=/subscriptions/11111111-2222-4333-8444-555555555555/resourcegroups/ids/providers
SB_IDS+=/Microsoft.ManagedIdentity/userAssignedIdentities

# Two applications of one namespace with an identity each, a pod that has none, an add-on that is excepted.
sb_example() {
	sb_identity shop shop "$SB_SHOP" "$SB_IDS/shop" && sb_binding shop shop shop shop &&
		sb_identity shop billing "$SB_BILLING" "$SB_IDS/billing" &&
		sb_binding shop billing billing billing &&
		sb_exception kube-system aks-addon-exception kubernetes.azure.com/managedby=aks &&
		sb_add_pod web shop 10.244.0.11 app=web,aadpodidbinding=shop &&
		sb_add_pod billing shop 10.244.0.12 app=billing,aadpodidbinding=billing &&
		sb_add_pod plain shop 10.244.0.13 app=plain &&
		sb_add_pod addon kube-system 10.244.0.14 kubernetes.azure.com/managedby=aks
}

sb_status() {
	local f name pid
	for f in "$SB_DIR"/*.pid; do
		[[ -e $f ]] || { echo "sandbox $SB_NAME is down"; return 1; }
		name=${f##*/} name=${name%.pid}
		pid=$(sb_pid "$name") && printf '%-10s runs, pid %s\n' "$name" "$pid" ||
			printf '%-10s ended, see %s\n' "$name" "$SB_DIR/$name.log"
	done
	for f in "$SB_DIR"/pods/*.link; do
		[[ ! -e $f ]] || printf 'pod %-16s %s\n' "$(basename "$f" .link)" "$(<"${f%.link}") $(<"$f")"
	done
}

sb_usage() {
	cat <<-'END'
		Usage: cluster.sh [--name NAME] COMMAND
		  up | down | status
		  add-pod POD NAMESPACE IP[,IP] [key=value,...] | del-pod POD | exec POD COMMAND...
		  example       (two applications with an identity each, one without, an add-on)
		  start-nmi [ARGUMENT...] | stop-nmi | kill-nmi
		  identity NAMESPACE NAME CLIENT-ID [RESOURCE-ID [TYPE
		           [tenant=|secret=|endpoint=|auxiliary=|note=KEY=VALUE]...]]
		  secret NAMESPACE NAME key=value|key=@FILE... | certificate NAME [password=|days=|legacy=true]
		  binding NAMESPACE NAME IDENTITY SELECTOR [WEIGHT]
		  exception NAMESPACE NAME key=value,...
		  assigned POD-NAMESPACE POD IDENTITY CLIENT-ID STATE [ns=|selector=|weight=|node=|behavior=]...
		  assigned-state POD-NAMESPACE POD IDENTITY STATE
		  kubectl ... | api METHOD PATH [JSON [TYPE]]
		  entra-up | see COMMAND... (that finds Entra, as the agent does)
		  app CLIENT-ID [secret=|certificate=FILE|federated=SUBJECT|tenant=|...]...
		  entra-ctl stats | clear | behave do=throttle retry-after=5 times=2 | clock skew=600
		  imds-ctl stats | jwks | reset | clear | fault status=429 times=2 area=token | latency msec=100
	END
}

sb_main() {
	local name=${NMI_SANDBOX:-demo}
	if [[ ${1:-} == --name ]]; then
		name=${2:-} && shift 2
	fi
	sb_use "$name" || return
	local command=${1:-help}
	shift || true
	case $command in
	up | down | status | example | api | kubectl | identity | binding | exception | assigned | exec) sb_"$command" "$@" ;;
	assigned-state | add-pod | del-pod | start-nmi | stop-nmi | kill-nmi) sb_"${command//-/_}" "$@" ;;
	secret | certificate | app) sb_"$command" "$@" ;;
	entra-up) sb_entra_up ;;
	see) sb_entra_see "$@" ;;
	contained) sb_contained "$@" ;;
	entra-ctl) sb_entra "$@" ;;
	imds-ctl) sb_imds "$@" && echo ;;
	help | --help) sb_usage ;;
	*) sb_usage >&2 && return 2 ;;
	esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
	set -euo pipefail
	sb_main "$@"
fi
