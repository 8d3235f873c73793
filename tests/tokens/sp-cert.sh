#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A service principal with a certificate (type 2): in every form in which one keeps it, signed as Entra
# documents it; and what its pod is told when the certificate is none.
set -uo pipefail
# shellcheck source=tests/tokens/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
tokens_begin sp-cert

PASSWORD='päss&word=1 "\'
certs=$SB_DIR/certs
sb_certificate app password="$PASSWORD"
sb_certificate plain
sb_certificate old legacy=true password="$PASSWORD"
sb_certificate other
openssl rsa -in "$certs/app.key" -aes256 -passout "pass:$PASSWORD" -out "$certs/app.enc" 2>/dev/null
cat "$certs/app.enc" "$certs/app.crt" >"$certs/app.enc.pem"
cat "$certs/plain.crt" "$certs/plain.key" >"$certs/plain.turned"
sb_app $SP certificate="$certs/app.crt" certificate="$certs/plain.crt" certificate="$certs/old.crt"

n=20
form() { # SENTENCE NAME key=value...: a Secret of that form gives a token
	n=$((n + 1))
	sb_secret shop "$2" "${@:3}"
	bound_pod "$2" 10.244.0.$n $SP 2 tenant=$SB_TENANT secret="$2"
	gives_app "$1" "$SP $SB_TENANT 2" "$2" "$ASK_VAULT"
}
form 'PKCS#12 with a password' p12 certificate=@"$certs/app.p12" password="$PASSWORD"
head=$(last_received $SP assertion | jwt_part head)
claims=$(last_received $SP assertion | jwt_part claims)
thumbprint=$(openssl x509 -in "$certs/app.crt" -outform DER | openssl sha256 -binary | base64 | tr '+/' '-_' | tr -d =)
is 'signed as documented' "$head" "{\"alg\": \"PS256\", \"typ\": \"JWT\", \"x5t#S256\": \"$thumbprint\"}"
like 'for this tenant of this host, by and about the application' "$claims" \
	"\"aud\": \"https://login.microsoftonline.com/$SB_TENANT/oauth2/v2.0/token\".*\"iss\": \"$SP\".*\"sub\": \"$SP\""
at_most 'valid for ten minutes at most (s)' \
	"$(python3 -c 'import json, sys; d = json.load(sys.stdin); print(d["exp"] - d["nbf"])' <<<"$claims")" 600
form 'PKCS#12 without a password' p12-plain certificate=@"$certs/plain.p12"
form 'PKCS#12 with an empty password' p12-empty certificate=@"$certs/plain.p12" password=
form 'PKCS#12 with ciphers of long ago (RC2-40)' p12-old certificate=@"$certs/old.p12" password="$PASSWORD"
form 'PEM, the key first' pem certificate=@"$certs/plain.pem"
form 'PEM, the certificate first' pem-turned certificate=@"$certs/plain.turned"
form 'PEM with an encrypted key' pem-enc certificate=@"$certs/app.enc.pem" password="$PASSWORD"
gives_app 'a second token is asked for with another assertion' "$SP $SB_TENANT 2" p12 "$ASK_VAULT&bypass_cache=true"
is 'no assertion is used twice' "$(sb_entra_received $SP assertion | sort | uniq -d)" ''
gives_app 'and a cached one is given without any' "$SP $SB_TENANT 2" p12 "$ASK_VAULT"
is 'Entra was asked once for each' "$(sb_entra_received $SP assertion | wc -l)" 8

# ---- what is none ----

bad() { # SENTENCE NAME REGEX key=value...
	n=$((n + 1))
	sb_secret shop "$2" "${@:4}"
	bound_pod "$2" 10.244.0.$n $SP 2 tenant=$SB_TENANT secret="$2"
	answers "$1" 400 "Secret shop/$2.*$3" "$2" "$ASK_VAULT"
}
head -c 3000 /dev/urandom >"$certs/garbage"
head -c 900 "$certs/app.p12" >"$certs/cut.p12"
cat "$certs/app.key" "$certs/other.crt" >"$certs/mixed.pem"
openssl ecparam -name prime256v1 -genkey -noout -out "$certs/ec.key" 2>/dev/null
openssl req -x509 -new -key "$certs/ec.key" -subj /CN=ec -days 3 >>"$certs/ec.key" 2>/dev/null
mv "$certs/ec.key" "$certs/ec.pem"
bad 'a wrong password' bad-password password certificate=@"$certs/app.p12" password=wrong-password-here
bad 'no password where one is needed' no-password password certificate=@"$certs/app.p12"
bad 'bytes that are nothing' garbage certificate certificate=@"$certs/garbage"
bad 'half a PKCS#12' cut certificate certificate=@"$certs/cut.p12" password="$PASSWORD"
bad 'nothing at all' nothing certificate certificate=
bad 'a certificate of another key' mixed 'key' certificate=@"$certs/mixed.pem"
bad 'a key without a certificate' keyonly certificate certificate=@"$certs/app.key"
bad 'a certificate without a key' certonly key certificate=@"$certs/app.crt"
bad 'a key that is not RSA' ec RSA certificate=@"$certs/ec.pem"
bad 'a Secret without that key' wrongkey 'certificate' cert=@"$certs/app.p12"
sb_certificate stale days=-1 2>/dev/null || openssl x509 -x509toreq -in "$certs/app.crt" -signkey "$certs/app.key" 2>/dev/null |
	openssl x509 -req -signkey "$certs/app.key" -days -1 -out "$certs/stale.crt" 2>/dev/null
cat "$certs/app.key" "$certs/stale.crt" >"$certs/stale.pem"
bad 'an expired certificate' stale 'expired' certificate=@"$certs/stale.pem"

sb_secret shop unregistered certificate=@"$certs/other.pem"
bound_pod unregistered 10.244.0.60 $SP 2 tenant=$SB_TENANT secret=unregistered
answers 'a certificate that is not registered: what Entra says' 400 AADSTS700027 unregistered "$ASK_VAULT"
like 'and what to do' "$SB_BODY" 'Secret shop/unregistered'
sb_entra clock skew=3600 >/dev/null
answers "a clock that is off: what Entra says" 400 AADSTS700024 p12 "$ASK_VAULT&bypass_cache=true"
like 'and what to do' "$SB_BODY" 'clock'
sb_entra clear >/dev/null

# ---- as settings say ----

sb_stop_nmi
sb_start_nmi -v 9 --certificate-assertion=rs256 --send-x5c || bail 'nmi does not start again'
passes 'RS256, with the chain' eventually 10 asks_as p12 $SP
head=$(last_received $SP assertion | jwt_part head)
like 'as the old agent did' "$head" '"alg": "RS256".*"x5c": \["MII[^]]*"\], "x5t": "[A-Za-z0-9_-]{27}"\}'
no_leak 'IMDS has seen no pod'
tokens_end
