#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A Secret that changes counts with the next request, and what it was is then in no memory of the agent.
set -uo pipefail
# shellcheck source=tests/tokens/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
tokens_begin rotate

OLD='old~Qx8secret-of-the-application' NEW='new~Qx9secret-of-the-application'
certs=$SB_DIR/certs
sb_certificate old password=old-Pkcs12-password && sb_certificate new password=new-Pkcs12-password
sb_app $SP secret="$OLD" secret="$NEW"
sb_app $SP2 certificate="$certs/old.crt" certificate="$certs/new.crt"
sb_secret shop sp clientSecret="$OLD"
sb_secret shop cert certificate=@"$certs/old.p12" password=old-Pkcs12-password
bound_pod sp 10.244.0.21 $SP 1 tenant=$SB_TENANT secret=sp
bound_pod cert 10.244.0.22 $SP2 2 tenant=$SB_TENANT secret=cert

uses_new() { # POD CLIENT REGEX: asked once more, Entra receives that; a cached token of the old is not given
	asks_ok "$1" && [[ $(last_received "$2") =~ $3 ]]
}

gives_app 'with the first secret' "$SP $SB_TENANT 1" sp "$SB_ASK"
first=$(sb_field access_token)
is 'which Entra received' "$(last_received $SP)" "200 $OLD"
like 'the search of memory finds a cached token' "$(in_memory jwt="$first")" 'signature of the token'
sb_secret shop sp clientSecret="$NEW"
passes 'changed: the next request is made with the new one' eventually 2 uses_new sp $SP "$NEW"
gives_app 'it is of the same application' "$SP $SB_TENANT 1" sp "$SB_ASK"
unlike 'and another one' "$(sb_field access_token)" "^$first\$"
is_wiped 'the old secret is in no memory' text="$OLD"
old_token_gone() { [[ -z $(in_memory jwt="$first") ]]; } # a finished answer is kept for its second
passes 'nor is the token that was got with it' eventually 5 old_token_gone

sb_app $SP secret="$OLD"
sb_ask sp "$SB_ASK&bypass_cache=true"
was_answered 'withdrawn at Entra: the pod is told' 400 AADSTS7000215
sb_secret shop sp clientSecret="$OLD"
passes 'and is served with the next request once the Secret is right again' eventually 2 uses_new sp $SP "200 $OLD"
is_wiped 'without the other left' text="$NEW"

# ---- certificates ----

gives_app 'with the first certificate' "$SP2 $SB_TENANT 2" cert "$SB_ASK"
thumb() { openssl x509 -in "$certs/$1.crt" -outform DER | openssl sha256 -binary | base64 | tr '+/' '-_' | tr -d =; }
used() { last_received $SP2 assertion | jwt_part head; }
like 'whose thumbprint Entra received' "$(used)" "$(thumb old)"
assertion=$(last_received $SP2 assertion)
is_wiped 'the assertion is gone once it was used' jwt="${assertion#* }"
sb_secret shop cert certificate=@"$certs/new.p12" password=new-Pkcs12-password
uses_cert() { asks_ok cert && [[ $(used) == *"$(thumb "$1")"* ]]; }
passes 'changed: the next request is made with the new one' eventually 2 uses_cert new
is_wiped 'the old key, its file and its password are in no memory' key="$certs/old.key" file="$certs/old.p12" text=old-Pkcs12-password
assertion=$(last_received $SP2 assertion)
is_wiped 'nor is the assertion' jwt="${assertion#* }"

# ---- the identities go, the Secrets go ----

sb_api DELETE "$SB_GROUP/namespaces/shop/azureidentities/sp" >/dev/null
sb_api DELETE "$SB_GROUP/namespaces/shop/azureidentities/cert" >/dev/null
for pod in sp cert; do
	refused() { sb_ask "$1" "$SB_ASK" -m 2; [[ $SB_STATUS == 400 ]]; }
	passes "$pod: without its identity it is refused" eventually 2 refused $pod
done
forgotten() { [[ -z $(in_memory text="$OLD" text=new-Pkcs12-password key="$certs/new.key" file="$certs/new.p12") ]]; }
passes 'what nobody uses any more is forgotten' eventually 120 forgotten
is_wiped 'all of it' text="$OLD" text="$NEW" text=new-Pkcs12-password text=old-Pkcs12-password \
	key="$certs/new.key" key="$certs/old.key" file="$certs/new.p12"

# ---- where Secrets may be read, and not listed or watched ----

sb_api POST '_sandbox/forbid?resource=secrets&verbs=list,watch' >/dev/null
sb_stop_nmi && sb_start_nmi -v 9 || bail 'nmi does not start again'
sb_app $SP secret="$OLD" secret="$NEW"
sb_identity shop sp $SP '' 1 tenant=$SB_TENANT secret=sp
passes 'with a right to get only: served' eventually 5 asks_as sp $SP
sb_secret shop sp clientSecret="$NEW"
passes 'and a change counts within some seconds' eventually 15 uses_new sp $SP "$NEW"
is_wiped 'the old secret is in no memory' text="$OLD"
sb_api POST '_sandbox/forbid?resource=secrets' >/dev/null
sb_secret shop sp2 clientSecret="$NEW"
bound_pod sp2 10.244.0.23 $SP 1 tenant=$SB_TENANT secret=sp2
sb_ask sp2 "$SB_ASK"
like 'without any right the pod is told which is missing' "$SB_STATUS $SB_BODY" '^(400|403|503) .*shop/sp2.*(forbidden|may not|right)'
sb_api POST '_sandbox/forbid?on=0' >/dev/null
passes 'once it is given, its pod is served' eventually 20 asks_as sp2 $SP
no_leak 'IMDS has seen no pod'
tokens_end
