#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Real Azure SDKs inside pods, against the redirect: does each get the token of the pod's own identity,
# and does its user see why when there is none?
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tap.sh
. "$here/../tap.sh"
# shellcheck source=../sandbox/cluster.sh
. "$here/../sandbox/cluster.sh"
# shellcheck source=lib.sh
. "$here/lib.sh"

SHOP=11111111-aaaa-4000-8000-000000000001
BILLING=22222222-aaaa-4000-8000-000000000002
KUBELET=33333333-aaaa-4000-8000-000000000003
SHOP_OBJECT=11111111-bbbb-4000-8000-000000000001
IDS=/subscriptions/11111111-2222-4333-8444-555555555555/resourcegroups/ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities

sb_use "interop${NMI_E2E_BOX:-}-sdk"
interop_install
trap sb_down EXIT
sb_up || bail 'the sandbox did not come up'
sb_identity shop-ns shop "$SHOP" "$IDS/shop"
sb_identity shop-ns billing "$BILLING" "$IDS/billing"
sb_binding shop-ns shop shop shop 10
sb_binding shop-ns both shop both 10
sb_binding shop-ns both-billing billing both 1
sb_add_pod one shop-ns 10.244.0.11 aadpodidbinding=shop,app=one
sb_add_pod two shop-ns 10.244.0.12 aadpodidbinding=both,app=two
sb_add_pod bare shop-ns 10.244.0.13 app=bare
sb_start_nmi || bail 'nmi did not start'

token_is() { # SENTENCE WANT SDK POD KIND [SELECTOR VALUE]
	client "${@:3}"
	is "$1" "$(sdk_claims "$SB_DIR/jwks" appid)" "$2"
}

refused() { # SENTENCE REGEX SDK POD KIND [SELECTOR VALUE]
	client "${@:3}"
	like "$1" "$SDK_ANSWER" "$2"
}

for sdk in $SDKS; do
	kinds=(identity default msal)
	[[ $sdk != go ]] || kinds=(identity default)
	for kind in "${kinds[@]}"; do
		token_is "$sdk $kind: without a client id, the pod's identity" "$SHOP" "$sdk" one "$kind"
		token_is "$sdk $kind: by client id, the one of two that was asked for" "$BILLING" \
			"$sdk" two "$kind" client_id "$BILLING"
		refused "$sdk $kind: somebody else's client id is refused, and the message says for which pod" \
			'"error".*shop-ns/one' "$sdk" one "$kind" client_id "$KUBELET"
		refused "$sdk $kind: a pod without label sees which pod, which label, what to do" \
			'"error".*shop-ns/bare.*aadpodidbinding' "$sdk" bare "$kind"
	done
	token_is "$sdk: by resource id" "$BILLING" "$sdk" two identity resource_id "$IDS/billing"
	refused "$sdk: by object id is refused, never ignored" '"error".*object_id' "$sdk" one identity \
		object_id "$SHOP_OBJECT"
done

is 'no request of an SDK reached IMDS from a pod' "$(sb_leaks)" 0
done_testing
