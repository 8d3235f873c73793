#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What aad-pod-identity (v1.8.17) was installed with is taken by ours as it is: each set of arguments, every value of its
# chart, every object of its documents, and what its older versions had written.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
# shellcheck source=tests/interop/old.sh
source "$sb_root/tests/interop/old.sh"
page=$sb_root/docs/migrate-from-aad-pod-identity.md
e2e_box old-manifests
sb_assigned shop web shop "$SB_SHOP" Assigned || bail 'no assigned identity'

# ---- arguments ----

serves_with() { # SENTENCE MANIFEST
	passed "$2"
	sb_start nmi "$SB_NODE" env KUBECONFIG="$SB_NMI_KUBECONFIG" NMI_RUN_DIRECTORY="$SB_DIR/nmi" "$(sb_program nmi)" "${args[@]}"
	ready() { "$(sb_program nmi)" probe ready "$(sb_pid nmi)" --run-directory="$SB_DIR/nmi"; }
	passes "$1: ours starts with its ${#args[@]} arguments" eventually 10 ready
	gives "$1: and serves" "$SB_SHOP" web "$SB_ASK"
	sb_stop_nmi
}
for manifest in deployment-rbac deployment managed-mode-deployment noazurejson/deployment-rbac noazurejson/deployment; do
	[[ -e $source/deploy/infra/$manifest.yaml ]] || bail "there is no $manifest.yaml"
	serves_with "deploy/infra/$manifest.yaml" "$source/deploy/infra/$manifest.yaml"
done
for mode in standard managed; do
	render_old "$SB_DIR/old.out" --set operationMode=$mode || bail "$(<"$SB_DIR/old.out.err")"
	serves_with "the old chart, $mode" "$SB_DIR/old.out"
	render_old "$SB_DIR/old.out" --set "operationMode=$mode,customUserAgent=me,nmi.logVerbosity=5,nmi.loggingFormat=json" --set \
		nmi.micNamespace=mic,nmi.retryAttemptsForCreated=3,nmi.retryAttemptsForAssigned=2,nmi.findIdentityRetryIntervalInSeconds=7 \
		--set nmi.ipTableUpdateTimeIntervalInSeconds=30,nmi.prometheusPort=9100,nmi.blockInstanceMetadata=true \
		--set nmi.allowNetworkPluginKubenet=true,nmi.setRetryAfterHeader=true,nmi.enableConntrackDeletion=true ||
		bail "$(<"$SB_DIR/old.out.err")"
	serves_with "the old chart with every value, $mode" "$SB_DIR/old.out"
done

# ---- values ----

# Each value that the old chart has, one a line, with the depth that its documentation has: nmi.probePort.
old_values() {
	python3 - "$source/charts/aad-pod-identity/values.yaml" <<-'END'
		import re, sys
		at = []
		for line in open(sys.argv[1]):
		    m = re.match(r"( *)([A-Za-z]+):", line) or re.match(r"()# (imagePullSecrets):", line)
		    if m and len(m[1]) // 2 <= 1 and len(m[1]) // 2 <= len(at):
		        at = at[: len(m[1]) // 2] + [m[2]]
		        print(".".join(at))
	END
}
mapfile -t values < <(old_values)
is 'the old chart has values' "$((${#values[@]} > 60))" 1
missing=()
for value in "${values[@]}"; do
	grep -qF "\`$value\`" "$page" || [[ $value =~ ^(mic|nmi|rbac|image)$ ]] || missing+=("$value")
done
is 'the page says of each what becomes of it' "${missing[*]:-}" ''
render "$SB_DIR/new.out" -f "$source/charts/aad-pod-identity/values.yaml"
is "the old chart's values.yaml as a whole is taken by ours" "$? $(grep -v walk.go "$SB_DIR/new.out.err")" '0 '
objects() { "$tools/manifests/manifests" "$sb_root"/deploy/crds/*.yaml 2>&1; }
is 'and what comes out is valid' "$(objects <"$SB_DIR/new.out" | grep -vE '^[A-Za-z]+ [a-z-]*/[a-z.-]+$')" ''
is 'it does not run the old image' "$(grep -oE ' image: .*' "$SB_DIR/new.out")" ' image: "nmi:0.1.0"'
render "$SB_DIR/new.out" -f "$source/charts/aad-pod-identity/values.yaml" --set image.repository=registry.example/aad-pod-identity,nmi.tag=2.0
is 'one of that name with another version is somebody else'"'"'s to name' "$(grep -oE ' image: .*' "$SB_DIR/new.out")" \
	' image: "registry.example/aad-pod-identity/nmi:2.0"'

# ---- the page's commands ----

block() { # REGEX: the one of the page that it matches, as the shell would read it
	awk -v re="$1" '/^```/ { if (inside && text ~ re) printf "%s", text; inside = !inside; text = ""; next } inside { text = text $0 "\n" }' "$page"
}
patch=$(block 'patch daemonset' | sed -n "/--patch/,\$p" | sed "s/.*--patch '//; s/'\$//")
render_old "$SB_DIR/old.out" --set operationMode=managed -s templates/nmi-daemonset.yaml || bail "$(<"$SB_DIR/old.out.err")"
kubectl patch --local -f "$SB_DIR/old.out" --patch "$patch" -o yaml >"$SB_DIR/patched" 2>"$SB_DIR/patched.err"
is "the old DaemonSet takes the page's patch" "$? $(<"$SB_DIR/patched.err")" '0 '
is 'and is valid then' "$(objects <"$SB_DIR/patched")" 'DaemonSet kube-system/aad-pod-identity-nmi'
is 'it leaves the nodes where ours is done, and restarts on none' "$(kubectl patch --local -f "$SB_DIR/patched" -p '{}' -o \
	jsonpath='{.spec.updateStrategy} {.spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms}')" \
	'{"type":"OnDelete"} [{"matchExpressions":[{"key":"nmi-switch","operator":"NotIn","values":["done"]}]}]'
is 'the manifest that removes is valid' "$(objects <"$sb_root/deploy/migrate/uninstall.yaml")" 'DaemonSet kube-system/nmi-uninstall'

# ---- what will be different ----

report() { jq -r -f "$sb_root/deploy/migrate/before.jq"; }
cat >"$SB_DIR/cluster" <<-'END'
	AzureIdentity a none {"spec": {"type": 0}}
	AzureIdentity a good {"spec": {"type": 0, "clientID": "c"}}
	AzureIdentity a far {"spec": {"type": 1, "clientID": "c", "clientPassword": {"name": "s", "namespace": "b"}, "adEndpoint": "https://evil/"}}
	AzureIdentity a near {"spec": {"type": 2, "clientID": "c", "clientPassword": {"name": "s", "namespace": "a"}, "adEndpoint": "https://login.microsoftonline.us/"}}
	AzureIdentity a capital {"spec": {"type": 2, "clientID": "c", "clientPassword": {}}}
	AzureIdentity a nine {"spec": {"type": 9}}
	AzureIdentity a federated {"spec": {"type": 3, "clientID": "c"}}
	AzureIdentityBinding a light {"spec": {"selector": "x", "azureIdentity": "good"}}
	AzureIdentityBinding a heavy {"spec": {"selector": "x", "azureIdentity": "near", "weight": 2}}
	AzureIdentityBinding a half {"spec": {"selector": "", "azureIdentity": "good"}}
	AzureIdentityBinding b lost {"spec": {"selector": "lost", "azureIdentity": "good"}}
	AzurePodIdentityException a some {"spec": {"podLabels": {"a": "b"}}}
	AzurePodIdentityException a empty {"spec": {}}
	Pod a several {"metadata": {"labels": {"aadpodidbinding": "x"}}, "spec": {}}
	Pod b elsewhere {"metadata": {"labels": {"aadpodidbinding": "x"}}, "spec": {}}
	Pod b unbound {"metadata": {"labels": {"aadpodidbinding": "y"}}, "spec": {}}
	Pod b plain {"metadata": {}, "spec": {}}
	Pod b micro {"metadata": {"ownerReferences": [{"kind": "ReplicaSet", "name": "micro-1"}]}, "spec": {"serviceAccountName": "default"}}
	Pod b mic {"metadata": {"ownerReferences": [{"kind": "ReplicaSet", "name": "mic-1"}]}, "spec": {"serviceAccountName": "aad-pod-id-mic-service-account"}}
	Node - win {"status": {"nodeInfo": {"operatingSystem": "windows"}}}
	Node - lin {"status": {"nodeInfo": {"operatingSystem": "linux"}}}
	DaemonSet a nmi {"spec": {"template": {"spec": {"containers": [{"args": ["--metadata-header-required=false"]}]}}}}
END
list=$(while read -r kind ns name object; do
	jq -c --arg kind "$kind" --arg ns "${ns#-}" --arg name "$name" \
		'.kind = $kind | .metadata.name = $name | if $ns == "" then . else .metadata.namespace = $ns end' <<<"$object"
done <"$SB_DIR/cluster" | jq -s '{items: .}')
is 'what will be different is told, and nothing else' "$(report <<<"$list")" "$(cat <<-'END'
	azureidentity a/none: no clientID: it was the node's default identity, it is refused; set spec.clientID
	azureidentity a/far: its Secret is in namespace b: it is refused; move the Secret to a, or set nmi.settings.secrets-across-namespaces and add b to rbac.secretNamespaces
	azureidentity a/far: adEndpoint https://evil/: it is refused; set nmi.settings.authority-host if it is right
	azureidentity a/near: a service principal: Secrets are read in named namespaces only; add a to rbac.secretNamespaces
	azureidentity a/capital: no clientPassword.name: it is refused, as before; name its Secret, with small letters
	azureidentity a/nine: type 9: it is refused, as before; correct or delete it
	azureidentitybinding a/half: no selector or no azureIdentity: it is ignored; complete or delete it
	azureidentitybinding b/lost: there is no AzureIdentity good in its namespace: it gives nothing, as before; correct or delete it
	azurepodidentityexception a/empty: no podLabels: it is ignored; complete or delete it
	pod a/several: 2 identities: an application that names none got any of them, and gets near; let it name a client id, or raise the weight of a binding
	pod b/elsewhere: its binding is in namespace a: served in standard mode only, as before; move identity and binding to b before you go to managed mode
	pod b/unbound: label y of no binding: 404 after a while becomes 400 at once; make the binding, or take the label off
	pod b/micro: a ReplicaSet of the name mic...: in the controller's namespace it had the node's identity, and has it no longer; if it needs that, make an AzurePodIdentityException
	node win: Windows: not served, as before; nothing to do
	daemonset a/nmi: --metadata-header-required=false: the same, with a warning; take it away once no application needs it
END
)"
hosts() { grep -oE '"(login|sts)[a-z.-]*\.[a-z]+"' "$1" | sort -u; }
is 'it knows the login hosts that nmi knows' "$(hosts "$sb_root/deploy/migrate/before.jq")" \
	"$(sed -n '/known_hosts\[\]/,/^}/p' "$sb_root/nmi/token/entra.c" | hosts /dev/stdin)"

# ---- objects ----

# As the old project's documents and demos have them, field for field; then what its older versions and other clients
# wrote. Each is a block between ---; the first word of its comment says what the old CRDs made of it, the rest what it is.
cat >"$SB_DIR/objects" <<-'END'
	# taken the demo's identity, as a managed identity
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentity, metadata: {name: demo-aad1, namespace: shop}, spec: {type: 0, resourceID: RID, clientID: CID}}
	---
	# taken its binding
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentityBinding, metadata: {name: demo-azure-id-binding, namespace: shop},
	 spec: {azureIdentity: demo-aad1, selector: demo}}
	---
	# taken an identity that only its own namespace may use
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentity, metadata: {name: ns, namespace: shop, annotations: {aadpodidentity.k8s.io/Behavior: namespaced}},
	 spec: {type: 0, resourceID: RID, clientID: CID}}
	---
	# taken a service principal with a secret
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentity, metadata: {name: sp, namespace: shop},
	 spec: {type: 1, tenantID: TID, clientID: CID, clientPassword: {name: demo-aad1-sp, namespace: shop}}}
	---
	# taken one of several tenants
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentity, metadata: {name: tenants, namespace: shop},
	 spec: {type: 1, tenantID: TID, auxiliaryTenantIDs: [T1, T2], clientID: CID, clientPassword: {name: demo-aad1-sp, namespace: shop}}}
	---
	# taken one with a certificate
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentity, metadata: {name: cert, namespace: shop},
	 spec: {type: 2, tenantID: TID, clientID: CID, clientPassword: {name: demo-aad1-sp, namespace: shop}}}
	---
	# taken an exception of two labels
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzurePodIdentityException, metadata: {name: test-exception, namespace: shop}, spec: {podLabels: {foo: bar, app: custom}}}
	---
	# taken every field of an identity
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentity, metadata: {name: whole, namespace: shop},
	 spec: {metadata: {}, type: 1, resourceID: RID, clientID: CID, clientPassword: {name: a, namespace: b}, tenantID: TID,
	 auxiliaryTenantIDs: null, adResourceID: R, adEndpoint: "https://login.microsoftonline.us/", replicas: null}, status: {metadata: {}, availableReplicas: 1}}
	---
	# taken every field of a binding
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentityBinding, metadata: {name: whole, namespace: shop},
	 spec: {metadata: {}, azureIdentity: demo-aad1, selector: whole, weight: 7}, status: {metadata: {}, availableReplicas: 1}}
	---
	# taken what the controller writes, every field
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureAssignedIdentity, metadata: {name: p-shop-i, namespace: default, labels: {nodename: n1},
	 finalizers: [azureassignedidentity.finalizers.aadpodidentity.k8s.io]}, spec: {metadata: {}, pod: p, podNamespace: shop, nodename: n1, replicas: null,
	 azureIdentityRef: {apiVersion: aadpodidentity.k8s.io/v1, kind: v1.AzureIdentity, metadata: {name: i, namespace: shop, resourceVersion: "1"},
	 spec: {type: 0, clientID: CID, resourceID: RID, auxiliaryTenantIDs: null, clientPassword: {}, metadata: {}, replicas: null},
	 status: {metadata: {}, availableReplicas: 0}},
	 azureBindingRef: {apiVersion: aadpodidentity.k8s.io/v1, kind: v1.AzureIdentityBinding, metadata: {name: b, namespace: shop},
	 spec: {azureIdentity: i, selector: s, weight: 0, metadata: {}}, status: {metadata: {}, availableReplicas: 0}}},
	 status: {metadata: {}, status: Assigned, availableReplicas: 1}}
	---
	# taken every field of an exception
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzurePodIdentityException, metadata: {name: whole, namespace: shop}, spec: {metadata: {}, podLabels: {}}, status: {metadata: {}, status: x}}
	---
	# taken an identity without a type
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentity, metadata: {name: notype, namespace: shop}, spec: {resourceID: RID, clientID: CID}}
	---
	# taken a type that does not exist
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentity, metadata: {name: nine, namespace: shop}, spec: {type: 9}}
	---
	# taken a resource id that is none
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentity, metadata: {name: rid, namespace: shop}, spec: {type: 0, resourceID: /subscriptions/none, clientID: CID}}
	---
	# taken nothing but names
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentityBinding, metadata: {name: empty, namespace: shop}}
	---
	# refused the spellings from before 1.6
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentity, metadata: {name: old, namespace: shop}, spec: {type: 0, ResourceID: RID, ClientID: CID}}
	---
	# refused likewise of a binding
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentityBinding, metadata: {name: old, namespace: shop}, spec: {AzureIdentity: demo-aad1, Selector: demo}}
	---
	# refused and of the Secret, as the concept page has it for a certificate
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentity, metadata: {name: secret, namespace: shop},
	 spec: {type: 2, tenantID: TID, clientID: CID, clientPassword: {Name: demo-aad1-sp, Namespace: shop}}}
	---
	# refused a type in quotes
	{apiVersion: aadpodidentity.k8s.io/v1, kind: AzureIdentity, metadata: {name: quoted, namespace: shop}, spec: {type: "0", resourceID: RID, clientID: CID}}
END
sed -i "s|RID|$SB_IDS/shop|; s|CID|$SB_SHOP|; s|TID|$SB_TENANT|" "$SB_DIR/objects"
taken_by() { # CRD...: taken, or why not
	local said
	if said=$("$tools/manifests/manifests" "$@" <"$SB_DIR/object" 2>&1); then echo taken; else echo "refused ${said//$'\n'/ }"; fi
}
while IFS= read -r -d $'\x1e' object; do
	printf '%s\n' "${object#$'\n'}" >"$SB_DIR/object"
	read -r _ verdict what <<<"$(head -n 1 "$SB_DIR/object")"
	[[ $verdict == taken || $verdict == refused ]] || bail "$(<"$SB_DIR/object")"
	like "$what: $verdict by the old CRDs" "$(taken_by "$source/charts/aad-pod-identity/crds/crd.yaml")" "^$verdict"
	like "... and by ours" "$(taken_by "$sb_root"/deploy/crds/*.yaml)" "^$verdict"
done < <(sed 's/^---$/\x1e/' "$SB_DIR/objects"; printf '\x1e')

sb_start_nmi || bail 'ours does not start'
awk -v RS='---\n' '/# taken/ && !/AzureAssigned/' ORS='---\n' "$SB_DIR/objects" >"$SB_DIR/taken"
passes 'kubectl applies them' sb_kubectl apply --validate=false -f "$SB_DIR/taken"
sb_add_pod demo shop 10.244.0.21 app=demo,aadpodidbinding=demo && sb_add_pod whole shop 10.244.0.22 aadpodidbinding=whole &&
	sb_add_pod custom shop 10.244.0.23 app=Custom,role=x || bail 'no pods'
gives 'a pod of the demo is served' "$SB_SHOP" demo "$SB_ASK"
gives 'one whose binding has every field' "$SB_SHOP" whole "$SB_ASK"
gives 'one that is excepted by one of two labels, as the node' "$SB_SYSTEM" custom "$SB_ASK"
like 'kubectl shows the columns of before' "$(sb_kubectl -n shop get azureidentity demo-aad1)" '^NAME +TYPE +CLIENTID +AGE'
like 'of bindings too' "$(sb_kubectl -n shop get azureidentitybinding demo-azure-id-binding)" '^NAME +AZUREIDENTITY +SELECTOR +AGE'
like 'of this cluster it is told too' "$(sb_kubectl get azureidentities,azureidentitybindings,azurepodidentityexceptions,pods -A -o json | report)" \
	'azureidentity shop/sp: a service principal: '
e2e_end
