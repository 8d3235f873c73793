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
e2e_end
