#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The stand-in for Entra against the real SDK, without the agent: what the SDK sends is accepted, and what it
# is answered it understands. So what the stand-in asks of the agent is what Entra's own clients do.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tap.sh
. "$here/../tap.sh"
# shellcheck source=../sandbox/cluster.sh
. "$here/../sandbox/cluster.sh"
# shellcheck source=lib.sh
. "$here/lib.sh"

APP=44444444-aaaa-4000-8000-000000000004

sb_use "interop${NMI_E2E_BOX:-}-entra"
interop_install
trap sb_down EXIT
sb_up && sb_entra_up || bail 'the sandbox did not come up'
sb_account apps app
sb_certificate app && sb_certificate other
sb_add_pod app apps 10.244.0.11 app=app app
sb_app "$APP" secret='right~+&' certificate="$SB_DIR/certs/app.crt" federated=system:serviceaccount:apps:app

application() { # TENANT KIND ARGUMENT: its line of JSON
	sb_exec app "$sb_here/cluster.sh" --name "$SB_NAME" see env -i PATH="$PATH" HOME="$SB_DIR" \
		REQUESTS_CA_BUNDLE="$SB_DIR/entra/ca.crt" timeout 110 "$sdks/python/venv/bin/python" \
		"$here/python/application.py" "$1" "$APP" "$VAULT" "${@:2}" 2>>"$SB_DIR/sdk.log" | tail -n 1
}

accepted() { # SENTENCE HOW KIND ARGUMENT: a token of the application, which proved itself so
	local claims
	SB_BODY=$(application "$SB_TENANT" "${@:3}" | sed 's/"token":/"access_token":/')
	claims="$(sb_claim appid) $(sb_claim tid) $(sb_claim aud) $(sb_claim appidacr)"
	if [[ $claims == "$APP $SB_TENANT $VAULT $2" ]]; then ok "$1"; else not_ok "$1" "$claims"$'\n'"$SB_BODY"; fi
}

header_of_last() { # MEMBER: of the head of the last assertion that Entra received
	sb_entra_received "$APP" assertion | tail -n 1 | python3 -c 'import base64, json, sys
head = sys.stdin.read().split(" ")[1].split(".")[0]
print(json.loads(base64.urlsafe_b64decode(head + "=="))[sys.argv[1]])' "$1"
}

accepted 'a secret is accepted' 1 secret 'right~+&'
accepted 'a certificate is accepted' 2 certificate "$SB_DIR/certs/app.pem"
is 'which the SDK signs with PS256' "$(header_of_last alg)" PS256
accepted 'and in the older form' 2 sha1 "$SB_DIR/certs/app.pem"
is 'which is signed with RS256' "$(header_of_last alg)" RS256
accepted 'with the chain as well' 2 sha1-chain "$SB_DIR/certs/app.pem"
like 'which is then there' "$(header_of_last x5c)" MII
uid=$(sb_api GET api/v1/namespaces/apps/pods/app | sed -nE 's/.*"uid": ?"([^"]*)".*/\1/p')
sb_api POST api/v1/namespaces/apps/serviceaccounts/app/token "{\"spec\":{\"audiences\":[\"$SB_EXCHANGE\"],
	\"boundObjectRef\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"name\":\"app\",\"uid\":\"$uid\"}}}" |
	sed -nE 's/.*"token":"([^"]*)".*/\1/p' | tr -d '\n' >"$SB_DIR/account"
accepted 'a service account is accepted' 2 account "$SB_DIR/account"

like 'the SDK shows why a wrong secret is refused' "$(application "$SB_TENANT" secret wrong)" \
	'"error": .*invalid_client.*AADSTS7000215.*Trace ID'
like 'a certificate that is not registered' "$(application "$SB_TENANT" certificate "$SB_DIR/certs/other.pem")" \
	'"error": .*invalid_client.*AADSTS700027'
like 'an application of another tenant' "$(application "$SB_TENANT_B" secret 'right~+&')" \
	'"error": .*unauthorized_client.*AADSTS700016'
sb_app "$APP" federated=system:serviceaccount:apps:other
like 'a service account that is not trusted' "$(application "$SB_TENANT" account "$SB_DIR/account")" \
	'"error": .*AADSTS700213.*system:serviceaccount:apps:app'
done_testing
