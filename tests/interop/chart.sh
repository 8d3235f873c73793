#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The Helm chart and the manifests: rendered by Helm itself, read as the API server reads them, and every argument in them
# taken by nmi itself.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tap.sh
. "$here/../tap.sh"
root=$here/../..
build=${NMI_BUILD:-$root/build}
tools=$root/build/interop/manifests
chart=$root/deploy/helm/nmi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$here/install" "${tools%/*}" || bail 'the tools cannot be built'

cat >"$work/ids.yaml" <<-END
	azureIdentities:
	  shop: {namespace: shop, type: 0, clientID: 11111111-1111-4111-8111-111111111111, binding: {selector: shop}}
	  report:
	    namespace: billing
	    name: report-sp
	    type: 1
	    tenantID: 72f988bf-0000-4000-8000-000000000000
	    clientID: 44444444-aaaa-4000-8000-000000000004
	    clientPassword: '{"name":"report","namespace":"billing"}'
	    binding: {name: report-b, selector: report}
END

render() { # HELM-ARGUMENT...: into $work/out, what was refused into $work/err
	"$tools/helm" template rel "$chart" -n "${NS:-kube-system}" --kube-version 1.31 "$@" >"$work/out" 2>"$work/err.all"
	local status=$?
	grep -v 'walk.go' "$work/err.all" >"$work/err"
	return $status
}

# The arguments of the agent's container, one a line.
arguments() {
	sed -nE '/^ *args:$/,/^ *env:$/s/^ *- "?(.*[^"])"?$/\1/p' "$work/out"
}

renders() { # SENTENCE HELM-ARGUMENT...
	local args
	if ! render "${@:2}"; then
		not_ok "$1: it is rendered" "$(cat "$work/err")"
		return
	fi
	objects=$("$tools/manifests" "$root"/deploy/crds/*.yaml <"$work/out" 2>"$work/err")
	is "$1: an API server takes all of it" "$(cat "$work/err")" ''
	mapfile -t args < <(arguments)
	config=$(NODE_NAME=n "$build/nmi/nmi" "${args[@]/'$(NODE_NAME)'/n}" --print-config 2>&1)
	is "$1: nmi takes its arguments" "$? $(head -n 1 <<<"$config" | grep -o 'nmi: .*')" '0 '
}

renders 'as it is'
is 'there is the agent, its account and roles, and the exception of AKS' "$(cut -d' ' -f1 <<<"$objects" | sort | uniq -c | xargs)" \
	'1 AzurePodIdentityException 2 ClusterRole 2 ClusterRoleBinding 1 DaemonSet 1 ServiceAccount'
renders "the old chart's values" -f "$here/old-values.yaml"
like 'it is standard mode' "$config" 'operation-mode *[=:]? *"?standard'
renders "under the old chart's name" --set nameOverride=aad-pod-identity
like 'its objects have the names of before' "$objects" 'DaemonSet kube-system/aad-pod-identity-nmi'
NS=aad renders 'in another namespace, with all rights' --set rbac.federation=true,rbac.workloadIdentity=true,rbac.createUserFacingClusterRoles=true
unlike 'nothing of it is in, or speaks of, the namespace that the manifests have' \
	"$(grep -v aks-addon-exception -A1 "$work/out" | grep 'kube-system' | grep -v 'namespace: kube-system')" kube-system
is 'but for the exception of AKS' "$(grep -c 'namespace: kube-system' "$work/out")" 1
like 'the policy speaks of its account' "$(cat "$work/out")" "== 'system:serviceaccount:aad:nmi'"
renders 'with identities' -f "$work/ids.yaml"
like 'they are there' "$objects" 'AzureIdentity billing/report-sp'
like 'with their bindings' "$objects" 'AzureIdentityBinding shop/shop-binding'
is 'Secrets may be read where those are that have one' "$(grep '^RoleBinding' <<<"$objects")" 'RoleBinding billing/nmi-secrets'
unlike 'and nowhere else' "$objects" 'ClusterRoleBinding /nmi-secrets'

# each value that becomes a setting
while read -r value setting expected; do
	renders "$value" --set-string "$value"
	like "... is --$setting" "$(arguments)" "(^|"$'\n'")-?-?$setting=$expected($|"$'\n'")"
done <<-'END'
	operationMode=standard operation-mode standard
	customUserAgent=me custom-user-agent me
	nmi.logVerbosity=5 v 5
	nmi.loggingFormat=json log-format json
	nmi.ipTableUpdateTimeIntervalInSeconds=30 ipt-update-interval-sec 30
	nmi.probePort=8081 http-probe-port 8081
	nmi.prometheusPort=9100 prometheus-port 9100
	nmi.retryAttemptsForCreated=3 retry-attempts-for-created 3
	nmi.retryAttemptsForAssigned=2 retry-attempts-for-assigned 2
	nmi.findIdentityRetryIntervalInSeconds=7 find-identity-retry-interval 7
	nmi.blockInstanceMetadata=true block-instance-metadata true
	nmi.metadataHeaderRequired=false metadata-header-required false
	nmi.allowNetworkPluginKubenet=true allow-network-plugin-kubenet true
	nmi.enableConntrackDeletion=false enable-conntrack-deletion false
	nmi.startupTaint=example.org/not-ready startup-taint example.org/not-ready
	nmi.settings.host-token=off host-token off
END

renders 'with a taint and an audience of its own' --set rbac.federation=true,nmi.startupTaint=example.org/later \
	--set nmi.settings.federation-audience=api://AzureADTokenExchangeChina
for said in example.org/later api://AzureADTokenExchangeChina; do
	is "the policies know $said" "$(grep -c "expression: '''$said'''\|expression: \"'$said'\"" "$work/out")" 1
done

refused() { # SENTENCE REGEX HELM-ARGUMENT...
	if render "${@:3}"; then not_ok "$1" 'it is rendered'; else like "$1" "$(cat "$work/err")" "$2"; fi
}
refused 'a value that does not exist is refused, by its name' '/nmi.*probeport.* not allowed' --set nmi.probeport=1
refused 'a mode that does not exist' 'operationMode' --set operationMode=both
refused 'a port that is none' '/nmi/probePort' --set-string nmi.probePort=http
refused 'an identity without client id' "/azureIdentities/x.*clientID" --set azureIdentities.x.type=0
refused 'an identity of a type that does not exist' '/azureIdentities/x/type' --set azureIdentities.x.type=9,azureIdentities.x.clientID=c

# what reads them does refuse
wrong() { # SENTENCE REGEX SED
	render -f "$work/ids.yaml"
	sed -E "$3" "$work/out" | "$tools/manifests" "$root"/deploy/crds/*.yaml >/dev/null 2>"$work/err"
	like "$1" "$(cat "$work/err")" "$2"
}
wrong 'a field that is misspelt would be found' 'unknown field "spec.template.spec.hostNetwrk"' 's/hostNetwork/hostNetwrk/'
wrong 'a value of another type too' 'DaemonSet' 's/terminationGracePeriodSeconds: 30/terminationGracePeriodSeconds: soon/'
wrong 'a custom resource with a wrong type too' 'AzureIdentity.*spec.type' 's/^  type: 1$/  type: one/'
wrong 'and with a field that its schema does not have' 'unknown fields' 's/^  clientID:/  clientId:/'


for f in "$root"/deploy/{crds,rbac,policy}/*.yaml; do
	echo ---
	cat "$f"
done >"$work/all"
is 'the other manifests are taken too' "$("$tools/manifests" <"$work/all" 2>&1 >"$work/objects")" ''
is 'each object of them' "$(grep -c . "$work/objects")" "$(grep -c '^kind:' "$work/all")"

# the demo, filled in as docs/quick-start.md does it, and what that page calls the agent
sed 's/YOUR_[A-Z]*_ID/11111111-1111-4111-8111-111111111111/; s/YOUR_RESOURCE_GROUP/shop/' "$root/deploy/demo/demo.yaml" >"$work/demo"
is 'the demo is taken' "$("$tools/manifests" "$root"/deploy/crds/*.yaml <"$work/demo" 2>&1 | cut -d' ' -f1 | xargs)" \
	'Namespace AzureIdentity AzureIdentityBinding Job ConfigMap'
is 'the installer of the boot guard too' "$("$tools/manifests" <"$root/deploy/boot-guard/daemonset.yaml" 2>&1 | grep -c '^DaemonSet ')" 1
renders 'as in the quick start' --set image.repository=registry.example
like 'its DaemonSet is the one that the quick start asks' "$objects" 'DaemonSet kube-system/nmi($|'$'\n'')'
like 'its image the one that it pushes' "$(cat "$work/out")" 'image: "?registry.example/nmi:0.1.0"?'
done_testing
