#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# kubectl.sh SERVER CRDS: the stock kubectl against the stand-in API server, as people use it. TAP.
set -uo pipefail

server=$1 crds=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if ! command -v kubectl >/dev/null; then
	[[ ${MUST_RUN:-} != 1 ]] || { echo "Bail out! kubectl is not here"; exit 1; }
	echo "1..0 # SKIP no kubectl here"
	exit 0
fi

dir=$(mktemp -d)
pid=
watcher=
cleanup() {
	[[ -z $watcher ]] || kill "$watcher" 2>/dev/null
	[[ -z $pid ]] || { kill "$pid" 2>/dev/null && wait "$pid"; }
	rm -rf "$dir"
}
trap cleanup EXIT

export HOME=$dir KUBECONFIG=$dir/kubeconfig # its cache of discovery is then our own
"$here/certs.sh" "$dir" sandbox 127.0.0.1 || exit 1
"$server" --listen=127.0.0.1:0 --cert="$dir/server.crt" --key="$dir/server.key" \
	--token-file="$dir/tokens" --port-file="$dir/port" --node=node-1 --stop-msec=200 2>"$dir/log" &
pid=$!
for ((i = 0; i < 500; i++)); do [[ -s $dir/port ]] && break; sleep 0.02; done
[[ -s $dir/port ]] || { echo "Bail out! the server does not start"; cat "$dir/log" >&2; exit 1; }
sed -i "s/:6443/:$(<"$dir/port")/" "$dir/kubeconfig" "$dir/kubeconfig-nmi"

n=0 failed=0
k() { timeout 30 kubectl "$@"; }
is() { # WHAT PATTERN COMMAND...: succeeds, and its output matches the extended regular expression
	local what=$1 pattern=$2 out
	shift 2
	out=$("$@" 2>&1)
	result $? "$what" "$pattern" "$out"
}
fails() { # WHAT PATTERN COMMAND...
	local what=$1 pattern=$2 out
	shift 2
	if out=$("$@" 2>&1); then result 1 "$what" "$pattern" "$out"; else result 0 "$what" "$pattern" "$out"; fi
}
result() { # CODE WHAT PATTERN OUTPUT
	n=$((n + 1))
	if (($1 == 0)) && grep -qzE -- "$3" < <(printf "%s" "$4"); then
		echo "ok $n - $2"
	else
		failed=1
		echo "not ok $n - $2"
		sed 's/^/# /' <<<"exit code $1, wanted /$3/, got: $4"
	fi
}
manifest() { cat >"$dir/$1"; }

manifest pod.yaml <<'END'
apiVersion: v1
kind: Pod
metadata: {name: demo, namespace: shop, labels: {app: demo, aadpodidbinding: demo}}
spec:
  nodeName: node-1
  containers: [{name: main, image: "registry.example/app:v1"}]
END
manifest identity.yaml <<'END'
apiVersion: aadpodidentity.k8s.io/v1
kind: AzureIdentity
metadata: {name: demo, namespace: shop}
spec: {type: 0, clientID: 22222222-2222-2222-2222-222222222222, resourceID: /subscriptions/x}
---
apiVersion: aadpodidentity.k8s.io/v1
kind: AzureIdentityBinding
metadata: {name: demo, namespace: shop}
spec: {azureIdentity: demo, selector: demo}
END

is "version is told" 'Server Version: v1\.32' k version
is "a namespace is created" 'namespace/shop created' k create namespace shop
is "every namespace gets its service account" '\sdefault +0 +[0-9]+s' k -n shop get serviceaccounts
is "a node is there" 'node-1 +Ready' k get nodes
fails "a custom resource that is not installed is not there" "doesn't have a resource type" \
	k get azureidentities
is "definitions are applied" 'azureidentities.aadpodidentity.k8s.io created' \
	k apply --validate=false -f "$crds"
is "definitions are established" 'condition met' \
	k wait --for condition=established --timeout=5s crd/azureidentities.aadpodidentity.k8s.io
rm -rf "$dir/.kube/cache"
is "api-resources lists them" 'azureidentities .*aadpodidentity.k8s.io/v1 +true +AzureIdentity' \
	k api-resources
is "objects are applied" 'azureidentity.*demo created.*azureidentitybinding.*demo created' \
	k apply --validate=false -f "$dir/identity.yaml"
is "applied again, nothing changes" 'demo unchanged.*demo unchanged' \
	k apply --validate=false -f "$dir/identity.yaml"
is "columns of a definition are shown" \
	'NAME +TYPE +CLIENTID +AGE\s+demo +0 +22222222-2222-2222-2222-222222222222 +[0-9]+s' \
	k -n shop get azureidentities
is "and of the bindings" 'NAME +AZUREIDENTITY +SELECTOR +AGE\s+demo +demo +demo' \
	k -n shop get azureidentitybindings
fails "the wrong type is refused in the words of the real server" \
	'spec.type: Invalid value: "string": spec.type in body must be of type integer: "string"' \
	k -n shop patch azureidentity demo --type=merge -p '{"spec":{"type":"zero"}}'
is "a pod is created" 'pod/demo created' k create --validate=false -f "$dir/pod.yaml"
fails "twice is a conflict" 'pods "demo" already exists' k create --validate=false -f "$dir/pod.yaml"
is "a pod is shown" 'NAME +READY +STATUS +RESTARTS +AGE\s+demo +0/1 +Pending +0 +[0-9]+s' \
	k -n shop get pods
timeout 300 kubectl -n shop get pods -w --no-headers >"$dir/watch" 2>&1 &
watcher=$!
for ((i = 0; i < 250; i++)); do [[ -s $dir/watch ]] && break; sleep 0.02; done
is "its status is patched" 'pod/demo patched' k -n shop patch pod demo --subresource=status -p \
	'{"status":{"phase":"Running","podIP":"10.1.2.3","podIPs":[{"ip":"10.1.2.3"}]}}'
is "the wide form has address and node" 'demo +0/1 +Running +0 +[0-9]+s +10.1.2.3 +node-1' \
	k -n shop get pods -o wide
is "a label is set" 'pod/demo labeled' k -n shop label pod demo tier=web
is "selectors select" '^pod/demo' k -n shop get pods -l 'tier in (web,db),!gone' -o name
is "or do not" 'No resources found' k -n shop get pods -l tier=db
is "fields select" '^pod/demo' k get pods -A --field-selector spec.nodeName=node-1 -o name
fails "an unknown field is refused" 'field label not supported: spec.what' \
	k get pods -A --field-selector spec.what=1
is "a changed manifest is applied to a core kind" 'pod/demo configured' \
	k apply --validate=false -f <(sed 's/app: demo/app: changed/' "$dir/pod.yaml")
is "what others had set stays" 'tier=web' k -n shop get pods --show-labels
is "a pod is described" 'Name: +demo.*IP: +10.1.2.3' k -n shop describe pod demo
is "a custom resource is described" 'Kind: +AzureIdentity.*Client ID' k -n shop describe azureidentity demo
is "a secret is created" 'secret/sp created' \
	k -n shop create secret generic sp --from-literal=clientSecret=s3cret
is "and is base64" '^czNjcmV0$' k -n shop get secret sp -o 'jsonpath={.data.clientSecret}'
is "a token is made for a service account" '^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$' \
	k -n shop create token default --audience=api://AzureADTokenExchange
is "one may" '^yes' k auth can-i list pods
is "a dry run leaves nothing" 'dry run' \
	k -n shop create configmap none --dry-run=server --from-literal=a=b
fails "nothing" 'configmaps "none" not found' k -n shop get configmap none
is "a pod is deleted, in time" 'pod "demo" deleted' k -n shop delete pod demo
is "identities are deleted" 'demo" deleted' k -n shop delete azureidentity demo
for ((i = 0; i < 500; i++)); do grep -q Terminating "$dir/watch" && break; sleep 0.02; done
is "a watch has seen it all" 'Pending.*Running.*Terminating' cat "$dir/watch"
kill "$watcher" 2>/dev/null
watcher=
is "a definition is deleted" 'deleted' k delete crd azureidentities.aadpodidentity.k8s.io
rm -rf "$dir/.kube/cache"
fails "and its kind is gone" "doesn't have a resource type|could not find the requested resource" \
	k -n shop get azureidentities
is "a namespace is deleted with all in it" 'namespace "shop" deleted' k delete namespace shop
fails "without a token nothing is told" 'Unauthorized|provide credentials|logged in' \
	k --token=wrong get pods
kill "$pid"
wait "$pid"
code=$?
pid=
is "it ends in good order" '^0$' echo "$code"
echo "1..$n"
exit "$failed"
