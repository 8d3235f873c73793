#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Federation: the pod's own service account proves the identity. Two ways to it: an AzureIdentity of type 3,
# and one of type 0 with an annotation.
set -uo pipefail
# shellcheck source=tests/tokens/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
tokens_begin federation --tenant-id="$SB_TENANT"

FED=66666666-aaaa-4000-8000-000000000006
TYPE0=88888888-aaaa-4000-8000-000000000008
sub() { printf 'system:serviceaccount:shop:%s' "$1"; }
federated_pod() { # POD IP ACCOUNT [key=value,... of labels]
	sb_account shop "$3" && sb_add_pod "$1" shop "$2" "app=$1${4:+,$4}" "$3"
}

# ---- type 3 ----

sb_app $FED federated="$(sub fed)"
sb_identity shop fed $FED '' 3 tenant=$SB_TENANT && sb_binding shop fed fed fed
federated_pod fed 10.244.0.21 fed aadpodidbinding=fed
gives_app 'type 3: its pod gets a token of the application' "$FED $SB_TENANT 2" fed "$ASK_VAULT"
is 'for the audience that it asked for' "$(sb_claim aud)" $VAULT
shown=$(last_received $FED assertion)
is 'Entra was shown what the API server had given' "${shown#* }" "$(sb_account_tokens | tail -n 1)"
uid=$(sb_api GET api/v1/namespaces/shop/pods/fed | sed -nE 's/.*"uid": ?"([^"]*)".*/\1/p')
claims=$(jwt_part claims <<<"$shown")
like 'for the exchange only' "$claims" "\"aud\": \\[\"$SB_EXCHANGE\"\\]"
like 'bound to this very pod' "$claims" "\"pod\": \\{\"name\": \"fed\", \"uid\": \"$uid\"\\}"
at_most 'for an hour at most (s)' "$(python3 -c 'import json, sys; d = json.load(sys.stdin); print(d["exp"] - d["iat"])' <<<"$claims")" 3600
gives_app 'a second time' "$FED $SB_TENANT 2" fed "$ASK_VAULT"
is 'from the cache' "$(sb_entra_received $FED | wc -l)" 1
is_wiped 'the token of the service account is not left in memory' jwt="${shown#* }"

federated_pod stranger 10.244.0.22 stranger aadpodidbinding=fed
answers 'a service account that is not trusted' 400 AADSTS700213 stranger "$ASK_VAULT"
like 'the pod is told the very issuer, subject and audience to configure' "$SB_BODY" \
	"$SB_ISSUER.*$(sub stranger).*$SB_EXCHANGE"
like 'in fields as well as words' "$SB_BODY" '"error_codes": ?\[700213\]'
unlike 'and nothing that makes an SDK retry' "$SB_HEAD" '[Rr]etry-[Aa]fter'
gives_app 'the other is served as before' "$FED $SB_TENANT 2" fed "$ASK_VAULT"
sb_app $FED federated="$(sub fed)" federated="$(sub stranger)"
served() { sb_ask "$1" "$ASK_VAULT" -m 5; [[ $SB_STATUS == 200 && $(sb_claim appid) == "$2" ]]; }
passes 'once it is trusted, it is served' eventually 40 served stranger $FED

sb_identity shop homeless $FED '' 3 && sb_binding shop homeless homeless homeless
federated_pod homeless 10.244.0.26 fed aadpodidbinding=homeless
gives_app 'without a tenant of its own: of that of --tenant-id' "$FED $SB_TENANT 2" homeless "$ASK_VAULT"
for wrong in --tenant-id=../x --federation-audience=; do
	said=$(sb_in "$SB_NODE" env KUBECONFIG="$SB_NMI_KUBECONFIG" "$(sb_program nmi)" --node n --redirect-backend=none \
		--operation-mode=managed "$wrong" 2>&1)
	is "$wrong ends it" "$?" 2
	like 'in a line that names the setting' "$(tail -n 1 <<<"$said")" "error ${wrong%%=*}"
done

# ---- a managed identity switched over, and back ----

sb_app $TYPE0 federated="$(sub moved)"
sb_identity shop moved $SB_SHOP "$SB_IDS/shop" && sb_binding shop moved moved moved
federated_pod moved 10.244.0.23 moved aadpodidbinding=moved
gives 'type 0: from IMDS' $SB_SHOP moved "$ASK_VAULT"
sb_identity shop moved $TYPE0 "$SB_IDS/shop" 0 tenant=$SB_TENANT note=aadpodidentity.k8s.io/token-source=federation
passes 'with the annotation: by federation, with the next request' eventually 2 served moved $TYPE0
is 'which Entra was asked for' "$(last_received $TYPE0 | cut -d' ' -f1)" 200
sb_api PATCH "$SB_GROUP/namespaces/shop/azureidentities/moved" "{\"metadata\":{\"annotations\":{
	\"aadpodidentity.k8s.io/token-source\":null}},\"spec\":{\"clientID\":\"$SB_SHOP\"}}" application/merge-patch+json >/dev/null
passes 'without it: from IMDS again' eventually 2 served moved $SB_SHOP
sb_identity shop moved $TYPE0 "$SB_IDS/shop" 0 tenant=$SB_TENANT note=aadpodidentity.k8s.io/token-source=nonsense
answers_bad() { sb_ask moved "$ASK_VAULT" -m 2; [[ $SB_STATUS == 400 && $SB_BODY == *token-source* ]]; }
passes 'an annotation that says nothing known is told' eventually 2 answers_bad

# ---- what goes wrong on the way ----

sb_api POST '_sandbox/forbid?resource=serviceaccounts&verbs=create' >/dev/null
answers 'no right to ask for tokens of accounts: which is missing' '[45]*' 'serviceaccounts/token' fed "$ASK_VAULT&bypass_cache=true"
sb_api POST '_sandbox/forbid?on=0' >/dev/null
anew() { sb_ask fed "$ASK_VAULT&bypass_cache=true" -m 5; [[ $SB_STATUS == 200 ]]; }
passes 'the right given, it is served' eventually 20 anew
sb_account shop gone && sb_app $FED federated="$(sub fed)" federated="$(sub stranger)" federated="$(sub gone)"
federated_pod gone 10.244.0.27 gone aadpodidbinding=fed
sb_api DELETE api/v1/namespaces/shop/serviceaccounts/gone >/dev/null
answers 'a service account that is gone: whose, and that it may pass' 503 'shop/gone.*not found.*ask again' gone "$ASK_VAULT"
like 'with Retry-After' "$SB_HEAD" '[Rr]etry-[Aa]fter: 2'
sb_account shop gone
served_here() { sb_ask "$1" "$ASK_VAULT" -m 5; [[ $SB_STATUS == 200 ]]; }
passes 'made again, it counts at once' eventually 2 served_here gone
sb_entra_behave do=refuse aadsts=90061 client=$FED times=0
answers 'an issuer that Entra cannot read: it passes' 503 AADSTS90061 fed "$ASK_VAULT&bypass_cache=true"
sb_entra clear >/dev/null
passes 'and then its pod is served' eventually 20 served fed $FED
sb_entra clock skew=90000 >/dev/null
answers 'an assertion out of its time' '[45]*' AADSTS700024 stranger "$ASK_VAULT&bypass_cache=true"
sb_entra clear >/dev/null
no_leak 'IMDS has seen no pod'
tokens_end
