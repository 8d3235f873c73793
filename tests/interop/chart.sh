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

"$here/install" "${tools%/*}" manifests || bail 'the tools cannot be built'

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
	sed -nE '/^ *(- )?args:$/,/^ *env:$/{/args:$/d; s/^ *- "?(.*[^"])"?$/\1/p}' "$work/out"
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
	# shellcheck disable=SC2016 # as it stands there
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
is 'by get, and by nothing else' "$(sed -n '/^  name: nmi-secrets$/,/^---/p' "$work/out" | sed -n '/^  resources:/,/^---/p' | sed '/^---/,$d' | xargs)" 'resources: - secrets verbs: - get'
renders 'with identities, and a watch of their Secrets' -f "$work/ids.yaml" --set rbac.watchSecrets=true
like 'there they may be watched' "$objects" 'RoleBinding billing/nmi-secrets-watch'

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

# the kustomize bases are the chart's, and each overlay is one that an API server and nmi take
mkdir "$work/written"
passes 'deploy/kustomize/update writes what the chart renders' env HELM="$tools/helm" "$root/deploy/kustomize/update" "$work/written"
is 'which is what stands in the tree (if not: deploy/kustomize/update, with helm in PATH)' \
	"$(cd "$work/written" && find . -type f | sort | while read -r f; do cmp "$f" "$root/deploy/kustomize/$f" 2>&1; done)" ''
is 'for two bases and three components' "$(find "$work/written" -type f | wc -l)" 6

kustomized() { # OVERLAY
	local args
	if ! "$tools/kustomize" build "$root/deploy/kustomize/$1" >"$work/out" 2>"$work/err"; then
		not_ok "kustomize builds $1" "$(cat "$work/err")"
		return
	fi
	# of Cilium's own kinds tests/interop/cilium.sh has the schemas
	awk 'BEGIN { RS = "---\n"; ORS = "---\n" } !/apiVersion: cilium.io/' "$work/out" >"$work/known"
	objects=$("$tools/manifests" "$root"/deploy/crds/*.yaml <"$work/known" 2>"$work/err")
	is "kustomize $1: an API server takes all of it" "$(cat "$work/err")" ''
	mapfile -t args < <(arguments)
	# shellcheck disable=SC2016 # as it stands there
	config=$(NODE_NAME=n "$build/nmi/nmi" "${args[@]/'$(NODE_NAME)'/n}" --print-config 2>&1)
	is "kustomize $1: nmi takes its arguments" "$? $((${#args[@]} > 6)) $(head -n 1 <<<"$config" | grep -o 'nmi: .*')" '0 1 '
	is "kustomize $1: one agent, with its account" "$(grep -cE '^(DaemonSet|ServiceAccount) kube-system/nmi$' <<<"$objects")" 2
}

kustomized managed
like 'it is managed mode' "$config" 'operation-mode *[=:]? *"?managed'
kustomized standard
like 'it is standard mode' "$config" 'operation-mode *[=:]? *"?standard'
while read -r overlay there; do
	kustomized "overlays/$overlay"
	like "... has $there" "$(cat "$work/out")" "(^|"$'\n'") *(- )?${there//[()\[\]]/.}"
done <<-'END'
	iptables --redirect-backend=iptables
	iptables NET_RAW
	kubenet --allow-network-plugin-kubenet=true
	federation name: nmi-token-requests-node
	startup-taint --startup-taint=nmi.azure.com/not-ready
	startup-taint name: nmi-startup-taint
	seccomp localhostProfile: nmi.json
	cilium kind: CiliumLocalRedirectPolicy
	cilium hostNetwork: false
END
unlike 'nothing of it has a capability' "$(cat "$work/out")" NET_ADMIN
is 'each overlay is looked at' "$(find "$root/deploy/kustomize/overlays" "$root/deploy/kustomize/components" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -u | xargs)" \
	'cilium federation iptables kubenet seccomp startup-taint'

# what kubectl shows of each kind
cat >"$work/objects.yaml" <<-'END'
	apiVersion: aadpodidentity.k8s.io/v1
	kind: AzureIdentity
	metadata: {name: shop, namespace: shop}
	spec: {type: 0, clientID: "1111", resourceID: /subscriptions/x, tenantID: t}
	---
	apiVersion: aadpodidentity.k8s.io/v1
	kind: AzureIdentityBinding
	metadata: {name: shop, namespace: shop}
	spec: {azureIdentity: shop, selector: app, weight: 3}
	---
	apiVersion: aadpodidentity.k8s.io/v1
	kind: AzureAssignedIdentity
	metadata: {name: web-shop, namespace: shop}
	spec:
	  azureIdentityRef: {apiVersion: v1, kind: v1.AzureIdentity, metadata: {name: shop}}
	  pod: web
	  podNamespace: shop
	  nodename: aks-1
	status: {status: Assigned}
	---
	apiVersion: aadpodidentity.k8s.io/v1
	kind: AzurePodIdentityException
	metadata: {name: addon, namespace: shop}
	spec: {podLabels: {a: b}}
END
shown() { # SENTENCE KIND COLUMNS VALUES [-wide]: without the age, which such objects do not have
	local out
	out=$("$tools/manifests" -table ${5:+"$5"} "$root/deploy/crds/$2.yaml" <"$work/objects.yaml" 2>&1)
	is "$1" "$(sed -E 's/ +/ /g; s/ $//' <<<"$out" | grep -A1 -xF "$3")" "$3"$'\n'"$4"
}
shown 'kubectl get azureidentity has the columns that users know' azureidentities 'NAME TYPE CLIENTID AGE' 'shop 0 1111'
shown '... azureidentitybinding' azureidentitybindings 'NAME AZUREIDENTITY SELECTOR AGE' 'shop shop app'
shown '... azureassignedidentity, where there were none' azureassignedidentities 'NAME POD AZUREIDENTITY STATUS AGE' 'web-shop web shop Assigned'
shown '... azurepodidentityexception' azurepodidentityexceptions 'NAME AGE' addon
shown 'more of them with -o wide' azureidentities 'NAME TYPE CLIENTID RESOURCEID TENANTID AGE' 'shop 0 1111 /subscriptions/x t' -wide
shown '... bindings' azureidentitybindings 'NAME AZUREIDENTITY SELECTOR WEIGHT AGE' 'shop shop app 3' -wide
shown '... assigned identities' azureassignedidentities 'NAME POD PODNAMESPACE AZUREIDENTITY NODE STATUS AGE' \
	'web-shop web shop shop aks-1 Assigned' -wide
shown '... exceptions' azurepodidentityexceptions 'NAME PODLABELS AGE' 'addon {"a":"b"}' -wide
is 'each kind has one short name' "$(sed -n '/^ *shortNames:/,/^ *versions:/s/^ *- //p' "$root"/deploy/crds/*.yaml | xargs)" 'azaid azid azidb azpie'

renders 'with iptables' --set nmi.settings.redirect-backend=iptables
like 'it has the capability for it' "$(cat "$work/out")" 'NET_ADMIN, NET_RAW'
like 'and the lock' "$(cat "$work/out")" 'path: /run/xtables.lock'

# the notes after an installation, by a copy of the chart that has them as an object
cp -rL "$chart" "$work/chart"
mv "$work/chart/templates/NOTES.txt" "$work/chart/notes"
cat >"$work/chart/templates/notes.yaml" <<-'END'
	apiVersion: v1
	kind: ConfigMap
	metadata:
	  name: notes
	data:
	  notes: |
	    {{- tpl (.Files.Get "notes") . | nindent 4 }}
END
notes() { # HELM-ARGUMENT...
	chart=$work/chart render --show-only templates/notes.yaml "$@" || cat "$work/err"
	sed -n 's/^    //p' "$work/out"
}
# what docs/install.md says, which tests/deploy/install.sh runs
while read -r command; do
	like "the notes say: $command" "$(notes)" "(^|"$'\n'") *${command//[.()]/.}("$'\n'"|$)"
done < <(awk '/^## Upgrade/ { exit } /^kubectl -n kube-system/' "$root/docs/install.md")
like 'and where the reasons are told' "$(notes)" 'kubectl get events -A --field-selector reportingComponent=nmi'
like 'by the names that the release has' "$(NS=aad notes --set nameOverride=x)" 'kubectl -n aad rollout status daemonset/x-nmi'
unlike 'nothing else, where nothing is to be said' "$(notes --set rbac.allowAccessToSecrets=false)" 'ignored|seccomp|Secret'
while read -r said values; do
	like "they say: ${said//_/ }, where $values" "$(notes --set "$values" | tr '\n' ' ')" "${said//_/ }"
done <<-'END'
	mic.._is_ignored mic.replicas=2
	adminsecret_is_ignored adminsecret.cloud=x
	rbac.pspEnabled_is_ignored rbac.pspEnabled=true
	Secrets_may_be_read_in:_shop rbac.secretNamespaces={shop}
	No_Secret_may_be_read rbac.allowAccessToSecrets=true
	installs_the_exceptions_all_the_same installMICException=false
	nmi.json_has_to_be_on_each_node nmi.seccompProfile.type=Localhost,nmi.seccompProfile.localhostProfile=nmi.json
END

# a file of settings: after --print-config has read it, it is what was said
cat >"$work/config.yaml" <<-'END'
	nmi:
	  config:
	    token-wait: 7s
	    events: false
	    host-token: "off"
END
render -f "$work/config.yaml"
"$tools/manifests" "$root"/deploy/crds/*.yaml <"$work/out" >"$work/objects" 2>"$work/err"
is 'with a file of settings: an API server takes all of it' "$(cat "$work/err")" ''
like 'there is a ConfigMap' "$(cat "$work/objects")" 'ConfigMap kube-system/nmi'
like 'whose directory is mounted' "$(cat "$work/out")" $'name: config\n +mountPath: /etc/nmi\n'
like 'and whose file is named' "$(arguments)" '--config=/etc/nmi/nmi.yaml'
sed -n '/^  nmi.yaml: |$/,/^---$/s/^    //p' "$work/out" >"$work/nmi.yaml"
is 'which has what was said' "$(sort "$work/nmi.yaml" | xargs)" 'events: false host-token: off token-wait: 7s'
if "$build/nmi/nmi" --help | grep -q -e '--config='; then
	like 'and is read by nmi' "$("$build/nmi/nmi" --node=n --config="$work/nmi.yaml" --print-config 2>&1)" 'token-wait *[=:]? *"?7s'
fi
refused 'a list in it' 'nmi/config' --set nmi.config.events[0]=a

refused 'a value of mic that the old chart does not have' 'replica' --set mic.replica=2

# an audit log
is 'none, unless it is asked for' "$(render; arguments | grep -c audit)" 0
render --set nmi.auditLog=-
like 'on stdout' "$(arguments)" '--audit-log=-'
unlike 'for which nothing is mounted' "$(cat "$work/out")" 'name: audit-log'
render --set nmi.auditLog=/var/log/nmi/audit.log
"$tools/manifests" "$root"/deploy/crds/*.yaml <"$work/out" >"$work/objects" 2>"$work/err"
is 'or in a file: an API server takes all of it' "$(cat "$work/err")" ''
like 'which is named' "$(arguments)" '--audit-log=/var/log/nmi/audit.log'
like 'whose directory is the node'"'"'s' "$(cat "$work/out")" $'path: /var/log/nmi\n +type: DirectoryOrCreate'
like 'and is mounted' "$(cat "$work/out")" $'name: audit-log\n +mountPath: /var/log/nmi\n'
refused 'a file of the root directory' 'auditLog' --set nmi.auditLog=/audit.log

# an empty string is the default
render --set nmi.logVerbosity=
unlike 'no level of the log is the default' "$(arguments)" '-v='

# who scrapes it
render --set podMonitor.enabled=true --show-only templates/podmonitor.yaml
like 'a PodMonitor names the port' "$(cat "$work/out")" 'replacement: "\$1:9090"'
is 'the Prometheus operator'"'"'s own types take it, and the alerts' \
	"$(cat "$work/out" <(echo ---) "$root/deploy/monitoring/alerts.yaml" | "$tools/manifests" 2>&1 | xargs)" 'PodMonitor kube-system/nmi PrometheusRule /nmi'
render --set podMonitor.enabled=true,nmi.prometheusPort= --show-only templates/podmonitor.yaml
like 'the default one, where none is said' "$(cat "$work/out")" 'replacement: "\$1:9090"'
render --set podMonitor.enabled=true,nmi.prometheusPort=0
unlike 'there is none where nothing is served' "$(cat "$work/out")" 'kind: PodMonitor'

# the container's filter
is 'the seccomp profile is what containerd allows less what nmi never calls (if not: make-profile lib/base/denied.def)' \
	"$("$tools/make-profile" "$root/lib/base/denied.def" | diff - "$root/deploy/seccomp/nmi.json")" ''
renders 'with that profile' --set nmi.seccompProfile.type=Localhost,nmi.seccompProfile.localhostProfile=nmi.json
like 'the container has it' "$(cat "$work/out")" 'localhostProfile: nmi.json'
refused 'Localhost without a file' 'seccompProfile' --set nmi.seccompProfile.type=Localhost
refused 'a file without Localhost' 'seccompProfile' --set nmi.seccompProfile.localhostProfile=nmi.json

for f in "$root"/deploy/{crds,rbac,policy,boot-guard,seccomp}/*.yaml; do
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
