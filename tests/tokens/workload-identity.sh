#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# --workload-identity: a ServiceAccount's annotation gives its pods an identity, without label, binding, sidecar
# or webhook; and what is bound is served as ever, also while ServiceAccounts cannot be seen.
set -uo pipefail
# shellcheck source=tests/tokens/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
tokens_box workload-identity

WI=77777777-aaaa-4000-8000-000000000007
WI2=99999999-aaaa-4000-8000-000000000009
CLIENT_NOTE=azure.workload.identity/client-id
TENANT_NOTE=azure.workload.identity/tenant-id
NMI=(-v 9 --workload-identity --tenant-id="$SB_TENANT")

sub() { printf 'system:serviceaccount:shop:%s' "$1"; }
pod_of() { # POD IP ACCOUNT [key=value,... of labels]
	sb_account shop "$3" && sb_add_pod "$1" shop "$2" "app=$1${4:+,$4}" "$3"
}
served() { sb_ask "$1" "$ASK_VAULT" -m 5; [[ $SB_STATUS == 200 && $(sb_claim appid) == "$2" ]]; }
told() { sb_ask "$1" "$ASK_VAULT" -m 5; [[ $SB_STATUS == "$2" && $SB_BODY =~ $3 ]]; }
unnote() { # ACCOUNT KEY
	sb_api PATCH "api/v1/namespaces/shop/serviceaccounts/$1" "{\"metadata\":{\"annotations\":{\"$2\":null}}}" \
		application/merge-patch+json >/dev/null
}
watched() { [[ $(metric 'nmi_watch_up{resource="serviceaccounts"}') == 1 ]]; }

sb_app $WI federated="$(sub wi)" federated="$(sub wi-b)" tenant="$SB_TENANT" tenant="$SB_TENANT_B"
sb_app $WI2 federated="$(sub wi)"
sb_account_note shop wi $CLIENT_NOTE=$WI
pod_of wi 10.244.0.31 wi
pod_of both 10.244.0.32 wi aadpodidbinding=shop

# ---- without the right to see accounts ----

sb_api POST '_sandbox/forbid?resource=serviceaccounts&verbs=list,watch' >/dev/null
sb_launch_nmi "${NMI[@]}"
# it cannot be ready; but before its rules are there pods would ask IMDS
sb_wait 15 'packet rules' grep -q 'packet rules in place' "$SB_DIR/nmi.log" || bail "nmi does not start"
passes 'no right to list and watch accounts: a bound pod is served' eventually 15 asks_as web "$SB_SHOP"
passes 'no right to list and watch accounts: another too, whose account is annotated' eventually 2 asks_as both "$SB_SHOP"
passes 'no right to list and watch accounts: and an excepted one' eventually 2 asks_ok addon
t=$EPOCHREALTIME
answers 'no right to list and watch accounts: who needs them waits, and is asked to come back' 503 \
	'shop/wi may have an identity by its ServiceAccount shop/wi.*not_synced' wi "$ASK_VAULT"
at_most 'no right to list and watch accounts: as for any first list (ms)' "$(msec_since "$t")" 14000
like 'no right to list and watch accounts: with Retry-After' "$SB_HEAD" '[Rr]etry-[Aa]fter: 2'
is 'no right to list and watch accounts: the log says once what is missing' \
	"$(grep -c 'error serviceaccounts: not allowed to list and watch; add to the agent.s ClusterRole: apiGroups \[""\], resources \["serviceaccounts"\]' "$SB_DIR/nmi.log")" 1
like 'no right to list and watch accounts: not ready, for that reason' \
	"$(sb_in "$SB_NODE" curl -s -m 5 'http://127.0.0.1:8085/readyz?verbose')" '\[-\]identities: serviceaccounts not listed yet: serviceaccounts: not allowed'
passes 'no right to list and watch accounts: bound pods are served on' asks_as web "$SB_SHOP"
sb_api POST '_sandbox/forbid?on=0' >/dev/null
passes 'the right given, ready' eventually 20 sb_nmi_ready
like 'and the log says so' "$(<"$SB_DIR/nmi.log")" 'serviceaccounts can be listed and watched again'
passes 'accounts are watched' watched

# ---- an annotation is enough ----

gives_app 'an annotated service account needs no label and no binding' "$WI $SB_TENANT 2" wi "$ASK_VAULT"
is 'for the audience that it asked for' "$(sb_claim aud)" $VAULT
is "client_id is the annotation's" "$(sb_field client_id)" $WI
like "Entra was shown the pod's own account" "$(last_received $WI assertion | jwt_part claims)" \
	"\"sub\": \"$(sub wi)\""
gives_app 'asked for by its client id, in whatever case' "$WI $SB_TENANT 2" wi "$ASK_VAULT&client_id=${WI^^}"
is 'it is from the cache' "$(sb_entra_received $WI | wc -l)" 1
answers "another client id is refused, and told the account's" 403 \
	"shop/wi has no label.*ServiceAccount shop/wi, client_id .*$WI.*identity_not_bound" wi "$ASK_VAULT&client_id=$SB_SHOP"
unlike 'and nothing that makes an SDK retry' "$SB_HEAD" '[Rr]etry-[Aa]fter'
events() { sb_api GET api/v1/namespaces/shop/events; }
is_told() { [[ $(events) =~ NmiIdentityNotBound.*shop/wi\ has\ no\ label|shop/wi\ has\ no\ label.*NmiIdentityNotBound ]]; }
passes 'it is an Event of the pod, as other refusals are' eventually 5 is_told
is 'and is counted as they are' "$(metric 'nmi_refusals_total{reason="identity_not_bound"')" 1
answers 'so is a resource id' 403 'resource id.*identity_not_bound' wi "$ASK_VAULT&msi_res_id=$SB_IDS/shop"
pod_of plain-sa 10.244.0.33 plain-sa
answers 'one without annotation is told both ways out' 400 \
	"no label aadpodidbinding, and its ServiceAccount shop/plain-sa no annotation $CLIENT_NOTE.*no_label" plain-sa "$ASK_VAULT"

# ---- changes count with the next request ----

sb_account_note shop plain-sa $CLIENT_NOTE=$WI
passes 'annotated, it counts; what Entra has to trust is told' eventually 2 told plain-sa 400 "700213.*$(sub plain-sa)"
sb_account_note shop plain-sa $CLIENT_NOTE=my-app
passes 'an annotation that is no client id is told' eventually 2 told plain-sa 400 \
	"ServiceAccount shop/plain-sa: annotation $CLIENT_NOTE is .*my-app.*no GUID.*identity_invalid"
sb_account_note shop wi $CLIENT_NOTE=$WI2
passes 'another client id in the annotation is the identity' eventually 2 served wi $WI2
unnote wi $CLIENT_NOTE
passes 'taken away, there is none' eventually 2 told wi 400 no_label
sb_account_note shop wi $CLIENT_NOTE=$WI
passes 'put back, it is served' eventually 2 served wi $WI
sb_account_note shop wi-b $CLIENT_NOTE=$WI $TENANT_NOTE="$SB_TENANT_B"
pod_of tenant-b 10.244.0.34 wi-b
gives_app "the tenant is the annotation's, where there is one" "$WI $SB_TENANT_B 2" tenant-b "$ASK_VAULT"
sb_account_note shop wi-b $TENANT_NOTE=../x
passes 'one that is none is told' eventually 2 told tenant-b 400 "ServiceAccount shop/wi-b: annotation $TENANT_NOTE: .*is no tenant"
sb_api DELETE api/v1/namespaces/shop/serviceaccounts/wi-b >/dev/null
passes 'an account that is gone has none' eventually 2 told tenant-b 400 no_label

# ---- bindings and exceptions come first ----

gives 'a binding wins over the account' "$SB_SHOP" both "$ASK_VAULT"
gives_app 'whose identity can be asked for' "$WI $SB_TENANT 2" both "$ASK_VAULT&client_id=$WI"
sb_exception shop exempt app=exempt
pod_of exempt 10.244.0.35 wi
sb_ask addon "$ASK_VAULT" && nodes=$(sb_claim appid)
gives 'an exception wins over the account' "$nodes" exempt "$ASK_VAULT"
sb_stop_nmi
sb_api POST '_sandbox/watchlist?on=0' >/dev/null
sb_start_nmi "${NMI[@]}" --operation-mode=standard
passes 'in standard mode, and from a server that cannot stream lists, the account counts too' eventually 5 served wi $WI
sb_assigned shop both shop "$SB_SHOP" Assigned
passes 'and what is assigned wins' eventually 5 asks_as both "$SB_SHOP"
gives_app 'with the account there to be asked for' "$WI $SB_TENANT 2" both "$ASK_VAULT&client_id=$WI"

sb_api POST _sandbox/watchlist >/dev/null

# ---- without the setting ----

sb_stop_nmi
sb_api POST '_sandbox/forbid?resource=serviceaccounts&verbs=list,watch' >/dev/null
sb_start_nmi -v 9 --tenant-id="$SB_TENANT" || bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"
ok 'without the setting it is ready without that right'
answers 'and an annotation is nothing' 400 'no label aadpodidbinding: add it.*no_label' wi "$ASK_VAULT"
unlike 'nobody watches accounts' "$(sb_metrics)" 'resource="serviceaccounts"'
sb_api POST '_sandbox/forbid?on=0' >/dev/null
no_leak 'IMDS has seen no pod'
tokens_end
