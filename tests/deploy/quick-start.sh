#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# docs/quick-start.md, block by block, in its order: those that need neither Azure nor a cluster are run against the agent
# in a box, where this script is the kubelet; of the others the grammar and the variables are looked at.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
# shellcheck source=tests/sandbox/arm.sh
source "$sb_root/tests/sandbox/arm.sh"
cd "$sb_root" || exit 1
page=docs/quick-start.md

e2e_begin quick-start
sb_arm_up 11111111-bbbb-4000-8000-000000000001 || bail 'no ARM'
blocks=$SB_DIR/blocks
mkdir "$blocks"
awk -v dir="$blocks" '/^```/ { n += inside = !inside; kind = substr($0, 4); next } inside { print >(dir "/" sprintf("%02d", n) "." kind) }' "$page"

# ---- what Azure gives, and the kubelet ----

# shellcheck disable=SC2034 # the page's variables
GROUP=$SB_ARM_GROUP CLIENT_ID=$SB_SHOP RESOURCE_ID=$SB_IDS/shop SUBSCRIPTION_ID=$SB_SUBSCRIPTION

# Jobs are none of the agent's business, so the box knows none.
sb_apply apis/apiextensions.k8s.io/v1/customresourcedefinitions jobs.batch '{"apiVersion":"apiextensions.k8s.io/v1",
	"kind":"CustomResourceDefinition","metadata":{"name":"jobs.batch","annotations":{"api-approved.kubernetes.io":"unapproved"}},"spec":{"group":"batch","scope":"Namespaced",
	"names":{"kind":"Job","listKind":"JobList","plural":"jobs","singular":"job"},"versions":[{"name":"v1","served":true,"storage":true,
	"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}' || bail 'no Jobs'

job() { # EXPRESSION: of the Job (j) and the ConfigMap (c) that the API server has
	python3 -c 'import json, sys
j, c = (json.loads(a) for a in sys.argv[1:3])
t = j["spec"]["template"]
print(eval("(" + sys.argv[3] + ")"))' "$(sb_api GET apis/batch/v1/namespaces/nmi-demo/jobs/demo)" "$(sb_api GET api/v1/namespaces/nmi-demo/configmaps/demo-client)" "$1"
}

run_job() {
	local environment
	sb_add_pod demo nmi-demo 10.244.0.21 "$(job '",".join("=".join(i) for i in t["metadata"]["labels"].items())')" || return
	job 'c["data"]["demo-client"]' >"$SB_DIR/demo-client" && chmod 644 "$SB_DIR/demo-client"
	mapfile -t environment < <(job '"\n".join(e["name"] + "=" + e["value"] for e in t["spec"]["containers"][0]["env"])')
	sb_arm_see demo env -i PATH="$PATH" "${environment[@]}" sh "$SB_DIR/demo-client"
}

run_stranger() { # ARGUMENT of kubectl run...
	while [[ $1 != -- ]]; do shift; done
	sb_add_pod stranger nmi-demo 10.244.0.22 run=stranger && sb_exec stranger "${@:2}"
}

kubectl() {
	case $* in
	'apply '*) sb_kubectl "$@" --validate=false ;; # the box has no OpenAPI
	'-n nmi-demo logs -f job/demo') run_job ;;
	'-n nmi-demo run stranger '*) run_stranger "$@" ;;
	*) sb_kubectl "$@" ;;
	esac
}

# ---- the blocks ----

ran=0 known=' '
for block in "$blocks"/*.*; do
	text=$(<"$block") number=$(basename "$block")
	case $block in
	*.yaml) like 'the label of the page is the demo'"'"'s' "$text" "aadpodidbinding: $(job 't["metadata"]["labels"]["aadpodidbinding"]')" ;;
	*.) # what the block before it prints
		is 'it says what the page shows' "$(sed -E 's/[0-9]+ seconds/N seconds/' <<<"$said")" "$(sed -E 's/[0-9]+ seconds/N seconds/' <<<"$text")"
		;;
	*.sh)
		passes "$number can be read by a shell" bash -n "$block"
		for v in $(grep -oE '\$[A-Z_]+' <<<"$text" | tr -d '$' | sort -u); do
			like "$number: \$$v was set before" "$known $(grep -oE '\b[A-Z_]+=|for [A-Z_]+|read -r [A-Z_]+' <<<"$text" | sed 's/=//; s/.* //' | xargs) " " $v "
		done
		known+="$(grep -oE '\b[A-Z_]+=' <<<"$text" | tr '=\n' '  ') "
		[[ $text != '# needs '* ]] || continue
		ran=$((ran + 1))
		said=$(eval "$text" 2>&1)
		is "${text:0:60}... works" "$?" 0
		case $text in
		sed*)
			like 'the objects are there' "$said" 'azureidentity.*demo.*azureidentitybinding.*demo'
			is 'the Job runs what the ConfigMap has' "$(job '*t["spec"]["containers"][0]["command"], t["spec"]["volumes"][0]["configMap"]["name"], t["spec"]["containers"][0]["volumeMounts"][0]["mountPath"]')" \
				"('sh', '/demo/demo-client', 'demo-client', '/demo')"
			;;
		*'run stranger'*)
			like 'the stranger is told why' "$said" '"reason": ?"no_label"'
			passes 'an Event tells of it' eventually 5 sh -c "'$sb_root/tests/sandbox/cluster.sh' --name '$SB_NAME' kubectl get events -A | grep -q NmiNoLabel"
			;;
		esac
		;;
	*) not_ok "$number: nobody knows what that is" ;;
	esac
done
is 'these were run' "$ran" 5
gone() { ! asks_ok demo; }
passes 'the namespace gone, its pod has no identity' eventually 5 gone
no_leak 'none of them reached IMDS'
e2e_end
