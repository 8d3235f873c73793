#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A service principal with a secret (type 1): whose token it is, where it is asked for, and what its pod is
# told when there is none.
set -uo pipefail
# shellcheck source=tests/tokens/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
tokens_begin sp-secret

SECRET='~Q8~right&secret=+/ %é"\'
sb_app $SP secret="$SECRET" tenant=$SB_TENANT tenant=$SB_TENANT_B
sb_secret shop sp clientSecret="$SECRET"
bound_pod sp 10.244.0.21 $SP 1 tenant=$SB_TENANT secret=sp

gives_app 'its pod gets a token of the application' "$SP $SB_TENANT 1" sp "$ASK_VAULT"
is 'for the audience that it asked for' "$(sb_claim aud)" $VAULT
is 'in the shape that SDKs read' \
	"$(python3 -c 'import json,sys; d=json.load(sys.stdin); print(*sorted(d), {type(v).__name__ for v in d.values()})' <<<"$SB_BODY")" \
	"access_token client_id expires_in expires_on ext_expires_in not_before refresh_token resource token_type {'str'}"
is 'with the client id and the resource of the request' "$(sb_field client_id) $(sb_field resource)" "$SP $VAULT"
is 'Entra received the secret, every byte of it' "$(last_received $SP secret)" "200 $SECRET"
gives_app 'a second time' "$SP $SB_TENANT 1" sp "$ASK_VAULT"
is 'from the cache' "$(sb_entra_count issued)" 1
gives_app 'bypass_cache=true brings a new one' "$SP $SB_TENANT 1" sp "$ASK_VAULT&bypass_cache=true"
is 'of Entra' "$(sb_entra_count issued)" 2
gives_app 'another resource, with a slash at its end' "$SP $SB_TENANT 1" sp "$SB_ASK"
is 'which is part of the audience' "$(sb_claim aud)" "$SB_ARM"
gives_app 'by its client id' "$SP $SB_TENANT 1" sp "$ASK_VAULT&client_id=$SP"
gives 'other pods get what they got, from IMDS' "$SB_SHOP" web "$SB_ASK"

# ---- where the secret stands ----

sb_namespace vault-ns
sb_secret vault-ns far ClientSecret="$SECRET" password=unused-thing
sb_secret shop only whatever="$SECRET"
sb_secret shop many one="$SECRET" two="$SECRET"
sb_secret shop empty clientSecret=
bound_pod far 10.244.0.22 $SP 1 tenant=$SB_TENANT secret=vault-ns/far
bound_pod only 10.244.0.23 $SP 1 tenant=$SB_TENANT secret=only
bound_pod many 10.244.0.24 $SP 1 tenant=$SB_TENANT secret=many
bound_pod empty 10.244.0.25 $SP 1 tenant=$SB_TENANT secret=empty
bound_pod nosecret 10.244.0.26 $SP 1 tenant=$SB_TENANT secret=nowhere
bound_pod unsaid 10.244.0.27 $SP 1 tenant=$SB_TENANT
bound_pod notenant 10.244.0.28 $SP 1 secret=sp
answers "a Secret of another namespace is not this pod's to use" 400 'vault-ns.*--secrets-across-namespaces' far "$ASK_VAULT"
gives_app 'a Secret with one key, whatever it is called' "$SP $SB_TENANT 1" only "$ASK_VAULT"
answers 'a Secret with several keys, none of them right: which are there, and which is wanted' 400 \
	'shop/many.*clientSecret' many "$ASK_VAULT"
like 'they are named' "$SB_BODY" 'one.*two'
answers 'an empty secret' 400 'shop/empty.*empty' empty "$ASK_VAULT"
answers 'a Secret that is not there' 400 'shop/nowhere' nosecret "$ASK_VAULT"
answers 'an identity that names no Secret' 400 'AzureIdentity shop/unsaid.*clientPassword' unsaid "$ASK_VAULT"
answers 'an identity that names no tenant' 400 'AzureIdentity shop/notenant.*tenantID' notenant "$ASK_VAULT"
sb_secret shop nowhere clientSecret="$SECRET"
passes 'once the Secret is there, its pod is served' eventually 10 asks_as nosecret $SP

# ---- other clouds ----

bound_pod china 10.244.0.29 $SP 1 tenant=$SB_TENANT secret=sp endpoint=https://login.partner.microsoftonline.cn/
gives_app 'an identity of another cloud' "$SP $SB_TENANT 1" china "$ASK_VAULT"
bound_pod plainhttp 10.244.0.30 $SP 1 tenant=$SB_TENANT secret=sp endpoint=http://login.microsoftonline.com/
answers 'a secret is not sent without TLS' 400 'AzureIdentity shop/plainhttp.*https' plainhttp "$ASK_VAULT"
bound_pod elsewhere 10.244.0.31 $SP 1 tenant=$SB_TENANT secret=sp endpoint=https://login.example.org/
answers 'nor to a host that is not of Entra' 400 'AzureIdentity shop/elsewhere.*login.example.org' elsewhere "$ASK_VAULT"
bound_pod path 10.244.0.32 $SP 1 tenant=../../x secret=sp
answers 'a tenant that would be a path' 400 'AzureIdentity shop/path.*tenant' path "$ASK_VAULT"

# ---- several tenants ----

bound_pod aux 10.244.0.33 $SP 1 tenant=$SB_TENANT secret=sp auxiliary=$SB_TENANT_B
sb_ask aux "$ASK_VAULT"
is 'auxiliary tenants: a token of each, the own one first' "$(python3 -c 'import base64, json, sys
for t in json.load(sys.stdin):
    print(json.loads(base64.urlsafe_b64decode(t["access_token"].split(".")[1] + "=="))["tid"])' <<<"$SB_BODY" 2>&1 | xargs)" \
	"$SB_TENANT $SB_TENANT_B"
bound_pod auxbad 10.244.0.34 $SP 1 tenant=$SB_TENANT secret=sp auxiliary=$SB_TENANT_C
answers 'one of them without the application: no token at all' 400 '700016' auxbad "$ASK_VAULT"

# ---- what Entra refuses, permanently ----

refusal() { # SENTENCE AADSTS HINT-REGEX POD [TARGET]
	fresh
	answers "$1" 400 "AADSTS$2" "$4" "${5:-$FRESH}"
	like "$1: its fields reach the SDK" "$(python3 -c 'import json, sys
d = json.load(sys.stdin)
print(d["error"], d["error_codes"], len(d["trace_id"]), len(d["correlation_id"]))' <<<"$SB_BODY" 2>&1)" \
		"^[a-z_]+ \[$2\] 36 36\$"
	like "$1: what to do" "$(sed 's/.*Timestamp: //' <<<"$SB_BODY")" "$3"
	unlike "$1: nothing that makes an SDK retry" "$SB_HEAD" '[Rr]etry-[Aa]fter'
}

sb_app $SP2 secret=another-secret-value
bound_pod refused 10.244.0.35 $SP2 1 tenant=$SB_TENANT secret=sp
refusal 'a wrong secret' 7000215 'Secret shop/sp' refused
sb_app $SP2 expired-secret="$SECRET"
refusal 'an expired one' 7000222 'Secret shop/sp' refused
sb_app $SP2 secret="$SECRET" disabled=true
refusal 'a disabled application' 7000112 'disabled' refused
sb_app $SP2 secret="$SECRET" tenant=$SB_TENANT_B
refusal 'an application of another tenant' 700016 'tenant' refused
sb_app $SP2 secret="$SECRET"
refusal 'a resource that nobody has' 500011 'resource' refused "$SB_TOKEN?api-version=2018-02-01&resource=https://x.invalid/"
bound_pod lost 10.244.0.36 $SP2 1 tenant=99999999-0000-4000-8000-2d7cd011db47 secret=sp
refusal 'a tenant that is not there' 90002 'tenant' lost
sb_entra_behave do=echo client=$SP2
fresh
answers 'an error that quotes the secret' 400 'AADSTS7000215' refused "$FRESH"
is 'was made to' "$(sb_entra_count behaved)" 1
unlike 'and does not reach the pod with it' "$SB_BODY" 'right.*secret=.*%|right%26secret'

# ---- what passes ----

passing() { # SENTENCE STATUS TEXT-REGEX RETRY-AFTER BEHAVIOUR...
	sb_entra clear >/dev/null
	sb_entra_behave "${@:5}" times=0 client=$SP2
	fresh
	sb_ask refused "$FRESH" -m 60
	was_answered "$1" "$2" "$3"
	like "$1: ask again" "$SB_HEAD" "[Rr]etry-[Aa]fter: $4"
}
passing 'an error of Entra' 503 'answered 500' '[0-9]' do=status code=500
passing 'Entra is being worked on' 503 'answered 503' '[0-9]' do=status code=503
passing 'HTML in place of JSON' 503 'JSON' '[0-9]' do=html
passing 'bytes in place of JSON' 503 'JSON' '[0-9]' do=garbage
passing 'nothing at all' 503 'JSON' '[0-9]' do=empty
passing 'half an answer' 503 'login.microsoftonline.com' '[0-9]' do=cut
passing 'ten million bytes' 503 'login.microsoftonline.com' '[0-9]' do=huge
passing 'a connection that breaks' 503 'login.microsoftonline.com' '[0-9]' do=reset
passing 'throttled' 429 'AADSTS90055' '7' do=throttle retry-after=7
sb_entra clear >/dev/null
passes 'and when it is over, its pod is served' eventually 20 asks_as refused $SP2
sb_stop entra KILL
fresh
sb_ask refused "$FRESH" -m 60
was_answered 'no Entra at all' 503 'login.microsoftonline.com'
unlike 'and not the word that SDKs give up at' "$SB_BODY" unreachable
gives_app 'what is cached is given all the same' "$SP $SB_TENANT 1" sp "$ASK_VAULT"
no_leak 'IMDS has seen no pod'
nothing_leaked
only_cached_tokens_are_in_memory

# ---- where Secrets of other namespaces are allowed ----

sb_stop_nmi
sb_entra_start || bail 'Entra does not start again'
sb_start_nmi -v 9 --secrets-across-namespaces || bail 'nmi does not start again'
sb_app $SP secret="$SECRET"
gives_app 'a Secret of another namespace, by its other spelling' "$SP $SB_TENANT 1" far "$ASK_VAULT"
tokens_end
